//! Whether the endpoint answers, and which nodes a cluster has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{FromRedisValue, Value, cmd};
use tokio::time::{Instant, timeout};

use super::client::Servers;
use super::plan::Plan;
use super::slots::{Address, ranges};
use super::wire::Wire;
use crate::failure::{Failure, shortage as shortage_of};
use crate::{Health, Unreachable};
use slatest_core::model::Nanos;

/// Longest that all of it may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many connections are opened at a time: at first, and at most. In between it doubles, so that a server with room
/// for few is hardly asked in vain.
const OPENED_AT_ONCE: usize = 2;
const OPENED_AT_ONCE_MAX: usize = 32;

/// Asks the endpoint.
///
/// # Errors
/// Why it can't be used.
pub async fn health(plan: &Plan) -> Result<Health, Unreachable> {
    let servers = &plan.servers;
    let answer = timeout(PATIENCE, ask(servers, plan.connections)).await;
    let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
    answer.map(|detail| Health { detail }).map_err(|reason| Unreachable {
        endpoint: plan.endpoint.clone(),
        address: servers.addresses().to_owned(),
        reason: servers.redact(&reason),
    })
}

async fn ask(servers: &Arc<Servers>, connections: usize) -> Result<String, String> {
    let mut failures = Vec::new();
    for (index, address) in servers.addresses_of_seeds().enumerate() {
        match servers.connect_seed(index).await {
            Ok(mut connection) => return ask_one(servers, &mut connection, &address, connections).await,
            Err(failure) => failures.push(failure.detail),
        }
    }
    failures.dedup();
    Err(failures.join("; "))
}

async fn ask_one(
    servers: &Arc<Servers>,
    connection: &mut Wire,
    asked: &Address,
    connections: usize,
) -> Result<String, String> {
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
        let short = shortage(servers, asked, connections, 1).await?;
        return Ok(format!("Redis {version}, {role}, at {}, round trip {trip}{short}", servers.addresses()));
    }
    let info: String = query(connection, &["CLUSTER", "INFO"]).await.map_err(|e| {
        format!("it was named a cluster and doesn't answer CLUSTER INFO: {e}; take `cluster: true` away if it is none")
    })?;
    let state = field(&info, "cluster_state").unwrap_or("unknown");
    if state != "ok" {
        return Err(format!("the cluster's state is `{state}`: not every slot is served"));
    }
    let ranges = ranges(connection, asked).await.map_err(|failure| failure.detail)?;
    let primaries: BTreeSet<Address> = ranges.iter().filter_map(|range| range.nodes.first().cloned()).collect();
    let nodes: BTreeSet<Address> = ranges.into_iter().flat_map(|range| range.nodes).collect();
    for (host, port) in &nodes {
        let allowed = servers.guard().check(host);
        allowed.map_err(|e| format!("the cluster names its node {host}:{port}, and {e}"))?;
    }
    let mut cluster =
        servers.connect().await.map_err(|f| format!("the cluster's nodes can't be reached: {}", f.detail))?;
    cluster.send_one(&cmd("PING")).await.map_err(|f| format!("a node of the cluster doesn't answer: {}", f.detail))?;
    drop(cluster);
    let mut short = String::new();
    for primary in primaries {
        let there = usize::from(primary == *asked);
        short += &shortage(servers, &primary, connections, there).await?;
    }
    let size = field(&info, "cluster_size").unwrap_or("?");
    let count = nodes.len();
    Ok(format!(
        "Redis {version} cluster at {}, {size} primaries, {count} nodes, state {state}, round trip {trip}{short}",
        servers.addresses()
    ))
}

/// Opens as many connections to a server as a run does, `there` of them stand already, and closes them. What is said
/// where it gave fewer.
async fn shortage(
    servers: &Arc<Servers>,
    (host, port): &Address,
    wanted: usize,
    there: usize,
) -> Result<String, String> {
    let mut open = Vec::new();
    let (mut refused, mut at_once) = (0, OPENED_AT_ONCE);
    while there + open.len() < wanted && refused == 0 {
        let wave = (wanted - there - open.len()).min(at_once);
        at_once = (at_once * 2).min(OPENED_AT_ONCE_MAX);
        for result in join_all((0..wave).map(|_| servers.connect_node(host, *port))).await {
            match result {
                Ok(wire) => open.push(wire),
                Err(failure) if failure.has_no_place() => refused += 1,
                Err(failure) => return Err(failure.detail),
            }
        }
    }
    let told = || shortage_of(there + open.len(), wanted, refused, &format!("{host}:{port}"));
    Ok(if refused > 0 { format!(", {}", told()) } else { String::new() })
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
