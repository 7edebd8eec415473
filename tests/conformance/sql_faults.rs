//! What a PostgreSQL server does to statements and connections on its own account.

use slatest_core::model::Outcome;
use sqlx::{Connection, PgConnection};

use super::stack::stack;
use super::suite::{Subject, ends, executed, worker};

const WORKLOAD: &str = r#"
name: faults
driver: sql
endpoint: database
settings: { connections: 1 }
operations:
  - { name: read, timeout: 20s, request: { query: "select 1", role: write } }
  - { name: pid, timeout: 20s, request: { query: "select pg_backend_pid()::text as pid", role: write }, capture: { pid: $.pid } }
  - name: over-time
    timeout: 20s
    request:
      transaction:
        - { query: "select set_config('statement_timeout', '50', true)" }
        - { query: "select pg_sleep(15)" }
  - { name: killed, timeout: 20s, request: { query: "select pg_terminate_backend(pg_backend_pid())", role: write } }
  - { name: cancelled, timeout: 20s, request: { query: "select pg_cancel_backend(pg_backend_pid()), pg_sleep(15)", role: write } }
  - { name: no-table, timeout: 20s, request: { query: "select * from no_such_table_of_anyone", role: write } }
  - { name: by-zero, timeout: 20s, request: { query: "select 1 / ($1::int - 1)", params: ["1"], role: write } }
"#;

fn subject() -> Subject {
    Subject::new("sql", WORKLOAD, stack().endpoint("database"))
}

/// Each operation spoils what it spoils; the pool's one connection serves the next one.
fn then_reads(operation: &str, outcome: Outcome, kind: &str) {
    worker(async {
        let bench = subject().prepare().await;
        let mut session = bench.session(0).await;
        let spoilt = bench.execute(&mut *session, operation, 0).await;
        assert_eq!((spoilt.outcome, spoilt.error.as_deref()), (outcome, Some(kind)), "{operation}");
        assert!(spoilt.sent.is_some(), "it was sent: {spoilt:?}");
        for seq in 1..3 {
            let read = bench.execute(&mut *session, "read", seq).await;
            assert_eq!(read.outcome, Outcome::Ok, "after {operation}: {read:?}");
        }
        session.close().await;
    });
}

#[test]
fn a_statement_that_the_server_gives_up_has_timed_out() {
    then_reads("over-time", Outcome::TimedOut, "sqlstate 57014");
    then_reads("cancelled", Outcome::TimedOut, "sqlstate 57014");
}

#[test]
fn a_backend_that_is_killed_is_disconnected_and_the_next_operation_has_another() {
    then_reads("killed", Outcome::Disconnected, "sqlstate 57P01");
}

#[test]
fn what_is_wrong_with_a_statement_is_its_own() {
    then_reads("no-table", Outcome::Rejected, "sqlstate 42P01");
    then_reads("by-zero", Outcome::Rejected, "sqlstate 22012");
}

/// The server has said goodbye to an idle connection; that shows once, and only once.
#[test]
fn a_backend_that_was_killed_while_idle_costs_at_most_one_operation() {
    worker(async {
        let bench = subject().prepare().await;
        let mut session = bench.session(0).await;
        let pid = bench.execute(&mut *session, "pid", 0).await;
        assert_eq!(pid.outcome, Outcome::Ok, "{pid:?}");
        let mut other = PgConnection::connect(&stack().secret("postgres-dsn")).await.expect("another connection");
        let killed: Vec<bool> = sqlx::query_scalar(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where pid <> pg_backend_pid() and usename = current_user and query like '%pg_backend_pid()::text as pid%'
               and state = 'idle'",
        )
        .fetch_all(&mut other)
        .await
        .expect("it may");
        assert!(killed.contains(&true), "the idle backend was found");
        let mut outcomes = Vec::new();
        for seq in 1..4 {
            outcomes.push(bench.execute(&mut *session, "read", seq).await);
        }
        let failed: Vec<_> = outcomes.iter().filter(|c| c.outcome != Outcome::Ok).collect();
        assert!(failed.len() <= 1, "{outcomes:?}");
        assert!(failed.iter().all(|c| c.outcome == Outcome::Disconnected), "{outcomes:?}");
        assert_eq!(outcomes[2].outcome, Outcome::Ok, "{outcomes:?}");
        session.close().await;
    });
}

/// As many executions as were asked for, whatever the server does to each.
#[test]
fn every_execution_ends_once_when_every_one_kills_its_backend() {
    let completions = executed(&subject(), "killed", 10);
    let expected = vec![(Outcome::Disconnected, Some("sqlstate 57P01")); 10];
    assert_eq!(ends(&completions), expected);
}
