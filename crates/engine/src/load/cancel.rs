//! Letting go of whatever is still under way on a worker.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, Waker};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A worker's word that what is under way is to be let go. Shared by its tasks.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    asked: Rc<Cell<bool>>,
    token: CancellationToken,
}

impl Cancel {
    /// Lets everything go.
    pub fn ask(&self) {
        self.asked.set(true);
        self.token.cancel();
    }

    /// One task's view of it.
    pub fn watch(&self) -> CancelWatch {
        CancelWatch { asked: Rc::clone(&self.asked), told: Box::pin(self.token.clone().cancelled_owned()), waker: None }
    }
}

/// One task's view of [`Cancel`]. It queues for the word once, not once an operation.
#[derive(Debug)]
pub struct CancelWatch {
    asked: Rc<Cell<bool>>,
    told: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Who is woken by the word.
    waker: Option<Waker>,
}

impl CancelWatch {
    /// What the future gives; nothing when the word came first, and the future is dropped then.
    pub async fn unless_asked<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if self.asked.get() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                self.waker = Some(context.waker().clone());
                if self.told.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn what_ends_goes_on_and_what_does_not_is_let_go_when_asked() {
        let cancel = Cancel::default();
        let mut watch = cancel.watch();
        assert_eq!(watch.unless_asked(async { 7 }).await, Some(7));
        let asker = cancel.clone();
        let local = tokio::task::LocalSet::new();
        local.spawn_local(async move { asker.ask() });
        let (ended, ()) = tokio::join!(watch.unless_asked(pending::<()>()), local);
        assert_eq!(ended, None);
        assert_eq!(watch.unless_asked(pending::<()>()).await, None, "it stays asked");
    }
}
