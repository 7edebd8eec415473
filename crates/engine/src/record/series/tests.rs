use super::sample::{Plot, RTO, drill, ended, run, series};
use super::*;
use crate::record::{StoreError, locate_series, read_series, sample, save_json};
use slatest_core::model::Nanos;
use slatest_stats::Went;

fn goes(series: &Series) -> &slatest_stats::Repeats {
    &series.drills[0].objectives[0].goes
}

/// `message` was `words` once.
#[test]
fn what_was_written_with_the_words_of_before_is_read() {
    let series = ended(2, &[Plot::Down(4_000, 0), Plot::Void(5_000)]);
    let before = serde_json::to_string(&series).unwrap().replace("\"message\":", "\"words\":");
    assert!(before.contains("\"words\":"));
    assert_eq!(serde_json::from_str::<Series>(&before).unwrap(), series);
}

#[test]
fn fourteen_clean_repeats_show_eighty_percent() {
    let series = ended(14, &[Plot::Down(12_000, 0); 14]);
    assert_eq!((series.verdict, goes(&series).passes), (Verdict::Pass, 14));
    let objective = &series.drills[0].objectives[0];
    assert!(objective.shown_share >= 0.8);
    assert_eq!(objective.missing.iter().map(|one| one.passes).collect::<Vec<_>>(), [Some(0), Some(15), Some(45)]);
    assert_eq!(objective.rto, Some(RTO));
    // The bounds are those of the outages: what is judged.
    let recovery = objective.recovery.unwrap();
    assert_eq!(
        (recovery.median.lower, recovery.median.upper),
        (Some(Nanos::from_secs(11)), Some(Nanos::from_secs(13)))
    );
}

#[test]
fn what_each_repeat_says_is_counted_where_it_belongs() {
    let plots = [
        (Plot::Down(12_000, 0), Went::Held),
        (Plot::Down(40_000, 0), Went::Missed),
        (Plot::Down(12_000, 3), Went::Missed),
        // The target lies within the bounds.
        (Plot::Down(29_500, 0), Went::Untold),
        (Plot::Never, Went::Missed),
        (Plot::Nothing, Went::NothingFailed),
        (Plot::NotStarted, Went::NothingFailed),
        (Plot::BrokenOff(5_000), Went::Untold),
        (Plot::Void(40_000), Went::Void),
    ];
    for (plot, expected) in plots {
        let series = ended(1, &[plot]);
        assert_eq!(series.repeats[0].drills[0].objectives[0].went, expected, "{plot:?}");
    }
    let all = ended(9, &plots.map(|(plot, _)| plot));
    let goes = goes(&all);
    let counts = (goes.passes, goes.fails, goes.untold, goes.nothing_failed, goes.void);
    assert_eq!(counts, (1, 3, 2, 2, 1));
    // Neither what was broken off nor what was void is an outage; what never ended is.
    assert_eq!(goes.outages.len(), 5);
    assert_eq!(all.drills[0].components[0].never, 1);
    assert_eq!(all.drills[0].losses.unwrap().lost_before, 3);
    assert_eq!(all.drills[0].losses.unwrap().recovery_point_most, Nanos::from_millis(350));
    assert_eq!((all.drills[0].injected, all.drills[0].undetected), (7, 6));
}

#[test]
fn unknown_windows_may_hide_the_failure() {
    let mut unknown = drill(Plot::Nothing);
    unknown.components[0].unknown = Nanos::from_secs(2);
    let folder = tempfile::tempdir().unwrap();
    let mut run = run(&sample::fixed(folder.path()), 1, Plot::Nothing);
    run.result.drills = vec![unknown];
    assert_eq!(Repeat::of(&run, 1, String::new()).drills[0].objectives[0].went, Went::Untold);
}

#[test]
fn one_fail_fails_the_series_and_what_was_not_made_is_no_pass() {
    let fine = Plot::Down(12_000, 0);
    for (planned, plots, expected) in [
        (3, vec![fine, fine, fine], Verdict::Pass),
        (3, vec![fine, Plot::Down(40_000, 0), fine], Verdict::Fail),
        (3, vec![fine, Plot::Void(12_000), fine], Verdict::Void),
        (3, vec![Plot::Down(40_000, 0), Plot::Void(12_000), fine], Verdict::Fail),
        (3, vec![fine, Plot::Nothing, fine], Verdict::Inconclusive),
        (3, vec![fine, Plot::Nothing, Plot::Void(12_000)], Verdict::Void),
        (4, vec![fine, fine, fine], Verdict::Inconclusive),
        (1, vec![], Verdict::Inconclusive),
    ] {
        assert_eq!(ended(planned, &plots).verdict, expected, "{planned} {plots:?}");
    }
    let mut broken = series(3, &[fine]);
    broken.end("2026-11-21T01:40:00Z".parse().unwrap(), Some(EndedEarly::LeftBroken("nobody answers".into())));
    assert_eq!(broken.verdict, Verdict::Fail);
}

#[test]
fn times_that_grow_from_repeat_to_repeat_are_no_sample_of_one_law() {
    let growing: Vec<Plot> = (1..=12).map(|i| Plot::Down(2_000 * i, 0)).collect();
    assert!(ended(12, &growing).drills[0].objectives[0].trend.is_some_and(|z| z > 2.58));
    let alike = [Plot::Down(9_000, 0), Plot::Down(12_000, 0), Plot::Down(8_000, 0)].repeat(4);
    assert_eq!(ended(12, &alike).drills[0].objectives[0].trend, None);
}

#[test]
fn every_repeat_has_a_seed_of_its_own_that_follows_from_the_first() {
    let seeds: std::collections::BTreeSet<u64> = (1..=REPEATS_MAX).map(|number| repeat_seed(7, number)).collect();
    assert_eq!(seeds.len() as u64, REPEATS_MAX);
    assert!(seeds.iter().all(|seed| *seed < 1 << 53));
    assert_eq!((repeat_seed(7, 1), repeat_seed(7, 2)), (7, repeat_seed(7, 2)));
    assert_ne!(repeat_seed(7, 2), repeat_seed(8, 2));
}

#[test]
fn a_killed_series_tells_what_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let mut series = series(20, &[Plot::Down(12_000, 0), Plot::Nothing]);
    series.begin(3, repeat_seed(7, 3), "20261121T010300Z-drill-database-5a1e57".into());
    let own = folder.path().join(&series.id);
    std::fs::create_dir(&own).unwrap();
    save_json(&own, SERIES_FILE, &series).unwrap();
    let text = std::fs::read_to_string(own.join(SERIES_FILE)).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let read = read_series(&own).unwrap();
    assert_eq!(read, series);
    assert_eq!((read.ended, read.repeats.len(), read.under_way.as_ref().map(|one| one.number)), (None, 2, Some(3)));
    for wanted in [own.to_str().unwrap(), own.join(SERIES_FILE).to_str().unwrap(), &series.id] {
        assert_eq!(locate_series(folder.path(), wanted).as_ref(), Some(&own), "{wanted}");
    }
    assert_eq!(locate_series(folder.path(), "latest"), None);
    std::fs::write(own.join(SERIES_FILE), text.replacen("\"name\": ", "\"mane\": ", 1)).unwrap();
    assert!(matches!(read_series(&own), Err(StoreError::Turned { .. })));
    let text = text.replacen("\"crc32\"", "\"older\"", 1);
    std::fs::write(own.join(SERIES_FILE), text.replacen("\"version\": 1", "\"version\": 2", 1)).unwrap();
    assert!(matches!(read_series(&own), Err(StoreError::Version { found: 2, .. })));
    std::fs::write(own.join(SERIES_FILE), text.replacen("repeats", "repaets", 1)).unwrap();
    assert!(matches!(read_series(&own), Err(StoreError::Malformed { .. })));
}
