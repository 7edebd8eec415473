//! Where a command's first key stands, which says whose node gets it. The command goes there as it is written: whether
//! its other keys fit is the server's to say.

use redis::cluster_routing::Slot;
use redis::{Arg, Cmd, Pipeline};

/// Commands without a key: any node answers them.
const WITHOUT_KEY: [&str; 38] = [
    "ACL",
    "BGREWRITEAOF",
    "BGSAVE",
    "CLUSTER",
    "COMMAND",
    "CONFIG",
    "DBSIZE",
    "ECHO",
    "FAILOVER",
    "FLUSHALL",
    "FLUSHDB",
    "FT._LIST",
    "FT.CREATE",
    "FT.INFO",
    "FT.SEARCH",
    "FUNCTION",
    "INFO",
    "KEYS",
    "LASTSAVE",
    "LATENCY",
    "LOLWUT",
    "MODULE",
    "PING",
    "PUBLISH",
    "PUBSUB",
    "RANDOMKEY",
    "REPLICAOF",
    "ROLE",
    "SAVE",
    "SCAN",
    "SCRIPT",
    "SLAVEOF",
    "SLOWLOG",
    "SWAPDB",
    "TFUNCTION",
    "TIME",
    "WAITAOF",
    "UNWATCH",
];

/// Where the first key stands.
enum Place {
    Nowhere,
    /// At this word; the name is word 0.
    At(usize),
    /// Behind a count of keys at this word.
    BehindCount(usize),
    /// Behind the word STREAMS.
    BehindStreams,
}

fn place(name: &str) -> Place {
    match name {
        "EVAL" | "EVALSHA" | "EVAL_RO" | "EVALSHA_RO" | "FCALL" | "FCALL_RO" => Place::BehindCount(2),
        "LMPOP" | "SINTERCARD" | "ZDIFF" | "ZINTER" | "ZINTERCARD" | "ZMPOP" | "ZUNION" => Place::BehindCount(1),
        "BITOP" | "JSON.DEBUG" | "MEMORY" | "OBJECT" | "PFDEBUG" | "XGROUP" | "XINFO" => Place::At(2),
        "MIGRATE" => Place::At(3),
        "XREAD" | "XREADGROUP" => Place::BehindStreams,
        _ if WITHOUT_KEY.contains(&name) => Place::Nowhere,
        _ => Place::At(1),
    }
}

/// The slot of a command's first key; `None` where it has none.
pub fn slot_of_command(command: &Cmd) -> Option<Slot> {
    let words: Vec<&[u8]> = command
        .args_iter()
        .map_while(|word| match word {
            Arg::Simple(word) => Some(word),
            _ => None,
        })
        .collect();
    let name = std::str::from_utf8(words.first()?).ok()?.to_ascii_uppercase();
    let key = match place(&name) {
        Place::Nowhere => return None,
        Place::At(word) => words.get(word)?,
        Place::BehindCount(word) => {
            let count: u64 = std::str::from_utf8(words.get(word)?).ok()?.parse().ok()?;
            words.get(word + 1).filter(|_| count > 0)?
        }
        Place::BehindStreams => words.iter().skip_while(|word| !word.eq_ignore_ascii_case(b"STREAMS")).nth(1)?,
    };
    Some(Slot::for_key(key))
}

/// The one slot of commands that are sent together; `Ok(None)` where none has a key, `Err` where they differ.
pub fn slot_of_pipeline(commands: &Pipeline) -> Result<Option<Slot>, SeveralSlots> {
    let mut slots = commands.cmd_iter().filter_map(slot_of_command);
    let first = slots.next();
    if slots.all(|slot| Some(slot) == first) { Ok(first) } else { Err(SeveralSlots) }
}

/// Commands that are sent together have keys of several slots: no node has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys of the pipeline lie in several slots")]
pub struct SeveralSlots;

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &str) -> Cmd {
        let mut command = Cmd::new();
        for word in words.split(' ') {
            command.arg(word);
        }
        command
    }

    #[test]
    fn keys_have_the_slots_of_the_specification() {
        // Appendix A of the cluster specification: CRC16("123456789") = 0x31C3.
        assert_eq!(Some(Slot::for_key("123456789")), Slot::new(0x31c3));
        assert_eq!(Slot::for_key("{user1000}.following"), Slot::for_key("user1000"));
        assert_eq!(Slot::for_key("foo{{bar}}zap"), Slot::for_key("{bar"));
        // CLUSTER KEYSLOT foo{}{bar} of a server: the whole key counts.
        assert_ne!(Slot::for_key("foo{}{bar}"), Slot::for_key("bar"));
    }

    #[test]
    fn a_command_goes_where_its_first_key_is() {
        let key = Some(Slot::for_key("key"));
        for words in [
            "get key",
            "MSET key 1 other 2",
            "MGET key other",
            "DEL key other",
            "SUNIONSTORE key a b",
            "RENAME key other",
            "EVAL return 2 key other",
            "FCALL f 1 key",
            "ZUNION 2 key other",
            "BITOP AND key other",
            "OBJECT ENCODING key",
            "XREAD COUNT 1 STREAMS key other 0 0",
            "XREADGROUP GROUP g c STREAMS key >",
            "SPUBLISH key hello",
            "TOPK.ADD key 1",
        ] {
            assert_eq!(slot_of_command(&command(words)), key, "{words}");
        }
        for words in ["PING", "DBSIZE", "EVAL return 0", "SCAN 0", "OBJECT HELP", "GET", "KEYS *", "XREAD STREAMS"] {
            assert_eq!(slot_of_command(&command(words)), None, "{words}");
        }
    }

    #[test]
    fn a_pipeline_has_one_slot_or_is_none() {
        let pipeline = |all: &[&str]| {
            let mut pipeline = Pipeline::new();
            for words in all {
                pipeline.add_command(command(words));
            }
            slot_of_pipeline(&pipeline)
        };
        assert_eq!(pipeline(&["GET {a}1", "PING", "GET {a}2"]), Ok(Some(Slot::for_key("a"))));
        assert_eq!(pipeline(&["PING"]), Ok(None));
        assert_eq!(pipeline(&["GET a", "GET b"]), Err(SeveralSlots));
    }
}
