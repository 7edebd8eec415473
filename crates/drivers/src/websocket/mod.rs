//! WebSockets: Yjs sync (an edit until every other replica of its document has it), or requests
//! and answers by correlation id.
//!
//! One execution passes: `sync` or `exchange` (the session) → `connection` (write) → server →
//! `connection` (read) → `document`/`replica` or the mailbox → the session.

mod bounded;
mod budget;
mod check;
mod compile;
mod connection;
mod convergence;
mod dial;
mod document;
mod endpoint;
mod exchange;
mod failure;
mod file;
mod health;
mod plan;
mod read_back;
mod replica;
mod session;
mod sync;
#[cfg(test)]
mod tests;
mod text;
mod workload;

#[cfg(any(fuzzing, feature = "readers"))]
pub use document::fuzz;

pub use endpoint::WebsocketEndpoint;

use std::sync::Arc;

use schemars::{Schema, schema_for};

use super::{CompileContext, Driver, Workload};
use slatest_core::model::Problems;

/// The driver.
pub(super) struct WebsocketDriver;

impl Driver for WebsocketDriver {
    fn name(&self) -> &'static str {
        "websocket"
    }

    fn compile(&self, context: &CompileContext<'_>) -> Result<Arc<dyn Workload>, Problems> {
        compile::compile(context)
            .map(|shared| Arc::new(workload::WebsocketWorkload(Arc::new(shared))) as Arc<dyn Workload>)
    }

    fn schema(&self) -> Schema {
        schema_for!(file::File)
    }
}
