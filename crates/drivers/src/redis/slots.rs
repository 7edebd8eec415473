//! Slots of a Redis cluster: which a key has, and which node has which.

use crc16::{State, XMODEM};
use redis::aio::MultiplexedConnection;
use redis::{Arg, Cmd, ErrorKind, FromRedisValue as _, RedisError, ServerErrorKind, Value};

use crate::failure::Failure;
use slatest_core::model::Outcome;

/// Slots of a cluster.
const SLOTS: usize = 16_384;

/// Commands whose first argument is their only key.
const OF_ONE_KEY: [&str; 70] = [
    "APPEND",
    "BITCOUNT",
    "BITPOS",
    "DECR",
    "DECRBY",
    "DUMP",
    "EXPIRE",
    "EXPIREAT",
    "EXPIRETIME",
    "GET",
    "GETBIT",
    "GETDEL",
    "GETEX",
    "GETRANGE",
    "GETSET",
    "HDEL",
    "HEXISTS",
    "HGET",
    "HGETALL",
    "HINCRBY",
    "HINCRBYFLOAT",
    "HKEYS",
    "HLEN",
    "HMGET",
    "HMSET",
    "HSET",
    "HSETNX",
    "HSTRLEN",
    "HVALS",
    "INCR",
    "INCRBY",
    "INCRBYFLOAT",
    "JSON.GET",
    "JSON.SET",
    "LINDEX",
    "LINSERT",
    "LLEN",
    "LPOP",
    "LPUSH",
    "LRANGE",
    "LREM",
    "LSET",
    "LTRIM",
    "PERSIST",
    "PEXPIRE",
    "PSETEX",
    "PTTL",
    "RPOP",
    "RPUSH",
    "SADD",
    "SCARD",
    "SET",
    "SETBIT",
    "SETEX",
    "SETNX",
    "SETRANGE",
    "SISMEMBER",
    "SMEMBERS",
    "SREM",
    "STRLEN",
    "TTL",
    "TYPE",
    "XADD",
    "XLEN",
    "ZADD",
    "ZCARD",
    "ZINCRBY",
    "ZRANGE",
    "ZREM",
    "ZSCORE",
];

/// Where a node is: host and port.
pub type Address = (String, u16);

/// Which node has which slots.
#[derive(Debug, Default)]
pub struct Topology {
    /// Every node, primaries and replicas.
    nodes: Vec<Address>,
    /// For each slot the place of its primary in `nodes`; empty before anything is known.
    primaries: Vec<Option<u16>>,
}

impl Topology {
    /// The primary of a slot.
    pub fn primary(&self, slot: u16) -> Option<&Address> {
        self.nodes.get(usize::from((*self.primaries.get(usize::from(slot))?)?))
    }

    /// All that have slots.
    pub fn primaries(&self) -> impl Iterator<Item = &Address> {
        let mut places: Vec<u16> = self.primaries.iter().copied().flatten().collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|place| self.nodes.get(usize::from(place)))
    }

    /// Whether a node is part of it.
    pub fn has(&self, address: &Address) -> bool {
        self.nodes.contains(address)
    }

    /// A slot is another node's by now.
    pub fn moved(&mut self, slot: u16, to: Address) {
        let Some(place) = self.place(to) else { return };
        if let Some(primary) = self.primaries.get_mut(usize::from(slot)) {
            *primary = Some(place);
        }
    }

    fn place(&mut self, address: Address) -> Option<u16> {
        let known = self.nodes.iter().position(|node| *node == address);
        let place = known.unwrap_or_else(|| {
            self.nodes.push(address);
            self.nodes.len() - 1
        });
        u16::try_from(place).ok()
    }

    /// From the answer to CLUSTER SLOTS of the node at `asked`, whose own name may be left out.
    fn read(answer: &Value, asked: &Address) -> Option<Self> {
        let Value::Array(ranges) = answer else { return None };
        let mut topology = Self { nodes: Vec::new(), primaries: vec![None; SLOTS] };
        for range in ranges {
            let Value::Array(range) = range else { continue };
            let [Value::Int(first), Value::Int(last), nodes @ ..] = range.as_slice() else { continue };
            let mut primary = None;
            for node in nodes {
                let Value::Array(node) = node else { continue };
                let [host, Value::Int(port), ..] = node.as_slice() else { continue };
                let host = String::from_redis_value_ref(host).unwrap_or_default();
                let host = if host.is_empty() || host == "?" { asked.0.clone() } else { host };
                let place = topology.place((host, u16::try_from(*port).ok()?))?;
                primary = primary.or(Some(place));
            }
            let (first, last) = (usize::try_from(*first).ok()?, usize::try_from(*last).ok()?);
            topology.primaries.get_mut(first..=last)?.fill(primary);
        }
        topology.primaries.iter().any(Option::is_some).then_some(topology)
    }
}

/// Asks a node for the topology.
///
/// # Errors
/// The node's, or that it tells none.
pub async fn topology(connection: &mut MultiplexedConnection, address: &Address) -> Result<Topology, Failure> {
    let answer: Value = redis::cmd("CLUSTER").arg("SLOTS").query_async(connection).await?;
    let none = || Failure::new(Outcome::Rejected, "cluster: a node knows of no slots");
    Topology::read(&answer, address).ok_or_else(none)
}

/// The slot of a command that has exactly one; `None` where it has several keys or none, or is not known.
pub fn slot_of_command(command: &Cmd) -> Option<u16> {
    let mut words = command.args_iter();
    let (Arg::Simple(name), Arg::Simple(key)) = (words.next()?, words.next()?) else { return None };
    is_of_one_key(std::str::from_utf8(name).ok()?).then(|| slot_of_key(key))
}

/// Whether a command of this name has exactly one key, its first argument.
pub fn is_of_one_key(name: &str) -> bool {
    OF_ONE_KEY.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The slot of a key: CRC-16 (XMODEM) modulo 16,384, of what stands between its first braces if that is something
/// (Redis cluster specification, "Hash tags").
fn slot_of_key(key: &[u8]) -> u16 {
    let tag = key.iter().position(|b| *b == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|b| *b == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    });
    State::<XMODEM>::calculate(tag.unwrap_or(key)) % 16_384
}

/// Where an error sends a command on to, and whether for good. The node at `from` may leave its own host out.
pub fn redirection(error: &RedisError, from: &Address) -> Option<(Address, bool)> {
    let (to, _) = error.redirect_node()?;
    let (host, port) = to.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() || host == "?" { from.0.clone() } else { host.to_owned() };
    Some(((host, port.parse().ok()?), error.kind() == ErrorKind::Server(ServerErrorKind::Moved)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_slots_of_the_specification() {
        // Appendix A of the cluster specification: CRC16("123456789") = 0x31C3.
        assert_eq!(slot_of_key(b"123456789"), 0x31c3);
        assert_eq!(slot_of_key(b"{user1000}.following"), slot_of_key(b"user1000"));
        assert_eq!(slot_of_key(b"foo{{bar}}zap"), slot_of_key(b"{bar"));
        // CLUSTER KEYSLOT foo{}{bar} of a server: the whole key counts.
        assert_ne!(slot_of_key(b"foo{}{bar}"), slot_of_key(b"bar"));
        let slot = |words: &[&str]| slot_of_command(redis::cmd(words[0]).arg(&words[1..]));
        assert_eq!(slot(&["get", "foo"]), Some(12_182));
        assert_eq!((slot(&["MGET", "a", "b"]), slot(&["PING"])), (None, None));
    }

    #[test]
    fn a_topology_is_read_and_changed() {
        let node = |host: &str, port| Value::Array(vec![Value::BulkString(host.into()), Value::Int(port)]);
        let range =
            |first, last, nodes: Vec<Value>| Value::Array([vec![Value::Int(first), Value::Int(last)], nodes].concat());
        let answer = Value::Array(vec![
            range(0, 8191, vec![node("a", 1), node("b", 2)]),
            range(8192, 16_383, vec![node("", 3)]),
        ]);
        let mut topology = Topology::read(&answer, &("asked".into(), 9)).unwrap();
        assert_eq!(topology.primary(8191), Some(&("a".into(), 1)));
        assert_eq!(topology.primary(8192), Some(&("asked".into(), 3)));
        assert!(topology.has(&("b".into(), 2)));
        topology.moved(8191, ("c".into(), 4));
        assert_eq!(topology.primary(8191), Some(&("c".into(), 4)));
        assert_eq!(topology.primaries().count(), 3);
        for nonsense in [Value::Nil, Value::Array(vec![]), Value::Array(vec![range(0, 99_999, vec![node("a", 1)])])] {
            assert!(Topology::read(&nonsense, &("asked".into(), 9)).is_none());
        }
    }
}
