//! What replies say: hits and misses, checks, documents for captures.

use redis::Value;

use super::command::Reads;
use super::file::Reply;
use crate::large;

/// Hits, and how many there could have been.
pub fn hits(reads: Reads, value: &Value) -> (u32, u32) {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    match (reads, value) {
        (Reads::Each, Value::Array(items)) => {
            let missing = items.iter().filter(|v| matches!(v, Value::Nil)).count();
            (count(items.len() - missing), count(items.len()))
        }
        (Reads::Counted(most), Value::Int(found)) => (u32::try_from(*found).unwrap_or(0).min(most), most),
        _ => (u32::from(!empty(value)), 1),
    }
}

/// Whether there is nothing in it.
pub fn empty(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::Array(items) | Value::Set(items) => items.is_empty() || items.iter().all(|v| matches!(v, Value::Nil)),
        Value::Map(pairs) => pairs.is_empty(),
        _ => false,
    }
}

impl Reply {
    /// Whether a reply is so.
    ///
    /// # Errors
    /// The kind of error, when it isn't.
    pub fn check(&self, value: &Value) -> Result<(), &'static str> {
        let (holds, kind) = match self {
            Self::Any => (true, ""),
            Self::Present => (!empty(value), "check: reply absent"),
            Self::Absent => (empty(value), "check: reply present"),
            Self::Literal(text) => (self::text(value).as_deref() == Some(text.as_bytes()), "check: reply differs"),
        };
        if holds { Ok(()) } else { Err(kind) }
    }
}

/// The bytes of a scalar reply.
fn text(value: &Value) -> Option<Vec<u8>> {
    Some(match value {
        Value::BulkString(bytes) => bytes.clone(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.clone().into_bytes(),
        Value::Okay => b"OK".to_vec(),
        Value::Int(number) => number.to_string().into_bytes(),
        Value::Double(number) => number.to_string().into_bytes(),
        Value::Boolean(truth) => truth.to_string().into_bytes(),
        _ => return None,
    })
}

/// How much there is to look at in a reply, roughly in bytes.
pub fn bytes(value: &Value) -> usize {
    const EACH: usize = 16;
    match value {
        Value::BulkString(bytes) => bytes.len(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.len(),
        Value::Array(items) | Value::Set(items) => items.iter().map(|item| EACH + bytes(item)).sum(),
        Value::Map(pairs) => pairs.len() * EACH,
        _ => EACH,
    }
}

/// A reply as a JSON document: text that is JSON as what it says, other text as a string.
pub fn document(value: &Value) -> serde_json::Value {
    match value {
        Value::Int(number) => (*number).into(),
        Value::Array(items) | Value::Set(items) => items.iter().map(document).collect(),
        other => text(other).map_or(serde_json::Value::Null, |bytes| {
            large::json(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into())
        }),
    }
}

/// A reply as a server writes it: whatever it is, it can be counted, checked and kept.
#[cfg(any(fuzzing, feature = "readers"))]
pub fn fuzz(bytes: &[u8]) {
    let followed = super::resp::replies(bytes, 5, 16 * 1024);
    // The library reads only what was followed to an end.
    let Ok(1..) = followed else { return };
    let Ok(value) = redis::parse_redis_value(bytes) else { return };
    for reads in [Reads::One, Reads::Each, Reads::Whole, Reads::Counted(3)] {
        let (good, all) = hits(reads, &value);
        assert!(good <= all, "{good} of {all}");
    }
    for check in [Reply::Any, Reply::Present, Reply::Absent, Reply::Literal("1".into())] {
        let _ = check.check(&value);
    }
    drop(document(&value));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn hits_are_counted_by_what_was_asked() {
        assert_eq!(hits(Reads::One, &bulk("x")), (1, 1));
        assert_eq!(hits(Reads::One, &Value::Nil), (0, 1));
        assert_eq!(hits(Reads::One, &bulk("")), (1, 1), "an empty value is a value");
        assert_eq!(hits(Reads::Whole, &Value::Array(vec![])), (0, 1));
        assert_eq!(hits(Reads::Each, &Value::Array(vec![bulk("x"), Value::Nil, Value::Nil])), (1, 3));
        assert_eq!(hits(Reads::Counted(3), &Value::Int(2)), (2, 3));
    }

    #[test]
    fn checks_hold_what_they_say() {
        assert!(Reply::Any.check(&Value::Nil).is_ok());
        assert_eq!(Reply::Present.check(&Value::Nil), Err("check: reply absent"));
        assert_eq!(Reply::Absent.check(&bulk("x")), Err("check: reply present"));
        assert!(Reply::Literal("OK".into()).check(&Value::Okay).is_ok());
        assert!(Reply::Literal("1".into()).check(&Value::Int(1)).is_ok());
        assert_eq!(Reply::Literal("a".into()).check(&bulk("b")), Err("check: reply differs"));
    }

    #[test]
    fn documents_keep_what_was_said() {
        assert_eq!(document(&bulk(r#"{"a":[1]}"#)), serde_json::json!({ "a": [1] }));
        assert_eq!(document(&bulk("plain")), "plain");
        assert_eq!(document(&Value::Array(vec![Value::Int(1), Value::Nil])), serde_json::json!([1, null]));
    }
}
