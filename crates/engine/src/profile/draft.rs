//! A scenario on its way to the plan: its executor is checked, its length may still be open, and
//! the command line may still change its figures.

use super::file::RateCounts;
use slatest_core::model::Nanos;
use slatest_core::schedule::{ArrivalLaw, StagePlan};

/// How work is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Load {
    /// Open model.
    Arrivals(ArrivalLaw),
    /// Closed model, with the pause of a user between executions.
    Users(Nanos),
}

/// A scenario whose executor is checked.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) load: Load,
    /// What is asked over time. One stage of length zero: constant, for a time not yet known.
    pub(super) stages: Vec<StagePlan>,
    pub(super) start: Nanos,
    pub(super) warm_up: Nanos,
    pub(super) cool_down: Nanos,
    pub(super) max_in_flight: Option<u64>,
    pub(super) users: Option<u64>,
    /// What the stages count, where they are rates.
    pub(super) rate_counts: RateCounts,
    /// Whether the number of users was changed and may be rounded to whole groups.
    pub(super) scaled: bool,
}

/// Most operations under way at once when a scenario doesn't say.
const MAX_IN_FLIGHT_DEFAULT: u64 = 1000;

impl Draft {
    /// How long it takes.
    pub(super) fn duration(&self) -> Nanos {
        self.stages.iter().fold(Nanos::ZERO, |sum, stage| sum + stage.duration)
    }

    /// When it ends, from the start of the run.
    pub(super) fn end(&self) -> Nanos {
        self.start + self.duration()
    }

    /// The highest rate or number of users.
    pub(super) fn peak(&self) -> f64 {
        self.stages.iter().map(|stage| stage.from.max(stage.to)).fold(0.0, f64::max)
    }

    /// Multiplies the rates.
    pub(super) fn multiply(&mut self, factor: f64) {
        for stage in &mut self.stages {
            stage.from *= factor;
            stage.to *= factor;
        }
    }

    /// Multiplies rates and users. Users stay whole, and nobody who was there goes.
    pub(super) fn scale(&mut self, factor: f64) {
        self.multiply(factor);
        let whole = |count: u64| ((count as f64 * factor).round() as u64).max(1);
        if matches!(self.load, Load::Users(_)) {
            for stage in &mut self.stages {
                for users in [&mut stage.from, &mut stage.to] {
                    if *users > 0.0 {
                        *users = users.round().max(1.0);
                    }
                }
            }
        }
        self.users = self.users.map(whole);
        self.max_in_flight = self.max_in_flight.map(whole);
        self.scaled = true;
    }

    /// Stretches it: all of it together, so that what is judged is the same part of the scenario.
    pub(super) fn stretch(&mut self, factor: f64) {
        let stretched = |length: Nanos| Nanos::from_secs_f64(length.as_secs_f64() * factor);
        for stage in &mut self.stages {
            stage.duration = stretched(stage.duration).max(Nanos(1));
        }
        self.start = stretched(self.start);
        self.warm_up = stretched(self.warm_up);
        self.cool_down = stretched(self.cool_down);
    }

    /// Most operations under way at once.
    pub(super) fn in_flight_max(&self) -> u64 {
        match (self.max_in_flight, self.load) {
            (Some(written), _) => written,
            (None, Load::Arrivals(_)) => self.users.unwrap_or(MAX_IN_FLIGHT_DEFAULT),
            (None, Load::Users(_)) => (self.peak().ceil() as u64).max(1),
        }
    }
}
