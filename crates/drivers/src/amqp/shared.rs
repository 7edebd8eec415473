//! Something that takes a while to open and that many want: opened once for all of them.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::connection;
use crate::failure::Failure;
use slatest_core::model::Outcome;

type Result<T> = std::result::Result<T, Failure>;

/// What is opened.
pub(super) struct Opened<T> {
    state: Mutex<State<T>>,
}

enum State<T> {
    Closed,
    /// Somebody opens it.
    Opening(watch::Receiver<Option<Result<T>>>),
    Open(T),
    /// It could not be opened, and is not tried again before this instant.
    Failed(Failure, Instant),
}

impl<T> Default for Opened<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State::Closed) }
    }
}

impl<T: Clone + Send + Sync + 'static> Opened<T> {
    /// It, open. Whoever comes first has it opened on the runtime of all connections, so that it goes on when they
    /// give up; who comes meanwhile waits for the same; and after a failure all are told of it for as long as `pause`.
    ///
    /// # Errors
    /// Why it can't be opened.
    pub(super) async fn get(
        self: &Arc<Self>,
        stands: impl Fn(&T) -> bool,
        pause: impl FnOnce(&Failure) -> Duration + Send + 'static,
        open: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let mut opening = {
            let mut state = self.lock();
            match &*state {
                State::Open(open) if stands(open) => return Ok(open.clone()),
                State::Failed(failure, until) if Instant::now() < *until => return Err(failure.clone()),
                // Where nobody opens it any more (the task is gone), the next one does.
                State::Opening(opening) if opening.has_changed().is_ok() => opening.clone(),
                _ => {
                    let (sender, opening) = watch::channel(None);
                    let this = Arc::clone(self);
                    connection::spawn(async move {
                        let opened = open.await;
                        *this.lock() = match &opened {
                            Ok(open) => State::Open(open.clone()),
                            Err(failure) => State::Failed(failure.clone(), Instant::now() + pause(failure)),
                        };
                        sender.send_replace(Some(opened));
                    })?;
                    *state = State::Opening(opening.clone());
                    opening
                }
            }
        };
        let opened = opening.wait_for(Option::is_some).await.ok().and_then(|opened| opened.clone());
        opened.unwrap_or_else(|| Err(Failure::new(Outcome::Disconnected, "connect: interrupted")))
    }

    /// Whether somebody opens it now.
    pub(super) fn is_opening(&self) -> bool {
        matches!(&*self.lock(), State::Opening(opening) if opening.has_changed().is_ok())
    }

    /// It, where it is open and so.
    pub(super) fn peek(&self, is: impl Fn(&T) -> bool) -> Option<T> {
        match &*self.lock() {
            State::Open(open) if is(open) => Some(open.clone()),
            _ => None,
        }
    }

    /// Gives it up where it is open and so: the next one has it opened anew.
    pub(super) fn forget(&self, is: impl Fn(&T) -> bool) {
        let mut state = self.lock();
        if matches!(&*state, State::Open(open) if is(open)) {
            *state = State::Closed;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
