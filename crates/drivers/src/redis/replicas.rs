//! The replicas of a cluster, each asked by itself whether it has what its primary acknowledged.

use std::collections::HashMap;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::cluster_routing::Slot;
use redis::{FromRedisValue as _, Value, cmd};
use tokio::time::{Instant, timeout_at};

use super::client::Servers;
use crate::failure::Failure;
use crate::{CONNECT_TIMEOUT, ReadBack, ReadBackError};
use slatest_core::model::WriteId;
use slatest_core::writes::{Found, Presence};

/// Most replicas of one shard that are asked.
const REPLICAS_MAX: usize = 8;

/// Slots that lie side by side, and who has them.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    /// Host (empty: that of the server that was asked) and port, by their order.
    replicas: Vec<(String, u16)>,
}

/// The replicas of a cluster.
pub struct Replicas {
    /// Which of `shards` has a slot.
    slots: HashMap<Slot, usize>,
    /// For each range of slots the connections to its replicas; `None`: it doesn't answer.
    shards: Vec<Vec<Option<MultiplexedConnection>>>,
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
        let mut connections: HashMap<(String, u16), Option<MultiplexedConnection>> = HashMap::new();
        for range in ranges(&slots(servers).await?) {
            let index = all.shards.len();
            all.slots.extend((range.first..=range.last).filter_map(Slot::new).map(|slot| (slot, index)));
            let mut shard = Vec::with_capacity(range.replicas.len());
            for node in range.replicas {
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
async fn has(connection: &mut MultiplexedConnection, key: &str, deadline: Instant) -> Option<bool> {
    let mut asking = cmd("EXISTS");
    asking.arg(key);
    let count: u64 = timeout_at(deadline, asking.query_async(connection)).await.ok()?.ok()?;
    Some(count > 0)
}

/// A connection that a replica answers itself, instead of sending everybody to its primary.
async fn connect(servers: &Servers, host: &str, port: u16) -> Option<MultiplexedConnection> {
    let deadline = Instant::now() + CONNECT_TIMEOUT.as_duration();
    let connecting = async {
        let mut connection = servers.connect_node(host, port).await.ok()?;
        cmd("READONLY").query_async::<()>(&mut connection).await.ok()?;
        Some(connection)
    };
    timeout_at(deadline, connecting).await.ok().flatten()
}

/// The answer to CLUSTER SLOTS of the first server that gives one.
async fn slots(servers: &Servers) -> Result<Value, Failure> {
    let mut last = None;
    for index in 0..servers.seeds.len() {
        let asking = async {
            let mut connection = servers.connect_seed(index).await?;
            Ok::<_, Failure>(cmd("CLUSTER").arg("SLOTS").query_async::<Value>(&mut connection).await?)
        };
        match timeout_at(Instant::now() + CONNECT_TIMEOUT.as_duration(), asking).await {
            Ok(Ok(slots)) => return Ok(slots),
            Ok(Err(failure)) => last = Some(failure),
            Err(_) => {}
        }
    }
    let nobody = || Failure::new(slatest_core::model::Outcome::TimedOut, "CLUSTER SLOTS: no answer in time");
    Err(last.unwrap_or_else(nobody))
}

/// What an answer to CLUSTER SLOTS says: first, last, the primary, then the replicas that don't fail. Ordered by
/// address, so that a replica keeps its number whoever is asked.
fn ranges(slots: &Value) -> Vec<Range> {
    let Value::Array(ranges) = slots else { return Vec::new() };
    let slot = |value: &Value| match value {
        Value::Int(slot) => u16::try_from(*slot).ok(),
        _ => None,
    };
    let node = |value: &Value| match value {
        Value::Array(node) => match node.as_slice() {
            [host, Value::Int(port), ..] => {
                let host = String::from_redis_value_ref(host).unwrap_or_default();
                Some((host, u16::try_from(*port).ok()?))
            }
            _ => None,
        },
        _ => None,
    };
    let range = |range: &Value| {
        let Value::Array(range) = range else { return None };
        let [first, last, _, nodes @ ..] = range.as_slice() else { return None };
        let mut replicas: Vec<(String, u16)> = nodes.iter().filter_map(node).take(REPLICAS_MAX).collect();
        replicas.sort();
        Some(Range { first: slot(first)?, last: slot(last)?, replicas })
    };
    ranges.iter().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_read_with_their_replicas_and_nonsense_is_left_out() {
        let node = |host: &str, port| Value::Array(vec![Value::BulkString(host.into()), Value::Int(port), Value::Nil]);
        let slots = Value::Array(vec![
            Value::Array(vec![Value::Int(0), Value::Int(99), node("a", 1), node("c", 3), node("b", 2)]),
            Value::Array(vec![Value::Int(100), Value::Int(16_383), node("b", 2)]),
            Value::Array(vec![Value::Int(-1), Value::Int(99_999), node("b", 2)]),
            Value::Nil,
        ]);
        let read = ranges(&slots);
        let replicas = vec![("b".to_owned(), 2), ("c".to_owned(), 3)];
        assert_eq!(read[0], Range { first: 0, last: 99, replicas });
        assert_eq!((read.len(), read[1].last, read[1].replicas.len()), (2, 16_383, 0));
        assert!(ranges(&Value::Nil).is_empty());
    }
}
