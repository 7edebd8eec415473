//! What is typed in the same way for each protocol: texts and files, JSON, logins.

use serde_json::Value;

use super::QuickError;
use slatest_core::files::read_text;

/// Largest body that is read from a file.
const BODY_BYTES_MAX: u64 = 1 << 20;

/// What is written, or what stands in the file that `@FILE` names.
///
/// # Errors
/// A file that can't be read.
pub(super) fn contents(written: &str, option: &str) -> Result<String, QuickError> {
    let Some(path) = written.strip_prefix('@') else { return Ok(written.to_owned()) };
    read_text(path.as_ref(), BODY_BYTES_MAX)
        .map_err(|error| QuickError::usage(format!("{option} names the file `{path}`, which {error}")))
}

/// The same as JSON.
///
/// # Errors
/// As [`contents`]; what is no JSON, with its place.
pub(super) fn json_contents(written: &str, option: &str) -> Result<Value, QuickError> {
    serde_json::from_str(&contents(written, option)?).map_err(|error| {
        QuickError::usage(format!("{option} is not JSON: line {}, column {}", error.line(), error.column()))
    })
}

/// User and password of `-u`.
///
/// # Errors
/// Without a colon.
pub(super) fn login(written: &str) -> Result<(&str, &str), QuickError> {
    written.split_once(':').ok_or_else(|| QuickError::usage("-u takes user and password with a colon between them"))
}
