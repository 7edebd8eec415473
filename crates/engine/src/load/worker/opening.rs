//! Before the start, and where something is taken over: lanes get ready, and their sessions are opened.

use std::rc::Rc;
use std::sync::mpsc::SyncSender;

use futures_util::StreamExt as _;

use super::say;
use crate::load::lane::Lane;
use crate::load::stage::Message;
use slatest_core::model::Nanos;
use slatest_core::schedule::Share;
use slatest_drivers::{ConnectError, Seat};

/// Sessions that one worker opens at once before the start.
const OPENING_AT_ONCE: usize = 64;
/// How often a session that can't be opened before the start is tried.
const OPENING_TRIES: u32 = 4;
/// Pause before the second try; it doubles.
const OPENING_PAUSE: Nanos = Nanos::from_millis(250);

/// Gets every lane ready and opens the sessions that are opened before the start.
pub(super) async fn open(lanes: &[Rc<Lane>], to_conductor: &SyncSender<Message>) -> Result<(), String> {
    // Who has no part in a scenario does nothing for it.
    for lane in lanes.iter().filter(|lane| !lane.share().is_empty()) {
        prepare(lane, lane.share())
            .await
            .map_err(|e| format!("scenario `{}` can't get ready: {e}", lane.scenario().name))?;
    }
    for lane in lanes {
        let seats = lane.seats_fixed(lane.share());
        let mut opening = futures_util::stream::iter(seats)
            .map(|seat| async move { open_one(lane, &seat).await })
            .buffered(OPENING_AT_ONCE);
        while let Some(opened) = opening.next().await {
            opened.map_err(|e| {
                format!("a session of scenario `{}` can't be opened before the start: {e}", lane.scenario().name)
            })?;
            say(to_conductor, Message::Opened)?;
        }
    }
    Ok(())
}

async fn prepare(lane: &Rc<Lane>, share: Share) -> Result<(), ConnectError> {
    lane.workload().prepare(&lane.seat(0, share)).await
}

/// Takes over a share of a scenario: gives the lane, and from when on what is due there is its own. A lane that had
/// no part so far gets ready first and opens the sessions of the share; what is due meanwhile stays owed. `None`
/// where it can't.
pub(super) async fn enter(lane: Rc<Lane>, share: Share, from: Nanos) -> Option<(Rc<Lane>, Share, Nanos)> {
    if !lane.share().is_empty() {
        if lane.scenario().sessions.is_none() {
            lane.take_over(share);
        }
        return Some((lane, share, from));
    }
    let ready = async {
        prepare(&lane, share).await?;
        let mut opening = futures_util::stream::iter(lane.seats_fixed(share))
            .map(|seat| async {
                let seat = seat;
                lane.connect(&seat).await
            })
            .buffered(OPENING_AT_ONCE);
        while let Some(opened) = opening.next().await {
            lane.adopt(opened?);
        }
        Ok::<(), ConnectError>(())
    };
    if let Err(error) = ready.await {
        tracing::warn!("scenario `{}` can't be taken over: {error}", lane.scenario().name);
        return None;
    }
    lane.take_over(share);
    let now = lane.desk().clock.now();
    Some((lane, share, from.max(now)))
}

async fn open_one(lane: &Rc<Lane>, seat: &Seat) -> Result<(), ConnectError> {
    let mut pause = OPENING_PAUSE;
    let mut tries = 1;
    loop {
        match lane.connect(seat).await {
            Ok(session) => {
                lane.adopt(session);
                return Ok(());
            }
            Err(error) if tries == OPENING_TRIES => return Err(error),
            Err(_) => {
                tokio::time::sleep(pause.as_duration()).await;
                pause = pause + pause;
                tries += 1;
            }
        }
    }
}
