//! By how much an agent's clock is apart from the coordinator's, and how far off that can be.

use std::collections::VecDeque;

use crate::wire;
use slatest_core::model::Nanos;

/// Exchanges that are remembered.
const SAMPLES_MAX: usize = 64;
/// Pings whose answers are waited for; older ones are too slow to say anything.
const UNDERWAY_MAX: usize = 8;
/// Exchanges before a start.
pub const SAMPLES_WANTED: usize = 5;
/// So many are made quickly.
const SAMPLES_QUICK: u64 = 10;
/// Pause between these.
const PAUSE_QUICK: Nanos = Nanos::from_millis(100);
/// Pause between the others. Also the sign of life that agents wait for.
const PAUSE: Nanos = Nanos::from_secs(1);
/// How much two clocks may drift apart, as a share of the time since the exchange: crystals are within 100
/// parts in a million, and NTP slews by up to 500.
const DRIFT: f64 = 600e-6;

/// One exchange.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Its midpoint, on the coordinator's clock.
    at: Nanos,
    offset: i64,
    round_trip: Nanos,
    wall_difference: i64,
}

/// What is known of a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offset {
    /// The agent's monotonic clock − the coordinator's, in nanoseconds.
    pub offset: i64,
    /// The true one is within this of it.
    pub bound: Nanos,
    /// The agent's wall clock − the coordinator's, in nanoseconds.
    pub wall_difference: i64,
}

/// The exchanges with one agent.
///
/// The coordinator sends at t0 by its clock, the agent receives at t1 and answers at t2 by its own, the
/// answer comes at t3. Whatever the two ways took, the offset is within (t3 − t0 − (t2 − t1)) / 2 of
/// ((t1 − t0) + (t2 − t3)) / 2 (Mills, RFC 5905, section 8). The exchange that bounds it best is kept; an
/// older one is worth less, for clocks drift.
#[derive(Clone, Debug, Default)]
pub struct AgentClock {
    samples: VecDeque<Sample>,
    underway: VecDeque<(u64, Nanos)>,
    sent: u64,
    next: Nanos,
    /// What was known before the coordinator was started again.
    before: Option<Offset>,
}

impl AgentClock {
    /// A clock of which an earlier process of the coordinator knew this.
    pub fn known(before: Offset) -> Self {
        Self { before: Some(before), ..Self::default() }
    }

    /// Forgets what is under way: the connection is another one.
    pub fn reconnected(&mut self) {
        self.underway.clear();
        self.next = Nanos::ZERO;
    }

    /// The ping that is due, if one is.
    pub fn ping(&mut self, now: Nanos) -> Option<wire::Ping> {
        if now < self.next {
            return None;
        }
        self.next = now + if self.sent < SAMPLES_QUICK { PAUSE_QUICK } else { PAUSE };
        self.sent += 1;
        if self.underway.len() == UNDERWAY_MAX {
            self.underway.pop_front();
        }
        self.underway.push_back((self.sent, now));
        Some(wire::Ping { number: self.sent, coordinator_clock_ns: now.0 })
    }

    /// An answer. One that was not asked for, or that says it was sent before it was received, says
    /// nothing.
    pub fn pong(&mut self, now: Nanos, pong: &wire::Pong, wall_at_zero: i64) {
        let Some(place) = self.underway.iter().position(|(number, _)| *number == pong.number) else { return };
        let (_, sent) = self.underway[place];
        self.underway.drain(..=place);
        let Some(held) = pong.sent_agent_clock_ns.checked_sub(pong.received_agent_clock_ns) else { return };
        let Some(round_trip) = (now - sent).0.checked_sub(held) else { return };
        // In 128 bits: the agent's readings are whatever it says.
        let mean = |a: u64, b: u64| (i128::from(a) + i128::from(b)) / 2;
        let middle = mean(sent.0, now.0);
        let offset = mean(pong.received_agent_clock_ns, pong.sent_agent_clock_ns) - middle;
        // The wall clock was read when it was sent, half a round trip before it came.
        let wall_here = i128::from(wall_at_zero) + i128::from(now.0) - i128::from(round_trip / 2);
        let wall_difference = i128::from(pong.sent_wall_ns) - wall_here;
        let (Ok(offset), Ok(wall_difference)) = (i64::try_from(offset), i64::try_from(wall_difference)) else { return };
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        let at = Nanos(sent.0 + (now - sent).0 / 2);
        self.samples.push_back(Sample { at, offset, round_trip: Nanos(round_trip), wall_difference });
    }

    /// How many exchanges are remembered.
    pub fn samples(&self) -> usize {
        self.samples.len()
    }

    /// The shortest round trip that is remembered.
    pub fn round_trip(&self) -> Option<Nanos> {
        self.samples.iter().map(|sample| sample.round_trip).min()
    }

    /// What is known now.
    pub fn offset(&self, now: Nanos) -> Option<Offset> {
        let bound = |sample: &Sample| {
            let age = now.0.abs_diff(sample.at.0);
            Nanos(sample.round_trip.0.div_ceil(2) + (age as f64 * DRIFT).ceil() as u64)
        };
        let best = self.samples.iter().map(|sample| (bound(sample), sample)).min_by_key(|(bound, _)| *bound);
        best.map(|(bound, sample)| Offset {
            offset: sample.offset,
            bound,
            wall_difference: self.samples.back().map_or(0, |latest| latest.wall_difference),
        })
        .or(self.before)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Plays exchanges with an agent whose clock reads `offset` more and drifts by `drift`; each has its
    /// ways there and back. Gives what is known at the end, and what the offset is then.
    fn play(offset: u64, drift: f64, ways: &[(u64, u64, u64)]) -> (Option<Offset>, i64) {
        let mut clock = AgentClock::default();
        let mut now = Nanos::from_secs(1);
        let agent = |now: Nanos| now.0 + offset + (now.0 as f64 * drift) as u64;
        for &(there, held, back) in ways {
            while clock.ping(now).is_none() {
                now += Nanos::from_millis(50);
            }
            let number = clock.sent;
            let received = now + Nanos(there);
            let answered = received + Nanos(held);
            now = answered + Nanos(back);
            let pong = wire::Pong {
                number,
                coordinator_clock_ns: 0,
                received_agent_clock_ns: agent(received),
                sent_agent_clock_ns: agent(answered),
                sent_wall_ns: 5_000 + answered.0,
            };
            clock.pong(now, &pong, 2_000);
        }
        (clock.offset(now), i64::try_from(agent(now) - now.0).unwrap())
    }

    proptest! {
        #[test]
        fn the_true_offset_is_within_the_bound(
            offset in 0..1_u64 << 50,
            drift in 0.0..500e-6_f64,
            ways in prop::collection::vec((1..200_000_000_u64, 0..50_000_000_u64, 1..200_000_000_u64), 1..40),
        ) {
            let (known, truth) = play(offset, drift, &ways);
            let known = known.unwrap();
            prop_assert!(known.offset.abs_diff(truth) <= known.bound.0, "{} against {truth}", known.offset);
        }
    }

    #[test]
    fn the_quickest_exchange_decides() {
        let (known, _) =
            play(7_000_000_000, 0.0, &[(90_000_000, 0, 1_000_000), (200_000, 0, 200_000), (1, 0, 80_000_000)]);
        let known = known.unwrap();
        assert_eq!(known.offset, 7_000_000_000);
        assert!(known.bound < Nanos::from_millis(1), "{}", known.bound);
    }

    #[test]
    fn wall_clocks_are_compared() {
        // The agent's wall clock reads 3 µs more than ours when its answer is sent.
        let (known, _) = play(0, 0.0, &[(1_000, 0, 1_000)]);
        assert_eq!(known.unwrap().wall_difference, 3_000);
    }

    #[test]
    fn what_was_not_asked_says_nothing() {
        let mut clock = AgentClock::default();
        let now = Nanos::from_secs(1);
        let number = clock.ping(now).unwrap().number;
        let pong = |number, received, sent| wire::Pong {
            number,
            coordinator_clock_ns: 0,
            received_agent_clock_ns: received,
            sent_agent_clock_ns: sent,
            sent_wall_ns: 0,
        };
        clock.pong(now, &pong(number + 1, 0, 0), 0);
        clock.pong(now, &pong(number, 2, 1), 0);
        clock.pong(now, &pong(number, 0, u64::MAX), 0);
        assert_eq!(clock.offset(now), None);
        assert_eq!(clock.samples(), 0);
    }
}
