//! SQL: PostgreSQL (also through poolers, with replicas) and SQLite.

mod compile;
mod dsn;
mod endpoint;
mod failure;
mod file;
mod health;
mod parameter;
mod plan;
mod pool;
mod postgres;
mod read_back;
mod row;
mod run;
mod server;
mod session;
mod statement;
mod workload;

pub use endpoint::{PostgresEndpoint, SqliteEndpoint};

/// A statement, a DSN or a server's message, whatever it says: taken apart, or refused in words.
#[cfg(any(fuzzing, feature = "readers"))]
pub fn fuzz(bytes: &[u8]) {
    postgres::fuzz(bytes);
    let text = String::from_utf8_lossy(bytes);
    let dsn = dsn::Dsn::parse(&text).err().map(|error| error.to_string());
    for refused in [statement::Statement::parse(&text).err(), dsn].into_iter().flatten() {
        assert!(!refused.trim().is_empty(), "refused without a reason");
    }
}

use std::sync::Arc;

use schemars::{Schema, schema_for};

use self::workload::SqlWorkload;
use super::{CompileContext, Driver, Workload};
use slatest_core::model::Problems;

/// The driver `sql`.
pub struct SqlDriver;

impl Driver for SqlDriver {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn compile(&self, context: &CompileContext<'_>) -> Result<Arc<dyn Workload>, Problems> {
        Ok(Arc::new(SqlWorkload::new(compile::compile(context)?)))
    }

    fn schema(&self) -> Schema {
        schema_for!(file::File)
    }
}
