//! Systems whose outages are known, measured by the real recorder.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Cells, Component, Watched};
use slatest_core::measure::{OperationShape, Recorder, Window};
use slatest_core::model::{Completion, Nanos, OperationId, Outcome};

/// How an operation meets an outage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outage {
    /// It is refused at once.
    Refuses,
    /// It hears nothing, and gives up after this.
    Swallows(Nanos),
    /// It waits for the recovery and is served then, or gives up after this.
    Holds(Nanos),
}

/// A system that is up but for known outages.
#[derive(Clone, Debug)]
pub(super) struct System {
    pub(super) seed: u64,
    /// Arrivals per second, with exponential gaps.
    pub(super) rate: f64,
    pub(super) window: Nanos,
    pub(super) fault: Nanos,
    /// From, to.
    pub(super) outages: Vec<(Nanos, Nanos)>,
    pub(super) outage: Outage,
    /// How many users with which pause make the load, instead of arrivals.
    pub(super) users: Option<(u64, Nanos)>,
    /// Share of operations that meet it.
    pub(super) hit: f64,
    /// Share of operations that fail whatever happens.
    pub(super) noise: f64,
    /// When the last arrival can be, and when nothing is watched any more.
    pub(super) until: Nanos,
}

impl System {
    /// 200/s in windows of 1 s, a fault at 20.3 s that is over at once, watched until 80 s.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            rate: 200.0,
            window: Nanos::from_secs(1),
            fault: Nanos::from_millis(20_300),
            outages: Vec::new(),
            outage: Outage::Refuses,
            users: None,
            hit: 1.0,
            noise: 0.0,
            until: Nanos::from_secs(80),
        }
    }

    pub(super) fn down(mut self, length: Nanos) -> Self {
        self.outages = vec![(self.fault, self.fault + length)];
        self
    }

    /// How an operation ends that is meant to start at `planned`, when it usually takes `usual`.
    fn end(&self, planned: Nanos, usual: Nanos, is_hit: bool, fails: bool) -> Completion {
        let meets = self.outages.iter().find(|(from, to)| (*from..*to).contains(&planned) && is_hit);
        let failed = |outcome, after| Completion::failed(outcome, Some(planned), planned + after, "down");
        match (meets, self.outage) {
            (None, _) if fails => failed(Outcome::Rejected, usual),
            (None, _) => Completion::ok(planned, planned + usual),
            (Some(_), Outage::Refuses) => failed(Outcome::Disconnected, Nanos::from_millis(1)),
            (Some((_, to)), Outage::Holds(timeout)) if *to - planned + usual < timeout => {
                Completion::ok(planned, *to + usual)
            }
            (Some(_), Outage::Swallows(timeout) | Outage::Holds(timeout)) => failed(Outcome::TimedOut, timeout),
        }
    }

    /// The same of users who start again when they are done, and thought for a while.
    fn of_users(&self, users: u64, think: Nanos) -> Vec<(Nanos, Completion)> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut all = Vec::new();
        for user in 0..users {
            let mut at = Nanos(think.0 / users * user);
            while at < self.until {
                let completion = self.end(at, Nanos::from_millis(rng.random_range(4..12)), true, false);
                let next = completion.done + think;
                all.push((at, completion));
                at = next;
            }
        }
        all.sort_by_key(|(planned, _)| *planned);
        all
    }

    /// What becomes of every operation: (planned, completion).
    fn operations(&self) -> Vec<(Nanos, Completion)> {
        if let Some((users, think)) = self.users {
            return self.of_users(users, think);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut at = 0.0;
        let mut all = Vec::new();
        loop {
            at -= (1.0 - rng.random::<f64>()).ln() / self.rate;
            let planned = Nanos::from_secs_f64(at);
            if planned >= self.until {
                return all;
            }
            // 5 ms, and an exponential tail of 3 ms.
            let usual = Nanos((5e6 - (1.0 - rng.random::<f64>()).ln() * 3e6) as u64);
            let is_hit = rng.random::<f64>() < self.hit;
            let fails = rng.random::<f64>() < self.noise;
            all.push((planned, self.end(planned, usual, is_hit, fails)));
        }
    }

    /// The windows of the timeline, as a worker closes them, until everything has ended.
    pub(super) fn windows(&self) -> Vec<Window> {
        let operations = self.operations();
        let mut events: Vec<(Nanos, usize, bool)> = Vec::with_capacity(operations.len() * 2);
        for (i, (planned, completion)) in operations.iter().enumerate() {
            events.push((*planned, i, false));
            events.push((completion.done, i, true));
        }
        events.sort_by_key(|(at, i, ended)| (*at, *ended, *i));
        let mut recorder = Recorder::new(vec![OperationShape::default()], self.window).with_cohorts(true);
        let mut windows = Vec::new();
        for (at, i, ended) in events {
            while at >= recorder.window_end() {
                windows.push(recorder.close_window());
            }
            let (planned, completion) = &operations[i];
            if ended {
                recorder.ended(OperationId(0), true, *planned, completion);
            } else {
                recorder.fired(OperationId(0), true, *planned, at);
            }
        }
        windows.push(recorder.close_window());
        windows
    }

    pub(super) fn cells(&self, windows: &[Window]) -> Cells {
        let component = Component { name: "database/*".into(), operations: vec![OperationId(0)], promises: Vec::new() };
        let mut cells = Cells::new(component, self.window, 0, 10_000);
        windows.iter().for_each(|window| cells.add(window));
        cells
    }

    pub(super) fn watched(&self) -> Watched {
        Watched { fault: self.fault, until: self.until, restored_after: 30, clock_bound: Nanos::ZERO }
    }

    /// What is read from it.
    pub(super) fn recovery(&self) -> super::ComponentRecovery {
        super::recovery(&self.cells(&self.windows()), &self.watched())
    }
}
