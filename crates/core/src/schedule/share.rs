//! What one owner has of a scenario: its arrivals, users, sessions and connections, by one rule.

use serde::{Deserialize, Serialize};

use super::Stripe;

/// The places of a scenario, which are dealt to the workers of all agents in turn. Whoever has none of them
/// has no part in the scenario: no session, no connection, no user, and no arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// How many there are, at least 1.
    pub count: u64,
    /// Number of the owner that has the first place, so that small scenarios are not all the same owner's.
    pub first: u64,
}

impl Default for Places {
    fn default() -> Self {
        Self::UNBOUNDED
    }
}

impl Places {
    /// As many as there are numbers: every owner has a part.
    pub const UNBOUNDED: Self = Self { count: u64::MAX, first: 0 };

    /// Whether every owner has a part.
    pub const fn is_unbounded(&self) -> bool {
        self.count == u64::MAX
    }

    /// The number of an arrival's (user's, session's) owner, before it is dealt to the owners that there are.
    pub const fn owner_number(self, number: u64) -> u64 {
        let count = if self.count == 0 { 1 } else { self.count };
        (number % count).wrapping_add(self.first)
    }

    /// What a stripe of the owners has.
    pub const fn share(self, stripe: Stripe) -> Share {
        Share { places: self, stripe }
    }
}

/// What one of a scenario's owners has. Shares of stripes that make up a whole make up the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    places: Places,
    stripe: Stripe,
}

impl Share {
    /// Everything.
    pub const WHOLE: Self = Places::UNBOUNDED.share(Stripe::WHOLE);

    /// Its part of the owners.
    pub const fn stripe(&self) -> Stripe {
        self.stripe
    }

    /// Whether it owns the arrival (user, session, connection) of this number.
    pub const fn owns(&self, number: u64) -> bool {
        self.stripe.owns(self.places.owner_number(number))
    }

    /// How many of the numbers below `count` it owns.
    pub const fn share_of(&self, count: u64) -> u64 {
        let places = self.count();
        (count / places) * self.places_below(places) + self.places_below(count % places)
    }

    /// Whether it owns nothing.
    pub const fn is_empty(&self) -> bool {
        self.places_below(self.count()) == 0
    }

    /// The number that it owns after `before` others of its own. Must not be empty.
    pub const fn nth(&self, before: u64) -> u64 {
        let places = self.count();
        let own = match self.places_below(places) {
            0 => 1,
            own => own,
        };
        (before / own) * places + self.first_place() + (before % own) * self.stripe.of
    }

    /// How many owners have a part, and which of them it is, from 0. Must not be empty.
    pub fn turn(&self) -> (u64, u64) {
        (self.count().min(self.stripe.of), self.first_place())
    }

    /// Which part of the whole it is, from 0 to 1.
    pub fn fraction(&self) -> f64 {
        if self.count() == u64::MAX {
            return 1.0 / self.stripe.of as f64;
        }
        self.places_below(self.count()) as f64 / self.count() as f64
    }

    /// Its part of a schedule.
    pub const fn part<S>(self, schedule: S) -> Shared<S> {
        Shared { schedule, share: self }
    }

    const fn count(&self) -> u64 {
        if self.places.count == 0 { 1 } else { self.places.count }
    }

    /// The lowest place that it could own.
    const fn first_place(&self) -> u64 {
        let Stripe { index, of } = self.stripe;
        let first = self.places.first % of;
        if index >= first { index - first } else { index + (of - first) }
    }

    const fn places_below(&self, count: u64) -> u64 {
        let first = self.first_place();
        if count <= first { 0 } else { (count - first - 1) / self.stripe.of + 1 }
    }
}

/// The arrivals of a schedule that one share owns.
#[derive(Clone, Debug)]
pub struct Shared<S> {
    schedule: S,
    share: Share,
}

impl<T, S: Iterator<Item = (u64, T)>> Iterator for Shared<S> {
    type Item = (u64, T);

    fn next(&mut self) -> Option<(u64, T)> {
        self.schedule.by_ref().find(|(seq, _)| self.share.owns(*seq))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Nanos;
    use crate::schedule::{ArrivalLaw, ArrivalSchedule, StagePlan};

    fn places() -> impl Strategy<Value = Places> {
        let counted = (1..50_u64, 0..9_u64).prop_map(|(count, first)| Places { count, first });
        prop_oneof![counted, Just(Places::UNBOUNDED)]
    }

    /// Every worker of every agent, each agent with a number of workers of its own.
    fn owners(workers: &[u64]) -> Vec<Stripe> {
        let of = workers.len() as u64;
        let agents = (0..).zip(workers).map(|(index, workers)| (Stripe { index, of }, *workers));
        agents.flat_map(|(agent, workers)| (0..workers).map(move |w| agent.part_of(w, workers))).collect()
    }

    proptest! {
        #[test]
        fn shares_partition_the_schedule(
            workers in prop::collection::vec(1..6_u64, 1..7),
            places in places(),
            seed: u64,
        ) {
            let stages = [StagePlan { duration: Nanos::from_secs(3), from: 10.0, to: 120.0 }];
            let whole = || ArrivalSchedule::new(&stages, ArrivalLaw::Poisson, seed, "s");
            let parts = owners(&workers).into_iter().map(|stripe| places.share(stripe));
            let mut union: Vec<_> = parts.flat_map(|share| share.part(whole())).collect();
            union.sort_unstable();
            prop_assert_eq!(union, whole().collect::<Vec<_>>());
        }

        #[test]
        fn who_owns_no_place_owns_nothing_and_who_owns_an_arrival_owns_a_place(
            workers in prop::collection::vec(1..6_u64, 1..7),
            places in places(),
            count in 0..400_u64,
        ) {
            let mut total = 0;
            for stripe in owners(&workers) {
                let share = places.share(stripe);
                let owned: Vec<u64> = (0..count).filter(|n| share.owns(*n)).collect();
                prop_assert_eq!(owned.len() as u64, share.share_of(count));
                for (before, number) in (0..).zip(&owned) {
                    prop_assert_eq!(share.nth(before), *number);
                }
                total += share.share_of(count);
                if share.is_empty() {
                    prop_assert!(owned.is_empty());
                } else {
                    let (owners, owner) = share.turn();
                    prop_assert!(owner < owners);
                }
                if !share.is_empty() && count >= places.count {
                    // As many connections as places, or more: each owner has one at least.
                    prop_assert!(share.share_of(count) >= 1);
                }
            }
            prop_assert_eq!(total, count);
        }

        #[test]
        fn what_a_lost_owner_had_is_shared_out_whole(
            agents in 1..7_u64, lost in 0..7_u64, survivors in 1..6_u64, workers in 1..4_u64,
            places in places(), number in 0..10_000_u64,
        ) {
            let stripe = Stripe { index: lost % agents, of: agents };
            let taken = (0..survivors).flat_map(|part| {
                let part = stripe.part_of(part, survivors);
                (0..workers).map(move |worker| part.part_of(worker, workers))
            });
            let owners = taken.filter(|part| places.share(*part).owns(number)).count();
            prop_assert_eq!(owners, usize::from(places.share(stripe).owns(number)));
        }

        #[test]
        fn fractions_add_up(workers in prop::collection::vec(1..6_u64, 1..7), places in places()) {
            let sum: f64 = owners(&workers).into_iter().map(|stripe| places.share(stripe).fraction()).sum();
            prop_assert!((sum - 1.0).abs() < 1e-9, "{}", sum);
        }
    }

    #[test]
    fn forty_connections_are_forty_on_any_machine() {
        let places = Places { count: 40, first: 3 };
        for workers in [&[2_u64][..], &[16], &[1; 20], &[16, 1, 64]] {
            let shares = owners(workers).into_iter().map(|stripe| places.share(stripe).share_of(40));
            assert_eq!(shares.sum::<u64>(), 40, "{workers:?}");
        }
    }

    #[test]
    fn two_documents_on_three_agents_leave_one_without_arrivals() {
        let places = Places { count: 2, first: 0 };
        let empty = owners(&[2, 2, 2]).into_iter().filter(|stripe| places.share(*stripe).is_empty()).count();
        assert_eq!(empty, 4);
    }
}
