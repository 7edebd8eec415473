//! Messages that were sent and are awaited back from a consumer, which runs on a thread of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Finding;
use slatest_core::model::Nanos;

/// Most messages awaited at a time.
const AWAITED_MAX: usize = 1 << 18;
/// How often the messages that are still awaited are looked at in the end.
const SETTLE_EVERY: Duration = Duration::from_millis(20);

/// What tells one message of a workload from the others. The number alone doesn't: the steps of a
/// flow may share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MessageId {
    pub(crate) seq: u64,
    pub(crate) sent: Nanos,
}

/// Messages awaited back, and the count of those that came.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    messages: Mutex<HashMap<MessageId, oneshot::Sender<Nanos>>>,
    /// Awaited messages that the broker acknowledged.
    pub(crate) acknowledged: AtomicU64,
    /// Awaited messages that the consumer got, also those that nobody waited for any more.
    pub(crate) consumed: AtomicU64,
}

impl Awaited {
    /// Begins to wait; `None` when too many are awaited already.
    pub(crate) fn begin(self: &Arc<Self>, id: MessageId) -> Option<Waiting> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.len() >= AWAITED_MAX {
            return None;
        }
        let (sender, consumed) = oneshot::channel();
        messages.insert(id, sender);
        Some(Waiting { awaited: Arc::clone(self), id, consumed })
    }

    /// The consumer got it.
    pub(crate) fn came(&self, id: MessageId, at: Nanos) {
        self.consumed.fetch_add(1, Ordering::Relaxed);
        let waiting = self.messages.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(waiting) = waiting {
            // An execution that was given up no longer listens.
            let _ = waiting.send(at);
        }
    }

    /// Waits until every message that was acknowledged came back, at most `patience`; nothing is
    /// found where none was acknowledged.
    pub(crate) async fn settle(&self, patience: Nanos) -> Option<Finding> {
        let counts = || (self.acknowledged.load(Ordering::Relaxed), self.consumed.load(Ordering::Relaxed));
        let all = async {
            while let (acknowledged, consumed) = counts()
                && consumed < acknowledged
            {
                tokio::time::sleep(SETTLE_EVERY).await;
            }
        };
        // What didn't come by then is what is found.
        let _ = tokio::time::timeout(patience.as_duration(), all).await;
        let (acknowledged, consumed) = counts();
        (acknowledged > 0).then(|| Finding {
            check: "consumption".into(),
            holds: consumed >= acknowledged,
            detail: format!("{acknowledged} messages acknowledged, {consumed} of this run consumed"),
        })
    }
}

/// Waits for one message; ends the waiting when dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    awaited: Arc<Awaited>,
    id: MessageId,
    /// When it came back.
    pub(crate) consumed: oneshot::Receiver<Nanos>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.awaited.messages.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: MessageId = MessageId { seq: 7, sent: Nanos(1_234) };

    #[test]
    fn a_message_ends_its_own_waiting_and_no_other() {
        let awaited = Arc::new(Awaited::default());
        let mut first = awaited.begin(ID).unwrap();
        let mut second = awaited.begin(MessageId { sent: Nanos(9_999), ..ID }).unwrap();
        awaited.came(ID, Nanos(5_000));
        assert_eq!(first.consumed.try_recv(), Ok(Nanos(5_000)));
        assert!(second.consumed.try_recv().is_err());
        drop((first, second));
        assert!(awaited.messages.lock().unwrap().is_empty(), "nothing is left behind");
        awaited.came(ID, Nanos(6_000));
        assert_eq!(awaited.consumed.load(Ordering::Relaxed), 2);
    }
}
