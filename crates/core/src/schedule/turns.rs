//! Which user takes which arrival.

/// The law by which arrivals are dealt to the users of a scenario: in turn, so that each user acts as often as any
/// other and has rested longest when its turn comes. It needs an arrival's number alone: every worker of every agent
/// says the same, and whoever owns an arrival owns its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    /// Users in all.
    users: u64,
    /// Users that go together.
    group: u64,
    /// Places that groups and arrivals are dealt to.
    places: u64,
}

impl Turns {
    /// The law for so many users (1 at least), dealt in groups to so many places.
    pub fn new(users: u64, group: u64, places: u64) -> Self {
        let (users, group) = (users.max(1), group.max(1));
        Self { users, group, places: places.clamp(1, users.div_ceil(group)) }
    }

    /// The number of the user whose turn an arrival is.
    pub const fn user_of(&self, seq: u64) -> u64 {
        let Self { users, group, places } = *self;
        let (place, turn) = (seq % places, seq / places);
        let groups = users.div_ceil(group);
        // The groups of this place are numbers `place`, `place + places`…; the very last one may lack some users.
        let own = (groups - place).div_ceil(places);
        let lacking = if (groups - 1) % places == place { groups * group - users } else { 0 };
        let nth = turn % (own * group - lacking);
        (place + nth / group * places) * group + nth % group
    }

    /// How many rounds were over before an arrival: how often each user has acted.
    pub const fn rounds_before(&self, seq: u64) -> u64 {
        seq / self.users
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::schedule::{Places, Stripe};

    proptest! {
        #[test]
        fn who_owns_an_arrival_owns_its_user(
            users in 1..200_u64, group in 1..5_u64, connections in 1..60_u64, first in 0..5_u64,
            workers in 1..7_u64, seq in 0..100_000_u64,
        ) {
            let law = Turns::new(users, group, connections);
            let places = Places { count: law.places, first };
            let user = law.user_of(seq);
            prop_assert!(user < users);
            for index in 0..workers {
                let share = places.share(Stripe { index, of: workers });
                prop_assert_eq!(share.owns(seq), share.owns(user / group));
            }
        }

        #[test]
        fn every_user_acts_once_a_round(users in 1..200_u64, group in 1..5_u64, rounds in 1..4_u64) {
            // With as many places as whole groups, rounds are even; a group that lacks some gives its turns to the rest.
            let users = users.div_ceil(group) * group;
            let law = Turns::new(users, group, u64::MAX);
            let mut acts: BTreeMap<u64, u64> = BTreeMap::new();
            for seq in 0..users * rounds {
                *acts.entry(law.user_of(seq)).or_default() += 1;
            }
            prop_assert_eq!(acts.len() as u64, users);
            prop_assert!(acts.values().all(|count| *count == rounds));
        }

        #[test]
        fn nobody_is_left_out(users in 1..120_u64, group in 1..5_u64, connections in 1..60_u64) {
            let law = Turns::new(users, group, connections);
            let enough = law.places * (users + group);
            let acted: BTreeSet<u64> = (0..enough).map(|seq| law.user_of(seq)).collect();
            prop_assert_eq!(acted.len() as u64, users);
        }
    }
}
