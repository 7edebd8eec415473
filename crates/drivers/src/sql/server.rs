//! The servers of an endpoint, and how a connection to each is made.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{Connection as _, PgConnection, Row as _, SqliteConnection};
use tokio::time::{Instant, timeout_at};

use super::dsn::{Dsn, Wanted, address};
use super::parameter::Wire;
use super::run::Script;
use crate::failure::Failure;
use slatest_core::model::hide;
use slatest_core::model::{Nanos, Outcome};

/// How often SQLite asks whether its statement is still wanted, in instructions of its machine.
const PROGRESS_INTERVAL: i32 = 4096;

/// Where statements can be sent.
#[derive(Debug)]
pub enum Server {
    /// PostgreSQL, or a pooler in front of it.
    Postgres(Postgres),
    /// A file on this machine.
    Sqlite(Sqlite),
}

/// One DSN of a PostgreSQL endpoint.
#[derive(Debug)]
pub struct Postgres {
    /// Hosts and login.
    pub dsn: Dsn,
    /// Whether named prepared statements work. Where they don't, values are written into the text:
    /// a pooler in transaction mode may give each message of the extended protocol to another server.
    pub prepared: bool,
    /// Longest timeout of the workload's operations; the server gives up then too.
    pub statement_timeout: Nanos,
    /// The host that was good the last time; tried first.
    pub last_good: AtomicUsize,
}

/// A SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    /// Where it is.
    pub path: PathBuf,
    /// How long a statement waits for another's lock.
    pub busy_timeout: Nanos,
}

/// An open connection.
pub struct Live {
    /// The connection itself.
    pub link: Link,
    /// Types of the values of each statement, where it is prepared on this connection.
    pub wires: Vec<Option<Arc<[Wire]>>>,
}

/// The connection itself.
pub enum Link {
    /// PostgreSQL, and whether its statements are prepared.
    Postgres(Box<PgConnection>, bool),
    /// SQLite, and what ends its running statement.
    Sqlite(Abandon, Box<SqliteConnection>),
}

/// Ends the running statement of a SQLite connection when it is dropped: one whose operation has
/// timed out would go on in SQLite's own thread.
pub struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Live {
    /// Says goodbye to the server.
    pub async fn close(self) {
        // A courtesy: a connection that can't say it is gone already.
        match self.link {
            Link::Postgres(connection, _) => drop(connection.close().await),
            Link::Sqlite(abandon, connection) => {
                drop(connection.close().await);
                drop(abandon);
            }
        }
    }
}

impl Server {
    /// Where it is, without credentials.
    pub fn address(&self) -> String {
        match self {
            Self::Postgres(postgres) => postgres.dsn.addresses(),
            Self::Sqlite(sqlite) => sqlite.path.display().to_string(),
        }
    }

    /// Takes what must not be shown out of words from elsewhere.
    pub fn redact(&self, words: &str) -> String {
        match self {
            Self::Postgres(postgres) => {
                postgres.dsn.secrets.iter().fold(words.to_owned(), |words, secret| hide(&words, secret))
            }
            Self::Sqlite(_) => words.to_owned(),
        }
    }

    /// Opens a connection and prepares `scripts` on it, as far as they can be.
    ///
    /// # Errors
    /// When none of its hosts gives one until `deadline`.
    pub async fn connect(&self, scripts: &[Script], deadline: Instant) -> Result<Live, Failure> {
        let count = scripts.len();
        let link = match self {
            Self::Postgres(postgres) => postgres.connect(count, deadline).await?,
            Self::Sqlite(sqlite) => timeout_at(deadline, sqlite.connect(count)).await.map_err(late)??,
        };
        let mut live = Live { link, wires: vec![None; count] };
        let prepare = async {
            for (index, script) in scripts.iter().enumerate() {
                // One that can't be prepared says so each time it is executed.
                match live.prepare(index, script).await {
                    Err(failure) if failure.broken => return Err(failure),
                    _ => {}
                }
            }
            Ok(())
        };
        timeout_at(deadline, prepare).await.map_err(late)??;
        Ok(live)
    }
}

fn late(_: tokio::time::error::Elapsed) -> Failure {
    Failure::new(Outcome::TimedOut, "connect: timed out").broken()
}

/// How well a host is what is wanted.
#[derive(Clone, Copy)]
enum Fit {
    Best,
    /// Only where there is no better one.
    SecondBest,
}

impl Postgres {
    async fn connect(&self, statements: usize, deadline: Instant) -> Result<Link, Failure> {
        let hosts = &self.dsn.hosts;
        let first = self.last_good.load(Ordering::Relaxed);
        let mut last = Failure::new(Outcome::Disconnected, "connect: no host");
        let mut second_best = None;
        for attempt in 0..hosts.len() {
            let index = (first + attempt) % hosts.len();
            let host = &hosts[index];
            // A host that swallows packets must leave time for those after it.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(hosts.len() - attempt).unwrap_or(1);
            match timeout_at(Instant::now() + share, self.connect_one(host, statements)).await {
                Ok(Ok((connection, Fit::Best))) => {
                    self.last_good.store(index, Ordering::Relaxed);
                    return Ok(Link::Postgres(Box::new(connection), self.prepared));
                }
                Ok(Ok((connection, Fit::SecondBest))) => second_best = Some(connection),
                Ok(Err(failure)) => {
                    last = Failure { detail: format!("{}: {}", address(host), failure.detail), ..failure }
                }
                Err(elapsed) => {
                    let failure = late(elapsed);
                    last = Failure { detail: format!("{}: no answer in time", address(host)), ..failure };
                }
            }
        }
        second_best
            .map(|connection| Link::Postgres(Box::new(connection), self.prepared))
            .ok_or_else(|| last.connecting())
    }

    async fn connect_one(&self, host: &PgConnectOptions, statements: usize) -> Result<(PgConnection, Fit), Failure> {
        let capacity = if self.prepared { statements.max(1) } else { 0 };
        let options = host.clone().statement_cache_capacity(capacity);
        let mut connection = PgConnection::connect_with(&options).await?;
        let mut fit = Fit::Best;
        if self.dsn.wanted != Wanted::Any {
            let row = sqlx::raw_sql("select pg_is_in_recovery()::text").fetch_one(&mut connection).await?;
            let standby = row.try_get_raw(0).ok().and_then(|v| v.as_str().ok().map(|s| s == "true")).unwrap_or(false);
            fit = match (self.dsn.wanted, standby) {
                (Wanted::PreferStandby, false) => Fit::SecondBest,
                (Wanted::Primary, true) => {
                    return Err(Failure::new(Outcome::Disconnected, "connect: no primary").broken());
                }
                (Wanted::Standby, false) => {
                    return Err(Failure::new(Outcome::Disconnected, "connect: no standby").broken());
                }
                _ => Fit::Best,
            };
        }
        if self.prepared {
            // Not through a pooler in transaction mode: settings would stay on a server that
            // others get next.
            let millis = self.statement_timeout.as_duration().as_millis().max(1);
            let settings = format!("set statement_timeout = {millis}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(settings)).execute(&mut connection).await?;
            if connection.server_version_num().is_some_and(|v| v >= 140_000) {
                // A statement whose client gave up earlier ends too.
                sqlx::raw_sql("set client_connection_check_interval = 1000").execute(&mut connection).await?;
            }
        }
        Ok((connection, fit))
    }
}

impl Sqlite {
    async fn connect(&self, statements: usize) -> Result<Link, Failure> {
        let busy: Duration = self.busy_timeout.as_duration();
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(busy)
            .statement_cache_capacity(statements.max(1));
        let options = sqlx::ConnectOptions::disable_statement_logging(options);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let abandoned = Arc::new(AtomicBool::new(false));
        let wanted = Arc::clone(&abandoned);
        connection
            .lock_handle()
            .await?
            .set_progress_handler(PROGRESS_INTERVAL, move || !wanted.load(Ordering::Relaxed));
        Ok(Link::Sqlite(Abandon(abandoned), Box::new(connection)))
    }
}
