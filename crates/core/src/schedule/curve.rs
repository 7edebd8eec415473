//! A rate (or a number of users) over time: straight lines end to end.

use serde::{Deserialize, Serialize};

use crate::model::Nanos;

/// A straight line of a rate or a number of users over time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StagePlan {
    /// How long it takes, above zero.
    pub duration: Nanos,
    /// Per second (or users) where it starts.
    pub from: f64,
    /// Per second (or users) where it ends.
    pub to: f64,
}

impl StagePlan {
    /// The integral over its first `secs` seconds.
    fn integral(&self, secs: f64) -> f64 {
        let slope = (self.to - self.from) / self.duration.as_secs_f64();
        (0.5 * slope * secs).mul_add(secs, self.from * secs)
    }
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    start_secs: f64,
    /// Integral of everything before it.
    before: f64,
    stage: StagePlan,
}

/// Stages end to end, with their integral and its inverse.
#[derive(Clone, Debug)]
pub struct Curve {
    pieces: Vec<Piece>,
    total: f64,
    duration: Nanos,
}

impl Curve {
    /// From stages; those of no length are passed over.
    pub fn new(stages: &[StagePlan]) -> Self {
        let (mut start, mut before, mut duration) = (0.0, 0.0, Nanos::ZERO);
        let mut pieces = Vec::with_capacity(stages.len());
        for &stage in stages.iter().filter(|s| s.duration > Nanos::ZERO) {
            pieces.push(Piece { start_secs: start, before, stage });
            let length = stage.duration.as_secs_f64();
            before += stage.integral(length);
            start += length;
            duration += stage.duration;
        }
        Self { pieces, total: before, duration }
    }

    /// How long it is.
    pub const fn duration(&self) -> Nanos {
        self.duration
    }

    /// The integral over all of it: how many arrivals are expected.
    pub const fn total(&self) -> f64 {
        self.total
    }

    /// The highest value that it reaches.
    pub fn peak(&self) -> f64 {
        self.pieces.iter().map(|p| p.stage.from.max(p.stage.to)).fold(0.0, f64::max)
    }

    /// The value at an instant; 0 once it is over. Where one stage ends and the next starts
    /// elsewhere, the next one counts.
    pub fn value_at(&self, at: Nanos) -> f64 {
        if at >= self.duration {
            return 0.0;
        }
        self.piece_at(at.as_secs_f64()).map_or(0.0, |piece| {
            let share = (at.as_secs_f64() - piece.start_secs) / piece.stage.duration.as_secs_f64();
            (piece.stage.to - piece.stage.from).mul_add(share.clamp(0.0, 1.0), piece.stage.from)
        })
    }

    /// The integral from the start to an instant.
    pub fn integral_to(&self, at: Nanos) -> f64 {
        if at >= self.duration {
            return self.total;
        }
        let secs = at.as_secs_f64();
        self.piece_at(secs).map_or(0.0, |piece| piece.before + piece.stage.integral(secs - piece.start_secs))
    }

    fn piece_at(&self, secs: f64) -> Option<&Piece> {
        let after = self.pieces.partition_point(|p| p.start_secs <= secs);
        self.pieces.get(after.checked_sub(1)?)
    }

    /// The instant at which the integral reaches `level`; none when it never does. The inverse of a
    /// line's integral a·t + s·t²/2 is 2y / (a + √(a² + 2·s·y)), the form that stays exact for
    /// small slopes.
    pub fn instant_of(&self, level: f64) -> Option<Nanos> {
        if !(level >= 0.0 && level < self.total) {
            return None;
        }
        let after = self.pieces.partition_point(|p| p.before <= level);
        let piece = self.pieces.get(after.checked_sub(1)?)?;
        let y = level - piece.before;
        let a = piece.stage.from;
        let slope = (piece.stage.to - a) / piece.stage.duration.as_secs_f64();
        let root = (2.0 * slope).mul_add(y, a * a).max(0.0).sqrt();
        let within = if y == 0.0 { 0.0 } else { 2.0 * y / (a + root) };
        let within = within.clamp(0.0, piece.stage.duration.as_secs_f64());
        Some(Nanos::from_secs_f64(piece.start_secs + within))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::schedule) fn stages() -> impl Strategy<Value = Vec<StagePlan>> {
        prop::collection::vec((1..20_000_u64, 0..2_000_u32, 0..2_000_u32), 1..6).prop_map(|all| {
            all.into_iter()
                .map(|(ms, from, to)| StagePlan {
                    duration: Nanos::from_millis(ms),
                    from: f64::from(from) / 4.0,
                    to: f64::from(to) / 4.0,
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn the_inverse_undoes_the_integral(stages in stages(), share in 0.0..1.0_f64) {
            let curve = Curve::new(&stages);
            let level = share * curve.total();
            if let Some(at) = curve.instant_of(level) {
                // One nanosecond at the highest rate is the precision of an instant.
                let tolerance = 1e-9 * curve.peak() * 2.0 + 1e-6;
                prop_assert!((curve.integral_to(at) - level).abs() <= tolerance);
            }
        }

        #[test]
        fn instants_never_go_back(stages in stages(), a in 0.0..1.0_f64, b in 0.0..1.0_f64) {
            let curve = Curve::new(&stages);
            let (low, high) = (a.min(b) * curve.total(), a.max(b) * curve.total());
            if let (Some(low), Some(high)) = (curve.instant_of(low), curve.instant_of(high)) {
                prop_assert!(low <= high);
                prop_assert!(high <= curve.duration());
            }
        }
    }

    #[test]
    fn a_ramp_is_a_triangle() {
        let stage = StagePlan { duration: Nanos::from_secs(20), from: 0.0, to: 300.0 };
        let hold = StagePlan { duration: Nanos::from_secs(120), from: 300.0, to: 300.0 };
        let curve = Curve::new(&[stage, hold]);
        assert!((curve.total() - (3_000.0 + 36_000.0)).abs() < 1e-6);
        assert!((curve.value_at(Nanos::from_secs(10)) - 150.0).abs() < 1e-9);
        assert!((curve.integral_to(Nanos::from_secs(10)) - 750.0).abs() < 1e-6);
        assert!((curve.value_at(Nanos::from_secs(140))).abs() < 1e-9);
    }
}
