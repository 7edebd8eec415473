//! Whether the endpoint answers, and which nodes a cluster has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, Value, cmd};
use tokio::time::{Instant, timeout};

use super::Compiled;
use super::client::Servers;
use super::slots::{Address, ranges};
use super::wire::Wire;
use crate::failure::Failure;
use crate::{Health, Unreachable};
use slatest_core::model::Nanos;

/// Longest that all of it may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks the endpoint.
///
/// # Errors
/// Why it can't be used.
pub async fn health(compiled: &Compiled) -> Result<Health, Unreachable> {
    let servers = &compiled.servers;
    let answer = timeout(PATIENCE, ask(servers)).await;
    let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
    answer.map(|detail| Health { detail }).map_err(|reason| Unreachable {
        endpoint: compiled.endpoint.clone(),
        address: servers.addresses().to_owned(),
        reason: servers.redact(&reason),
    })
}

async fn ask(servers: &Arc<Servers>) -> Result<String, String> {
    let mut failures = Vec::new();
    for (index, address) in servers.addresses_of_seeds().enumerate() {
        match servers.connect_seed(index).await {
            Ok(mut connection) => return ask_one(servers, &mut connection, &address).await,
            Err(failure) => failures.push(failure.detail),
        }
    }
    failures.dedup();
    Err(failures.join("; "))
}

async fn ask_one(servers: &Arc<Servers>, connection: &mut Wire, asked: &Address) -> Result<String, String> {
    let begun = Instant::now();
    let pong: Result<Value, _> = cmd("PING").query_async(connection).await;
    pong.map_err(|e| format!("it doesn't answer PING: {}", Failure::from(e).detail))?;
    let trip = Nanos::from(begun.elapsed());
    // A user may not be allowed to ask; then the version stays unknown.
    let server: String = query(connection, &["INFO", "server"]).await.unwrap_or_default();
    let version = field(&server, "redis_version").unwrap_or("of unknown version");
    if !servers.is_cluster() {
        let replication: String = query(connection, &["INFO", "replication"]).await.unwrap_or_default();
        let role = field(&replication, "role").unwrap_or("unknown role");
        return Ok(format!("Redis {version}, {role}, at {}, round trip {trip}", servers.addresses()));
    }
    let info: String = query(connection, &["CLUSTER", "INFO"]).await.map_err(|e| {
        format!("it was named a cluster and doesn't answer CLUSTER INFO: {e}; take `cluster: true` away if it is none")
    })?;
    let state = field(&info, "cluster_state").unwrap_or("unknown");
    if state != "ok" {
        return Err(format!("the cluster's state is `{state}`: not every slot is served"));
    }
    let ranges = ranges(connection, asked).await.map_err(|failure| failure.detail)?;
    let nodes: BTreeSet<Address> = ranges.into_iter().flat_map(|range| range.nodes).collect();
    for (host, port) in &nodes {
        let allowed = servers.guard().check(host);
        allowed.map_err(|e| format!("the cluster names its node {host}:{port}, and {e}"))?;
    }
    let mut cluster =
        servers.connect().await.map_err(|f| format!("the cluster's nodes can't be reached: {}", f.detail))?;
    cluster.send_one(&cmd("PING")).await.map_err(|f| format!("a node of the cluster doesn't answer: {}", f.detail))?;
    let size = field(&info, "cluster_size").unwrap_or("?");
    let count = nodes.len();
    Ok(format!(
        "Redis {version} cluster at {}, {size} primaries, {count} nodes, state {state}, round trip {trip}",
        servers.addresses()
    ))
}

async fn query<T: FromRedisValue>(connection: &mut Wire, words: &[&str]) -> Result<T, String> {
    let mut command = redis::Cmd::new();
    command.arg(words);
    command.query_async(connection).await.map_err(|e| Failure::from(e).detail)
}

/// A field of an INFO text.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
