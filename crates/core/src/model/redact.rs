//! The last line of defence against credentials in results.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

static USER_INFO: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/?#\s@]*(?:@[^/?#\s@]*)*@"));
static PARAMETER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?i)\b([a-z0-9_-]*(?:password|passwd|pwd|token|secret|api_?key)=)[^&\s"']+"#));

fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|e| unreachable!("a fixed pattern: {e}"))
}

/// The text without the user information of URLs and the values of parameters that are called like
/// a credential. Targets and drivers already keep these out; this catches what they could not know
/// (a URL typed on the command line).
pub fn redact(text: &str) -> Cow<'_, str> {
    if !text.contains("://") && !text.contains('=') {
        return Cow::Borrowed(text);
    }
    match USER_INFO.replace_all(text, "${1}***@") {
        Cow::Borrowed(text) => PARAMETER.replace_all(text, "${1}***"),
        Cow::Owned(text) => Cow::Owned(PARAMETER.replace_all(&text, "${1}***").into_owned()),
    }
}

/// Redacts every text in a value.
pub fn redact_value(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(redacted) = redact(text) {
                *text = redacted;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redact_value),
        Value::Object(map) => map.values_mut().for_each(redact_value),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_urls_and_parameters_are_gone() {
        for (text, redacted) in [
            ("postgres://u:p@ss@db:5432/x", "postgres://***@db:5432/x"),
            ("connect to rediss://:tok3n@c1:6379 failed", "connect to rediss://***@c1:6379 failed"),
            ("https://a.example/x?token=abc&y=1", "https://a.example/x?token=***&y=1"),
            ("host=db password=hunter2 user=me", "host=db password=*** user=me"),
            ("--set=DB_PASSWORD=hunter2", "--set=DB_PASSWORD=***"),
            ("https://a.example/people/me@b", "https://a.example/people/me@b"),
            ("--rate=300/s", "--rate=300/s"),
        ] {
            assert_eq!(redact(text), redacted);
        }
    }
}
