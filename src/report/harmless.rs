//! Records without anything in their texts that a terminal or a browser would obey: names of files, answers of
//! targets, records from elsewhere.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use slatest_core::text::{is_harmful, plain};

/// The same with every text on one line and harmless; borrowed where it is so already.
pub(super) fn harmless<T: Serialize + DeserializeOwned + Clone>(record: &T) -> Cow<'_, T> {
    let Ok(mut value) = serde_json::to_value(record) else { return Cow::Borrowed(record) };
    if !clean(&mut value) {
        return Cow::Borrowed(record);
    }
    // A key or an enumeration that is known holds nothing harmful, so what was read can be read again.
    serde_json::from_value(value).map_or(Cow::Borrowed(record), Cow::Owned)
}

/// Whether anything had to be changed.
fn clean(value: &mut Value) -> bool {
    match value {
        Value::String(text) if text.chars().any(is_harmful) => {
            *text = plain(text);
            true
        }
        Value::Array(values) => values.iter_mut().fold(false, |changed, value| clean(value) | changed),
        Value::Object(map) => {
            let inside = map.values_mut().fold(false, |changed, value| clean(value) | changed);
            let keys = map.keys().any(|key| key.chars().any(is_harmful));
            if keys {
                *map = std::mem::take(map).into_iter().map(|(key, value)| (plain(&key), value)).collect();
            }
            inside | keys
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// JSON whose texts say the same and are shown on a terminal as they are written: `\u009b`.
pub(super) fn harmless_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) && c != '\n' {
            let mut units = [0; 2];
            out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same() {
        let value = serde_json::json!({ "a\u{202e}": "x\u{9b}31m\u{1b}[2J\u{e0041}" });
        let text = harmless_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.chars().any(|c| is_harmful(c) && c != '\n'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        let cleaned = harmless(&value);
        assert_eq!(*cleaned, serde_json::json!({ "a\\u{202e}": "x\\u{9b}31m\\u{1b}[2J\\u{e0041}" }));
        assert!(matches!(harmless(&serde_json::json!({ "fine": 1 })), Cow::Borrowed(_)));
    }
}
