//! Endpoints of this driver: PostgreSQL servers, and files of SQLite.
//!
//! Known to every build, so that one without the driver still reads a whole target file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use slatest_core::source::Located;
use slatest_core::target::{Address, EndpointSection, Secret, SecretPart, TlsFiles};
use slatest_core::with_tls;

with_tls! {
    /// A PostgreSQL primary with its read replicas.
    pub struct PostgresEndpoint {
        /// DSN of the primary (a secret, because it carries the password).
        pub postgres: Secret,
        /// DSNs of read replicas; reads go there in turn.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub replicas: Vec<Secret>,
        /// Whether named prepared statements work; `false` behind a pooler in transaction mode.
        #[serde(default = "yes")]
        pub prepared_statements: bool,
    }
}

/// A SQLite database file on this machine.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteEndpoint {
    /// Path of the file.
    pub sqlite: Located<String>,
}

const fn yes() -> bool {
    true
}

impl EndpointSection for PostgresEndpoint {
    fn addresses(&self) -> Vec<(String, Address<'_>)> {
        Vec::new()
    }

    fn secrets(&self) -> Vec<(String, SecretPart<'_>)> {
        let replicas =
            self.replicas.iter().enumerate().map(|(i, dsn)| (format!("replicas[{i}]"), SecretPart::address(dsn)));
        std::iter::once(("postgres".to_owned(), SecretPart::address(&self.postgres))).chain(replicas).collect()
    }

    fn tls_files(&self) -> TlsFiles<'_> {
        self.tls_files()
    }
}

impl EndpointSection for SqliteEndpoint {
    fn addresses(&self) -> Vec<(String, Address<'_>)> {
        Vec::new()
    }

    fn local_files(&self) -> Vec<(String, &str)> {
        vec![("sqlite".to_owned(), &self.sqlite)]
    }
}
