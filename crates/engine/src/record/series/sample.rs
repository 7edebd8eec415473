//! Series that are made up, for the tests of what writes or shows them.

use super::*;
use crate::record::{RunRecord, Status, sample};
use slatest_core::model::Nanos;
use slatest_core::writes::UnknownWrites;
use slatest_stats::{
    Asked, ComponentRecovery, DrillEnd, Heal, JudgedDrill, JudgedLedger, JudgedPart, JudgedRecovery, LedgerFindings,
    LedgerFound, LossRate, LostWrites, Restored, judge_rto,
};

pub const RTO: Nanos = Nanos::from_secs(30);

/// What a made-up repeat is to come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plot {
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

pub fn component(plot: Plot) -> ComponentRecovery {
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

pub fn nothing_found() -> LedgerFindings {
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
pub fn drill(plot: Plot) -> JudgedDrill {
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
            message: None,
        };
        vec![judge_rto(&component, RTO), part(lost)]
    } else {
        let message = Some("the fault was not injected: no steady state within 30 s".into());
        let verdict = Verdict::Inconclusive;
        vec![JudgedPart { asked: Asked::Rto(RTO), measured: "no data".into(), verdict, message }]
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

pub fn run(base: &RunRecord, number: u64, plot: Plot) -> RunRecord {
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
pub fn series(planned: u64, plots: &[Plot]) -> Series {
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
pub fn ended(planned: u64, plots: &[Plot]) -> Series {
    let mut series = series(planned, plots);
    series.end("2026-11-21T01:40:00Z".parse().unwrap(), None);
    series
}
