//! One text of SQL for SQLite and PostgreSQL: both read `$1`, `ON CONFLICT` and `RETURNING`.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ColumnIndex, Connection, Database, Decode, Encode, Executor, IntoArguments, Pool, Type, query_as, raw_sql};
use uuid::Uuid;

use super::record::{Handover, NewHandover, NewTask, NewVerification, Page, SyncState, Task, Verification};
use super::{Answer, LONGEST_PAGE, Store, StoreError};

const SCHEMA: &str = include_str!("schema.sql");
const SEED: &str = include_str!("seed.sql");
/// Any number that nothing else on the server locks: two processes that start at once take turns.
const ADVISORY_LOCK: i64 = 0x0073_6c61_7465_7374;
/// A connection that rested for no longer is used unseen: a ping is a round trip.
const TRUSTED_REST: Duration = Duration::from_secs(1);
/// A verification is `pending` for this long.
const VERIFICATION_MS: i64 = 200;

/// Opens (and creates and fills) the embedded database in `file`.
///
/// # Errors
/// When the file can't be written.
pub async fn open_sqlite(file: &Path) -> Result<Arc<dyn Store>, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5));
    // SQLite has one writer at a time: a queue of our own is fairer than its busy handler.
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false)
        .acquire_timeout(Duration::from_secs(5))
        .connect_with(options.clone())
        .await?;
    let mut connection = write.acquire().await?;
    let mut transaction = connection.begin().await?;
    raw_sql(SCHEMA).execute(&mut *transaction).await?;
    raw_sql(SEED).execute(&mut *transaction).await?;
    transaction.commit().await?;
    drop(connection);
    let read = SqlitePoolOptions::new()
        .max_connections(4)
        .test_before_acquire(false)
        .acquire_timeout(Duration::from_secs(5))
        .connect_with(options.read_only(true))
        .await?;
    Ok(Arc::new(SqlStore { read, write }))
}

/// Connects to PostgreSQL and creates and fills the tables where they are missing; safe when
/// several processes do so at once. It needs a session of its own: a pooler in transaction mode
/// won't do.
///
/// # Errors
/// When the DSN is none, or the server can't be reached or refuses. The DSN is never quoted.
pub async fn open_postgres(dsn: &str, connections: u32) -> Result<Arc<dyn Store>, StoreError> {
    let options = PgConnectOptions::from_str(dsn.trim())
        .map_err(|_| {
            StoreError::Settings(
                "the PostgreSQL DSN is not one: write postgres://user:password@host:port/database".into(),
            )
        })?
        .application_name("slatest-sandbox");
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        // A connection that has rested may have been cut by a failover; one in use says so itself.
        .before_acquire(|connection, known| {
            async move {
                if known.idle_for > TRUSTED_REST {
                    connection.ping().await?;
                }
                Ok(true)
            }
            .boxed()
        })
        .test_before_acquire(false)
        .acquire_timeout(Duration::from_secs(10))
        .connect_with(options)
        .await?;
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(ADVISORY_LOCK).execute(&mut *transaction).await?;
    raw_sql("SET LOCAL client_min_messages = warning").execute(&mut *transaction).await?;
    raw_sql(SCHEMA).execute(&mut *transaction).await?;
    raw_sql(SEED).execute(&mut *transaction).await?;
    transaction.commit().await?;
    // All are opened now: TLS and SCRAM cost more than any query, and would fall on the first load.
    // (The pool's own `min_connections` starves whoever acquires while it opens them.)
    let mut warm = Vec::new();
    for _ in 0..connections {
        warm.push(pool.acquire().await?);
    }
    drop(warm);
    Ok(Arc::new(SqlStore { read: pool.clone(), write: pool }))
}

struct SqlStore<DB: Database> {
    read: Pool<DB>,
    write: Pool<DB>,
}

type TaskRow = (String, String, String, String, String, String, Option<String>, i64, i64);
type VerificationRow = (String, String, String, String, i64);
type HandoverRow = (String, String, String, Option<String>, String, i64, Option<i64>);

fn instant(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}

fn new_id(kind: &str) -> String {
    // Version 7: ids grow with time, so that the primary key's index stays compact.
    format!("{kind}-{}", Uuid::now_v7())
}

fn task(row: TaskRow) -> Task {
    let (id, title, assignee, patient, priority, status, notes, created, updated) = row;
    let (created_at, updated_at) = (instant(created), instant(updated));
    Task { id, title, assignee, patient, priority, status, notes, created_at, updated_at }
}

fn verification((id, patient, task, system, created): VerificationRow) -> Verification {
    let age = Timestamp::now().as_millisecond() - created;
    let status = if age < VERIFICATION_MS { "pending" } else { "verified" };
    Verification { id, patient, task, system, status, created_at: instant(created) }
}

fn handover((id, from, to, task, shift, created, acknowledged): HandoverRow) -> Handover {
    let status = if acknowledged.is_some() { "acknowledged" } else { "pending" };
    let acknowledged_at = acknowledged.map(instant);
    Handover { id, from, to, task, shift, status, created_at: instant(created), acknowledged_at }
}

fn shift_at(instant: Timestamp) -> &'static str {
    let hour = instant.as_second().rem_euclid(86_400) / 3_600;
    if (7..19).contains(&hour) { "day" } else { "night" }
}

impl<DB> Store for SqlStore<DB>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    DB::Arguments: IntoArguments<DB>,
    for<'q> &'q str: Encode<'q, DB> + Type<DB>,
    for<'q> String: Encode<'q, DB> + Decode<'q, DB> + Type<DB>,
    for<'q> Option<String>: Encode<'q, DB> + Decode<'q, DB> + Type<DB>,
    for<'q> i64: Encode<'q, DB> + Decode<'q, DB> + Type<DB>,
    for<'q> Option<i64>: Decode<'q, DB>,
    usize: ColumnIndex<DB::Row>,
{
    fn tasks<'a>(&'a self, assignee: Option<&'a str>, limit: u32) -> Answer<'a, Page<Task>> {
        async move {
            let limit = i64::from(limit.min(LONGEST_PAGE));
            let (rows, (total,)) = match assignee {
                Some(assignee) => (
                    query_as::<DB, TaskRow>(
                        "SELECT id, title, assignee, patient, priority, status, notes, created_at, updated_at FROM tasks \
                         WHERE assignee = $1 ORDER BY created_at DESC LIMIT $2",
                    )
                    .bind(assignee)
                    .bind(limit)
                    .fetch_all(&self.read)
                    .await?,
                    query_as::<DB, (i64,)>("SELECT count(*) FROM tasks WHERE assignee = $1")
                        .bind(assignee)
                        .fetch_one(&self.read)
                        .await?,
                ),
                None => (
                    query_as::<DB, TaskRow>(
                        "SELECT id, title, assignee, patient, priority, status, notes, created_at, updated_at FROM tasks \
                         ORDER BY created_at DESC LIMIT $1",
                    )
                    .bind(limit)
                    .fetch_all(&self.read)
                    .await?,
                    query_as::<DB, (i64,)>("SELECT count(*) FROM tasks").fetch_one(&self.read).await?,
                ),
            };
            Ok(Page { items: rows.into_iter().map(task).collect(), total })
        }
        .boxed()
    }

    fn task<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Task>> {
        async move {
            let row = query_as::<DB, TaskRow>(
                "SELECT id, title, assignee, patient, priority, status, notes, created_at, updated_at FROM tasks WHERE id = $1",
            )
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
            Ok(row.map(task))
        }
        .boxed()
    }

    fn create_task(&self, new: NewTask) -> Answer<'_, Task> {
        async move {
            let row = query_as::<DB, TaskRow>(
                "INSERT INTO tasks (id, title, assignee, patient, priority, status, notes, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, 'open', $6, $7, $8) \
                 RETURNING id, title, assignee, patient, priority, status, notes, created_at, updated_at",
            )
            .bind(new_id("task"))
            .bind(new.title)
            .bind(new.assignee)
            .bind(new.patient)
            .bind(new.priority.unwrap_or_else(|| "routine".into()))
            .bind(new.notes)
            .bind(Timestamp::now().as_millisecond())
            .bind(Timestamp::now().as_millisecond())
            .fetch_one(&self.write)
            .await?;
            Ok(task(row))
        }
        .boxed()
    }

    fn set_task_status<'a>(&'a self, id: &'a str, status: &'a str) -> Answer<'a, Option<Task>> {
        async move {
            let row = query_as::<DB, TaskRow>(
                "UPDATE tasks SET status = $2, updated_at = $3 WHERE id = $1 \
                 RETURNING id, title, assignee, patient, priority, status, notes, created_at, updated_at",
            )
            .bind(id)
            .bind(status)
            .bind(Timestamp::now().as_millisecond())
            .fetch_optional(&self.write)
            .await?;
            Ok(row.map(task))
        }
        .boxed()
    }

    fn create_verification(&self, new: NewVerification) -> Answer<'_, Verification> {
        async move {
            let row = query_as::<DB, VerificationRow>(
                "INSERT INTO verifications (id, patient, task, system, created_at) VALUES ($1, $2, $3, $4, $5) \
                 RETURNING id, patient, task, system, created_at",
            )
            .bind(new_id("verification"))
            .bind(new.patient)
            .bind(new.task)
            .bind(new.system.unwrap_or_else(|| "epic".into()))
            .bind(Timestamp::now().as_millisecond())
            .fetch_one(&self.write)
            .await?;
            Ok(verification(row))
        }
        .boxed()
    }

    fn verification<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Verification>> {
        async move {
            let row = query_as::<DB, VerificationRow>(
                "SELECT id, patient, task, system, created_at FROM verifications WHERE id = $1",
            )
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
            Ok(row.map(verification))
        }
        .boxed()
    }

    fn create_handover(&self, new: NewHandover) -> Answer<'_, Handover> {
        async move {
            let now = Timestamp::now();
            let row = query_as::<DB, HandoverRow>(
                "INSERT INTO handovers (id, from_clinician, to_clinician, task, shift, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6) \
                 RETURNING id, from_clinician, to_clinician, task, shift, created_at, acknowledged_at",
            )
            .bind(new_id("handover"))
            .bind(new.from)
            .bind(new.to)
            .bind(new.task)
            .bind(new.shift.unwrap_or_else(|| shift_at(now).into()))
            .bind(now.as_millisecond())
            .fetch_one(&self.write)
            .await?;
            Ok(handover(row))
        }
        .boxed()
    }

    fn acknowledge_handover<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Handover>> {
        async move {
            let row = query_as::<DB, HandoverRow>(
                "UPDATE handovers SET acknowledged_at = COALESCE(acknowledged_at, $2) WHERE id = $1 \
                 RETURNING id, from_clinician, to_clinician, task, shift, created_at, acknowledged_at",
            )
            .bind(id)
            .bind(Timestamp::now().as_millisecond())
            .fetch_optional(&self.write)
            .await?;
            Ok(row.map(handover))
        }
        .boxed()
    }

    fn handovers<'a>(&'a self, shift: Option<&'a str>, limit: u32) -> Answer<'a, Page<Handover>> {
        async move {
            let limit = i64::from(limit.min(LONGEST_PAGE));
            let (rows, (total,)) = match shift {
                Some(shift) => (
                    query_as::<DB, HandoverRow>(
                        "SELECT id, from_clinician, to_clinician, task, shift, created_at, acknowledged_at \
                         FROM handovers WHERE shift = $1 ORDER BY created_at DESC LIMIT $2",
                    )
                    .bind(shift)
                    .bind(limit)
                    .fetch_all(&self.read)
                    .await?,
                    query_as::<DB, (i64,)>("SELECT count(*) FROM handovers WHERE shift = $1")
                        .bind(shift)
                        .fetch_one(&self.read)
                        .await?,
                ),
                None => (
                    query_as::<DB, HandoverRow>(
                        "SELECT id, from_clinician, to_clinician, task, shift, created_at, acknowledged_at \
                         FROM handovers ORDER BY created_at DESC LIMIT $1",
                    )
                    .bind(limit)
                    .fetch_all(&self.read)
                    .await?,
                    query_as::<DB, (i64,)>("SELECT count(*) FROM handovers").fetch_one(&self.read).await?,
                ),
            };
            Ok(Page { items: rows.into_iter().map(handover).collect(), total })
        }
        .boxed()
    }

    fn sync_state<'a>(&'a self, client: &'a str) -> Answer<'a, SyncState> {
        async move {
            let row = query_as::<DB, (i64, i64)>("SELECT version, updated_at FROM sync_states WHERE client = $1")
                .bind(client)
                .fetch_optional(&self.read)
                .await?;
            let (version, updated_at) = row.map_or((0, None), |(version, at)| (version, Some(instant(at))));
            Ok(SyncState { client: client.to_owned(), version, updated_at })
        }
        .boxed()
    }

    fn apply_operations<'a>(&'a self, client: &'a str, count: u32) -> Answer<'a, SyncState> {
        async move {
            let (version, at) = query_as::<DB, (i64, i64)>(
                "INSERT INTO sync_states (client, version, updated_at) VALUES ($1, $2, $3) \
                 ON CONFLICT (client) DO UPDATE SET version = sync_states.version + excluded.version, \
                 updated_at = excluded.updated_at RETURNING version, updated_at",
            )
            .bind(client)
            .bind(i64::from(count))
            .bind(Timestamp::now().as_millisecond())
            .fetch_one(&self.write)
            .await?;
            Ok(SyncState { client: client.to_owned(), version, updated_at: Some(instant(at)) })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn seeding_twice_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("platform.sqlite");
        let first = open_sqlite(&file).await.unwrap();
        let created = first
            .create_task(NewTask {
                title: "t".into(),
                assignee: "clinician-1".into(),
                patient: "patient-1".into(),
                priority: None,
                notes: Some("n".repeat(5_000)),
            })
            .await
            .unwrap();
        drop(first);
        let second = open_sqlite(&file).await.unwrap();
        assert_eq!(second.tasks(None, 1).await.unwrap().total, 10_001);
        assert_eq!(second.task(&created.id).await.unwrap(), Some(created));
        assert_eq!(second.task("task-9999").await.unwrap().unwrap().patient, "patient-1969");
        assert!(second.task("task-10000").await.unwrap().is_none());
    }

    #[test]
    fn shifts_change_at_seven_and_nineteen() {
        let at = |text: &str| shift_at(text.parse().unwrap());
        assert_eq!(at("2026-01-01T06:59:59Z"), "night");
        assert_eq!(at("2026-01-01T07:00:00Z"), "day");
        assert_eq!(at("2026-01-01T18:59:59Z"), "day");
        assert_eq!(at("2026-01-01T19:00:00Z"), "night");
    }
}
