//! Merged recorders equal one recorder.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::table::Row;
use slatest_core::measure::{OperationShape, Recorder, Series, Threshold, Timeline};
use slatest_core::model::{Completion, Nanos, OperationId, Outcome};

/// Recorders that share the samples.
const PARTS: usize = 7;
/// Samples.
const SAMPLES: u64 = 200_000;
/// Windows that they fall into.
const WINDOWS: u64 = 5;
/// Seed of the samples.
const SEED: u64 = 0x51a7;

/// The same samples once in one recorder and once spread over several whose windows are merged in
/// another order: every counter, and every count of every histogram, must be the same.
pub fn merging() -> Row {
    let shapes = vec![
        OperationShape {
            thresholds: vec![Threshold { series: Series::ResponseTime, limit: Nanos::from_millis(20) }],
            timings: 1,
            ratios: 1,
        };
        3
    ];
    let length = Nanos::from_secs(1);
    let mut one = Recorder::new(shapes.clone(), length);
    let mut parts: Vec<Recorder> = (0..PARTS).map(|_| Recorder::new(shapes.clone(), length)).collect();
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let (mut whole, mut merged) = (Timeline::new(&shapes), Timeline::new(&shapes));
    let mut equal_windows = true;
    for _ in 0..WINDOWS {
        for _ in 0..SAMPLES / WINDOWS {
            let part = random.random_range(0..PARTS);
            let sample = Sample::draw(&mut random);
            sample.record(&mut one);
            sample.record(&mut parts[part]);
        }
        let expected = one.close_window();
        // From the last to the first: merging must not hang on the order.
        let together = parts.iter_mut().rev().map(Recorder::close_window).reduce(|mut all, next| {
            all.merge(next);
            all
        });
        let together = together.unwrap_or_default();
        equal_windows &= together == expected;
        whole.add(&expected);
        merged.add(&together);
    }
    let holds = equal_windows && whole == merged;
    let measured = if holds { "equal in every count" } else { "they differ" };
    Row::new(format!("{PARTS} recorders merged, {SAMPLES} samples"), "equal to one recorder", measured, holds)
}

struct Sample {
    operation: OperationId,
    judged: bool,
    intended: Nanos,
    lag: Nanos,
    completion: Completion,
}

impl Sample {
    fn draw(random: &mut ChaCha8Rng) -> Self {
        let intended = Nanos(random.random_range(0..1_000_000_000));
        let sent = intended + Nanos(random.random_range(0..100_000));
        // From a microsecond to a minute, as many in each decade.
        let service = Nanos::from_secs_f64(10_f64.powf(random.random_range(-6.0..1.8)));
        let done = sent + service;
        let completion = match random.random_range(0..100_u32) {
            0 => Completion::failed(Outcome::TimedOut, Some(sent), done, "no answer in time"),
            1 => Completion::failed(Outcome::Rejected, Some(sent), done, "status 503"),
            2 => Completion::failed(Outcome::Disconnected, None, done, "connection refused"),
            drawn => Completion::ok(sent, done).with_timing(0, Nanos(service.0 / 2)).with_ratio(0, drawn % 2, 1),
        };
        Self {
            operation: OperationId(random.random_range(0..3)),
            judged: random.random_bool(0.9),
            intended,
            lag: Nanos(random.random_range(0..50_000)),
            completion,
        }
    }

    fn record(&self, recorder: &mut Recorder) {
        recorder.fired(self.operation, self.judged, self.intended, self.intended + self.lag);
        recorder.ended(self.operation, self.judged, self.intended, &self.completion);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftest::Finding;

    #[test]
    fn merging_holds() {
        assert_eq!(merging().finding, Finding::Holds);
    }
}
