//! Whether every server of the endpoint answers, and knows what the workload's statements name.

use std::time::Duration;

use sqlx::Row as _;
use tokio::time::{Instant, timeout_at};

use super::Compiled;
use super::file::Role;
use super::parameter::Wire;
use super::server::{Link, Live, Server};
use crate::failure::Failure;
use crate::{CONNECT_TIMEOUT, Health, Unreachable};
use slatest_core::model::{Nanos, Outcome};

/// Longest that one server may take for all of its answers, after it is connected.
const ANSWERS: Duration = Duration::from_secs(20);

/// Asks every server of the endpoint.
///
/// # Errors
/// The first that can't be used, with why.
pub async fn health(compiled: &Compiled) -> Result<Health, Unreachable> {
    let mut found = Vec::with_capacity(1 + compiled.replicas.len());
    let replicas = compiled.replicas.iter().map(|server| (server, Some(Role::Read)));
    let primary_role = (!compiled.replicas.is_empty()).then_some(Role::Write);
    for (server, role) in std::iter::once((&compiled.primary, primary_role)).chain(replicas) {
        let unreachable = |reason: String| Unreachable {
            endpoint: compiled.endpoint.clone(),
            address: server.address(),
            reason: server.redact(&reason),
        };
        found.push(ask(compiled, server, role).await.map_err(unreachable)?);
    }
    Ok(Health { detail: found.join("; ") })
}

/// Asks one server, as far as the operations of `role` (all where there is none) need it.
async fn ask(compiled: &Compiled, server: &Server, role: Option<Role>) -> Result<String, String> {
    let deadline = Instant::now() + CONNECT_TIMEOUT.as_duration();
    let mut live = server.connect(&[], deadline).await.map_err(|f| reason(&f))?;
    live.wires = vec![None; compiled.scripts.len()];
    let answers = async {
        let detail = describe(server, &mut live).await.map_err(|f| reason(&f))?;
        for (plan, operation) in compiled.plans.iter().zip(&compiled.operations) {
            if role.is_some_and(|role| role != plan.role) {
                continue;
            }
            for (index, _) in &plan.steps {
                let Some(script) = compiled.scripts.get(*index) else { continue };
                let name = &operation.name;
                let said = |f: Failure| format!("operation `{name}`: the server refuses its query: {}", f.detail);
                if let Link::Postgres(_, false) = live.link {
                    live.prepare_once(&script.statement.text).await.map_err(said)?;
                } else if let Link::Sqlite(..) = live.link {
                    live.prepare_sqlite(&script.statement.text).await.map_err(said)?;
                } else {
                    live.prepare(*index, script).await.map_err(said)?;
                    unsendable(&live, *index).map_or(Ok(()), |(place, wire)| {
                        Err(format!(
                            "operation `{name}`: the value of ${place} has the type {wire}, which can't be sent as it \
                             is: write ${place}::text::{wire} in the query"
                        ))
                    })?;
                }
            }
        }
        Ok::<_, String>(detail)
    };
    let answer = timeout_at(Instant::now() + ANSWERS, answers).await;
    let detail = answer.map_err(|_| format!("connected, but no answer within {} s", ANSWERS.as_secs()))??;
    live.close().await;
    Ok(detail)
}

fn reason(failure: &Failure) -> String {
    match failure.outcome {
        Outcome::TimedOut => format!("no answer within {} s: {}", CONNECT_TIMEOUT.as_secs_f64(), failure.detail),
        _ => failure.detail.clone(),
    }
}

fn unsendable(live: &Live, index: usize) -> Option<(usize, &str)> {
    let wires = live.wires.get(index)?.as_deref()?;
    wires.iter().enumerate().find_map(|(place, wire)| match wire {
        Wire::Other(name) => Some((place + 1, name.as_str())),
        _ => None,
    })
}

/// One line: what it is, where, and how long a round trip takes.
async fn describe(server: &Server, live: &mut Live) -> Result<String, Failure> {
    match &mut live.link {
        Link::Postgres(connection, _) => {
            let query = "select current_setting('server_version'), pg_is_in_recovery()::text";
            let row = sqlx::raw_sql(query).fetch_one(&mut **connection).await?;
            let column = |at: usize| row.try_get_raw(at).ok().and_then(|v| v.as_str().ok().map(str::to_owned));
            let version = column(0).unwrap_or_default();
            let role = if column(1).as_deref() == Some("true") { "standby" } else { "primary" };
            let begun = Instant::now();
            sqlx::raw_sql("select 1").execute(&mut **connection).await?;
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
    /// Has PostgreSQL look at a statement and forget it again, in one transaction, so that behind a
    /// pooler nothing of it stays on the server that others get next.
    async fn prepare_once(&mut self, text: &str) -> Result<(), Failure> {
        let first = text.split(|c: char| !c.is_alphabetic()).find(|w| !w.is_empty()).unwrap_or_default();
        let known = ["select", "insert", "update", "delete", "merge", "values", "with"];
        if !known.contains(&first.to_lowercase().as_str()) {
            return Ok(());
        }
        let Link::Postgres(connection, _) = &mut self.link else { return Ok(()) };
        sqlx::raw_sql("begin").execute(&mut **connection).await?;
        let prepare = format!("prepare slatest_check as {text}");
        let looked = sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)).execute(&mut **connection).await;
        let end = if looked.is_ok() { "deallocate slatest_check; commit" } else { "rollback" };
        sqlx::raw_sql(end).execute(&mut **connection).await?;
        looked?;
        Ok(())
    }

    /// Has SQLite look at a statement.
    async fn prepare_sqlite(&mut self, text: &str) -> Result<(), Failure> {
        use sqlx::{Executor as _, SqlSafeStr as _};
        if let Link::Sqlite(_, connection) = &mut self.link {
            connection.prepare(sqlx::AssertSqlSafe(text).into_sql_str()).await?;
        }
        Ok(())
    }
}
