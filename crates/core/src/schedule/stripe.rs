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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_partition_a_stripe(of in 1..9_u64, index in 0..9_u64, parts in 1..9_u64, seq in 0..10_000_u64) {
            let stripe = Stripe { index: index % of, of };
            let owners = (0..parts).filter(|&part| stripe.part_of(part, parts).owns(seq)).count();
            prop_assert_eq!(owners, usize::from(stripe.owns(seq)));
        }
    }
}
