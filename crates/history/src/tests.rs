//! Nights as folders, written by the program's own writer.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::*;
use slatest_core::measure::{Tally, Window};
use slatest_core::model::Nanos;
use slatest_engine::load::judge;
use slatest_engine::profile::Plan;
use slatest_engine::record::{RunRecord, RunWriter, sample};
use slatest_stats::Compared;

/// A night of the sample's plan whose times are so many times as long, with a little noise of its own.
fn night(folder: &Path, number: i64, factor: f64) -> RunRecord {
    let plan: Plan = sample::plan();
    // Deterministic noise of 3 % or so, and windows that differ.
    let noise = |k: u64| {
        let mixed = (k.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (number as u64).wrapping_mul(0xD134_2543_DE82_EF95)) >> 40;
        1.0 + (mixed as f64 / (1_u64 << 24) as f64 - 0.5) * 0.06
    };
    let windows: Vec<Window> = (0..5_u64)
        .flat_map(|round| sample::windows(&plan).into_iter().map(move |window| (round, window)).collect::<Vec<_>>())
        .enumerate()
        .map(|(index, (_, mut window))| {
            window.index = index as u64;
            for (id, tally) in window.judged.iter_mut().chain(&mut window.unjudged) {
                slower(tally, factor * noise(index as u64 * 31 + u64::from(id.0)) * noise(7 + u64::from(id.0)));
            }
            window
        })
        .collect();
    let facts = sample::facts(&plan, &windows);
    let mut opening = sample::opening(plan.clone());
    opening.started = Timestamp::from_second(1_780_000_000).unwrap() + SignedDuration::from_hours(24 * number);
    let mut writer = RunWriter::create(folder, opening).unwrap();
    windows.iter().for_each(|window| writer.window(window).unwrap());
    let judged = judge(&plan, &facts);
    let ended = Timestamp::from_second(1_780_000_100).unwrap() + SignedDuration::from_hours(24 * number);
    writer.finish(&facts, judged, ended).unwrap()
}

fn slower(tally: &mut Tally, factor: f64) {
    let mut times = slatest_core::measure::Latencies::default();
    for step in tally.response.inner().iter_recorded() {
        let value = (step.value_iterated_to() as f64 * factor) as u64;
        (0..step.count_at_value()).for_each(|_| times.record(Nanos(value)));
    }
    tally.response = times;
}

#[test]
fn a_tenth_more_is_worse_and_the_same_again_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (before, same, after) =
        (night(folder.path(), 1, 1.0), night(folder.path(), 2, 1.0), night(folder.path(), 3, 1.25));
    let again = compare_runs(&before, &same, 0.0).unwrap();
    assert!(again.rows.iter().all(|row| row.compared != Compared::Worse), "{again:#?}");
    assert!(again.conditions.is_empty(), "{:?}", again.conditions);
    let worse = compare_runs(&before, &after, 0.0).unwrap();
    assert_eq!(worse.compared, Compared::Worse);
    let p95 = worse.rows.iter().find(|row| row.figure == Figure::P95 && row.address == "api/list-tasks").unwrap();
    assert!(p95.change.is_some_and(|change| (0.15..0.35).contains(&change)), "{p95:?}");
    assert!(p95.could_show.is_some_and(|least| least < 0.25), "{p95:?}");
    // Another night may be a little slower by itself; this much is more.
    assert_eq!(compare_runs(&before, &after, BETWEEN_RUNS).unwrap().compared, Compared::Worse);
    let better = compare_runs(&after, &before, 0.0).unwrap();
    assert!(better.rows.iter().any(|row| row.compared == Compared::Better));
    assert!(better.rows.iter().all(|row| row.compared != Compared::Worse));
}

#[test]
fn nights_are_listed_and_a_slow_end_is_suspect_until_it_is_run_again() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..20 {
        night(folder.path(), number, 1.0);
    }
    let listed = list(folder.path(), Some("peak"), None);
    assert_eq!((listed.runs.len(), listed.unreadable.len()), (20, 0));
    assert!(listed.runs.is_sorted_by_key(|run| run.started));
    assert!(list(folder.path(), Some("other"), None).runs.is_empty());
    let steady = trend(folder.path(), "peak", None, None).unwrap();
    assert!(steady.courses.iter().all(|course| matches!(course.said(), Said::Steady | Said::Warning)));
    for number in 20..23 {
        night(folder.path(), number, 1.3);
    }
    let suspect = trend(folder.path(), "peak", None, None).unwrap();
    let course = |trend: &Trend| trend.courses.iter().find(|c| c.address == "api/list-tasks").unwrap().clone();
    assert_eq!(course(&suspect).said(), Said::Suspect, "{:?}", course(&suspect));
    let again = night(folder.path(), 23, 1.3);
    let confirmed = trend(folder.path(), "peak", None, Some(&again.id)).unwrap();
    assert_eq!(course(&confirmed).said(), Said::Slower);
    assert_eq!(confirmed.nights.len(), 23, "what was run again is no night of its own");
}

#[test]
fn what_can_t_be_compared_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (one, mut other) = (night(folder.path(), 1, 1.0), night(folder.path(), 2, 1.0));
    other.machine.cores += 2;
    other.slatest = "0.0.9".into();
    let found: Vec<&str> = differences(&one, &other).into_iter().map(|difference| difference.what).collect();
    assert_eq!(found, ["version", "machine"]);
    other.result.verdict = slatest_core::model::Verdict::Void;
    assert!(matches!(compare_runs(&one, &other, 0.0), Err(HistoryError::Void { .. })));
    assert!(matches!(trend(folder.path(), "none", None, None), Err(HistoryError::NoRuns { .. })));
    // A folder that is broken hides nothing else.
    let broken = folder.path().join("20260101T000000Z-peak-ffffff");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("run.json"), "{").unwrap();
    let listed = list(folder.path(), None, None);
    assert_eq!((listed.runs.len(), listed.unreadable.len()), (2, 1));
}
