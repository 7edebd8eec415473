//! Slots of a Redis cluster: which node has which, and where a node sends a command on to.

use std::collections::HashMap;

use redis::cluster_routing::Slot;
use redis::{FromRedisValue as _, RedisError, ServerErrorKind, Value, cmd};

use super::wire::Wire;
use crate::failure::Failure;
use slatest_core::model::Outcome;

/// Most ranges of slots that an answer may have, and most nodes of one range: a cluster has at most 16,384 slots and
/// some thousand nodes.
const RANGES_MAX: usize = 16_384;
const NODES_MAX: usize = 64;

/// Where a node is: host and port.
pub type Address = (String, u16);

/// Slots that lie side by side, and who has them.
#[derive(Debug, PartialEq, Eq)]
pub struct Range {
    first: u16,
    last: u16,
    /// The primary, then the replicas.
    pub nodes: Vec<Address>,
}

impl Range {
    /// Its slots.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        (self.first..=self.last).filter_map(Slot::new)
    }
}

/// Which node has which slots.
#[derive(Debug, Default)]
pub struct Topology {
    /// Every node, primaries and replicas.
    nodes: Vec<Address>,
    /// For each slot the place of its primary in `nodes`.
    primaries: HashMap<Slot, usize>,
}

impl Topology {
    /// The primary of a slot.
    pub fn primary(&self, slot: Slot) -> Option<&Address> {
        self.nodes.get(*self.primaries.get(&slot)?)
    }

    /// All that have slots.
    pub fn primaries(&self) -> impl Iterator<Item = &Address> {
        let mut places: Vec<usize> = self.primaries.values().copied().collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|place| self.nodes.get(place))
    }

    /// Whether a node is part of it.
    pub fn has(&self, address: &Address) -> bool {
        self.nodes.contains(address)
    }

    /// A slot is another node's by now.
    pub fn moved(&mut self, slot: Slot, to: Address) {
        let place = self.place(&to);
        self.primaries.insert(slot, place);
    }

    fn place(&mut self, address: &Address) -> usize {
        let known = self.nodes.iter().position(|node| node == address);
        known.unwrap_or_else(|| {
            self.nodes.push(address.clone());
            self.nodes.len() - 1
        })
    }

    /// Of these ranges; `None` where there are none.
    fn of(ranges: &[Range]) -> Option<Self> {
        let mut topology = Self::default();
        for range in ranges {
            let places: Vec<usize> = range.nodes.iter().map(|node| topology.place(node)).collect();
            if let Some(primary) = places.first() {
                topology.primaries.extend(range.slots().map(|slot| (slot, *primary)));
            }
        }
        (!topology.primaries.is_empty()).then_some(topology)
    }
}

/// The ranges that the node at `asked` tells.
///
/// # Errors
/// The connection's, or the server's.
pub async fn ranges(connection: &mut Wire, asked: &Address) -> Result<Vec<Range>, Failure> {
    let answer: Value = cmd("CLUSTER").arg("SLOTS").query_async(connection).await?;
    Ok(read(&answer, asked))
}

/// Asks the node at `asked` which has which slots.
///
/// # Errors
/// The connection's, the server's, or a node that knows of none.
pub async fn topology(connection: &mut Wire, asked: &Address) -> Result<Topology, Failure> {
    let ranges = ranges(connection, asked).await?;
    Topology::of(&ranges).ok_or_else(|| Failure::new(Outcome::Rejected, "cluster: a node knows of no slots"))
}

/// What an answer to CLUSTER SLOTS of the node at `asked` says; nonsense is left out. A node that doesn't know its own
/// name says nothing, `?` or nil: it is where it was asked.
fn read(answer: &Value, asked: &Address) -> Vec<Range> {
    let Value::Array(ranges) = answer else { return Vec::new() };
    let slot = |value: &Value| match value {
        Value::Int(slot) => u16::try_from(*slot).ok().filter(|slot| Slot::new(*slot).is_some()),
        _ => None,
    };
    let node = |value: &Value| {
        let Value::Array(node) = value else { return None };
        let [host, Value::Int(port), ..] = node.as_slice() else { return None };
        let host = match host {
            Value::Nil => String::new(),
            host => String::from_redis_value_ref(host).ok()?,
        };
        Some((name_of(&host, asked), u16::try_from(*port).ok()?))
    };
    let range = |range: &Value| {
        let Value::Array(range) = range else { return None };
        let [first, last, nodes @ ..] = range.as_slice() else { return None };
        let nodes = nodes.iter().filter_map(node).take(NODES_MAX).collect();
        Some(Range { first: slot(first)?, last: slot(last)?, nodes })
    };
    ranges.iter().filter_map(range).take(RANGES_MAX).collect()
}

/// The host that a node names; its own where it names none.
fn name_of(host: &str, asked: &Address) -> String {
    if host.is_empty() || host == "?" { asked.0.clone() } else { host.to_owned() }
}

/// Where the errors of so many commands send all of them on to, and whether for good. The node at `from` may leave its
/// own host out. Commands of which only some are sent on are not: the others were done.
pub fn redirection(error: &RedisError, commands: usize, from: &Address) -> Option<(Address, bool)> {
    let errors = error.clone().into_server_errors()?;
    if errors.len() < commands {
        return None;
    }
    let mut all = errors.iter().map(|(_, error)| {
        let is_moved = match error.kind() {
            Some(ServerErrorKind::Moved) => true,
            Some(ServerErrorKind::Ask) => false,
            _ => return None,
        };
        let (_, to) = error.details()?.split_once(' ')?;
        let (host, port) = to.trim().rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(((name_of(host, from), port.parse().ok()?), is_moved))
    });
    let first = all.next()??;
    all.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topology_is_read_and_changed() {
        let node = |host: Value, port| Value::Array(vec![host, Value::Int(port), Value::Nil]);
        let named = |host: &str, port| node(Value::BulkString(host.into()), port);
        let range =
            |first, last, nodes: Vec<Value>| Value::Array([vec![Value::Int(first), Value::Int(last)], nodes].concat());
        let asked: Address = ("asked".into(), 9);
        let slot = |number| Slot::new(number).unwrap();
        let answer = Value::Array(vec![
            range(0, 8191, vec![named("a", 1), named("b", 2), named("c", 3)]),
            range(8192, 9000, vec![named("", 3)]),
            range(9001, 9002, vec![named("?", 4)]),
            range(9003, 16_383, vec![node(Value::Nil, 5)]),
            range(-1, 99_999, vec![named("b", 2)]),
            Value::Nil,
        ]);
        let ranges = read(&answer, &asked);
        assert_eq!(ranges.len(), 4);
        assert_eq!(ranges[0].nodes, [("a".to_owned(), 1), ("b".to_owned(), 2), ("c".to_owned(), 3)]);
        let mut topology = Topology::of(&ranges).unwrap();
        assert_eq!(topology.primary(slot(8191)), Some(&("a".into(), 1)));
        for (number, port) in [(8192, 3), (9001, 4), (16_383, 5)] {
            assert_eq!(topology.primary(slot(number)), Some(&("asked".into(), port)), "who leaves its name out");
        }
        assert!(topology.has(&("b".into(), 2)));
        topology.moved(slot(8191), ("c".into(), 4));
        assert_eq!(topology.primary(slot(8191)), Some(&("c".into(), 4)));
        assert_eq!(topology.primaries().count(), 5);
        for nonsense in [Value::Nil, Value::Array(vec![]), Value::Array(vec![range(0, 99_999, vec![named("a", 1)])])] {
            assert!(Topology::of(&read(&nonsense, &asked)).is_none());
        }
    }

    #[test]
    fn a_redirection_is_followed_only_by_all() {
        let from: Address = ("here".into(), 1);
        let error = |text: &str| redis::parse_redis_value(text.as_bytes()).and_then(redis::Value::extract_error);
        let to = |text: &str, commands| redirection(&error(text).expect_err(text), commands, &from);
        assert_eq!(to("-MOVED 1 there:2\r\n", 1), Some((("there".into(), 2), true)));
        assert_eq!(to("-ASK 1 :2\r\n", 1), Some((("here".into(), 2), false)));
        assert_eq!(to("-MOVED 1 [::1]:2\r\n", 1), Some((("::1".into(), 2), true)));
        assert_eq!(to("-MOVED 1 there:2\r\n", 2), None, "the other was done");
        for nonsense in ["-MOVED\r\n", "-MOVED 1\r\n", "-ASK 1 a:b\r\n", "-CROSSSLOT x\r\n"] {
            assert_eq!(to(nonsense, 1), None, "{nonsense}");
        }
    }
}
