//! `slatest run`: a profile against a target, to its verdict.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::Exit;
use super::prepare::{PlanArgs, Prepared, prepare, reach};
use crate::engine::{Engine, EngineError, Event, Stop, judge};
use crate::report::{Junit, Progress, Render as _, Text};
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
    let plan = Arc::new(resolved.plan);
    let workers = args.workers.map_or_else(workers_default, usize::from);
    let engine = Engine { plan: Arc::clone(&plan), workloads: resolved.workloads, workers, stop };
    let exit = conduct(engine, writer, args.quiet);
    // The sandbox goes last: sessions have said goodbye by now.
    drop(sandbox);
    exit
}

/// Most workers by default; beyond, their stripes get thin.
const WORKERS_DEFAULT_MAX: usize = 16;

/// One for each core: measured on two cores with the target beside it, two workers were late by
/// 0.6 ms at p99 where one was by 1.5 ms, because an arrival then waits for half of the others.
fn workers_default() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(WORKERS_DEFAULT_MAX)
}

/// Sends the load, writing and showing it as it goes.
fn conduct(engine: Engine, mut writer: RunWriter, quiet: bool) -> Exit {
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
    let facts = match facts {
        Ok(facts) => facts,
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

/// 10,000 sessions need 10,000 descriptors; the soft limit is often 1,024 where the hard one is more.
fn raise_file_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, hard, "the limit of open files could not be raised");
    }
}

/// Ctrl-C and SIGTERM end a run gracefully; a second one ends it at once.
fn listen_for_signals(stop: Stop) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("no runtime to listen for signals with: {e}"))?;
    let listen = async move {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => stop.ask(),
                _ = terminate.recv() => stop.ask(),
            }
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || runtime.block_on(listen))
        .map(drop)
        .map_err(|e| format!("no thread to listen for signals with: {e}"))
}
