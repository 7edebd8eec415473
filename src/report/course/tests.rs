//! Windows in slots.

use super::*;
use slatest_core::measure::Latencies;
use slatest_engine::record::sample;

#[test]
fn slots_hold_what_their_windows_hold() {
    let base = tempfile::tempdir().unwrap();
    let run = sample::fixed(base.path());
    let course = read(&run);
    assert_eq!((course.slots, course.slot, course.window), (12, run.plan.window, run.plan.window));
    assert!(course.flaws.is_empty(), "{:?}", course.flaws);
    let windows = sample::windows(&sample::plan());
    for (slot, window) in windows.iter().enumerate() {
        let mut times = Latencies::default();
        window.all().for_each(|(_, tally)| {
            times.merge(&tally.response);
            times.merge(&tally.failed);
        });
        for (quantile, values) in QUANTILES.iter().zip(&course.total.times) {
            assert_eq!(values[slot], times.quantile(*quantile).ok().map(|time| time.0));
        }
        assert_eq!(course.in_flight[slot], window.in_flight);
        assert_eq!(course.fired[slot], window.arrivals.fired);
    }
    let judged = run.result.total.response.unwrap();
    assert_eq!(course.total.judged.count(), judged.samples);
    assert_eq!(course.total.judged.quantile(0.99).unwrap(), judged.p99);
}

#[test]
fn a_long_run_has_as_many_slots_as_a_short_one_and_loses_nothing() {
    let base = tempfile::tempdir().unwrap();
    let mut run = sample::fixed(base.path());
    let windows = sample::windows(&sample::plan());
    // A day of seconds, told by every hundredth of them.
    let mut text = Vec::new();
    for i in 0..864_u64 {
        let mut window = windows[(i % 12) as usize].clone();
        window.index = i * 100;
        // These speak of windows of their own time.
        (window.troubles, window.cohorts, window.arrivals) = Default::default();
        serde_json::to_writer(&mut text, &window).unwrap();
        text.push(b'\n');
    }
    std::fs::write(run.folder.join("windows.jsonl"), text).unwrap();
    run.result.length = Nanos::from_secs(86_400);
    let course = read(&run);
    assert!(course.flaws.is_empty(), "{:?}", course.flaws);
    assert_eq!(course.slots, SLOTS_MAX);
    assert_eq!(course.total.ended.iter().sum::<u64>(), 864 * 400);
    assert_eq!(course.errors.iter().map(|kind| kind.count).sum::<u64>(), 864 / 12 * 2);
    assert_eq!(course.slots_of(Nanos::ZERO, Nanos::from_secs(86_400)), 0..SLOTS_MAX);
}

#[test]
fn an_end_that_nobody_can_have_reached_needs_no_memory() {
    let base = tempfile::tempdir().unwrap();
    let mut run = sample::fixed(base.path());
    run.result.length = Nanos(u64::MAX);
    let course = read(&run);
    assert!(course.slots <= 4 * SLOTS_MAX);
}
