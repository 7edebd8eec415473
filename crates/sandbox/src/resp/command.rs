//! The commands.

use std::time::{Duration, Instant};

use bytes::Bytes;
use indexmap::IndexMap;
use redis_protocol::resp2::types::BytesFrame;

use super::keyspace::{Keyspace, Value};

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NO_INTEGER: &str = "ERR value is not an integer or out of range";
const SYNTAX: &str = "ERR syntax error";
/// The longest string, as in Redis.
const LONGEST_TEXT: usize = 512 << 20;
/// Longer times to live are refused: instants are finite.
const LONGEST_TTL: Duration = Duration::from_secs(100 * 365 * 86_400);

type Answer = Result<BytesFrame, String>;

/// Does what the words say; every mistake is an error frame.
pub fn execute(keys: &mut Keyspace, words: &[Bytes], now: Instant) -> BytesFrame {
    run(keys, words, now).unwrap_or_else(|message| BytesFrame::Error(message.into()))
}

fn run(keys: &mut Keyspace, words: &[Bytes], now: Instant) -> Answer {
    let name = String::from_utf8_lossy(&words[0]).to_ascii_uppercase();
    let arguments = &words[1..];
    match (name.as_str(), arguments) {
        ("PING", []) => Ok(status("PONG")),
        ("PING" | "ECHO", [text]) => Ok(bulk(text)),
        ("QUIT", _) | ("SELECT", [_]) | ("RESET", []) => select(&name, arguments),
        ("HELLO", _) => hello(arguments),
        ("AUTH", [_] | [_, _]) => Err("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?".into()),
        ("CLIENT", [sub, ..]) => client(sub),
        ("COMMAND", [sub]) if sub.eq_ignore_ascii_case(b"COUNT") => Ok(BytesFrame::Integer(0)),
        ("COMMAND", _) => Ok(BytesFrame::Array(Vec::new())),
        ("CLUSTER", _) => Err("ERR This instance has cluster support disabled".into()),
        ("INFO", _) => Ok(bulk(info(keys).as_bytes())),
        ("DBSIZE", []) => Ok(integer(keys.len())),
        ("FLUSHALL" | "FLUSHDB", _) => {
            keys.clear();
            Ok(status("OK"))
        }
        ("GET", [key]) => Ok(text(keys, key, now)?.map_or(BytesFrame::Null, BytesFrame::BulkString)),
        ("SET", [key, value, options @ ..]) => set(keys, key, value, options, now),
        ("SETEX" | "PSETEX", [key, time, value]) => {
            let unit = if name == "SETEX" { Unit::Seconds } else { Unit::Millis };
            keys.set(key, Value::Text(copied(value)), Some(end(time, unit, now, "setex")?));
            Ok(status("OK"))
        }
        ("SETNX", [key, value]) => {
            let free = !keys.contains(key, now);
            if free {
                keys.set(key, Value::Text(copied(value)), None);
            }
            Ok(BytesFrame::Integer(i64::from(free)))
        }
        ("MGET", [_, ..]) => Ok(BytesFrame::Array(
            arguments
                .iter()
                .map(|key| text(keys, key, now).ok().flatten().map_or(BytesFrame::Null, BytesFrame::BulkString))
                .collect(),
        )),
        ("MSET", [_, _, ..]) if arguments.len().is_multiple_of(2) => {
            for pair in arguments.chunks_exact(2) {
                keys.set(&pair[0], Value::Text(copied(&pair[1])), None);
            }
            Ok(status("OK"))
        }
        ("DEL" | "UNLINK", [_, ..]) => Ok(integer(arguments.iter().filter(|key| keys.remove(key, now)).count())),
        ("EXISTS", [_, ..]) => Ok(integer(arguments.iter().filter(|key| keys.contains(key, now)).count())),
        ("EXPIRE", [key, time]) => expire(keys, key, time, Unit::Seconds, now),
        ("PEXPIRE", [key, time]) => expire(keys, key, time, Unit::Millis, now),
        ("PERSIST", [key]) => {
            let had = keys.expiry(key, now).flatten().is_some();
            keys.set_expiry(key, None, now);
            Ok(BytesFrame::Integer(i64::from(had)))
        }
        ("TTL", [key]) => Ok(BytesFrame::Integer(left(keys, key, now, |left| (left.as_millis() + 500) / 1_000))),
        ("PTTL", [key]) => Ok(BytesFrame::Integer(left(keys, key, now, |left| left.as_millis()))),
        ("INCR", [key]) => increase(keys, key, 1, now),
        ("DECR", [key]) => increase(keys, key, -1, now),
        ("INCRBY", [key, by]) => increase(keys, key, number(by)?, now),
        ("DECRBY", [key, by]) => increase(keys, key, number(by)?.checked_neg().ok_or(NO_INTEGER)?, now),
        ("APPEND", [key, tail]) => {
            let old = text(keys, key, now)?.unwrap_or_default();
            if old.len() + tail.len() > LONGEST_TEXT {
                return Err("ERR string exceeds maximum allowed size (proto-max-bulk-len)".into());
            }
            let whole = Bytes::from([old.as_ref(), tail].concat());
            let (length, expires) = (whole.len(), keys.expiry(key, now).flatten());
            keys.set(key, Value::Text(whole), expires);
            Ok(integer(length))
        }
        ("STRLEN", [key]) => Ok(integer(text(keys, key, now)?.map_or(0, |text| text.len()))),
        ("TYPE", [key]) => Ok(status(match keys.get(key, now) {
            None => "none",
            Some(Value::Text(_)) => "string",
            Some(Value::Hash(_)) => "hash",
        })),
        ("HSET" | "HMSET", [key, pairs @ ..]) if !pairs.is_empty() && pairs.len().is_multiple_of(2) => {
            let mut fields = hash(keys, key, now)?.unwrap_or_default();
            let before = fields.len();
            fields.extend(pairs.chunks_exact(2).map(|pair| (copied(&pair[0]), copied(&pair[1]))));
            let added = fields.len() - before;
            let expires = keys.expiry(key, now).flatten();
            keys.set(key, Value::Hash(fields), expires);
            Ok(if name == "HSET" { integer(added) } else { status("OK") })
        }
        ("HGET", [key, field]) => Ok(match keys.get(key, now) {
            Some(Value::Hash(fields)) => fields.get(field).map_or(BytesFrame::Null, |value| bulk(value)),
            Some(Value::Text(_)) => return Err(WRONG_TYPE.into()),
            None => BytesFrame::Null,
        }),
        ("HGETALL", [key]) => {
            let fields = hash(keys, key, now)?.unwrap_or_default();
            Ok(BytesFrame::Array(fields.iter().flat_map(|(field, value)| [bulk(field), bulk(value)]).collect()))
        }
        ("HLEN", [key]) => Ok(integer(hash(keys, key, now)?.map_or(0, |fields| fields.len()))),
        ("HDEL", [key, gone @ ..]) if !gone.is_empty() => {
            let Some(mut fields) = hash(keys, key, now)? else { return Ok(BytesFrame::Integer(0)) };
            let removed = gone.iter().filter(|field| fields.swap_remove(*field).is_some()).count();
            let expires = keys.expiry(key, now).flatten();
            if fields.is_empty() {
                keys.remove(key, now);
            } else {
                keys.set(key, Value::Hash(fields), expires);
            }
            Ok(integer(removed))
        }
        (known, _) if KNOWN.contains(&known) => {
            Err(format!("ERR wrong number of arguments for '{}' command", known.to_lowercase()))
        }
        _ => Err(format!("ERR unknown command '{}'", name.chars().take(64).collect::<String>())),
    }
}

const KNOWN: &[&str] = &[
    "PING", "ECHO", "SELECT", "RESET", "AUTH", "CLIENT", "DBSIZE", "GET", "SET", "SETEX", "PSETEX", "SETNX", "MGET",
    "MSET", "DEL", "UNLINK", "EXISTS", "EXPIRE", "PEXPIRE", "PERSIST", "TTL", "PTTL", "INCR", "DECR", "INCRBY",
    "DECRBY", "APPEND", "STRLEN", "TYPE", "HSET", "HMSET", "HGET", "HGETALL", "HLEN", "HDEL",
];

fn status(text: &'static str) -> BytesFrame {
    BytesFrame::SimpleString(Bytes::from_static(text.as_bytes()))
}

fn bulk(text: &[u8]) -> BytesFrame {
    BytesFrame::BulkString(Bytes::copy_from_slice(text))
}

fn integer(count: usize) -> BytesFrame {
    BytesFrame::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

/// What arrived is a slice of a read buffer: what is kept must not keep that alive.
fn copied(text: &Bytes) -> Bytes {
    Bytes::copy_from_slice(text)
}

fn number(text: &[u8]) -> Result<i64, String> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(|| NO_INTEGER.to_owned())
}

fn text(keys: &mut Keyspace, key: &[u8], now: Instant) -> Result<Option<Bytes>, String> {
    match keys.get(key, now) {
        Some(Value::Text(text)) => Ok(Some(text.clone())),
        Some(Value::Hash(_)) => Err(WRONG_TYPE.into()),
        None => Ok(None),
    }
}

fn hash(keys: &mut Keyspace, key: &[u8], now: Instant) -> Result<Option<IndexMap<Bytes, Bytes>>, String> {
    match keys.get(key, now) {
        Some(Value::Hash(fields)) => Ok(Some(fields.clone())),
        Some(Value::Text(_)) => Err(WRONG_TYPE.into()),
        None => Ok(None),
    }
}

#[derive(Clone, Copy)]
enum Unit {
    Seconds,
    Millis,
}

impl Unit {
    fn length(self, count: u64) -> Duration {
        match self {
            Self::Seconds => Duration::from_secs(count),
            Self::Millis => Duration::from_millis(count),
        }
    }
}

/// The instant at which a key with this time to live ends.
fn end(time: &[u8], unit: Unit, now: Instant, command: &str) -> Result<Instant, String> {
    u64::try_from(number(time)?)
        .ok()
        .filter(|&count| count > 0)
        .map(|count| unit.length(count))
        .filter(|length| *length <= LONGEST_TTL)
        .map(|length| now + length)
        .ok_or_else(|| format!("ERR invalid expire time in '{command}' command"))
}

fn set(keys: &mut Keyspace, key: &Bytes, value: &Bytes, options: &[Bytes], now: Instant) -> Answer {
    let (mut expires, mut keep, mut only_new, mut only_old, mut give) = (None, false, false, false, false);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match option.to_ascii_uppercase().as_slice() {
            b"NX" => only_new = true,
            b"XX" => only_old = true,
            b"KEEPTTL" => keep = true,
            b"GET" => give = true,
            b"EX" if expires.is_none() => {
                expires = Some(end(options.next().ok_or(SYNTAX)?, Unit::Seconds, now, "set")?)
            }
            b"PX" if expires.is_none() => expires = Some(end(options.next().ok_or(SYNTAX)?, Unit::Millis, now, "set")?),
            _ => return Err(SYNTAX.into()),
        }
    }
    if (only_new && only_old) || (keep && expires.is_some()) {
        return Err(SYNTAX.into());
    }
    let old = if give { text(keys, key, now)? } else { None };
    let there = keys.contains(key, now);
    let done = !(only_new && there || only_old && !there);
    if done {
        let expires = if keep { keys.expiry(key, now).flatten() } else { expires };
        keys.set(key, Value::Text(copied(value)), expires);
    }
    Ok(match (give, done) {
        (true, _) => old.map_or(BytesFrame::Null, BytesFrame::BulkString),
        (false, true) => status("OK"),
        (false, false) => BytesFrame::Null,
    })
}

fn expire(keys: &mut Keyspace, key: &[u8], time: &[u8], unit: Unit, now: Instant) -> Answer {
    // A time in the past ends the key at once, as in Redis.
    let there = if number(time)? <= 0 {
        keys.remove(key, now)
    } else {
        let end = end(time, unit, now, "expire")?;
        keys.set_expiry(key, Some(end), now)
    };
    Ok(BytesFrame::Integer(i64::from(there)))
}

fn left(keys: &mut Keyspace, key: &[u8], now: Instant, count: impl Fn(Duration) -> u128) -> i64 {
    match keys.expiry(key, now) {
        None => -2,
        Some(None) => -1,
        Some(Some(end)) => i64::try_from(count(end.saturating_duration_since(now))).unwrap_or(i64::MAX),
    }
}

fn increase(keys: &mut Keyspace, key: &[u8], by: i64, now: Instant) -> Answer {
    let old = text(keys, key, now)?.map_or(Ok(0), |old| number(&old))?;
    let new = old.checked_add(by).ok_or("ERR increment or decrement would overflow")?;
    let expires = keys.expiry(key, now).flatten();
    keys.set(key, Value::Text(new.to_string().into()), expires);
    Ok(BytesFrame::Integer(new))
}

fn select(name: &str, arguments: &[Bytes]) -> Answer {
    match (name, arguments) {
        ("SELECT", [index]) if number(index)? != 0 => Err("ERR DB index is out of range".into()),
        ("RESET", _) => Ok(status("RESET")),
        _ => Ok(status("OK")),
    }
}

fn hello(arguments: &[Bytes]) -> Answer {
    if let Some(version) = arguments.first()
        && version.as_ref() != b"2"
    {
        return Err("NOPROTO unsupported protocol version".into());
    }
    let pair = |name: &str, value: BytesFrame| [bulk(name.as_bytes()), value];
    Ok(BytesFrame::Array(
        [
            pair("server", bulk(b"redis")),
            pair("version", bulk(VERSION.as_bytes())),
            pair("proto", BytesFrame::Integer(2)),
            pair("mode", bulk(b"standalone")),
            pair("role", bulk(b"master")),
            pair("modules", BytesFrame::Array(Vec::new())),
        ]
        .into_iter()
        .flatten()
        .collect(),
    ))
}

/// The version whose commands these are.
const VERSION: &str = "7.0.0";

fn client(sub: &[u8]) -> Answer {
    match sub.to_ascii_uppercase().as_slice() {
        b"SETNAME" | b"SETINFO" | b"NO-EVICT" | b"NO-TOUCH" => Ok(status("OK")),
        b"GETNAME" => Ok(BytesFrame::Null),
        b"ID" => Ok(BytesFrame::Integer(1)),
        _ => Err("ERR unknown subcommand of 'client'".into()),
    }
}

fn info(keys: &Keyspace) -> String {
    let (memory, memory_max) = keys.memory();
    let count = keys.count();
    format!(
        "# Server\r\nredis_version:{VERSION}\r\nredis_mode:standalone\r\nserver_name:slatest-sandbox\r\n\r\n\
         # Memory\r\nused_memory:{memory}\r\nmaxmemory:{memory_max}\r\nmaxmemory_policy:allkeys-lru\r\n\r\n\
         # Stats\r\nexpired_keys:{}\r\nevicted_keys:{}\r\nkeyspace_hits:{}\r\nkeyspace_misses:{}\r\n\r\n\
         # Replication\r\nrole:master\r\n\r\n# Keyspace\r\ndb0:keys={}\r\n",
        count.expired,
        count.evicted,
        count.hits,
        count.misses,
        keys.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(keys: &mut Keyspace, now: Instant, command: &str) -> String {
        let words: Vec<Bytes> = command.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        match execute(keys, &words, now) {
            BytesFrame::SimpleString(text) | BytesFrame::BulkString(text) => String::from_utf8_lossy(&text).into(),
            BytesFrame::Error(text) => format!("!{text}"),
            BytesFrame::Integer(number) => number.to_string(),
            BytesFrame::Array(items) => format!("{} items", items.len()),
            BytesFrame::Null => "nil".into(),
        }
    }

    #[test]
    fn commands_answer_as_redis_does() {
        let (mut keys, now) = (Keyspace::new(1 << 20), Instant::now());
        for (command, answer) in [
            ("SET a 1 EX 300", "OK"),
            ("TTL a", "300"),
            ("PTTL a", "300000"),
            ("INCRBY a 41", "42"),
            ("TTL a", "300"),
            ("SET a 2 KEEPTTL", "OK"),
            ("TTL a", "300"),
            ("SET a 3 NX", "nil"),
            ("SET b 1 XX", "nil"),
            ("SET a 3", "OK"),
            ("TTL a", "-1"),
            ("TTL none", "-2"),
            ("SET a 1 EX 0", "!ERR invalid expire time in 'set' command"),
            ("SET a 1 EX 5 PX 5", "!ERR syntax error"),
            ("SET a 1 NX XX", "!ERR syntax error"),
            ("APPEND a 45", "3"),
            ("GET a", "345"),
            ("STRLEN a", "3"),
            ("HSET h f 1 g 2", "2"),
            ("HSET h f 3", "0"),
            ("HGET h f", "3"),
            ("HGETALL h", "4 items"),
            ("HDEL h f g x", "2"),
            ("EXISTS h a", "1"),
            ("HGET a f", "!WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("SET n x", "OK"),
            ("INCR n", "!ERR value is not an integer or out of range"),
            ("MSET p 1 q 2", "OK"),
            ("MGET p q r", "3 items"),
            ("DEL p q r", "2"),
            ("GET", "!ERR wrong number of arguments for 'get' command"),
            ("HELLO 3", "!NOPROTO unsupported protocol version"),
            ("HELLO 2", "12 items"),
            ("SELECT 1", "!ERR DB index is out of range"),
            ("CLUSTER SLOTS", "!ERR This instance has cluster support disabled"),
            ("NONSENSE", "!ERR unknown command 'NONSENSE'"),
            ("DBSIZE", "2"),
            ("FLUSHALL", "OK"),
            ("DBSIZE", "0"),
        ] {
            assert_eq!(ask(&mut keys, now, command), answer, "{command}");
        }
    }
}
