//! Where one worker counts: owned, without locks.

use std::collections::BTreeMap;

use super::arrivals::FiredArrivals;
use super::cohort::{Cohort, cohort_of};
use super::troubles::Trouble;
use super::{ByLateness, Latencies, OperationShape, Series, Tally, Window};
use crate::model::{Completion, Nanos, OperationId, Outcome};

/// One worker's open window. Samples go in by `&mut`; closing it gives the window away.
#[derive(Debug)]
pub struct Recorder {
    shapes: Vec<OperationShape>,
    length: Nanos,
    index: u64,
    /// By operation × (judged, unjudged); allocated when first used.
    tallies: Vec<[Option<Box<Tally>>; 2]>,
    dispatch_lag: Latencies,
    arrivals: FiredArrivals,
    in_flight: u64,
    /// Operations under way × time in the open window, up to `looked_at`.
    in_flight_time: Nanos,
    looked_at: Nanos,
    /// By operation, in order of their windows; `None` where nobody asks when operations were meant to start.
    cohorts: Option<Vec<Vec<Cohort>>>,
    /// What went wrong, by operation and the window in which it was meant to start.
    troubles: BTreeMap<(OperationId, u64), Trouble>,
}

impl Recorder {
    /// A recorder whose first window is number 0. `length` is above zero.
    pub fn new(shapes: Vec<OperationShape>, length: Nanos) -> Self {
        let tallies = shapes.iter().map(|_| [None, None]).collect();
        Self {
            shapes,
            length,
            index: 0,
            tallies,
            dispatch_lag: Latencies::default(),
            arrivals: FiredArrivals::default(),
            in_flight: 0,
            in_flight_time: Nanos::ZERO,
            looked_at: Nanos::ZERO,
            cohorts: None,
            troubles: BTreeMap::new(),
        }
    }

    /// Keeps cohorts too, where `asked`: what recovery after a fault is read from.
    #[must_use]
    pub fn with_cohorts(mut self, asked: bool) -> Self {
        self.cohorts = asked.then(|| vec![Vec::new(); self.shapes.len()]);
        self
    }

    /// The cohort of what was meant to start at `intended`.
    fn cohort(&mut self, operation: OperationId, intended: Nanos) -> Option<&mut Cohort> {
        let window = intended.0 / self.length.0;
        self.cohorts.as_mut().map(|cohorts| cohort_of(&mut cohorts[operation.index()], window))
    }

    fn due(&mut self, operation: OperationId, judged: bool, intended: Nanos) {
        self.tally(operation, judged).planned += 1;
        self.in_flight += 1;
        if let Some(cohort) = self.cohort(operation, intended) {
            cohort.planned += 1;
        }
    }

    fn tally(&mut self, operation: OperationId, judged: bool) -> &mut Tally {
        let shape = &self.shapes[operation.index()];
        self.tallies[operation.index()][usize::from(!judged)].get_or_insert_with(|| Box::new(shape.tally()))
    }

    /// The engine's clock reads `now`, and what is under way is about to change: so many were under way until now.
    /// Counts no further than to the open window's end.
    pub fn look(&mut self, now: Nanos) {
        let now = now.min(self.window_end());
        // Nanoseconds of differences never go below zero.
        let since = now - self.looked_at;
        self.in_flight_time += Nanos(since.0.saturating_mul(self.in_flight));
        self.looked_at = self.looked_at.max(now);
    }

    /// An arrival became due and was fired at `fired`.
    pub fn fired(&mut self, operation: OperationId, judged: bool, intended: Nanos, fired: Nanos) {
        self.due(operation, judged, intended);
        self.dispatch_lag.record(fired - intended);
        self.arrivals.fired(intended.0 / self.length.0, self.index);
    }

    /// A step of a flow, or a virtual user's next operation, began: planned by the engine itself, so
    /// there is no lateness to record.
    pub fn began(&mut self, operation: OperationId, judged: bool, intended: Nanos) {
        self.due(operation, judged, intended);
    }

    /// What began, or was fired at the very instant at which it was meant to, has ended.
    pub fn ended(&mut self, operation: OperationId, judged: bool, intended: Nanos, completion: &Completion) {
        self.ended_of(operation, judged, (intended, intended), completion);
    }

    /// What was meant to start at `intended` and was fired at `fired` has ended.
    pub fn ended_of(
        &mut self,
        operation: OperationId,
        judged: bool,
        (intended, fired): (Nanos, Nanos),
        completion: &Completion,
    ) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let mut cohort = self.cohorts.as_mut().map(|cohorts| {
            let cohort = cohort_of(&mut cohorts[operation.index()], intended.0 / self.length.0);
            cohort.count(intended, completion);
            let thresholds = self.shapes[operation.index()].thresholds.len();
            cohort.exceeded.resize(thresholds, 0);
            cohort.observed.resize(thresholds, 0);
            cohort
        });
        let shape = &self.shapes[operation.index()];
        let tally =
            self.tallies[operation.index()][usize::from(!judged)].get_or_insert_with(|| Box::new(shape.tally()));
        let outcome = completion.outcome;
        tally.outcomes[outcome.index()] += 1;
        let response = completion.done - intended;
        let planned = (operation, intended.0 / self.length.0);
        let is_unsent = completion.is_unsent();
        tally.unsent += u64::from(is_unsent);
        if outcome.is_failure() && !is_unsent {
            self.troubles.entry(planned).or_default().fail(completion.error.as_deref());
        }
        let service = completion.sent.map(|sent| completion.done - sent);
        match outcome {
            Outcome::Ok => tally.response.record(response),
            // A block says nothing about the target, and what was dropped or never ended has no time.
            Outcome::Blocked | Outcome::Dropped | Outcome::Unknown => {}
            _ if is_unsent => {}
            Outcome::Rejected | Outcome::TimedOut | Outcome::Disconnected => tally.failed.record(response),
        }
        if let Some(sent) = completion.sent {
            tally.service.record(completion.done - sent);
            tally.send_lag.record(sent - intended);
        }
        for &(index, length) in &completion.timings {
            if let Some(timing) = tally.timings.get_mut(usize::from(index)) {
                timing.record(length);
            }
        }
        for &(index, good, total) in &completion.ratios {
            if let Some(ratio) = tally.ratios.get_mut(usize::from(index)) {
                ratio.0 += u64::from(good);
                ratio.1 += u64::from(total);
            }
        }
        if outcome != Outcome::Blocked && !is_unsent {
            for (i, threshold) in shape.thresholds.iter().enumerate() {
                let failed = outcome.is_failure();
                let value = match threshold.series {
                    Series::ResponseTime => Some(response),
                    Series::ServiceTime => service,
                    Series::Timing(index) => {
                        // A timing that an answered request did not have (no connect on a kept
                        // connection) is no sample; a failure always is.
                        completion.timings.iter().find(|t| t.0 == index).map(|t| t.1)
                    }
                };
                if failed || value.is_some() {
                    let exceeded = u64::from(failed || value.is_some_and(|v| v >= threshold.limit));
                    tally.observed[i] += 1;
                    tally.exceeded[i] += exceeded;
                    if exceeded > 0 {
                        self.troubles.entry(planned).or_default().exceed(i, shape.thresholds.len());
                    }
                    // Only response times hold the generator's lateness. A failure is one in any case.
                    let is_late = exceeded > 0 && !failed && threshold.series == Series::ResponseTime;
                    if is_late && completion.done - fired < threshold.limit {
                        tally.by_lateness.resize(shape.thresholds.len(), ByLateness::default());
                        tally.by_lateness[i].samples += 1;
                        tally.by_lateness[i].lateness_max = tally.by_lateness[i].lateness_max.max(fired - intended);
                    }
                    if let Some(cohort) = &mut cohort {
                        cohort.observed[i] += 1;
                        cohort.exceeded[i] += exceeded;
                    }
                }
            }
        }
        tally.retried += u64::from(completion.retries);
        if let Some(traffic) = &completion.traffic {
            tally.traffic.add(traffic);
        }
        if let Some(kind) = &completion.error {
            tally.errors.add(kind, 1);
        }
    }

    /// Operations under way.
    pub const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Number of the open window.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// When the open window ends.
    pub const fn window_end(&self) -> Nanos {
        Nanos((self.index + 1) * self.length.0)
    }

    /// Closes the open window and opens the next.
    pub fn close_window(&mut self) -> Window {
        self.look(self.window_end());
        let mut window = Window {
            index: self.index,
            length: self.length,
            in_flight: self.in_flight,
            in_flight_time: std::mem::take(&mut self.in_flight_time),
            ..Window::default()
        };
        std::mem::swap(&mut window.dispatch_lag, &mut self.dispatch_lag);
        window.arrivals = std::mem::take(&mut self.arrivals);
        for (i, [judged, unjudged]) in self.tallies.iter_mut().enumerate() {
            let operation = OperationId(i as u16);
            window.judged.extend(judged.take().map(|t| (operation, *t)));
            window.unjudged.extend(unjudged.take().map(|t| (operation, *t)));
        }
        for (i, cohorts) in self.cohorts.iter_mut().flatten().enumerate().filter(|(_, cohorts)| !cohorts.is_empty()) {
            window.cohorts.push((OperationId(i as u16), std::mem::take(cohorts)));
        }
        for ((operation, planned), trouble) in std::mem::take(&mut self.troubles) {
            let trouble = Trouble { window: planned, ..trouble };
            match window.troubles.last_mut() {
                Some((of, troubles)) if *of == operation => troubles.push(trouble),
                _ => window.troubles.push((operation, vec![trouble])),
            }
        }
        self.index += 1;
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Threshold;

    #[test]
    fn what_was_never_sent_is_a_failure_of_nobody() {
        let mut recorder = recorder(500).with_cohorts(true);
        let (operation, at) = (OperationId(0), Nanos::from_millis(100));
        for kind in ["workload: no `order` was captured", "status 500"] {
            recorder.fired(operation, true, at, at);
            recorder.ended(operation, true, at, &Completion::failed(Outcome::Rejected, None, at, kind));
        }
        let window = recorder.close_window();
        let tally = &window.judged[0].1;
        assert_eq!((tally.planned, tally.completed(), tally.unsent), (2, 2, 1), "the books hold both");
        assert_eq!((tally.failures(), tally.countable()), (1, 1));
        assert_eq!((tally.exceeded[0], tally.observed[0]), (1, 1));
        assert_eq!(window.troubles[0].1[0].failed, 1);
        let cohort = &window.cohorts[0].1[0];
        assert_eq!((cohort.failed, cohort.blocked), (1, 1));
    }

    #[test]
    fn what_ends_late_belongs_to_the_window_in_which_it_was_meant_to_start() {
        let mut recorder = recorder(500).with_cohorts(true);
        let operation = OperationId(0);
        let (first, second) = (Nanos::from_millis(900), Nanos::from_millis(1_100));
        recorder.fired(operation, true, first, first);
        let window = recorder.close_window();
        let cohort = &window.cohorts[0].1[0];
        assert_eq!((cohort.window, cohort.planned, cohort.ended()), (0, 1, 0));
        recorder.began(operation, true, second);
        let timed_out = Completion::failed(Outcome::TimedOut, None, Nanos::from_millis(1_900), "timeout");
        recorder.ended(operation, true, first, &timed_out);
        recorder.ended(operation, true, second, &Completion::ok(second, Nanos::from_millis(1_150)));
        let window = recorder.close_window();
        assert_eq!(window.judged[0].1.failures(), 1);
        let [(_, cohorts)] = window.cohorts.as_slice() else { panic!("one operation") };
        let [late, prompt] = cohorts.as_slice() else { panic!("two cohorts") };
        assert_eq!((late.window, late.planned, late.failed, late.first_failed), (0, 0, 1, Some(first)));
        assert_eq!((late.exceeded[0], late.observed[0]), (1, 1));
        assert_eq!((prompt.window, prompt.planned, prompt.ok), (1, 1, 1));
        assert_eq!((prompt.exceeded[0], prompt.observed[0]), (0, 1));
        assert!(recorder.close_window().cohorts.is_empty());
    }

    #[test]
    fn what_went_wrong_is_kept_by_the_window_in_which_it_was_meant_to_start() {
        let mut recorder = recorder(500);
        let (operation, at) = (OperationId(0), Nanos::from_millis);
        for intended in [900, 950, 960] {
            recorder.fired(operation, true, at(intended), at(intended));
        }
        assert!(recorder.close_window().troubles.is_empty());
        let refused = Completion::failed(Outcome::Disconnected, None, at(1_900), "refused");
        recorder.ended(operation, true, at(900), &refused);
        recorder.ended(operation, true, at(950), &Completion::ok(at(950), at(1_500)));
        recorder.ended(operation, true, at(960), &Completion::ok(at(960), at(1_000)));
        let window = recorder.close_window();
        let [(_, troubles)] = window.troubles.as_slice() else { panic!("one operation") };
        let [trouble] = troubles.as_slice() else { panic!("one window") };
        assert_eq!((trouble.window, trouble.failed, trouble.exceeded.as_slice()), (0, 1, [2].as_slice()));
        assert_eq!(trouble.errors.top(), [("refused", 1)]);
        assert!(window.is_possible());
    }

    #[test]
    fn nobody_pays_for_cohorts_that_are_not_asked_for() {
        let mut recorder = recorder(500);
        recorder.began(OperationId(0), true, Nanos(5));
        assert!(recorder.close_window().cohorts.is_empty());
    }

    fn recorder(limit_ms: u64) -> Recorder {
        let thresholds = vec![Threshold { series: Series::ResponseTime, limit: Nanos::from_millis(limit_ms) }];
        Recorder::new(vec![OperationShape { timings: 1, ratios: 1, thresholds }], Nanos::from_secs(1))
    }

    #[test]
    fn response_time_counts_from_the_planned_instant() {
        let mut recorder = recorder(500);
        let (intended, sent, done) = (Nanos::from_millis(100), Nanos::from_millis(600), Nanos::from_millis(610));
        recorder.fired(OperationId(0), true, intended, sent);
        recorder.ended(OperationId(0), true, intended, &Completion::ok(sent, done));
        let window = recorder.close_window();
        let tally = &window.judged[0].1;
        let near = |a: Nanos, ms: f64| (a.as_millis_f64() - ms).abs() < ms * 0.001;
        assert!(near(tally.response.max(), 510.0), "{}", tally.response.max());
        assert!(near(tally.service.max(), 10.0), "{}", tally.service.max());
        assert!(near(tally.send_lag.max(), 500.0));
        assert_eq!((tally.exceeded[0], tally.observed[0]), (1, 1));
    }

    #[test]
    fn failures_stay_in_the_denominator_and_exceed_every_threshold() {
        let mut recorder = recorder(500);
        let failures =
            [Outcome::Rejected, Outcome::TimedOut, Outcome::Disconnected, Outcome::Dropped, Outcome::Unknown];
        for outcome in failures {
            recorder.fired(OperationId(0), true, Nanos(0), Nanos(0));
            recorder.ended(OperationId(0), true, Nanos(0), &Completion::failed(outcome, None, Nanos(5), "x"));
        }
        recorder.fired(OperationId(0), true, Nanos(0), Nanos(0));
        recorder.ended(OperationId(0), true, Nanos(0), &Completion::failed(Outcome::Blocked, None, Nanos(5), "waf"));
        let window = recorder.close_window();
        let tally = &window.judged[0].1;
        assert_eq!((tally.exceeded[0], tally.observed[0]), (5, 5));
        assert_eq!((tally.failures(), tally.countable(), tally.completed(), tally.planned), (5, 5, 6, 6));
        assert_eq!(window.in_flight, 0);
    }

    #[test]
    fn what_is_under_way_is_weighted_by_time_over_windows() {
        let mut recorder = recorder(500);
        let (operation, at) = (OperationId(0), Nanos::from_millis);
        // One from 0.2 s to 2.5 s, another from 0.6 s to 0.7 s.
        for (now, begins) in [(200, true), (600, true), (700, false)] {
            recorder.look(at(now));
            if begins {
                recorder.began(operation, true, at(now));
            } else {
                recorder.ended(operation, true, at(600), &Completion::ok(at(600), at(now)));
            }
        }
        let first = recorder.close_window().in_flight_time;
        let second = recorder.close_window().in_flight_time;
        recorder.look(at(2_500));
        recorder.ended(operation, true, at(200), &Completion::ok(at(200), at(2_500)));
        let third = recorder.close_window().in_flight_time;
        assert_eq!([first, second, third], [at(900), at(1_000), at(500)]);
    }

    #[test]
    fn what_only_lateness_made_is_told_apart() {
        let mut recorder = recorder(500);
        let at = Nanos::from_millis;
        for (fired, done) in [(0, 499), (10, 500), (20, 519), (20, 520), (0, 600)] {
            recorder.fired(OperationId(0), true, Nanos(0), at(fired));
            recorder.ended_of(OperationId(0), true, (Nanos(0), at(fired)), &Completion::ok(at(fired), at(done)));
        }
        let timed_out = Completion::failed(Outcome::TimedOut, None, at(20), "timeout");
        recorder.fired(OperationId(0), true, Nanos(0), at(15));
        recorder.ended_of(OperationId(0), true, (Nanos(0), at(15)), &timed_out);
        let tally = &recorder.close_window().judged[0].1;
        assert_eq!((tally.exceeded[0], tally.observed[0]), (5, 6));
        assert_eq!(tally.by_lateness, [ByLateness { samples: 2, lateness_max: at(20) }]);
    }

    #[test]
    fn a_limit_is_exact_where_a_bucket_would_not_be() {
        let mut recorder = recorder(500);
        for done in [499_999_999, 500_000_000, 500_000_001] {
            recorder.fired(OperationId(0), true, Nanos(0), Nanos(0));
            recorder.ended(OperationId(0), true, Nanos(0), &Completion::ok(Nanos(0), Nanos(done)));
        }
        assert_eq!(recorder.close_window().judged[0].1.exceeded[0], 2);
    }
}
