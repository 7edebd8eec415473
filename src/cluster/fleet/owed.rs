//! Which arrivals an agent owned, and how many they were: what a lost agent did not send is owed, and a run
//! that owes is not the run that was planned.

use std::collections::{BTreeMap, HashMap};

use crate::cluster::wire;
use crate::model::Nanos;
use crate::profile::{ExecutorPlan, Plan, ScenarioPlan};
use crate::schedule::{ArrivalSchedule, Curve, Stripe};

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
                let owners = stripes.get(&(seq % of)).into_iter().flatten();
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
    ((level(piece.until) - level(piece.from)) / piece.stripe.of as f64).max(0.0).round() as u64
}
