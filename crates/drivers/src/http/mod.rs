//! HTTP/1.1 and HTTP/2 over hyper's bare connections: one connection per session, kept alive.
//!
//! A request passes `request` (rendered from what was compiled), `session` (connection, timeout,
//! cookies, redirects), `body`, `check`. What went wrong becomes an outcome and a kind in
//! `failure`. After a timeout the connection is not used again: what would come on it belongs to
//! nobody.

mod block;
mod body;
mod check;
mod compile;
mod connection;
mod cookies;
mod dial;
mod drained;
mod encoding;
mod endpoint;
mod failure;
mod file;
mod health;
mod judge;
mod metered;
mod origin;
mod path;
mod plan;
mod pool;
mod read_back;
mod redirect;
mod request;
mod session;
#[cfg(test)]
mod tests;
mod workload;

#[cfg(any(fuzzing, feature = "readers"))]
pub use cookies::fuzz;

pub use endpoint::HttpEndpoint;

use std::sync::Arc;

use schemars::{Schema, schema_for};

use super::{CompileContext, Driver, Workload};
use slatest_core::model::Problems;

/// The driver.
#[derive(Clone, Copy, Debug)]
pub struct HttpDriver;

impl Driver for HttpDriver {
    fn name(&self) -> &'static str {
        "http"
    }

    fn compile(&self, context: &CompileContext<'_>) -> Result<Arc<dyn Workload>, Problems> {
        Ok(Arc::new(compile::compile(context)?))
    }

    fn schema(&self) -> Schema {
        schema_for!(file::File)
    }
}
