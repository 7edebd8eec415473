//! Captures: values of an answer that a user keeps for later requests.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::json_path::JsonPath;
use slatest_core::model::Problem;
use slatest_core::source::{Located, Source};

/// Longest value that is captured.
const CAPTURE_BYTES_MAX: usize = 64 * 1024;

/// Why an answer yielded no value for a capture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("capture: {0}")]
pub struct CaptureError(pub String);

#[derive(Clone, Debug)]
enum From {
    Path(JsonPath),
    Header(String),
}

/// The captures of one operation. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    wanted: Arc<[(String, From)]>,
}

impl Captures {
    /// Compiles the `capture` section of an operation; `key` is where it stands.
    ///
    /// # Errors
    /// A value that is neither a JSONPath nor `header:Name`.
    pub fn compile(source: &Source, specs: &BTreeMap<String, Located<String>>, key: &str) -> Result<Self, Problem> {
        let mut wanted = Vec::with_capacity(specs.len());
        for (name, written) in specs {
            let from = match written.strip_prefix("header:") {
                Some(header) => From::Header(header.trim().to_ascii_lowercase()),
                None => From::Path(
                    JsonPath::compile(written).map_err(|e| source.problem_at(written, format!("{key}.{name}"), e))?,
                ),
            };
            wanted.push((name.clone(), from));
        }
        Ok(Self { wanted: wanted.into() })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Whether a JSON body is needed.
    pub fn needs_json(&self) -> bool {
        self.wanted.iter().any(|(_, from)| matches!(from, From::Path(_)))
    }

    /// Whether one of them may look into a member of the document, rather than take it whole.
    #[cfg(feature = "sql")]
    pub(crate) fn reach_into(&self, member: &str) -> bool {
        let whole = [format!("$.{member}"), format!("$['{member}']"), format!("$[\"{member}\"]")];
        self.wanted.iter().any(|(_, from)| match from {
            From::Header(_) => false,
            From::Path(path) => {
                let rest = whole.iter().find_map(|whole| path.written().trim().strip_prefix(whole.as_str()));
                let elsewhere =
                    rest.is_none() && ["$..", "$.*", "$[*"].iter().any(|any| path.written().starts_with(any));
                elsewhere || rest.is_some_and(|rest| rest.starts_with(['.', '[']))
            }
        })
    }

    /// Takes the values out of an answer into the user's captures. `header` looks a header up by
    /// its lower-case name.
    ///
    /// # Errors
    /// Names the first capture that found nothing, or null.
    pub fn take<'h>(
        &self,
        document: Option<&Value>,
        header: impl Fn(&str) -> Option<&'h str>,
        into: &mut BTreeMap<String, String>,
    ) -> Result<(), CaptureError> {
        for (name, from) in self.wanted.iter() {
            let too_long = || CaptureError(format!("{name} is longer than 64 KiB"));
            let value = match from {
                From::Header(header_name) => header(header_name).map(Cow::Borrowed),
                From::Path(path) => {
                    let found = document.map_or(Ok(None), |d| path.find(d));
                    match found.map_err(|e| CaptureError(format!("{name}: {e}")))? {
                        // What has no value isn't the text `null`.
                        Some(Value::Null) => {
                            into.remove(name);
                            return Err(CaptureError(format!("{name} is null")));
                        }
                        Some(Value::String(text)) => Some(Cow::Borrowed(text.as_str())),
                        Some(other) => Some(Cow::Owned(short(other).ok_or_else(too_long)?)),
                        None => None,
                    }
                }
            };
            let value = value.ok_or_else(|| CaptureError(format!("{name} not found")))?;
            if value.len() > CAPTURE_BYTES_MAX {
                return Err(too_long());
            }
            into.insert(name.clone(), value.into_owned());
        }
        Ok(())
    }
}

/// A value as JSON text; none when it is longer than what is captured.
fn short(value: &Value) -> Option<String> {
    let mut text = [0; CAPTURE_BYTES_MAX];
    let mut left = &mut text[..];
    serde_json::to_writer(&mut left, value).ok()?;
    let length = CAPTURE_BYTES_MAX - left.len();
    std::str::from_utf8(&text[..length]).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(document: &Value) -> Result<String, CaptureError> {
        let source = Source::new("w.yaml", "", "");
        let wanted = BTreeMap::from([("v".to_owned(), Located::from("$.v".to_owned()))]);
        let mut into = BTreeMap::new();
        let captures = Captures::compile(&source, &wanted, "capture").unwrap();
        captures.take(Some(document), |_| None, &mut into)?;
        Ok(into.remove("v").unwrap())
    }

    #[test]
    fn a_capture_has_a_greatest_length() {
        let text = |length: usize| serde_json::json!({ "v": "a".repeat(length) });
        assert_eq!(captured(&text(CAPTURE_BYTES_MAX)).unwrap().len(), CAPTURE_BYTES_MAX);
        let error = captured(&text(CAPTURE_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(error.to_string(), "capture: v is longer than 64 KiB");
        let numbers = |count: usize| serde_json::json!({ "v": vec![1; count] });
        assert_eq!(captured(&numbers(3)).unwrap(), "[1,1,1]");
        assert_eq!(captured(&numbers(40_000)).unwrap_err().to_string(), "capture: v is longer than 64 KiB");
        assert_eq!(captured(&serde_json::json!({})).unwrap_err().to_string(), "capture: v not found");
    }
}
