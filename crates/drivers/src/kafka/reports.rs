//! Delivery reports on their way from the producer's thread to the sessions of its worker. To wake a
//! worker from another thread is a system call; reports come in batches, so one wake does for many.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::producer::Delivered;

/// Reports that wait to be handed out: at most as many as there are records in the producer's queue.
#[derive(Debug, Default)]
pub(super) struct Reports {
    waiting: Mutex<Vec<(oneshot::Sender<Delivered>, Delivered)>>,
    news: Notify,
    closed: AtomicBool,
}

impl Reports {
    /// Leaves a report, from any thread.
    pub(super) fn put(&self, to: oneshot::Sender<Delivered>, delivered: Delivered) {
        let first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push((to, delivered));
            waiting.len() == 1
        };
        if first {
            self.news.notify_one();
        }
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.news.notify_one();
    }

    /// Hands reports out where it runs, until nothing more comes.
    pub(super) async fn hand_out(self: Arc<Self>) {
        let mut batch = Vec::new();
        loop {
            self.news.notified().await;
            let closed = self.closed.load(Ordering::Acquire);
            std::mem::swap(&mut batch, &mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            for (to, delivered) in batch.drain(..) {
                // An execution that was given up no longer listens.
                let _ = to.send(delivered);
            }
            if closed {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::producer::Position;
    use slatest_core::model::Nanos;

    #[tokio::test]
    async fn every_report_arrives_whatever_thread_it_comes_from_and_the_end_is_seen() {
        let reports = Arc::new(Reports::default());
        let handing = tokio::spawn(Arc::clone(&reports).hand_out());
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..1_000).map(|_| oneshot::channel()).unzip();
        let from = Arc::clone(&reports);
        let thread = std::thread::spawn(move || {
            for (n, sender) in (0..).zip(senders) {
                from.put(sender, Delivered { at: Nanos(n), result: Ok(Position { partition: 0, offset: 0 }) });
            }
            from.close();
        });
        for (n, receiver) in (0..).zip(receivers) {
            assert_eq!(receiver.await.map(|d| d.at), Ok(Nanos(n)));
        }
        handing.await.unwrap();
        thread.join().unwrap();
    }
}
