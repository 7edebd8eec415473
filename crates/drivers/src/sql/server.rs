//! The servers of an endpoint, and how a connection to each is made.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use tokio::time::{Instant, timeout_at};

use super::dsn::Wanted;
use super::postgres::{Column, Connection, FULL, Host, Login};
use super::run::Script;
use crate::failure::Failure;
use slatest_core::model::hide;
use slatest_core::model::{Nanos, Outcome};

/// How often SQLite asks whether its statement is still wanted, in instructions of its machine.
const PROGRESS_INTERVAL: i32 = 4096;

/// Where statements can be sent.
pub enum Server {
    /// PostgreSQL, or a pooler in front of it.
    Postgres(Postgres),
    /// A file on this machine.
    Sqlite(Sqlite),
}

/// One DSN of a PostgreSQL endpoint.
pub struct Postgres {
    /// In the order in which they are tried.
    pub hosts: Vec<Arc<Host>>,
    /// Which of them is wanted.
    pub wanted: Wanted,
    /// Who signs in.
    pub login: Login,
    /// Whether named prepared statements work. Where they don't, a statement goes out in one piece with its values.
    pub prepared: bool,
    /// Longest wait for one host, where the DSN says so.
    pub connect_timeout: Option<Duration>,
    /// Most bytes of one answer.
    pub answer_bytes_max: u64,
    /// Where it leads, without credentials.
    pub addresses: String,
    /// What must not be shown.
    pub secrets: Vec<String>,
    /// The host that was good the last time; tried first.
    pub last_good: AtomicUsize,
}

/// A SQLite file.
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
    /// Columns of the answer of each statement that is prepared on this connection.
    pub prepared: Vec<Option<Arc<[Column]>>>,
}

/// The connection itself.
pub enum Link {
    /// PostgreSQL, and whether its statements are prepared.
    Postgres(Box<Connection>, bool),
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
    /// Whether the next may have it.
    pub fn is_idle(&self) -> bool {
        match &self.link {
            Link::Postgres(connection, _) => connection.is_idle(),
            Link::Sqlite(..) => true,
        }
    }

    /// Moves it to the current thread's runtime.
    ///
    /// # Errors
    /// The system's.
    pub fn settle(&mut self) -> Result<(), Failure> {
        match &mut self.link {
            Link::Postgres(connection, _) => connection.settle(),
            // It has a thread of its own.
            Link::Sqlite(..) => Ok(()),
        }
    }

    /// Says goodbye to the server.
    pub async fn close(self) {
        match self.link {
            Link::Postgres(connection, _) => connection.close().await,
            Link::Sqlite(abandon, connection) => {
                // A courtesy: a connection that can't say goodbye is gone already.
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
            Self::Postgres(postgres) => postgres.addresses.clone(),
            Self::Sqlite(sqlite) => sqlite.path.display().to_string(),
        }
    }

    /// Takes what must not be shown out of words from elsewhere.
    pub fn redact(&self, words: &str) -> String {
        match self {
            Self::Postgres(postgres) => {
                postgres.secrets.iter().fold(words.to_owned(), |words, secret| hide(&words, secret))
            }
            Self::Sqlite(_) => words.to_owned(),
        }
    }

    /// Opens a connection and prepares `scripts` on it, as far as they can be.
    ///
    /// # Errors
    /// When none of its hosts gives one until `deadline`.
    pub async fn connect(&self, scripts: &[Script], deadline: Instant) -> Result<Live, Failure> {
        let link = match self {
            Self::Postgres(postgres) => postgres.connect(deadline).await?,
            Self::Sqlite(sqlite) => timeout_at(deadline, sqlite.connect(scripts.len())).await.map_err(late)??,
        };
        let mut live = Live { link, prepared: vec![None; scripts.len()] };
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
    async fn connect(&self, deadline: Instant) -> Result<Link, Failure> {
        let hosts = &self.hosts;
        let first = self.last_good.load(Ordering::Relaxed);
        let mut last = Failure::new(Outcome::Disconnected, "connect: no host");
        let mut second_best = None;
        for attempt in 0..hosts.len() {
            let index = (first + attempt) % hosts.len();
            let host = &hosts[index];
            // A host that swallows packets must leave time for those after it.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(hosts.len() - attempt).unwrap_or(1);
            let share = self.connect_timeout.map_or(share, |own| own.min(share));
            match timeout_at(Instant::now() + share, self.connect_one(host)).await {
                Ok(Ok((connection, Fit::Best))) => {
                    self.last_good.store(index, Ordering::Relaxed);
                    return Ok(Link::Postgres(Box::new(connection), self.prepared));
                }
                Ok(Ok((connection, Fit::SecondBest))) => second_best = Some(connection),
                Ok(Err(failure)) => last = Failure { detail: format!("{}: {}", host.place, failure.detail), ..failure },
                Err(elapsed) => {
                    let failure = late(elapsed);
                    last = Failure { detail: format!("{}: no answer in time", host.place), ..failure };
                }
            }
        }
        second_best
            .map(|connection| Link::Postgres(Box::new(connection), self.prepared))
            .ok_or_else(|| last.connecting())
    }

    async fn connect_one(&self, host: &Arc<Host>) -> Result<(Connection, Fit), Failure> {
        let mut connection = Connection::open(Arc::clone(host), &self.login, self.answer_bytes_max).await?;
        if self.wanted == Wanted::Any {
            return Ok((connection, Fit::Best));
        }
        let standby = connection.text("select pg_is_in_recovery()::text").await?.as_deref() == Some("true");
        let unfit = |kind: &str| Failure::new(Outcome::Disconnected, kind).broken();
        let fit = match (self.wanted, standby) {
            (Wanted::PreferStandby, false) => Fit::SecondBest,
            (Wanted::Primary, true) => return Err(unfit("connect: no primary")),
            (Wanted::Standby, false) => return Err(unfit("connect: no standby")),
            _ => Fit::Best,
        };
        Ok((connection, fit))
    }
}

impl Failure {
    /// Whether the server has no place for another connection.
    pub(super) fn is_full(&self) -> bool {
        self.kind == FULL
    }
}

impl Sqlite {
    async fn connect(&self, statements: usize) -> Result<Link, Failure> {
        let busy: Duration = self.busy_timeout.as_duration();
        // The file keeps the journal mode that it has, and the session SQLite's own defaults: foreign keys aren't
        // checked unless the application asks for it, and the library asks for it by itself.
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .create_if_missing(false)
            .foreign_keys(false)
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
