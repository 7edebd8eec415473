//! `slatest run`: a profile against a target, to its verdict.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::Exit;
use super::prepare::{PlanArgs, Prepared, prepare, reach, spread};
use super::process::{listen_for_signals, raise_file_limit, workers_default};
use crate::driver::Workload;
use crate::engine::{Engine, EngineError, Event, Stop, judge};
use crate::ledger::{LEDGER_FOLDER, LedgerWriter};
use crate::report::{Junit, Progress, Render as _, Text};
use crate::schedule::Stripe;
use crate::store::{Opening, RunRecord, RunWriter, StoreError, TargetRecord};

/// Arguments of `slatest run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest run --profile peak                        embedded sandbox, nothing else needed
  slatest run --profile peak --target staging       the endpoints of targets/staging.yaml
  slatest run --profile smoke --rate api=20/s --duration 1m --seed 7

Exit codes: 0 pass, 99 an objective failed, 98 inconclusive, 97 void, 2 wrong usage, 3 refused,
103 target unreachable, 104 invalid file, 105 interrupted, 1 unexpected.")]
pub struct RunArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// Where the results go, in a folder of their own
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    out: PathBuf,
    /// Worker threads [default: one for each core, at most 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// No progress, just the summary
    #[arg(long, short)]
    quiet: bool,
}

/// Runs it.
pub fn run(args: &RunArgs) -> Exit {
    raise_file_limit();
    let stop = Stop::default();
    if let Err(why) = listen_for_signals(stop.clone()) {
        eprintln!("slatest: {why}");
        return Exit::Unexpected;
    }
    let Prepared { resolved, sandbox } = match prepare(&args.plan) {
        Ok(prepared) => prepared,
        Err(exit) => return exit,
    };
    if let Err(exit) = spread(&args.plan, &resolved.plan, &resolved.target, 1) {
        return exit;
    }
    let health = match reach(&resolved.plan, &resolved.workloads) {
        Ok(health) => health,
        Err(unreachable) => {
            for error in unreachable {
                eprintln!("slatest: {error}");
            }
            return Exit::Unreachable;
        }
    };
    if stop.is_asked() {
        return Exit::Interrupted;
    }
    let opening = Opening {
        plan: resolved.plan.clone(),
        target: TargetRecord::new(&resolved.target),
        command: std::env::args().collect(),
        health,
        started: Timestamp::now(),
    };
    let writer = match RunWriter::create(&args.out, opening) {
        Ok(writer) => writer,
        Err(error) => {
            eprintln!("slatest: {error}");
            return Exit::Unexpected;
        }
    };
    let ledger = match begin_ledger(&writer, &resolved.run, &resolved.workloads) {
        Ok(ledger) => ledger,
        Err(error) => {
            eprintln!("slatest: the ledger of writes can't be begun in {}: {error}", writer.folder().display());
            return Exit::Unexpected;
        }
    };
    let plan = Arc::new(resolved.plan);
    let workers = args.workers.map_or_else(workers_default, usize::from);
    let engine = Engine {
        plan: Arc::clone(&plan),
        workloads: resolved.workloads,
        workers,
        stop,
        share: Stripe::WHOLE,
        ledger: ledger.as_ref().map(LedgerWriter::sink),
        orders: None,
    };
    let exit = conduct(engine, writer, ledger, args.quiet);
    // The sandbox goes last: sessions have said goodbye by now.
    drop(sandbox);
    exit
}

/// Begins the ledger of a run that has writes for it, in a folder of the run's results.
fn begin_ledger(
    writer: &RunWriter,
    run: &str,
    workloads: &[Arc<dyn Workload>],
) -> std::io::Result<Option<LedgerWriter>> {
    if !workloads.iter().any(|workload| workload.operations().iter().any(|operation| operation.ledger)) {
        return Ok(None);
    }
    let begun = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
    LedgerWriter::begin(&writer.folder().join(LEDGER_FOLDER), run, begun).map(Some)
}

/// Sends the load, writing and showing it as it goes.
fn conduct(engine: Engine, mut writer: RunWriter, ledger: Option<LedgerWriter>, quiet: bool) -> Exit {
    let plan = Arc::clone(&engine.plan);
    let mut progress = Progress::new(&plan, quiet);
    let mut lost: Option<StoreError> = None;
    let facts = engine.run(&mut |event| {
        match &event {
            Event::Window { window, .. } if lost.is_none() => lost = writer.window(window).err(),
            Event::Notice(notice) => writer.notice(notice.clone()),
            _ => {}
        }
        progress.show(&event);
    });
    progress.finish();
    let ledger = ledger.map(LedgerWriter::finish).unwrap_or_default();
    if let Some(flaw) = ledger.flaw() {
        writer.notice(flaw);
    }
    let facts = match facts {
        Ok(mut facts) => {
            facts.resources.writes_missed = ledger.missed;
            facts
        }
        Err(error @ EngineError::NotReady(_)) => {
            eprintln!("slatest: {error}");
            return Exit::Unreachable;
        }
        Err(error @ EngineError::Worker(_)) => {
            eprintln!("slatest: {error}; what was measured until then is in {}", writer.folder().display());
            return Exit::Void;
        }
    };
    if let Some(error) = lost {
        eprintln!("slatest: the run could not be written to the end: {error}");
        return Exit::Void;
    }
    let judged = judge(&plan, &facts);
    match writer.finish(&facts, judged, Timestamp::now()) {
        Ok(record) => conclude(&record),
        Err(error) => {
            eprintln!("slatest: the record could not be written: {error}");
            Exit::Unexpected
        }
    }
}

/// Shows the summary, writes what other tools read, and gives the exit code.
fn conclude(record: &RunRecord) -> Exit {
    let mut stdout = std::io::stdout().lock();
    let shown = Text::for_terminal().render(record, &mut stdout).and_then(|()| stdout.flush());
    let junit = record.folder.join("junit.xml");
    let written = std::fs::File::create(&junit).and_then(|mut file| Junit.render(record, &mut file));
    if let Err(error) = written {
        eprintln!("slatest: {} could not be written: {error}", junit.display());
        return Exit::Unexpected;
    }
    if let Err(error) = shown {
        eprintln!("slatest: the summary could not be printed: {error}");
    }
    if record.status == crate::store::Status::Interrupted { Exit::Interrupted } else { record.result.verdict.into() }
}
