//! A run as lines over time, 80 columns wide at most.

use slatest_core::model::Nanos;
use slatest_engine::record::RunRecord;

use super::phrases::{grouped, length, rate};

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Completions, errors and times; none where there are too few parts to show a course.
pub(super) fn lines(run: &RunRecord) -> Vec<String> {
    let parts = &run.result.over_time;
    let ([first, _, ..], Some(last)) = (parts.as_slice(), parts.last()) else { return Vec::new() };
    let per_sec = |ended: u64, took: Nanos| {
        if took.is_zero() { 0.0 } else { ended as f64 / took.as_secs_f64() }
    };
    let completed: Vec<f64> = parts.iter().map(|part| per_sec(part.ended, part.length)).collect();
    let errors: Vec<f64> = parts.iter().map(|part| part.failed as f64).collect();
    let times: Vec<f64> = parts.iter().map(|part| part.p99_max.as_secs_f64()).collect();
    let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let slowest = parts.iter().map(|part| part.p99_max).max().unwrap_or_default();
    vec![
        format!("Over time ({} in all; a column is {})", length(last.start + last.length), first.length),
        format!(" completed/s {}  to {}", spark(&completed), rate(most(&completed))),
        format!(" errors      {}  to {}", spark(&errors), grouped(most(&errors) as u64)),
        format!(" p99         {}  to {slowest}", spark(&times)),
    ]
}

/// Heights from nothing to the greatest value; a dot is nothing at all.
pub(super) fn spark(values: &[f64]) -> String {
    let most = values.iter().copied().fold(0.0, f64::max);
    let height = |value: &f64| {
        if *value <= 0.0 || most <= 0.0 {
            return '·';
        }
        let level = (value / most * LEVELS.len() as f64).ceil() as usize;
        LEVELS[level.clamp(1, LEVELS.len()) - 1]
    };
    values.iter().map(height).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_told_from_little() {
        assert_eq!(spark(&[0.0, 0.001, 50.0, 100.0]), "·▁▄█");
        assert_eq!(spark(&[0.0, 0.0]), "··");
    }
}
