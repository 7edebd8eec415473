//! Which worker owns an arrival.

/// One of `of` owners: it owns the arrivals with `seq % of == index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripe {
    /// From 0.
    pub index: u64,
    /// At least 1.
    pub of: u64,
}

impl Stripe {
    /// Owns everything.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Part `part` of `parts` of it: its own arrivals in turn. The parts of a stripe make up the stripe.
    pub const fn part_of(self, part: u64, parts: u64) -> Self {
        Self { index: self.index + self.of * part, of: self.of * parts }
    }

    /// Whether it owns the arrival (or user) of this number.
    pub const fn owns(&self, seq: u64) -> bool {
        seq % self.of == self.index
    }

    /// How many of the numbers below `count` it owns.
    pub const fn share_of(&self, count: u64) -> u64 {
        count / self.of + if self.index < count % self.of { 1 } else { 0 }
    }

    /// Its part of a schedule.
    pub const fn part<S>(self, schedule: S) -> Striped<S> {
        Striped { schedule, stripe: self }
    }
}

/// The arrivals of a schedule that one stripe owns.
#[derive(Clone, Debug)]
pub struct Striped<S> {
    schedule: S,
    stripe: Stripe,
}

impl<T, S: Iterator<Item = (u64, T)>> Iterator for Striped<S> {
    type Item = (u64, T);

    fn next(&mut self) -> Option<(u64, T)> {
        self.schedule.by_ref().find(|(seq, _)| self.stripe.owns(*seq))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Nanos;
    use crate::schedule::{ArrivalLaw, ArrivalSchedule, StagePlan};

    proptest! {
        #[test]
        fn stripes_partition_the_schedule(of in 1..9_u64, seed: u64) {
            let stages = [StagePlan { duration: Nanos::from_secs(3), from: 10.0, to: 120.0 }];
            let whole = || ArrivalSchedule::new(&stages, ArrivalLaw::Poisson, seed, "s");
            let mut union: Vec<_> = (0..of).flat_map(|index| Stripe { index, of }.part(whole())).collect();
            union.sort_unstable();
            prop_assert_eq!(union, whole().collect::<Vec<_>>());
        }

        #[test]
        fn parts_partition_a_stripe(of in 1..9_u64, index in 0..9_u64, parts in 1..9_u64, seq in 0..10_000_u64) {
            let stripe = Stripe { index: index % of, of };
            let owners = (0..parts).filter(|&part| stripe.part_of(part, parts).owns(seq)).count();
            prop_assert_eq!(owners, usize::from(stripe.owns(seq)));
        }

        #[test]
        fn shares_add_up(of in 1..20_u64, count in 0..1000_u64) {
            let shares: Vec<u64> = (0..of).map(|index| Stripe { index, of }.share_of(count)).collect();
            prop_assert_eq!(shares.iter().sum::<u64>(), count);
            for (index, share) in shares.iter().enumerate() {
                let stripe = Stripe { index: index as u64, of };
                prop_assert_eq!((0..count).filter(|n| stripe.owns(*n)).count() as u64, *share);
            }
        }
    }
}
