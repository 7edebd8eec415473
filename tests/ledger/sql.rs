//! Rows that are deleted, rows that a replica lacks, rows that nobody wrote.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::harness::{exactly, middle, play, some};
use crate::stack::stack;

fn workload(table: &str, schema: &str) -> String {
    format!(
        r#"
name: w
driver: sql
endpoint: database
settings: {{ connections: 4 }}
operations:
  - name: write
    timeout: 10s
    request: {{ query: "insert into {schema}{table} (id, note) values ($1, 'x')", params: ["{{{{ write_id }}}}"] }}
    check: {{ affected: 1 }}
    ledger: {{ table: {schema}{table}, id: id }}
"#
    )
}

struct Postgres {
    runtime: tokio::runtime::Runtime,
    table: String,
}

impl Postgres {
    fn new(kind: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let this = Self { runtime, table: format!("ledger_{}", Uuid::new_v4().simple()) };
        this.tell("postgres-dsn", &format!("create table TABLE (id {kind} primary key, note text)"));
        this
    }

    fn tell(&self, dsn: &str, statement: &str) {
        self.tell_at(&stack().secret(dsn), statement);
    }

    /// As its administrator.
    fn tell_standby(&self, statement: &str) {
        let [primary, standby] =
            ["PG_PRIMARY_PORT", "PG_STANDBY_PORT"].map(|name| format!(":{}/", stack().port("postgres", name)));
        self.tell_at(&stack().secret("postgres-admin-dsn").replace(&primary, &standby), statement);
    }

    fn tell_at(&self, dsn: &str, statement: &str) {
        let statement = statement.replace("TABLE", &self.table);
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(dsn).await.expect("a connection");
            let told = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut connection).await;
            told.unwrap_or_else(|e| panic!("{statement}: {e}"));
        });
    }

    /// Waits until the standby shows `rows` rows.
    fn await_replica(&self, rows: usize) {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(&stack().secret("replica-dsn")).await.expect("a connection");
            let count = format!("select count(*) from {}", self.table);
            let limit = std::time::Duration::from_secs(30);
            let caught_up = tokio::time::timeout(limit, async {
                loop {
                    let count: Result<i64, _> =
                        sqlx::query_scalar(AssertSqlSafe(count.clone())).fetch_one(&mut connection).await;
                    if count.is_ok_and(|count| count as usize == rows) {
                        return;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            });
            caught_up.await.expect("the standby catches up");
        });
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.tell("postgres-dsn", "drop table TABLE");
        }
    }
}

#[test]
fn deleted_rows_are_lost_and_rows_of_nobody_are_told() {
    for kind in ["text", "uuid"] {
        let postgres = Postgres::new(kind);
        let played = play(&workload(&postgres.table, "public."), "database", &stack().endpoint("database"));
        let writes = played.acknowledged();
        postgres.await_replica(writes.len());
        let whole = played.check(None);
        assert_eq!((whole.acknowledged, whole.lost_count()), (writes.len() as u64, 0));
        assert_eq!((whole.never_written, whole.duplicates, whole.stale.clone()), (0, 0, vec![0]));

        let taken = some(&writes);
        for write in &taken {
            postgres.tell("postgres-dsn", &format!("delete from TABLE where id = '{}'", write.id));
        }
        let nobody = played.ledger.scope("s").id(1 << 40, 0);
        let stranger = Uuid::new_v4();
        postgres.tell("postgres-dsn", &format!("insert into TABLE (id) values ('{nobody}'), ('{stranger}')"));
        postgres.await_replica(writes.len() - taken.len() + 2);
        let fault = middle(&writes);
        let check = played.check(Some(fault));
        exactly(&check, &taken, fault);
        assert_eq!((check.never_written, check.never_written_named.clone()), (1, vec![nobody]));
        assert_eq!(check.stale, [0]);
        assert!(check.is_complete() && check.log.is_none());
    }
}

#[test]
fn a_standby_that_is_held_back_is_stale_and_nothing_is_lost() {
    let postgres = Postgres::new("text");
    postgres.await_replica(0);
    postgres.tell_standby("select pg_wal_replay_pause()");
    let played = play(&workload(&postgres.table, ""), "database", &stack().endpoint("database"));
    let held = played.check(None);
    postgres.tell_standby("select pg_wal_replay_resume()");
    let writes = played.acknowledged().len();
    assert_eq!((held.lost_count(), held.stale), (0, vec![writes as u64]));
    postgres.await_replica(writes);
    assert_eq!(played.check(None).stale, [0]);
}

#[test]
fn more_rows_than_a_page_are_read_in_a_file_of_sqlite_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let tell = |statement: String| {
        runtime.block_on(async {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
            let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("a file");
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.expect("a statement");
        });
    };
    tell("create table t (id text, note text); create index i on t (id)".into());
    let played = play(&workload("t", ""), "database", &format!("{{ sqlite: \"{}\" }}", path.display()));
    let writes = played.writes();
    // Three pages of rows in this scenario's name that nobody wrote, and one copy.
    let rows: Vec<String> =
        (0..12_000).map(|n| format!("('{}')", played.ledger.scope("s").id((1 << 40) + n, 1))).collect();
    tell(format!("insert into t (id) values {}", rows.join(",")));
    tell(format!("insert into t (id) values ('{}')", writes[0].id));
    tell(format!("delete from t where id = '{}'", writes[1].id));
    let check = played.check(None);
    assert_eq!((check.never_written, check.duplicates), (12_000, 1));
    let lost: Vec<_> = check.lost.named.iter().map(|loss| loss.id).collect();
    assert_eq!(lost, [writes[1].id]);
}

#[test]
fn a_server_that_is_gone_says_nothing_of_losses() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("a file");
        sqlx::raw_sql("create table t (id text primary key, note text)").execute(&mut connection).await.expect("t");
    });
    let played = play(&workload("t", ""), "database", &format!("{{ sqlite: \"{}\" }}", path.display()));
    std::fs::remove_file(&path).expect("the file is there");
    let error = played.read_back(None).expect_err("there is nothing to read").to_string();
    assert!(error.contains("can't be read back") && error.contains("store.db"), "{error}");
}
