//! Load never runs on unwatched: who hears nothing of the coordinator stops.

use slatest_core::model::Nanos;

/// After so long without a word an agent stops sending: a second less than the five that are promised,
/// for what the word to stop takes to reach every worker.
pub const SILENCE_MAX: Nanos = Nanos::from_secs(4);

/// Watches for words of the coordinator. Pure: it is told the time.
#[derive(Clone, Copy, Debug)]
pub struct Deadman {
    heard: Nanos,
    sprung: bool,
}

impl Deadman {
    /// Starts to watch: the coordinator is there now.
    pub const fn new(now: Nanos) -> Self {
        Self { heard: now, sprung: false }
    }

    /// A word came at this time; one that is told late changes nothing.
    pub fn heard(&mut self, at: Nanos) {
        if at > self.heard {
            (self.heard, self.sprung) = (at, false);
        }
    }

    /// Whether the coordinator has been silent for too long.
    pub fn is_due(&self, now: Nanos) -> bool {
        now - self.heard >= SILENCE_MAX
    }

    /// True once for each silence that is too long.
    pub fn springs(&mut self, now: Nanos) -> bool {
        let springs = self.is_due(now) && !self.sprung;
        self.sprung |= springs;
        springs
    }

    /// How long nothing has been heard.
    pub fn silence(&self, now: Nanos) -> Nanos {
        now - self.heard
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes when: it springs if and only if a gap of words is as long as allowed, once
        /// for each, and never later than the first look after that.
        #[test]
        fn it_springs_once_for_each_long_silence(
            steps in prop::collection::vec((0..3_000_u64, any::<bool>()), 1..80)
        ) {
            let mut deadman = Deadman::new(Nanos::ZERO);
            let (mut now, mut heard, mut sprung) = (Nanos::ZERO, Nanos::ZERO, false);
            for (millis, word) in steps {
                now += Nanos::from_millis(millis);
                if word {
                    deadman.heard(now);
                    (heard, sprung) = (now, false);
                }
                let due = now - heard >= SILENCE_MAX;
                prop_assert_eq!(deadman.springs(now), due && !sprung);
                prop_assert_eq!(deadman.silence(now), now - heard);
                sprung |= due;
            }
        }
    }

    #[test]
    fn a_word_that_is_told_late_turns_nothing_back() {
        let mut deadman = Deadman::new(Nanos::from_secs(10));
        deadman.heard(Nanos::from_secs(3));
        assert!(!deadman.springs(Nanos::from_millis(13_999)));
        assert!(deadman.springs(Nanos::from_secs(14)));
    }
}
