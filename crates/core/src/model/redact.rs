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

/// Shorter credentials are not looked for: what they spell stands in too many words.
const HIDDEN_LENGTH_MIN: usize = 4;

/// The text without a credential that is known. Only where it stands by itself: within a longer word it is another
/// word, and hiding it would garble what is said.
pub fn hide(text: &str, credential: &str) -> String {
    let inside = |c: Option<char>, edge: Option<char>| {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        c.is_some_and(word) && edge.is_some_and(word)
    };
    if credential.len() < HIDDEN_LENGTH_MIN {
        return text.to_owned();
    }
    let (first, last) = (credential.chars().next(), credential.chars().next_back());
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(credential) {
        let (before, after) = (&rest[..at], &rest[at + credential.len()..]);
        let previous = before.chars().next_back().or_else(|| out.chars().next_back());
        let hidden = !inside(previous, first) && !inside(after.chars().next(), last);
        out.push_str(before);
        out.push_str(if hidden { "***" } else { credential });
        rest = after;
    }
    out.push_str(rest);
    out
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
    fn a_known_credential_is_hidden_whole_and_garbles_nothing() {
        for (text, credential, hidden) in [
            ("unexpected p", "p", "unexpected p"),
            ("expected password, not pass", "pass", "expected password, not ***"),
            ("token=abcd1234&x abcd1234.", "abcd1234", "token=***&x ***."),
            ("abcd1234abcd1234 abcd1234", "abcd1234", "abcd1234abcd1234 ***"),
            ("a/+==/b", "/+==/", "a***b"),
            ("", "abcd", ""),
        ] {
            assert_eq!(hide(text, credential), hidden);
        }
    }

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
