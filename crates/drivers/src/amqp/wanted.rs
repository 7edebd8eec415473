//! A queue in which messages are awaited and from which operations take others, too. The consumer of what is awaited
//! gets both. What it did not wait for it holds while nobody takes; when an operation does, it gives one back, and
//! the broker hands that to the operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// Operations that want a message of one queue.
#[derive(Debug)]
pub(super) struct Wanted {
    waiting: AtomicUsize,
    asked: Semaphore,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { waiting: AtomicUsize::new(0), asked: Semaphore::new(0) }
    }
}

impl Wanted {
    /// An operation wants one, as long as what it gets lives.
    pub(super) fn ask(self: &Arc<Self>) -> Asking {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.asked.add_permits(1);
        Asking(Arc::clone(self))
    }

    /// Whether an operation waits for one now.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Waits until another operation asked.
    pub(super) async fn asked(&self) {
        match self.asked.acquire().await {
            Ok(permit) => permit.forget(),
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }
}

/// An operation that wants a message.
#[derive(Debug)]
pub(super) struct Asking(Arc<Wanted>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
