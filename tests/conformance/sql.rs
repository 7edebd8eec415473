//! SQL against a real PostgreSQL (primary, standby, pooler) and a SQLite file.

use std::net::SocketAddr;

use slatest_core::model::Outcome;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::relay::{Mode, Refusing, Relay};
use crate::stack::stack;
use crate::suite::{self, Subject, worker};

/// What any database of this driver takes; TABLE stands for the test's own.
const COMMON: &str = r#"
name: store
driver: sql
endpoint: database
settings: { connections: 2 }
operations:
  - name: read
    timeout: 2s
    request: { query: "select count(*), $1 from TABLE where seq >= $2", params: [{ text: "{{ fake.word }}" }, 0] }
    check: { rows: 1, affected: 0 }
  - name: write
    timeout: 2s
    request: { query: "insert into TABLE (seq, note) values ($1, $2)", params: ["{{ seq }}", "{{ fake.uuid }}"] }
    check: { affected: 1 }
  - name: refused
    timeout: 20s
    request: { query: "insert into TABLE (seq, note) values ($1, $2)", params: [-1, negative] }
  - name: transaction
    timeout: 20s
    request:
      transaction:
        - { query: "insert into TABLE (seq, note) values ($1, $2)", params: ["{{ seq }}", committed] }
        - { query: "select note from TABLE where seq = $1", params: ["{{ seq }}"] }
    check: { rows: { at_least: 1 }, affected: 1 }
  - name: half
    timeout: 20s
    request:
      transaction:
        - { query: "insert into TABLE (seq, note) values ($1, $2)", params: ["{{ seq }}", half] }
        - { query: "insert into TABLE (seq, note) values ($1, $2)", params: [-1, negative] }
"#;

/// What only PostgreSQL takes.
const POSTGRES: &str = r#"
  - name: on-primary
    timeout: 20s
    request: { query: "select 1 where not pg_is_in_recovery()", role: write }
    check: { rows: 1 }
  - name: process
    timeout: 20s
    request: { query: "insert into TABLE (seq, note) values ($1, pg_backend_pid()::text)", params: ["{{ seq }}"] }
  - name: slow
    timeout: 300ms
    request: { query: "select pg_sleep(60)", role: write }
"#;

/// What tells a standby and an encrypted connection.
const PLACES: &str = r#"
  - name: on-standby
    timeout: 20s
    request: { query: "select 1 where pg_is_in_recovery()" }
    check: { rows: 1 }
  - name: encrypted
    timeout: 20s
    request: { query: "select 1 from pg_stat_ssl where pid = pg_backend_pid() and ssl" }
    check: { rows: 1 }
"#;

/// A table of one test, on the primary of the stack; dropped in the end.
struct Table {
    name: String,
    dsn: String,
    folder: tempfile::TempDir,
}

impl Table {
    fn new() -> Self {
        let name = format!("slatest_{}", Uuid::new_v4().simple());
        let dsn = stack().secret("postgres-dsn");
        let table = Self { name, dsn, folder: tempfile::tempdir().expect("a folder") };
        worker(table.tell("create table TABLE (seq bigint check (seq >= 0), note text)"));
        table
    }

    /// Text of a workload on this table.
    fn fill(&self, text: &str) -> String {
        text.replace("TABLE", &self.name)
    }

    fn workload(&self) -> String {
        self.fill(COMMON) + &self.fill(POSTGRES)
    }

    /// On the primary alone.
    fn subject(&self) -> Subject {
        Subject::new("sql", self.workload(), self.endpoint(primary(), &password(), "sslmode=require", ""))
    }

    fn relayed(&self, relay: &Relay) -> Subject {
        self.subject().on(self.endpoint(relay.address(), &password(), "sslmode=disable", ""))
    }

    /// An endpoint at any addresses, as the secret file that it takes.
    fn endpoint(&self, at: impl ToString, password: &str, query: &str, more: &str) -> String {
        let path = self.folder.path().join(Uuid::new_v4().simple().to_string());
        let dsn = format!("postgres://slatest:{password}@{}/slatest?{query}", at.to_string());
        std::fs::write(&path, dsn).expect("a file");
        format!("{{ postgres: {{ file: \"{}\" }}{more} }}", path.display())
    }

    async fn tell(&self, statement: &str) {
        let mut connection = connect().await;
        let told = sqlx::raw_sql(AssertSqlSafe(self.fill(statement))).execute(&mut connection).await;
        told.unwrap_or_else(|e| panic!("{statement}: {e}"));
    }

    /// Notes that a statement finds.
    async fn notes(&self, statement: &str) -> Vec<String> {
        let mut connection = connect().await;
        let notes = sqlx::query_scalar(AssertSqlSafe(self.fill(statement))).fetch_all(&mut connection).await;
        notes.unwrap_or_else(|e| panic!("{statement}: {e}"))
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // Gone already is gone too; and a test that fails may not fail twice.
        worker(async {
            if let Ok(mut connection) = PgConnection::connect(&self.dsn).await {
                let statement = AssertSqlSafe(self.fill("drop table if exists TABLE"));
                drop(sqlx::raw_sql(statement).execute(&mut connection).await);
            }
        });
    }
}

async fn connect() -> PgConnection {
    PgConnection::connect(&stack().secret("postgres-dsn")).await.expect("a connection to the primary")
}

fn password() -> String {
    stack().secret("postgres")
}

fn primary() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], stack().port("postgres", "PG_PRIMARY_PORT")))
}

fn standby() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], stack().port("postgres", "PG_STANDBY_PORT")))
}

/// Executes an operation once; it must be ok.
async fn works(bench: &suite::Bench, session: &mut dyn slatest_drivers::Session, operation: &str, seq: u64) {
    let completion = bench.execute(session, operation, seq).await;
    assert_eq!(completion.outcome, Outcome::Ok, "{operation}: {completion:?}");
}

#[test]
fn health_names_the_servers_and_their_roles() {
    let table = Table::new();
    let workload = table.fill(COMMON).replace(&format!(" from {} where seq >= $2", table.name), " where 1 > $2");
    let detail = worker(suite::health_answers(&Subject::new("sql", workload, stack().endpoint("database"))));
    assert!(detail.contains("primary at 127.0.0.1") && detail.contains("standby at 127.0.0.1"), "{detail}");
}

#[test]
fn health_finds_a_typo_in_a_query_and_names_the_operation() {
    let table = Table::new();
    let typo = "  - { name: typo, request: { query: \"select nope from TABLE\", role: write } }\n";
    let workload = table.workload() + &table.fill(typo);
    let pooled = Subject::new("sql", workload, stack().endpoint("pooled"));
    for subject in [pooled.on(table.subject().endpoint), pooled] {
        let error = worker(subject.compile().expect("a workload").health()).expect_err("there is no such column");
        assert!(error.reason.contains("operation `typo`") && error.reason.contains("nope"), "{error}");
    }
}

#[test]
fn an_unreachable_server_is_named() {
    let (table, refusing) = (Table::new(), Refusing::new());
    let subject = table.subject().on(table.endpoint(refusing.address(), "the-password", "", ""));
    worker(suite::unreachable_is_named(&subject, &refusing.address().to_string(), &["the-password"]));
}

#[test]
fn operations_work_and_tell_the_parts_of_their_time() {
    let table = Table::new();
    for operation in ["read", "write", "transaction", "on-primary", "process"] {
        let completion = worker(suite::operation_works(&table.subject(), operation));
        let parts: Vec<u8> = completion.timings.iter().map(|(i, _)| *i).collect();
        assert_eq!(parts, [0, 1], "{operation}: pool_wait and query");
    }
}

#[test]
fn reads_go_to_the_standby_and_writes_to_the_primary() {
    let table = Table::new();
    let workload = table.workload() + PLACES;
    let subject = Subject::new("sql", workload, stack().endpoint("database"));
    // The standby may not have the table yet: only statements that don't name it run there.
    for operation in ["write", "transaction", "on-primary", "on-standby", "encrypted"] {
        worker(suite::operation_works(&subject, operation));
    }
}

#[test]
fn a_host_that_takes_writes_is_found_among_several() {
    let (table, refusing) = (Table::new(), Refusing::new());
    let hosts = format!("{},{},{}", refusing.address(), standby(), primary());
    let wanted = "sslmode=require&target_session_attrs=read-write";
    let subject = table.subject().on(table.endpoint(&hosts, &password(), wanted, ""));
    for operation in ["write", "on-primary"] {
        worker(suite::operation_works(&subject, operation));
    }
    let only_standby = table.subject().on(table.endpoint(standby(), &password(), wanted, ""));
    worker(suite::refusal_is_disconnected(&only_standby, "write"));
}

#[test]
fn many_operations_share_few_servers_behind_a_pooler() {
    let table = Table::new();
    let (clients, rounds) = (12_usize, 5_u64);
    let workload = table.workload().replace("connections: 2", &format!("connections: {clients}"));
    let subject = Subject::new("sql", workload, stack().endpoint("pooled"));
    worker(async {
        let bench = subject.prepare().await;
        let mut sessions = Vec::new();
        for client in 0..clients {
            // The workers share the connections of the scenario.
            let context = slatest_drivers::SessionContext { worker: client, ..bench.context(0) };
            sessions.push(bench.workload.connect(&context).await.unwrap_or_else(|e| panic!("no session: {e}")));
        }
        for seq in 0..rounds {
            for session in &mut sessions {
                works(&bench, &mut **session, "process", seq).await;
                works(&bench, &mut **session, "transaction", 1000 + seq).await;
            }
        }
        let notes = table.notes("select note from TABLE where seq < 1000").await;
        assert_eq!(notes.len(), clients * 5, "each was written once");
        let servers: std::collections::BTreeSet<_> = notes.into_iter().collect();
        assert!(servers.len() < clients, "as many servers as clients: {}", servers.len());
    });
}

#[test]
fn a_transaction_is_whole_or_nothing() {
    let table = Table::new();
    worker(suite::error_is_rejected(&table.subject(), "half", "sqlstate 23514"));
    worker(suite::operation_works(&table.subject(), "transaction"));
    let notes = worker(table.notes("select note from TABLE"));
    assert_eq!(notes, ["committed", "committed"]);
}

#[test]
fn a_statement_over_its_time_times_out_and_its_connection_is_not_used_again() {
    let table = Table::new();
    let workload = table.workload().replace("connections: 2", "connections: 1");
    let subject = Subject { workload, ..table.subject() };
    worker(async {
        let bench = subject.prepare().await;
        let mut session = bench.session(0).await;
        works(&bench, &mut *session, "process", 0).await;
        works(&bench, &mut *session, "process", 1).await;
        let slow = bench.execute(&mut *session, "slow", 2).await;
        assert_eq!((slow.outcome, slow.error.as_deref()), (Outcome::TimedOut, Some("query: timed out")));
        works(&bench, &mut *session, "process", 3).await;
        let processes = table.notes("select note from TABLE order by seq").await;
        assert_eq!(processes[0], processes[1], "one connection");
        assert_ne!(processes[1], processes[2], "and another after the timeout");
    });
}

#[test]
fn a_refused_connection_is_disconnected() {
    let (table, refusing) = (Table::new(), Refusing::new());
    let subject = table.subject().on(table.endpoint(refusing.address(), "the-password", "", ""));
    worker(suite::refusal_is_disconnected(&subject, "write"));
}

#[test]
fn a_silent_server_times_out() {
    let (table, relay) = (Table::new(), Relay::to(primary()));
    worker(suite::silence_times_out(&table.relayed(&relay), "write", |silent| {
        relay.set(if silent { Mode::Silent } else { Mode::Pass });
    }));
}

#[test]
fn a_dropped_execution_is_harmless() {
    let (table, relay) = (Table::new(), Relay::to(primary()));
    worker(suite::dropped_execution_is_harmless(&table.relayed(&relay), "write", |silent| {
        relay.set(if silent { Mode::Silent } else { Mode::Pass });
    }));
}

#[test]
fn a_broken_connection_is_opened_again() {
    let (table, relay) = (Table::new(), Relay::to(primary()));
    worker(async {
        let bench = table.relayed(&relay).prepare().await;
        let mut session = bench.session(0).await;
        works(&bench, &mut *session, "write", 0).await;
        relay.set(Mode::Broken);
        let during = bench.execute(&mut *session, "write", 1).await;
        assert_eq!(during.outcome, Outcome::Disconnected, "{during:?}");
        relay.set(Mode::Pass);
        // Both connections of the pool broke; each shows it once.
        let outcomes = [
            bench.execute(&mut *session, "write", 2).await.outcome,
            bench.execute(&mut *session, "write", 3).await.outcome,
        ];
        assert!(outcomes.contains(&Outcome::Ok), "{outcomes:?}");
        works(&bench, &mut *session, "write", 4).await;
    });
}

#[test]
fn what_the_server_refuses_is_counted_by_its_sqlstate() {
    let table = Table::new();
    worker(suite::error_is_rejected(&table.subject(), "refused", "sqlstate 23514"));
}

#[test]
fn tls_works_with_the_right_ca() {
    let table = Table::new();
    let ca = format!(", ca: \"{}\"", stack().ca());
    let subject = Subject { workload: table.workload() + PLACES, ..table.subject() };
    let subject = subject.on(table.endpoint(primary(), &password(), "", &ca));
    for operation in ["write", "encrypted"] {
        worker(suite::operation_works(&subject, operation));
    }
}

#[test]
fn a_wrong_ca_is_refused() {
    let table = Table::new();
    let path = table.folder.path().join("other.pem");
    let other = rcgen::generate_simple_self_signed(vec!["other".into()]).expect("a certificate");
    std::fs::write(&path, other.cert.pem()).expect("a file");
    let ca = format!(", ca: \"{}\"", path.display());
    worker(suite::wrong_ca_is_refused(&table.subject().on(table.endpoint(primary(), &password(), "", &ca))));
}

#[test]
fn wrong_credentials_are_refused() {
    let table = Table::new();
    let subject = table.subject().on(table.endpoint(primary(), "not-the-password", "sslmode=require", ""));
    worker(suite::wrong_credential_is_refused(&subject, "not-the-password"));
}

#[test]
fn a_host_that_is_not_allowed_is_never_contacted() {
    let (table, relay) = (Table::new(), Relay::to(primary()));
    let subject = table.relayed(&relay).allowing(&["elsewhere.example"]);
    worker(suite::forbidden_host_is_never_contacted(&subject, "write", || relay.connections()));
}

#[test]
fn one_execution_has_one_payload() {
    let table = Table::new();
    for endpoint in [table.subject().endpoint, stack().endpoint("pooled")] {
        worker(suite::same_execution_same_payload(async |seed, seq| {
            let bench = table.subject().on(endpoint.as_str()).seeded(seed).prepare().await;
            let mut session = bench.session(0).await;
            works(&bench, &mut *session, "write", seq).await;
            session.close().await;
            table.notes("delete from TABLE returning seq || ' ' || note").await.concat().into_bytes()
        }));
    }
}

/// A SQLite file with the table, and the workload on it.
fn sqlite(folder: &std::path::Path) -> Subject {
    let path = folder.join("store.db");
    worker(async {
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("a file");
        let table = "create table t (seq integer check (seq >= 0), note text)";
        sqlx::raw_sql(table).execute(&mut connection).await.expect("a table");
        connection.close().await.expect("written");
    });
    Subject::new("sql", COMMON.replace("TABLE", "t"), format!("{{ sqlite: \"{}\" }}", path.display()))
}

#[test]
fn the_same_operations_work_on_a_sqlite_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let subject = sqlite(folder.path());
    assert!(worker(suite::health_answers(&subject)).contains("SQLite 3"));
    for operation in ["read", "write", "transaction"] {
        let completion = worker(suite::operation_works(&subject, operation));
        assert_eq!(completion.timings.len(), 2, "{operation}: pool_wait and query");
    }
    for operation in ["refused", "half"] {
        worker(suite::error_is_rejected(&subject, operation, "sqlite constraint"));
    }
    let (workload, folder) = (subject.workload.replace("note from t", "nope from t"), folder.path());
    let error = worker(Subject { workload, ..subject.clone() }.compile().expect("a workload").health());
    let reason = error.expect_err("there is no such column").reason;
    assert!(reason.contains("operation `transaction`") && reason.contains("nope"), "{reason}");
    let missing = subject.on(format!("{{ sqlite: \"{}\" }}", folder.join("missing.db").display()));
    worker(suite::unreachable_is_named(&missing, "missing.db", &[]));
}
