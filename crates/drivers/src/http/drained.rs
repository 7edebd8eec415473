//! Answers that are read to their end and not kept.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Finding;

/// How many answers were drained, and how long they were together.
#[derive(Debug, Default)]
pub(super) struct Drained {
    answers: AtomicU64,
    bytes: AtomicU64,
}

impl Drained {
    /// One more, of so many bytes.
    pub(super) fn add(&self, bytes: u64) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The figures, where there are any.
    pub(super) fn finding(&self) -> Option<Finding> {
        let (answers, bytes) = (self.answers.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let detail = format!("{answers} answers of {bytes} bytes together were drained");
        (answers > 0).then(|| Finding { check: "drained".to_owned(), holds: true, detail })
    }
}
