//! Whether arrivals came in the shape that was planned: a sample of the gaps between them, as they
//! were really fired.

use crate::profile::{ExecutorPlan, ScenarioPlan};
use slatest_core::model::Nanos;
use slatest_core::schedule::{ArrivalLaw, Curve, Share};
use slatest_stats::gap_to_uniform;

/// A gap spans as many arrivals as make its standard deviation this long. Much below it, what is seen
/// is the kernel's timers, and the dispatch lag bounds these.
const SPREAD_SECS: f64 = 5e-3;
/// It spans at least so many: what comes together is fired together, so the gap between neighbours is
/// often none at all, and the statistic weighs its tails.
const ARRIVALS_FEWEST: f64 = 4.0;
/// It spans no more than leaves so many gaps.
const GAPS_WANTED: f64 = 200.0;

/// A worker's sample of one scenario's gaps. Constant memory, and two words of work an arrival.
#[derive(Debug)]
pub struct ArrivalLawSample {
    curve: Curve,
    start: Nanos,
    /// A gap spans so many arrivals of the scenario, more or less: it lasts from this worker's first arrival of one
    /// block of them to its first of the next. What exactly it spans, the numbers of its arrivals say.
    block: u64,
    /// Blocks from the start of one sampled gap to the next.
    cycle: u64,
    /// The first of them. Workers take turns: gaps over the same time would be long or short together, and count
    /// several times.
    offset: u64,
    /// Instant, number and block of the arrival that the open gap begins with.
    from: Option<(Nanos, u64, u64)>,
    /// Beginning, end, and arrivals of the whole scenario in between: the shape of its Erlang law.
    gaps: Vec<(Nanos, Nanos, u32)>,
    room: usize,
}

impl ArrivalLawSample {
    /// For at most `room` gaps of what a worker fires of a scenario; `None` where there is no random
    /// law: a closed model, or arrivals at equal distances, which the dispatch lag tells all of.
    ///
    /// After m arrivals of a Poisson process of rate λ the standard deviation of the elapsed time is
    /// √m / λ; a worker that owns each n-th arrival sees gaps of m = n·span.
    pub fn new(scenario: &ScenarioPlan, share: Share, room: usize) -> Option<Self> {
        let ExecutorPlan::Arrivals { law: ArrivalLaw::Poisson, stages } = &scenario.executor else { return None };
        let curve = Curve::new(stages);
        let arrivals = (SPREAD_SECS * curve.peak()).powi(2).min(curve.total() / GAPS_WANTED).max(ARRIVALS_FEWEST);
        if share.is_empty() {
            return None;
        }
        let (owners, owner) = share.turn();
        let block = (arrivals / owners as f64).ceil().max(1.0) * owners as f64;
        let gaps = curve.total() / block / owners as f64;
        let turns = (gaps / room.max(1) as f64).ceil().max(1.0);
        Some(Self {
            start: scenario.start,
            block: block as u64,
            cycle: (turns as u64).saturating_mul(owners),
            offset: owner,
            from: None,
            gaps: Vec::new(),
            room,
            curve,
        })
    }

    /// The arrival of this number is fired now.
    pub fn fired(&mut self, seq: u64, now: Nanos) {
        let block = seq / self.block;
        let open = self.from.is_some_and(|(.., of)| of == block);
        if !open && let Some((from, first, _)) = self.from.take() {
            self.gaps.push((from, now, u32::try_from(seq - first).unwrap_or(u32::MAX)));
        }
        if !open && block % self.cycle == self.offset && self.gaps.len() < self.room {
            self.from = Some((now, seq, block));
        }
    }

    /// Every gap's probability of being no longer than it was: uniform in (0, 1) when arrivals came
    /// as planned. In units of expected arrivals (Λ-time) a gap is Erlang distributed whatever the
    /// rate did.
    pub fn uniforms(&self) -> impl Iterator<Item = f64> {
        let level = |at: Nanos| self.curve.integral_to(at - self.start);
        self.gaps.iter().map(move |&(from, to, shape)| gap_to_uniform(level(to) - level(from), shape))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Mix, RateCounts};
    use slatest_core::model::OperationId;
    use slatest_core::schedule::{ArrivalSchedule, Places, StagePlan, Stripe};
    use slatest_stats::{ARRIVAL_LAW_BOUND, GAPS_MAX, anderson_darling};

    fn scenario(law: ArrivalLaw, from: f64, to: f64) -> ScenarioPlan {
        ScenarioPlan {
            name: "api".into(),
            workload: "api".into(),
            endpoint: "api".into(),
            driver: "http".into(),
            executor: ExecutorPlan::Arrivals {
                law,
                stages: vec![StagePlan { duration: Nanos::from_secs(60), from, to }],
            },
            mix: Mix::Weighted,
            start: Nanos::from_secs(3),
            warm_up: Nanos::ZERO,
            cool_down: Nanos::ZERO,
            max_in_flight: 10,
            users: None,
            once: vec![],
            rate_counts: RateCounts::Arrivals,
            places: Places::UNBOUNDED,
            first_operation: OperationId(0),
            items: vec![],
        }
    }

    /// A² of a scenario's arrivals on `workers` workers when each is fired at `fire(intended)`.
    fn statistic(scenario: &ScenarioPlan, seed: u64, workers: u64, fire: impl Fn(Nanos) -> Nanos) -> (f64, usize) {
        let ExecutorPlan::Arrivals { law, stages } = &scenario.executor else { unreachable!() };
        let mut uniforms = Vec::new();
        for index in 0..workers {
            let share = scenario.places.share(Stripe { index, of: workers });
            let room = (GAPS_MAX as f64 * share.fraction()) as usize;
            let Some(mut sample) = ArrivalLawSample::new(scenario, share, room) else { continue };
            for (seq, at) in share.part(ArrivalSchedule::new(stages, *law, seed, &scenario.name)) {
                sample.fired(seq, fire(scenario.start + at));
            }
            uniforms.extend(sample.uniforms());
        }
        let gaps = uniforms.len();
        (anderson_darling(&mut uniforms), gaps)
    }

    #[test]
    fn a_schedule_that_is_kept_has_the_planned_law_at_any_rate_and_on_any_number_of_workers() {
        for (from, to) in [(50.0, 50.0), (300.0, 300.0), (100.0, 2_000.0), (20_000.0, 20_000.0)] {
            for workers in [1, 2, 5] {
                let scenario = scenario(ArrivalLaw::Poisson, from, to);
                let (a2, gaps) = statistic(&scenario, 42, workers, |at| at);
                assert!(a2 < ARRIVAL_LAW_BOUND, "{from}/s to {to}/s on {workers}: {a2} over {gaps} gaps");
                assert!((120..=GAPS_MAX).contains(&gaps), "{from}/s to {to}/s on {workers}: {gaps} gaps");
            }
        }
    }

    #[test]
    fn places_that_are_dealt_unevenly_keep_the_planned_law() {
        for (count, workers) in [(3, 2), (7, 3), (2, 5), (41, 4)] {
            let scenario =
                ScenarioPlan { places: Places { count, first: 1 }, ..scenario(ArrivalLaw::Poisson, 300.0, 300.0) };
            let (a2, gaps) = statistic(&scenario, 42, workers, |at| at);
            assert!(a2 < ARRIVAL_LAW_BOUND, "{count} places on {workers}: {a2} over {gaps} gaps");
        }
    }

    #[test]
    fn a_right_schedule_is_refused_no_more_often_on_several_workers_than_on_one() {
        // The bound is passed once in a thousand times, and 2.492 once in twenty.
        for workers in [1, 2, 5] {
            let scenario = scenario(ArrivalLaw::Poisson, 300.0, 300.0);
            let high = (0..40).filter(|&seed| statistic(&scenario, seed, workers, |at| at).0 > 2.492).count();
            // P(Bin(40, 0.05) ≥ 8) is below 0.001.
            assert!(high < 8, "{workers} workers: {high} of 40 above the 5 % point");
        }
    }

    #[test]
    fn a_generator_of_coarse_timers_is_found_out() {
        let tick = Nanos::from_millis(10).0;
        for rate in [300.0, 5_000.0] {
            let scenario = scenario(ArrivalLaw::Poisson, rate, rate);
            let (a2, _) = statistic(&scenario, 42, 1, |at| Nanos(at.0.next_multiple_of(tick)));
            assert!(a2 > ARRIVAL_LAW_BOUND, "{rate}/s: {a2}");
        }
    }

    #[test]
    fn a_generator_that_is_late_by_microseconds_is_not() {
        let scenario = scenario(ArrivalLaw::Poisson, 20_000.0, 20_000.0);
        let (a2, _) = statistic(&scenario, 42, 1, |at| at + Nanos(at.0 % 97 * 1_000));
        assert!(a2 < ARRIVAL_LAW_BOUND, "{a2}");
    }

    #[test]
    fn what_is_fired_together_because_it_came_together_is_no_other_law() {
        // Everything due within 300 µs goes out at once.
        let grain = 300_000;
        for rate in [100.0, 300.0, 1_000.0, 5_000.0] {
            let scenario = scenario(ArrivalLaw::Poisson, rate, rate);
            let (a2, _) = statistic(&scenario, 7, 2, |at| Nanos(at.0.next_multiple_of(grain)));
            assert!(a2 < ARRIVAL_LAW_BOUND / 2.0, "{rate}/s: {a2}");
        }
    }

    #[test]
    fn a_rate_that_was_not_kept_is_found_out() {
        let scenario = scenario(ArrivalLaw::Poisson, 300.0, 300.0);
        // Every other second at nothing, then both seconds' arrivals at double speed.
        let (a2, _) = statistic(&scenario, 42, 1, |at| {
            let pair = at.0 / 2_000_000_000 * 2_000_000_000;
            Nanos(pair + 1_000_000_000 + (at.0 - pair) / 2)
        });
        assert!(a2 > ARRIVAL_LAW_BOUND, "{a2}");
    }

    #[test]
    fn equal_distances_and_closed_models_are_not_sampled() {
        assert!(ArrivalLawSample::new(&scenario(ArrivalLaw::Uniform, 300.0, 300.0), Share::WHOLE, 10).is_none());
    }
}
