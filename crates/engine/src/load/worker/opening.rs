//! Before the start, and where something is taken over: runners get ready, and their sessions are opened.

use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc::SyncSender;

use futures_util::{Stream, StreamExt as _, stream};

use super::say;
use crate::load::scenario_runner::ScenarioRunner;
use crate::load::stage::Message;
use slatest_core::model::Nanos;
use slatest_core::schedule::Share;
use slatest_drivers::{ConnectError, SessionContext};

/// Sessions that one worker opens at once before the start.
const OPENING_AT_ONCE: usize = 64;
/// How often a session that can't be opened before the start is tried.
const OPENING_TRIES: u32 = 4;
/// Pause before the second try; it doubles.
const OPENING_PAUSE: Nanos = Nanos::from_millis(250);

/// Gets every runner ready and opens the sessions that are opened before the start.
pub(super) async fn open(runners: &[Rc<ScenarioRunner>], to_conductor: &SyncSender<Message>) -> Result<(), String> {
    // Who has no part in a scenario does nothing for it.
    for runner in runners.iter().filter(|runner| !runner.share().is_empty()) {
        prepare(runner, runner.share())
            .await
            .map_err(|e| format!("scenario `{}` can't get ready: {e}", runner.scenario().name))?;
    }
    for runner in runners {
        let mut opening = pin!(sessions(runner, runner.share(), OPENING_TRIES));
        while let Some(opened) = opening.next().await {
            opened.map_err(|e| {
                format!("a session of scenario `{}` can't be opened before the start: {e}", runner.scenario().name)
            })?;
            say(to_conductor, Message::Opened)?;
        }
    }
    Ok(())
}

async fn prepare(runner: &Rc<ScenarioRunner>, share: Share) -> Result<(), ConnectError> {
    runner.workload().prepare(&runner.context(0, share)).await
}

/// Takes over a share of a scenario: gives the runner, and from when on what is due there is its own. A runner that had
/// no part so far gets ready first and opens the sessions of the share; what is due meanwhile stays owed. `None`
/// where it can't.
pub(super) async fn enter(
    runner: Rc<ScenarioRunner>,
    share: Share,
    from: Nanos,
) -> Option<(Rc<ScenarioRunner>, Share, Nanos)> {
    if !runner.share().is_empty() {
        if runner.scenario().users.is_none() {
            runner.take_over(share);
        }
        return Some((runner, share, from));
    }
    let ready = async {
        prepare(&runner, share).await?;
        let mut opening = pin!(sessions(&runner, share, 1));
        while let Some(opened) = opening.next().await {
            opened?;
        }
        Ok::<(), ConnectError>(())
    };
    if let Err(error) = ready.await {
        tracing::warn!("scenario `{}` can't be taken over: {error}", runner.scenario().name);
        return None;
    }
    runner.take_over(share);
    let now = runner.in_flight().clock.now();
    Some((runner, share, from.max(now)))
}

/// Opens the sessions of a share that are there before they are wanted, each tried so often.
fn sessions(
    runner: &Rc<ScenarioRunner>,
    share: Share,
    tries: u32,
) -> impl Stream<Item = Result<(), ConnectError>> + '_ {
    stream::iter(runner.fixed_contexts(share))
        .map(move |context| async move { open_one(runner, &context, tries).await })
        .buffered(OPENING_AT_ONCE)
}

async fn open_one(runner: &Rc<ScenarioRunner>, context: &SessionContext, tries: u32) -> Result<(), ConnectError> {
    let mut pause = OPENING_PAUSE;
    let mut tried = 1;
    loop {
        match runner.connect(context).await {
            Ok(session) => {
                runner.adopt(context.index, session);
                return Ok(());
            }
            Err(error) if tried == tries => return Err(error),
            Err(_) => {
                tokio::time::sleep(pause.as_duration()).await;
                pause = pause + pause;
                tried += 1;
            }
        }
    }
}
