//! Looking at what a target says that is large: off the worker, whose other operations would be late otherwise; few at a
//! time, because a JSON tree takes many times the memory of its text.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::workload::{CaptureError, Captures};

/// Longest text that is looked at on the worker.
pub const SMALL_BYTES: usize = 32 * 1024;
/// How much longer than an operation's deadline its answer, which came in time, may be looked at. Less than what the
/// engine adds before it gives a session up.
pub const CHECK_EXTRA: Duration = Duration::from_secs(1);
/// Most values of a JSON answer: each takes some hundred bytes at worst.
const VALUES_MAX: usize = 1_500_000;
/// Large answers that are looked at at the same time.
static PLACES: Semaphore = Semaphore::const_new(2);

/// Why a text is no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDocument {
    /// It is something else.
    #[error("not JSON")]
    NotJson,
    /// It would take too much memory.
    #[error("JSON of more than 1,500,000 values")]
    TooMany,
}

/// Runs this off the worker when it has a place. `None` where it did not come to its end. Whoever stops waiting leaves it
/// running to its end, in its place.
pub async fn off_worker<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let place = PLACES.acquire().await.ok()?;
    let looking = tokio::task::spawn_blocking(move || {
        let _place = place;
        look()
    });
    looking.await.ok()
}

/// Takes captures from what an answer of so many bytes is as a document; off the worker where it is large, until
/// `deadline` and a little longer.
///
/// # Errors
/// See [`Captures::take`]; and an answer that there was no time to look at.
pub async fn capture(
    captures: &Captures,
    bytes: usize,
    document: impl FnOnce(&Captures) -> Option<Value> + Send + 'static,
    into: &mut BTreeMap<String, String>,
    deadline: Instant,
) -> Result<(), CaptureError> {
    if bytes <= SMALL_BYTES {
        return captures.take(document(captures).as_ref(), |_| None, into);
    }
    let (captures, mut taken) = (captures.clone(), into.clone());
    let looking = off_worker(move || {
        let result = captures.take(document(&captures).as_ref(), |_| None, &mut taken);
        (result, taken)
    });
    let looked = timeout_at(deadline + CHECK_EXTRA, looking).await;
    let looked = looked.map_err(|_| CaptureError("no time to look at large answers".into()))?;
    let (result, taken) = looked.ok_or_else(|| CaptureError("the answer can't be read".into()))?;
    *into = taken;
    result
}

/// A text as a document.
///
/// # Errors
/// One that is none, or that would take too much memory.
pub fn json(text: &[u8]) -> Result<Value, NoDocument> {
    #[cfg(test)]
    tests::parsed_here(text.len());
    if values_at_most(text) > VALUES_MAX {
        return Err(NoDocument::TooMany);
    }
    serde_json::from_slice(text).map_err(|_| NoDocument::NotJson)
}

/// How many values and keys a text has at most, if it is JSON. Costs no memory.
fn values_at_most(text: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' | b',' | b':' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
pub mod tests {
    use std::cell::Cell;

    use super::*;
    use slatest_core::source::{Located, Source};

    thread_local! {
        static LONGEST: Cell<usize> = const { Cell::new(0) };
    }

    /// Something of this length is read on this thread.
    pub fn parsed_here(bytes: usize) {
        LONGEST.with(|longest| longest.set(longest.get().max(bytes)));
    }

    /// Length of the longest that was read on this thread.
    pub fn longest_parsed_here() -> usize {
        LONGEST.with(Cell::get)
    }

    fn captures() -> Captures {
        let source = Source::new("w.yaml", "", ".");
        let spec = Located { value: "$.a".to_owned(), line: 1, column: 1 };
        Captures::compile(&source, &BTreeMap::from([("a".to_owned(), spec)]), "capture").unwrap()
    }

    #[test]
    fn the_values_of_a_text_are_counted_without_being_made() {
        for (text, count) in [("7", 1), ("[]", 2), ("[1,2]", 3), (r#"{"a":[1,"x,[{:"],"b\\\"":{}}"#, 8)] {
            assert_eq!(values_at_most(text.as_bytes()), count, "{text}");
        }
        assert_eq!(json(b"[1"), Err(NoDocument::NotJson));
        let many = format!("[{}0]", "0,".repeat(VALUES_MAX));
        assert_eq!(json(many.as_bytes()), Err(NoDocument::TooMany));
    }

    #[tokio::test]
    async fn a_large_answer_is_looked_at_off_the_worker_and_a_small_one_on_it() {
        let here = std::thread::current().id();
        let deadline = Instant::now() + Duration::from_secs(60);
        for (length, off) in [(10, false), (SMALL_BYTES, true)] {
            let text = format!("{{\"a\":\"x\",\"b\":\"{}\"}}", "y".repeat(length)).into_bytes();
            let (bytes, mut into) = (text.len(), BTreeMap::from([("kept".to_owned(), "k".to_owned())]));
            let look = move |_: &Captures| {
                assert_eq!(std::thread::current().id() != here, off);
                json(&text).ok()
            };
            capture(&captures(), bytes, look, &mut into, deadline).await.unwrap();
            assert_eq!((into["a"].as_str(), into["kept"].as_str()), ("x", "k"));
        }
        assert!(longest_parsed_here() <= SMALL_BYTES);
        let died = capture(&captures(), usize::MAX, |_| panic!("a library"), &mut BTreeMap::new(), deadline).await;
        assert_eq!(died.unwrap_err().to_string(), "capture: the answer can't be read");
    }
}
