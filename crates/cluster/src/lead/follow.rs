//! What a coordinator tells, written and shown as it goes.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;

use super::{LeadError, LeadObserver, discard};
use crate::coordinator::{Coordinator, CoordinatorError, Told};
use slatest_engine::load::{Event, Phase, Stop};
use slatest_engine::run::{Recording, RunOutcome};

/// How much of what is told of agents that are brought is told again when they don't come.
const PLACEMENTS_MAX: usize = 20;

/// Leads the run to its record.
///
/// # Errors
/// When it did not start, or the coordinator failed under way.
pub(super) fn follow(
    coordinator: Coordinator,
    mut recording: Recording,
    placed: &Receiver<String>,
    stop: &Stop,
    mut started: bool,
    observer: &mut dyn LeadObserver,
) -> Result<RunOutcome, LeadError> {
    // Why not all came is said by those who bring them, also where nothing else is said.
    let mut placements = VecDeque::new();
    let facts = coordinator.run(stop, &mut |told| {
        while let Ok(message) = placed.try_recv() {
            if placements.len() == PLACEMENTS_MAX {
                placements.pop_front();
            }
            placements.push_back(message.clone());
            recording.take(&Event::Notice(message), observer);
        }
        match told {
            Told::Event(event) => {
                if let Event::Phase(phase, at) = event
                    && phase != Phase::Opening
                    && !std::mem::replace(&mut started, true)
                {
                    recording.start_was(at);
                }
                recording.take(&event, observer);
            }
            Told::Fleet(view) => observer.fleet(&view),
            Told::News(news) if !news.is_notable() => observer.event(&Event::Notice(news.to_string())),
            Told::News(_) => {}
        }
    });
    match facts {
        Ok(facts) => Ok(recording.conclude(&facts, observer)),
        Err(CoordinatorError::NotStarted { reason, interrupted }) => {
            observer.ends();
            discard(recording, observer);
            Err(LeadError::NotStarted { reason, interrupted, placements: placements.into() })
        }
        Err(error) => {
            observer.ends();
            Err(LeadError::Lost { error, folder: recording.folder().to_owned() })
        }
    }
}
