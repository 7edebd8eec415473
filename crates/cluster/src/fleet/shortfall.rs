//! Which arrivals an agent owned, and how many they were: what a lost agent did not send is owed, and a run
//! that owes is not the run that was planned.

use std::collections::{BTreeMap, HashMap};

use crate::wire;
use slatest_core::model::Nanos;
use slatest_core::schedule::{ArrivalSchedule, Curve, Stripe};
use slatest_engine::profile::{ExecutorPlan, Plan, ScenarioPlan};

/// Schedules beyond this are not gone through: 100 million arrivals take some seconds. Then the rate's
/// integral says how many there are, to within its square root.
const COUNTED_MAX: f64 = 1e8;

/// A part of the schedule that an agent owns for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which arrivals.
    pub stripe: Stripe,
    /// From this instant of the run on.
    pub from: Nanos,
    /// Until this one, which is no more part of it.
    pub until: Nanos,
}

/// Part `part` of `parts` of a stripe, a stripe again; `None` where its numbers are beyond any run.
pub fn part_of(stripe: Stripe, part: u64, parts: u64) -> Option<Stripe> {
    let of = stripe.of.checked_mul(parts).filter(|&of| of > 0)?;
    stripe.of.checked_mul(part)?.checked_add(stripe.index).filter(|&index| index < of)?;
    Some(stripe.part_of(part, parts))
}

/// The stripe that a takeover gives.
pub fn taken(takeover: &wire::Takeover) -> Option<Stripe> {
    part_of(Stripe { index: takeover.index, of: takeover.of }, takeover.part, takeover.parts)
}

/// How many arrivals each of these pieces has, added up by the key that it comes with. One pass over the
/// schedule, however many pieces.
pub fn arrivals(plan: &Plan, pieces: &[(usize, Piece)]) -> BTreeMap<usize, u64> {
    let mut counts = BTreeMap::new();
    // By divisor, then by remainder: an arrival is looked up once for each divisor.
    let mut by_stripe: BTreeMap<u64, HashMap<u64, Vec<(usize, Piece)>>> = BTreeMap::new();
    for &(key, piece) in pieces.iter().filter(|(_, piece)| piece.stripe.of > 0 && piece.from < piece.until) {
        by_stripe.entry(piece.stripe.of).or_default().entry(piece.stripe.index).or_default().push((key, piece));
    }
    let last = pieces.iter().map(|(_, piece)| piece.until).max().unwrap_or(Nanos::ZERO);
    if by_stripe.is_empty() {
        return counts;
    }
    for scenario in &plan.scenarios {
        let ExecutorPlan::Arrivals { law, stages } = &scenario.executor else { continue };
        let curve = Curve::new(stages);
        if curve.total() > COUNTED_MAX {
            for &(key, piece) in pieces {
                *counts.entry(key).or_default() += expected(&curve, scenario, piece);
            }
            continue;
        }
        for (seq, at) in ArrivalSchedule::new(stages, *law, plan.seed, &scenario.name) {
            let at = scenario.start + at;
            if at >= last {
                break;
            }
            for (of, stripes) in &by_stripe {
                let owners = stripes.get(&(scenario.places.owner_number(seq) % of)).into_iter().flatten();
                for (key, _) in owners.filter(|(_, piece)| at >= piece.from && at < piece.until) {
                    *counts.entry(*key).or_default() += 1;
                }
            }
        }
    }
    counts
}

fn expected(curve: &Curve, scenario: &ScenarioPlan, piece: Piece) -> u64 {
    let level = |at: Nanos| curve.integral_to(at - scenario.start);
    let fraction = scenario.places.share(piece.stripe).fraction();
    ((level(piece.until) - level(piece.from)) * fraction).max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::tests::plan;
    use super::*;
    use slatest_core::schedule::Places;
    use slatest_engine::profile::OnAgentLoss;

    fn whole(plan: &Plan) -> Vec<(u64, Nanos)> {
        let scenario = &plan.scenarios[0];
        let ExecutorPlan::Arrivals { law, stages } = &scenario.executor else { panic!("an open model") };
        ArrivalSchedule::new(stages, *law, plan.seed, &scenario.name).collect()
    }

    /// Agents that are lost one after another, each at an instant; the others share out what it owned.
    fn after_losses(agents: u64, losses: &[(u64, Nanos)]) -> Vec<(usize, Piece)> {
        let own = |index| Piece { stripe: Stripe { index, of: agents }, from: Nanos::ZERO, until: Nanos::MAX };
        let mut pieces: Vec<(usize, Piece)> = (0..agents).map(|index| (index as usize, own(index))).collect();
        let mut there: Vec<usize> = (0..agents as usize).collect();
        let mut now = Nanos::ZERO;
        for (which, after) in losses {
            if there.len() == 1 {
                break;
            }
            now += *after;
            let lost = there.remove((which % there.len() as u64) as usize);
            let mut taken = Vec::new();
            for (_, piece) in pieces.iter_mut().filter(|(owner, piece)| *owner == lost && piece.until > now) {
                let from = now.max(piece.from);
                piece.until = from;
                for (part, agent) in (0..).zip(&there) {
                    let stripe = part_of(piece.stripe, part, there.len() as u64).expect("small numbers");
                    taken.push((*agent, Piece { stripe, from, until: Nanos::MAX }));
                }
            }
            pieces.extend(taken);
        }
        pieces
    }

    proptest! {
        #[test]
        fn agents_and_their_workers_make_up_the_one_machine_schedule(
            agents in 1..7_u64,
            workers in 1..5_u64,
            seed: u64,
            places in prop_oneof![
                Just(Places::UNBOUNDED),
                (1..20_u64, 0..5_u64).prop_map(|(count, first)| Places { count, first }),
            ],
            losses in prop::collection::vec((any::<u64>(), (0..6_000_u64).prop_map(Nanos::from_millis)), 0..4),
        ) {
            let mut plan = Plan { seed, ..plan(12, 40.0, OnAgentLoss::Redistribute) };
            plan.scenarios[0].places = places;
            let pieces = after_losses(agents, &losses);
            let mut union = Vec::new();
            for (_, piece) in &pieces {
                for worker in 0..workers {
                    let ExecutorPlan::Arrivals { law, stages } = &plan.scenarios[0].executor else { panic!("open") };
                    let schedule = ArrivalSchedule::new(stages, *law, plan.seed, &plan.scenarios[0].name);
                    let share = plan.scenarios[0].places.share(piece.stripe.part_of(worker, workers));
                    let part = share.part(schedule);
                    union.extend(part.filter(|(_, at)| *at >= piece.from && *at < piece.until));
                }
            }
            union.sort_unstable();
            prop_assert_eq!(&union, &whole(&plan), "none is missing, none comes twice");
            // And the books count the same.
            let counts = arrivals(&plan, &pieces);
            prop_assert_eq!(counts.values().sum::<u64>(), union.len() as u64);
            for (agent, count) in counts {
                let mine = pieces.iter().filter(|(owner, _)| *owner == agent);
                let owns = |seq: u64, at: Nanos| {
                    mine.clone().any(|(_, p)| plan.scenarios[0].places.share(p.stripe).owns(seq) && at >= p.from && at < p.until)
                };
                prop_assert_eq!(whole(&plan).iter().filter(|(seq, at)| owns(*seq, *at)).count() as u64, count);
            }
        }
    }

    #[test]
    fn what_is_cut_short_is_counted_up_to_there() {
        let plan = Arc::new(plan(12, 40.0, OnAgentLoss::Void));
        let until = Nanos::from_secs(5);
        let piece = Piece { stripe: Stripe { index: 1, of: 3 }, from: Nanos::from_secs(2), until };
        let counted = whole(&plan).iter().filter(|(seq, at)| seq % 3 == 1 && *at >= piece.from && *at < until).count();
        assert_eq!(arrivals(&plan, &[(7, piece)]).get(&7), Some(&(counted as u64)));
        let none = Piece { until: piece.from, ..piece };
        assert!(arrivals(&plan, &[(7, none)]).is_empty());
    }

    #[test]
    fn a_schedule_that_is_too_long_is_counted_by_its_rate() {
        let plan = plan(1_000_000, 1_000.0, OnAgentLoss::Void);
        let stripe = Stripe { index: 0, of: 4 };
        let piece = Piece { stripe, from: Nanos::from_secs(10), until: Nanos::from_secs(30) };
        assert_eq!(arrivals(&plan, &[(0, piece)]).get(&0), Some(&5_000));
    }

    #[test]
    fn numbers_beyond_any_run_are_no_stripe() {
        assert_eq!(part_of(Stripe { index: 0, of: u64::MAX }, 0, 2), None);
        assert_eq!(part_of(Stripe { index: 0, of: 4 }, 0, 0), None);
        assert_eq!(part_of(Stripe { index: 1, of: 4 }, 2, 3), Some(Stripe { index: 9, of: 12 }));
    }
}
