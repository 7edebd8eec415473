//! The replicas of a cluster, each asked by itself whether it has what its primary acknowledged.

use std::collections::HashMap;

use futures_util::future::join_all;
use redis::cluster_routing::Slot;
use redis::cmd;
use tokio::time::{Instant, timeout_at};

use super::client::Servers;
use super::slots::{Address, Range, ranges};
use super::wire::Wire;
use crate::failure::Failure;
use crate::{CONNECT_TIMEOUT, ReadBack, ReadBackError};
use slatest_core::model::{Outcome, WriteId};
use slatest_core::writes::{Found, Presence};

/// Most replicas of one shard that are asked.
const REPLICAS_MAX: usize = 8;

/// The replicas of a cluster.
pub struct Replicas {
    /// Which of `shards` has a slot.
    slots: HashMap<Slot, usize>,
    /// For each range of slots the connections to its replicas; `None`: it doesn't answer.
    shards: Vec<Vec<Option<Wire>>>,
}

impl Replicas {
    /// Those that the cluster names now. One that can't be reached is not asked; nobody's are none.
    ///
    /// # Errors
    /// When no server says which there are.
    pub async fn of(servers: &Servers) -> Result<Self, Failure> {
        let mut all = Self { slots: HashMap::new(), shards: Vec::new() };
        if !servers.is_cluster() {
            return Ok(all);
        }
        let mut connections: HashMap<Address, Option<Wire>> = HashMap::new();
        for range in told(servers).await? {
            let index = all.shards.len();
            all.slots.extend(range.slots().map(|slot| (slot, index)));
            let mut shard = Vec::new();
            for node in replicas(&range) {
                let connection = match connections.get(&node) {
                    Some(known) => known.clone(),
                    None => {
                        let connection = connect(servers, &node.0, node.1).await;
                        connections.insert(node, connection.clone());
                        connection
                    }
                };
                shard.push(connection);
            }
            all.shards.push(shard);
        }
        Ok(all)
    }

    /// The most replicas that any shard has.
    pub fn most(&self) -> usize {
        self.shards.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Asks every replica for these keys, and tells who has them. What a shard lacks, and who doesn't answer, is not
    /// asked: only a replica that answers can be behind.
    ///
    /// # Errors
    /// The disk's.
    pub async fn read(
        &mut self,
        page: &[(WriteId, Box<str>)],
        reading: &mut ReadBack<'_>,
    ) -> Result<(), ReadBackError> {
        for (replica, reader) in (0..self.most()).zip(1_u8..) {
            let deadline = Instant::now() + CONNECT_TIMEOUT.as_duration();
            let replies = join_all(page.iter().map(|(id, key)| {
                let shard = self.slots.get(&Slot::for_key(key.as_bytes())).copied();
                let connection = shard.and_then(|shard| self.shards.get(shard)?.get(replica)?.clone());
                async move {
                    let present = match connection {
                        Some(mut connection) => has(&mut connection, key, deadline).await,
                        None => None,
                    };
                    (*id, shard, present)
                }
            }));
            for (id, shard, present) in replies.await {
                let presence = match present {
                    Some(true) => Presence::Present,
                    Some(false) => continue,
                    None => {
                        // It won't be waited for again.
                        if let Some(connection) = shard.and_then(|shard| self.shards.get_mut(shard)?.get_mut(replica)) {
                            *connection = None;
                        }
                        Presence::Unreadable
                    }
                };
                reading.found(&Found { reader, presence, ..Found::present(id) })?;
            }
        }
        Ok(())
    }
}

/// Whether a replica has a key; `None` when it doesn't say.
async fn has(connection: &mut Wire, key: &str, deadline: Instant) -> Option<bool> {
    let mut asking = cmd("EXISTS");
    asking.arg(key);
    let count: u64 = timeout_at(deadline, asking.query_async(connection)).await.ok()?.ok()?;
    Some(count > 0)
}

/// A connection that a replica answers itself, instead of sending everybody to its primary.
async fn connect(servers: &Servers, host: &str, port: u16) -> Option<Wire> {
    let deadline = Instant::now() + CONNECT_TIMEOUT.as_duration();
    let connecting = async {
        let mut connection = servers.connect_node(host, port).await.ok()?;
        cmd("READONLY").query_async::<()>(&mut connection).await.ok()?;
        Some(connection)
    };
    timeout_at(deadline, connecting).await.ok().flatten()
}

/// The ranges that the first server tells that gives an answer.
async fn told(servers: &Servers) -> Result<Vec<Range>, Failure> {
    let mut last = None;
    for (index, address) in servers.addresses_of_seeds().enumerate() {
        let asking = async {
            let mut connection = servers.connect_seed(index).await?;
            ranges(&mut connection, &address).await
        };
        match timeout_at(Instant::now() + CONNECT_TIMEOUT.as_duration(), asking).await {
            Ok(Ok(ranges)) => return Ok(ranges),
            Ok(Err(failure)) => last = Some(failure),
            Err(_) => {}
        }
    }
    let nobody = || Failure::new(Outcome::TimedOut, "CLUSTER SLOTS: no answer in time");
    Err(last.unwrap_or_else(nobody))
}

/// The replicas of a range, ordered by address, so that a replica keeps its number whoever is asked.
fn replicas(range: &Range) -> Vec<Address> {
    let mut replicas: Vec<Address> = range.nodes.iter().skip(1).take(REPLICAS_MAX).cloned().collect();
    replicas.sort();
    replicas
}
