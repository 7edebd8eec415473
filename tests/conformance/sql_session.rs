//! The session that is measured is the one that any client of the platform would have.

use std::sync::atomic::{AtomicU32, Ordering};

use slatest_core::model::Outcome;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::stack::stack;
use super::suite::{Bench, Subject, health_answers, worker};

const WORKLOAD: &str = r#"
name: sessions
driver: sql
endpoint: database
settings: { connections: CONNECTIONS }
operations:
  - { name: slow, timeout: 5s, request: { query: "SELECT pg_sleep(0.6)", role: write } }
  - { name: short, timeout: 20s, request: { query: "SELECT pg_sleep(0.05)", role: write } }
  - { name: longer-than-its-time, timeout: 300ms, request: { query: "SELECT pg_sleep(17)", role: write } }
  - { name: path, timeout: 20s, request: { query: "SHOW search_path" }, capture: { path: $.search_path }, check: { rows: 1 } }
  - { name: no-value, timeout: 20s, request: { query: "SELECT NULL::int AS a" }, capture: { a: $.a } }
  - name: texts
    timeout: 20s
    request: { query: "SELECT 0.1::float4 AS b, 1e20::float8 AS c, '{\"a\": 1.0}'::jsonb AS d" }
    capture: { b: $.b, c: $.c, d: $.d }
  - name: texts-are-the-servers
    timeout: 20s
    request:
      query: "SELECT 1 WHERE ($1, $2, $3) = ('0.1', '1e+20', '{\"a\": 1.0}')"
      params: [{ text: "{{ b }}" }, { text: "{{ c }}" }, { text: "{{ d }}" }]
    check: { rows: 1 }
  - name: typed
    timeout: 20s
    request:
      query: "SELECT 1 WHERE $1::int[] = ARRAY[1,2] AND $2 = interval '1 day' AND $3 < now() AND $4 = 1.5"
      params: ["{1,2}", "1 day", "2000-01-01 00:00", "1.5"]
    check: { rows: 1 }
  - { name: bad-value, timeout: 20s, request: { query: "SELECT $1::int", params: [x] } }
"#;

/// A role of one test, dropped in the end.
struct Role {
    name: String,
    folder: tempfile::TempDir,
}

impl Role {
    fn new(settings: &str) -> Self {
        static ROLES: AtomicU32 = AtomicU32::new(0);
        let number = ROLES.fetch_add(1, Ordering::Relaxed);
        let name = format!("slatest_role_{}_{number}", std::process::id());
        worker(admin(&[
            &format!("drop role if exists {name}"),
            &format!("create role {name} login password 'word'"),
            &settings.replace("ROLE", &name),
        ]));
        Self { name, folder: tempfile::tempdir().expect("a folder") }
    }

    fn subject(&self, query: &str, connections: usize, more: &str) -> Subject {
        let port = stack().port("postgres", "PG_PRIMARY_PORT");
        let dsn = format!("postgres://{}:word@127.0.0.1:{port}/slatest?sslmode=require{query}", self.name);
        let path = self.folder.path().join(format!("dsn{}", query.len()));
        std::fs::write(&path, dsn).expect("a file");
        let workload = WORKLOAD.replace("CONNECTIONS", &connections.to_string());
        Subject::new("sql", workload, format!("{{ postgres: {{ file: \"{}\" }}{more} }}", path.display()))
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let name = &self.name;
        let sessions = format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{name}'");
        worker(admin(&[&sessions, &format!("drop role {name}")]));
    }
}

async fn admin(statements: &[&str]) {
    let mut connection = PgConnection::connect(&stack().secret("postgres-admin-dsn")).await.expect("the superuser");
    for statement in statements.iter().filter(|s| !s.is_empty()) {
        let told = sqlx::raw_sql(AssertSqlSafe((*statement).to_owned())).execute(&mut connection).await;
        told.unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
}

async fn number(statement: &str) -> i64 {
    let mut connection = PgConnection::connect(&stack().secret("postgres-admin-dsn")).await.expect("the superuser");
    let row = connection_fetch(&mut connection, statement).await;
    row.get(0)
}

async fn connection_fetch(connection: &mut PgConnection, statement: &str) -> sqlx::postgres::PgRow {
    let query = sqlx::query(AssertSqlSafe(statement.to_owned()));
    query.fetch_one(connection).await.unwrap_or_else(|e| panic!("{statement}: {e}"))
}

async fn ends(bench: &Bench, operation: &str, outcome: Outcome, kind: Option<&str>) {
    let mut session = bench.session(0).await;
    let completion = bench.execute(&mut *session, operation, 0).await;
    assert_eq!((completion.outcome, completion.error.as_deref()), (outcome, kind), "{operation}");
    session.close().await;
}

#[test]
fn what_the_server_limits_stays_limited() {
    let role = Role::new("alter role ROLE set statement_timeout = '200ms'");
    worker(async {
        for more in ["", ", prepared_statements: false"] {
            let bench = role.subject("", 1, more).prepare().await;
            ends(&bench, "slow", Outcome::TimedOut, Some("sqlstate 57014")).await;
        }
    });
}

/// Every setting of a session is what the server and the role say, but for its name and its encoding.
#[test]
fn no_setting_of_the_session_comes_from_the_generator() {
    let role = Role::new("");
    let settings = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) AS found FROM pg_settings \
                    WHERE source IN ('client', 'session') AND name NOT IN ('application_name', 'client_encoding')";
    let operation = format!(
        "  - {{ name: settings, timeout: 20s, request: {{ query: \"{settings}\" }}, capture: {{ found: $.found }} }}\n"
    );
    worker(async {
        let subject = role.subject("", 1, "");
        let subject = Subject { workload: subject.workload.clone() + &operation, ..subject };
        let bench = subject.prepare().await;
        // Nothing to aggregate is NULL.
        ends(&bench, "settings", Outcome::Rejected, Some("capture: found is null")).await;
    });
}

#[test]
fn what_the_operation_gives_up_ends_at_the_server_too() {
    let role = Role::new("");
    worker(async {
        let bench = role.subject("", 1, "").prepare().await;
        let mut session = bench.session(0).await;
        let slow = bench.execute(&mut *session, "longer-than-its-time", 0).await;
        assert_eq!((slow.outcome, slow.error.as_deref()), (Outcome::TimedOut, Some("query: timed out")));
        let running = format!(
            "select count(*) from pg_stat_activity where usename = '{}' and query like '%pg_sleep(17)%' and state = 'active'",
            role.name
        );
        let mut left = 1;
        // Long before the statement would end by itself.
        for _ in 0..50 {
            left = number(&running).await;
            if left == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(left, 0, "it was cancelled");
    });
}

#[test]
fn options_of_the_dsn_are_the_sessions() {
    let role = Role::new("");
    let path = "  - { name: other, timeout: 20s, request: { query: \"SELECT 1 WHERE current_setting('search_path') = \
                'other'\" }, check: { rows: 1 } }\n";
    worker(async {
        let subject = role.subject("&options=-c%20search_path%3Dother", 1, "");
        let subject = Subject { workload: subject.workload.clone() + path, ..subject };
        let bench = subject.prepare().await;
        ends(&bench, "other", Outcome::Ok, None).await;
    });
}

#[test]
fn a_parameter_that_is_not_honoured_is_refused_before_anything_is_sent() {
    let role = Role::new("");
    for parameter in ["ssl-mode=verify-full", "channel_binding=require", "search_path=other"] {
        let refused = role.subject(&format!("&{parameter}"), 1, "").compile().map(|_| ()).expect_err(parameter);
        let name = parameter.split('=').next().unwrap_or_default();
        assert!(refused.to_string().contains(&format!("`{name}`")), "{refused}");
    }
}

#[test]
fn values_are_texts_as_the_server_spells_them() {
    let role = Role::new("");
    worker(async {
        for more in ["", ", prepared_statements: false"] {
            let bench = role.subject("", 1, more).prepare().await;
            let mut session = bench.session(0).await;
            for (seq, operation) in ["texts", "texts-are-the-servers", "typed"].into_iter().enumerate() {
                let completion = bench.execute(&mut *session, operation, seq as u64).await;
                assert_eq!(completion.outcome, Outcome::Ok, "{operation}{more}: {completion:?}");
            }
            for (operation, kind) in [("no-value", "capture: a is null"), ("bad-value", "sqlstate 22P02")] {
                let completion = bench.execute(&mut *session, operation, 9).await;
                let end = (completion.outcome, completion.error.as_deref());
                assert_eq!(end, (Outcome::Rejected, Some(kind)), "{operation}{more}");
            }
            session.close().await;
        }
    });
}

/// The server has room for 5, the workload asks for 10: no failure, hardly a connection in vain, and it is said.
#[test]
fn a_server_with_room_for_fewer_connections_is_used_with_those() {
    let role = Role::new("alter role ROLE connection limit 5");
    worker(async {
        let subject = role.subject("", 10, "");
        let bench = subject.prepare().await;
        let mut sessions = Vec::new();
        for user in 0..20 {
            let context = slatest_drivers::SessionContext { worker: user % 3, ..bench.context(user as u64) };
            sessions.push(bench.workload.connect(&context).await.unwrap_or_else(|e| panic!("no session: {e}")));
        }
        for round in 0..10 {
            let all = sessions.iter_mut().map(|session| bench.execute(&mut **session, "short", round));
            for completion in futures_util::future::join_all(all).await {
                assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
            }
        }
        let findings = bench.workload.settle(slatest_core::model::Nanos::from_secs(1)).await;
        let said = findings.iter().find(|f| f.check == "connections").expect("it is said");
        assert!(said.holds && said.detail.contains("gave 5 of 10"), "{said:?}");
        for session in sessions {
            session.close().await;
        }
        let health = health_answers(&subject).await;
        assert!(health.contains("gave 5 of 10"), "{health}");
    });
}

#[test]
fn a_transaction_pooler_is_named_twice_and_nothing_stays_there() {
    let path = stack().secret_file("pgbouncer-dsn").to_owned();
    let workload = WORKLOAD.replace("CONNECTIONS", "1");
    let subject = Subject::new("sql", workload, format!("{{ postgres: {{ file: \"{path}\" }} }}"));
    worker(async {
        for _ in 0..2 {
            let error = subject.compile().expect("a workload").health().await.expect_err("it is a pooler").reason;
            assert!(error.contains("transaction mode") && error.contains("prepared_statements: false"), "{error}");
            assert!(!error.contains("already exists"), "{error}");
        }
        let cured = subject.on(format!("{{ postgres: {{ file: \"{path}\" }}, prepared_statements: false }}"));
        for _ in 0..2 {
            let health = health_answers(&cured).await;
            assert!(health.contains("behind a pooler"), "{health}");
        }
        // On the pooled connection, as the next client finds it.
        let look = Subject {
            workload: cured.workload.clone()
                + "  - { name: left, timeout: 20s, request: { query: \"SELECT 1 FROM pg_prepared_statements WHERE name \
                   LIKE 'slatest%'\" }, check: { rows: 0 } }\n",
            ..cured
        };
        let bench = look.prepare().await;
        ends(&bench, "left", Outcome::Ok, None).await;
    });
}
