//! Time limits that cost next to nothing when they are kept.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The limit was reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time limit was reached")]
pub struct Elapsed;

/// Holds one future after another to a time limit. A timer for each would be set and taken back for
/// every operation; this one is set when it must ring earlier than it would, and when it rings too
/// early it is set anew. Operations that end in time thus share one timer.
#[derive(Debug, Default)]
pub struct Limit {
    /// Made when it is first needed: sessions that never execute have none.
    timer: Option<Pin<Box<Sleep>>>,
    /// Who is woken when it rings.
    waker: Option<Waker>,
}

impl Limit {
    /// Waits for the future, at most so long.
    ///
    /// A peer that always has something ready keeps the task awake without ever letting the timer have its turn (a
    /// timer is asked within the task's budget, which is spent by then). So the clock itself is read whenever the
    /// future pauses.
    ///
    /// # Errors
    /// When the time is over first. The future is dropped then.
    pub async fn hold<F: Future>(&mut self, limit: Duration, future: F) -> Result<F::Output, Elapsed> {
        let due = Instant::now() + limit;
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if Instant::now() >= due => Poll::Ready(Err(Elapsed)),
            Poll::Pending => self.rings(due, context).map(Err),
        })
        .await
    }

    fn rings(&mut self, due: Instant, context: &mut Context<'_>) -> Poll<Elapsed> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
            self.waker = None;
        }
        let told = self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if told && !timer.is_elapsed() {
            return Poll::Pending;
        }
        self.waker = Some(context.waker().clone());
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(Elapsed);
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    /// Longer than any of these tests on any machine.
    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn what_ends_in_time_is_handed_on_and_what_does_not_is_given_up_not_before_its_time() {
        let mut limit = Limit::default();
        assert_eq!(limit.hold(LONG, async { 7 }).await, Ok(7));
        let start = Instant::now();
        assert_eq!(limit.hold(SHORT, pending::<()>()).await, Err(Elapsed));
        assert!(start.elapsed() >= SHORT);
    }

    #[tokio::test]
    async fn a_timer_left_by_one_operation_neither_shortens_nor_lengthens_the_next() {
        let mut limit = Limit::default();
        let soon = || tokio::time::sleep(SHORT / 4);
        // The timer stands far away: the next operation's limit is before it.
        assert_eq!(limit.hold(LONG, soon()).await, Ok(()));
        assert_eq!(limit.hold(SHORT, pending::<()>()).await, Err(Elapsed));
        // The timer rings during the next operation, which has more time.
        assert_eq!(limit.hold(SHORT, soon()).await, Ok(()));
        let start = Instant::now();
        assert_eq!(limit.hold(3 * SHORT, pending::<()>()).await, Err(Elapsed));
        assert!(start.elapsed() >= 3 * SHORT);
    }

    #[tokio::test]
    async fn a_peer_that_is_always_ready_does_not_outrun_it() {
        let mut limit = Limit::default();
        let always_ready = async {
            let mut more = true;
            while more {
                tokio::task::coop::consume_budget().await;
                more = Instant::now().elapsed() < LONG;
            }
        };
        let held = tokio::time::timeout(LONG, limit.hold(SHORT, always_ready)).await;
        assert_eq!(held, Ok(Err(Elapsed)));
    }

    #[tokio::test]
    async fn it_may_move_to_another_task_between_operations() {
        let mut limit = Limit::default();
        assert_eq!(limit.hold(SHORT, tokio::time::sleep(SHORT / 4)).await, Ok(()));
        let moved = tokio::spawn(async move { limit.hold(SHORT, pending::<()>()).await });
        assert_eq!(moved.await.unwrap(), Err(Elapsed));
    }
}
