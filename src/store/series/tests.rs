use super::*;
use crate::ledger::UnknownWrites;
use crate::model::Nanos;
use crate::objective::{
    Asked, ComponentRecovery, DrillEnd, Heal, JudgedDrill, JudgedLedger, JudgedPart, JudgedRecovery, LedgerFindings,
    LedgerFound, LossRate, LostWrites, Restored, Went, judge_rto,
};
use crate::store::{RunRecord, Status, StoreError, locate_series, read_series, sample, save_json};

const RTO: Nanos = Nanos::from_secs(30);

/// What a made-up repeat is to come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plot {
    /// Down for so many milliseconds, seen in windows of a second; so many writes lost.
    Down(u64, u64),
    /// Not restored while it was watched.
    Never,
    /// The fault did nothing.
    Nothing,
    /// The state was never steady.
    NotStarted,
    /// The user ended it, after so many milliseconds of the outage.
    BrokenOff(u64),
    /// Down for so long, and the generator gave out.
    Void(u64),
}

fn component(plot: Plot) -> ComponentRecovery {
    let second = Nanos::from_secs(1);
    let down = match plot {
        Plot::Down(millis, _) | Plot::Void(millis) | Plot::BrokenOff(millis) => Nanos::from_millis(millis),
        Plot::Never => Nanos::from_secs(60),
        Plot::Nothing | Plot::NotStarted => Nanos::ZERO,
    };
    let restored = match plot {
        Plot::Down(..) | Plot::Void(_) => Some(Restored { after: down, lower: down - second, upper: down + second }),
        _ => None,
    };
    ComponentRecovery {
        name: "sql/*".into(),
        first_error: (!down.is_zero()).then_some(Nanos::from_millis(40)),
        first_success: restored.map(|restored| restored.after),
        restored,
        down_until: down - second,
        bad: down,
        bad_again: Nanos::ZERO,
        unknown: Nanos::ZERO,
        bad_before: Nanos::ZERO,
        known_before: Nanos::from_secs(30),
        spells: u64::from(!down.is_zero()),
        failed: down.0 / 20_000_000,
        operations: 3_000,
        watched: Nanos::from_secs(60),
        fewest: Some(11),
        good: vec!["error_rate < 0.1%".into()],
        window: second,
        timeline: "gggbbbggg".into(),
        timeline_from: Nanos::from_secs(17),
    }
}

fn nothing_found() -> LedgerFindings {
    LedgerFindings {
        acknowledged: 0,
        rejected: 0,
        unknown: 0,
        unknown_writes: UnknownWrites::default(),
        unreadable: 0,
        lost: LostWrites::default(),
        lost_after_fault: LostWrites::default(),
        recovery_point: Nanos::ZERO,
        loss_rate: LossRate { upper: 1.0, confidence: 0.95 },
        wrong_value: 0,
        duplicates: 0,
        never_written: 0,
        never_written_named: Vec::new(),
        rejected_found: 0,
        stale: Vec::new(),
        unasked: Vec::new(),
        log: None,
    }
}

/// Judged as a run judges it.
fn drill(plot: Plot) -> JudgedDrill {
    let issued = Nanos::from_secs(20);
    let injected = plot != Plot::NotStarted;
    let component = component(plot);
    let lost = if let Plot::Down(_, lost) = plot { lost } else { 0 };
    let found = LedgerFindings {
        acknowledged: 900,
        lost: LostWrites { count: lost, named: Vec::new() },
        recovery_point: if lost > 0 { Nanos::from_millis(350) } else { Nanos::ZERO },
        ..nothing_found()
    };
    let ledger = JudgedLedger { scenario: "sql".into(), found: LedgerFound::Read(Box::new(found)), flaws: Vec::new() };
    let parts = if injected {
        let part = |lost: u64| JudgedPart {
            asked: Asked::LostWrites(0),
            measured: format!("{lost} of 900 acknowledged writes lost"),
            verdict: if lost > 0 { Verdict::Fail } else { Verdict::Pass },
            words: None,
        };
        vec![judge_rto(&component, RTO), part(lost)]
    } else {
        let words = Some("the fault was not injected: no steady state within 30 s".into());
        let verdict = Verdict::Inconclusive;
        vec![JudgedPart { asked: Asked::Rto(RTO), measured: "no data".into(), verdict, words }]
    };
    let verdict = Verdict::worst(parts.iter().map(|part| part.verdict));
    JudgedDrill {
        name: "primary-loss".into(),
        fault: "database-primary-loss".into(),
        end: match plot {
            Plot::NotStarted => DrillEnd::NotStarted("no steady state within 30 s".into()),
            Plot::BrokenOff(_) => DrillEnd::Interrupted,
            _ => DrillEnd::Watched,
        },
        issued: injected.then_some(issued),
        acknowledged: injected.then_some(issued + Nanos::from_millis(80)),
        reported: None,
        detected: (plot == Plot::Never).then(|| (Nanos::from_secs(7), "DatabaseDown".into())),
        heal: if injected { Heal::Done(Nanos::from_secs(80)) } else { Heal::Nothing },
        components: if injected { vec![component] } else { Vec::new() },
        ledger: if injected { vec![ledger] } else { Vec::new() },
        objectives: vec![JudgedRecovery { name: "db".into(), scope: "sql/*".into(), parts, verdict }],
        verdict,
    }
}

fn run(base: &RunRecord, number: u64, plot: Plot) -> RunRecord {
    let mut run = base.clone();
    run.id = format!("20261121T01{number:02}00Z-drill-database-5a1e57");
    run.seed = repeat_seed(7, number);
    let drill = drill(plot);
    run.result.verdict = if matches!(plot, Plot::Void(_)) { Verdict::Void } else { drill.verdict };
    run.status = if matches!(plot, Plot::BrokenOff(_)) { Status::Interrupted } else { Status::Finished };
    run.result.length = Nanos::from_secs(95);
    run.result.drills = vec![drill];
    run
}

/// A series of which these repeats were made.
pub(crate) fn series(planned: u64, plots: &[Plot]) -> Series {
    let folder = tempfile::tempdir().unwrap();
    let base = sample::fixed(folder.path());
    let mut series = Series::new(SeriesOpening {
        id: "20261121T010000Z-drill-database-series-5e71e5".into(),
        started: "2026-11-21T01:00:00Z".parse().unwrap(),
        command: vec!["slatest".into(), "run".into(), "--repeat".into(), "postgres://u:hunter2@db/x".into()],
        profile: "drill-database".into(),
        seed: 7,
        target: base.target.clone(),
        planned,
    });
    series.slatest = "0.1.0".into();
    series.machine = base.machine.clone();
    for (number, plot) in (1..).zip(plots) {
        let run = run(&base, number, *plot);
        series.begin(number, run.seed, run.id.clone());
        series.add(&run, format!("1 of 1 drills {}", run.result.verdict));
    }
    series
}

/// The same, ended.
pub(crate) fn ended(planned: u64, plots: &[Plot]) -> Series {
    let mut series = series(planned, plots);
    series.end("2026-11-21T01:40:00Z".parse().unwrap(), None);
    series
}

fn goes(series: &Series) -> &crate::objective::Repeats {
    &series.drills[0].objectives[0].goes
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
    std::fs::write(own.join(SERIES_FILE), text.replacen("\"version\": 1", "\"version\": 2", 1)).unwrap();
    assert!(matches!(read_series(&own), Err(StoreError::Version { found: 2, .. })));
    std::fs::write(own.join(SERIES_FILE), text.replacen("repeats", "repaets", 1)).unwrap();
    assert!(matches!(read_series(&own), Err(StoreError::Malformed { .. })));
}
