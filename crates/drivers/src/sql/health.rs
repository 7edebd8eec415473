//! Whether every server of the endpoint answers, knows what the workload's statements name, and gives the connections
//! that the workload asks for. Nothing of it stays there.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Row as _;
use tokio::time::{Instant, timeout_at};

use super::file::Role;
use super::plan::Plan;
use super::pool::Pool;
use super::postgres::Connection;
use super::server::{Link, Live, Server};
use crate::failure::Failure;
use crate::{CONNECT_TIMEOUT, Health, Unreachable};
use slatest_core::model::{Nanos, Outcome};

/// Longest that one server may take for all of its answers, after it is connected.
const ANSWERS: Duration = Duration::from_secs(20);
/// What a statement is called that is there for a moment.
const PROBE: &str = "slatest_check";
/// How often two sessions are compared, and how long the second one is waited for.
const PROBES: usize = 5;
const OTHER: Duration = Duration::from_secs(2);

/// Asks every server of the endpoint.
///
/// # Errors
/// The first that can't be used, with why.
pub async fn health(plan: &Plan) -> Result<Health, Unreachable> {
    let mut found = Vec::with_capacity(1 + plan.replicas.len());
    let replicas = plan.replicas.iter().map(|server| (server, Some(Role::Read)));
    let primary_role = (!plan.replicas.is_empty()).then_some(Role::Write);
    for (server, role) in std::iter::once((&plan.primary, primary_role)).chain(replicas) {
        let unreachable = |reason: String| Unreachable {
            endpoint: plan.endpoint.clone(),
            address: server.address(),
            reason: server.redact(&reason),
        };
        found.push(ask(plan, server, role).await.map_err(unreachable)?);
    }
    Ok(Health { detail: found.join("; ") })
}

/// Asks one server, as far as the operations of `role` (all where there is none) need it.
async fn ask(plan: &Plan, server: &Arc<Server>, role: Option<Role>) -> Result<String, String> {
    let deadline = Instant::now() + CONNECT_TIMEOUT.as_duration();
    let mut live = server.connect(&[], deadline).await.map_err(|f| reason(&f))?;
    let answers = async {
        let mut detail = describe(server, &mut live).await.map_err(|f| reason(&f))?;
        if let (Link::Postgres(connection, prepared), Server::Postgres(postgres)) = (&mut live.link, &**server) {
            let pooler = pooled(connection, server).await.map_err(|f| reason(&f))?;
            if let Some(Pooler::Transaction) = pooler.filter(|_| *prepared) {
                return Err("a pooler in transaction mode stands before the server: each transaction may run on \
                            another connection, where a prepared statement isn't known; set `prepared_statements: \
                            false` in the endpoint"
                    .to_owned());
            }
            if pooler.is_some() {
                detail += ", behind a pooler";
            }
            if let Some(warning) = postgres.hosts.iter().filter_map(|h| h.tls.warning()).next() {
                detail += &format!(", {warning}");
            }
        }
        for (action, operation) in plan.actions.iter().zip(&plan.operations) {
            if role.is_some_and(|role| role != action.role) {
                continue;
            }
            for (index, _) in &action.steps {
                let Some(script) = plan.scripts.get(*index) else { continue };
                let name = &operation.name;
                let said = |f: Failure| format!("operation `{name}`: the server refuses its query: {}", f.detail);
                match &mut live.link {
                    // Without a name it is kept until the next one, and by no other session.
                    Link::Postgres(connection, _) => {
                        connection.prepare("", &script.statement.text, &script.types()).await.map_err(said)?;
                    }
                    Link::Sqlite(..) => live.prepare_sqlite(&script.statement.text).await.map_err(said)?,
                }
            }
        }
        Ok::<_, String>(detail)
    };
    let answer = timeout_at(Instant::now() + ANSWERS, answers).await;
    let mut detail = answer.map_err(|_| format!("connected, but no answer within {} s", ANSWERS.as_secs()))??;
    // As many as a run opens, without its statements.
    let pool = Pool::new(Arc::clone(server), Arc::default(), plan.connections, plan.seed);
    pool.adopt(0, live);
    if let Server::Postgres(_) = **server {
        pool.fill(0).await.map_err(|f| reason(&f))?;
    }
    pool.close().await;
    if let Some(shortage) = pool.shortage() {
        detail += &format!(", {shortage}");
    }
    Ok(detail)
}

fn reason(failure: &Failure) -> String {
    match failure.outcome {
        Outcome::TimedOut => format!("no answer within {} s: {}", CONNECT_TIMEOUT.as_secs_f64(), failure.detail),
        _ => failure.detail.clone(),
    }
}

/// What stands between a session and its server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pooler {
    /// One that gives a session to each client, or keeps prepared statements in step by itself.
    Harmless,
    /// One that gives a client another session for each transaction.
    Transaction,
}

/// Looks for a pooler: the process that works isn't the one that was announced when the session began. What a named
/// statement becomes is looked at inside a transaction, which stays on one server, and taken back there.
async fn pooled(connection: &mut Connection, server: &Server) -> Result<Option<Pooler>, Failure> {
    let first = process(connection).await?;
    if first == connection.process() {
        return Ok(None);
    }
    connection.execute_once("begin", &[], &[], 0).await?;
    match connection.prepare(PROBE, "select 1", &[]).await {
        Ok(_) => {}
        // Somebody's check was cut off before it took it back; with a session of one's own it wouldn't be seen.
        Err(failure) if failure.kind == "sqlstate 42P05" => {
            connection.execute_once("rollback", &[], &[], 0).await?;
            return Ok(Some(Pooler::Transaction));
        }
        Err(failure) => return Err(failure),
    }
    let count = format!("select count(*)::text from pg_prepared_statements where name = '{PROBE}'");
    let verbatim = connection.text(&count).await?.as_deref() != Some("0");
    connection.forget(PROBE).await?;
    connection.execute_once("commit", &[], &[], 0).await?;
    let shared = verbatim && shared(connection, first, server).await?;
    Ok(Some(if shared { Pooler::Transaction } else { Pooler::Harmless }))
}

/// Whether a second session works on the first one's server, or the first one on several: then neither has one of its
/// own.
async fn shared(connection: &mut Connection, first: Option<i32>, server: &Server) -> Result<bool, Failure> {
    let mut second = None;
    for _ in 0..PROBES {
        let now = process(connection).await?;
        if now != first {
            return Ok(true);
        }
        let other = async {
            let live = match &mut second {
                Some(live) => live,
                none => none.insert(server.connect(&[], Instant::now() + OTHER).await?),
            };
            match &mut live.link {
                Link::Postgres(connection, _) => process(connection).await,
                Link::Sqlite(..) => Ok(None),
            }
        };
        // Where each session has a server, the second one may wait for the first to leave.
        match timeout_at(Instant::now() + OTHER, other).await {
            Ok(Ok(other)) if other == first => {
                close(second).await;
                return Ok(true);
            }
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return Ok(false),
        }
    }
    close(second).await;
    Ok(false)
}

async fn close(live: Option<Live>) {
    if let Some(live) = live {
        live.close().await;
    }
}

/// The process that works for a session at this moment.
async fn process(connection: &mut Connection) -> Result<Option<i32>, Failure> {
    Ok(connection.text("select pg_backend_pid()::text").await?.and_then(|text| text.parse().ok()))
}

/// One line: what it is, where, and how long a round trip takes.
async fn describe(server: &Server, live: &mut Live) -> Result<String, Failure> {
    match &mut live.link {
        Link::Postgres(connection, _) => {
            let version = connection.text("select current_setting('server_version')").await?.unwrap_or_default();
            let standby = connection.text("select pg_is_in_recovery()::text").await?;
            let role = if standby.as_deref() == Some("true") { "standby" } else { "primary" };
            let version: String = version.chars().filter(|c| !c.is_control()).take(60).collect();
            let begun = Instant::now();
            connection.execute_once("select 1", &[], &[], 0).await?;
            let trip = Nanos::from(begun.elapsed());
            Ok(format!("PostgreSQL {version} {role} at {}, round trip {trip}", server.address()))
        }
        Link::Sqlite(_, connection) => {
            let row = sqlx::raw_sql("select sqlite_version()").fetch_one(&mut **connection).await?;
            let version: String = row.try_get_unchecked(0)?;
            Ok(format!("SQLite {version} at {}", server.address()))
        }
    }
}

impl Live {
    /// Has SQLite look at a statement.
    async fn prepare_sqlite(&mut self, text: &str) -> Result<(), Failure> {
        use sqlx::{Executor as _, SqlSafeStr as _};
        if let Link::Sqlite(_, connection) = &mut self.link {
            connection.prepare(sqlx::AssertSqlSafe(text).into_sql_str()).await?;
        }
        Ok(())
    }
}
