//! What all replicas of a document, and of a workload, may take in memory together: each alone may be small, and a
//! server has as many as there are sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most that the replicas of one document take, and those of a workload, where their texts don't ask for more.
const DOCUMENT_MAX: usize = 64 * 1024 * 1024;
const WORKLOAD_MAX: usize = 128 * 1024 * 1024;
/// How much a replica may always take, in multiples of the size at which its text is kept.
const TEXTS: usize = 4;

/// A bound on what replicas take, within another.
#[derive(Debug)]
pub(super) struct Budget {
    floor: usize,
    /// What one replica may always take.
    each: usize,
    replicas: AtomicUsize,
    held: AtomicUsize,
    within: Option<Arc<Budget>>,
}

/// One replica's part; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    held: AtomicUsize,
}

impl Budget {
    /// Of a workload whose documents are kept at `limit` bytes of text.
    pub(super) fn of_workload(limit: usize) -> Arc<Self> {
        Arc::new(Self::new(WORKLOAD_MAX, limit, None))
    }

    /// Of a document.
    pub(super) fn of_document(limit: usize, workload: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self::new(DOCUMENT_MAX, limit, workload))
    }

    fn new(floor: usize, limit: usize, within: Option<Arc<Self>>) -> Self {
        let each = limit.saturating_mul(TEXTS);
        Self { floor, each, replicas: AtomicUsize::new(0), held: AtomicUsize::new(0), within }
    }

    fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |budget| budget.within.as_deref())
    }

    /// The part of another replica.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        self.all().for_each(|budget| _ = budget.replicas.fetch_add(1, Ordering::Relaxed));
        Share { budget: Arc::clone(self), held: AtomicUsize::new(0) }
    }

    fn is_exceeded(&self) -> bool {
        let most = self.floor.max(self.each.saturating_mul(self.replicas.load(Ordering::Relaxed)));
        self.held.load(Ordering::Relaxed) > most
    }
}

impl Share {
    /// What it holds.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether all together have too much.
    pub(super) fn is_exceeded(&self) -> bool {
        self.budget.all().any(Budget::is_exceeded)
    }

    /// It holds so much now. Whether that is too much for all together.
    pub(super) fn set(&self, holds: usize) -> bool {
        let before = self.held.swap(holds, Ordering::Relaxed);
        for budget in self.budget.all() {
            budget.held.fetch_add(holds, Ordering::Relaxed);
            budget.held.fetch_sub(before, Ordering::Relaxed);
        }
        self.is_exceeded()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
        self.budget.all().for_each(|budget| _ = budget.replicas.fetch_sub(1, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_bounded_together_and_texts_that_were_asked_for_have_room() {
        let workload = Budget::of_workload(1024);
        let documents = [(); 3].map(|()| Budget::of_document(1024, Some(Arc::clone(&workload))));
        let shares: Vec<Share> = documents.iter().flat_map(|document| [document.share(), document.share()]).collect();
        let half = DOCUMENT_MAX / 2;
        assert!(!shares[0].set(half) && !shares[1].set(half), "a document has room");
        assert!(shares[1].set(half + 1), "and no more");
        shares[1].set(half);
        assert!(!shares[2].set(half) && !shares[3].set(half) && shares[4].set(1), "the workload has no more");
        drop(shares);
        assert_eq!((workload.held.load(Ordering::Relaxed), workload.replicas.load(Ordering::Relaxed)), (0, 0));
        let large = Budget::of_document(DOCUMENT_MAX, None);
        assert!(!large.share().set(2 * DOCUMENT_MAX), "what its text needs");
    }
}
