//! `slatest capacity`: the highest rate at which the objectives still pass.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;

use super::Exit;
use super::failure::tell;
use super::forecast::forecasts;
use super::prepare::{Found, PlanArgs, find};
use super::process::{begin, workers_default};
use super::terminal::Terminal;
use crate::capacity::{CapacityReport, Ceiling, Limits, Next, Search, Step, StepVerdict, VERSION, step_plan};
use slatest_core::measure::Tally;
use slatest_core::model::{Nanos, Outcome, Rate, Span, Verdict};
use slatest_core::say;
use slatest_drivers::Workload;
use slatest_engine::load::{EngineError, Judged, RunFacts, Stop, reach};
use slatest_engine::profile::{ExecutorPlan, Plan, Resolved, addresses_needed};
use slatest_engine::record::{Machine, TargetRecord, redact, result_folder, save_json};
use slatest_engine::run::{Measured, Observer as _, RunError, Silent, measure, put_up_proxies};

/// Sent before a step is judged: connections open, caches fill, what the step before left drains.
const WARM_UP: Nanos = Nanos::from_secs(3);
/// The longest that a step is judged, however many samples its objectives would like.
const LONGEST: Nanos = Nanos::from_secs(120);
/// What the target gets to recover after a step that passed, and after one that did not.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));
/// How long it may take until it is healthy again.
const RECOVERY: Duration = Duration::from_secs(60);
/// How often it is asked.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// Highest rate when nobody says.
const MOST: f64 = 1_000_000.0;
/// Name of the file in the result's folder.
const FILE: &str = "capacity.json";

/// Arguments of `slatest capacity`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest capacity --profile peak --scenario api
  slatest capacity --profile peak --scenario api --target staging --max 2000/s
  slatest capacity --profile peak --scenario cache --from 5000/s --step 20s

Steps of steady load, from the profile's rate on twice as much each time until a step doesn't pass,
then halving what is left (by ratio) until it is within 5 %. A step is as long as --step, or as the
objectives need to be told apart (2 min at most); the scenario is driven alone. What is void is tried
once more, what can't be told too, for twice as long. A void step says that the generator gave out,
not the target. A queue that grows slowly shows in long steps only: then ask with --step 1m.

Exit codes: 0 there is a rate that passes, 99 there is none, 97 the generator gave out at the lowest,
98 it could not be told, 2 wrong usage, 3 refused, 103 target unreachable, 104 invalid file,
105 interrupted, 1 unexpected.")]
pub struct CapacityArgs {
    /// Profile: a name (profiles/NAME.yaml here, else built in) or a path
    #[arg(long, short, value_name = "PROFILE")]
    profile: String,
    /// Which of its scenarios
    #[arg(long, value_name = "SCENARIO")]
    scenario: String,
    /// Target: a name (targets/NAME.yaml here, else built in) or a path [default: sandbox, or $SLATEST_TARGET]
    #[arg(long, short, value_name = "TARGET")]
    target: Option<String>,
    /// The first rate [default: the scenario's highest]
    #[arg(long, value_name = "RATE", value_parser = above_zero)]
    from: Option<Rate>,
    /// The highest rate to try [default: what the target allows, else 1000000/s]
    #[arg(long, value_name = "RATE", value_parser = above_zero)]
    max: Option<Rate>,
    /// Shortest time for which a step is judged
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    step: Span,
    /// Seed of every random choice
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// The addresses that load is sent from stand on the allow list of the firewall: `source_limit` of
    /// the target's endpoints does not hold for them
    #[arg(long)]
    allow_listed: bool,
    /// Where the result goes, in a folder of its own
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    out: PathBuf,
    /// Worker threads [default: one for each core, at most 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// A flag for the sandbox, when it is the target: `--sandbox=--capacity=500/s`
    #[arg(long = "sandbox", value_name = "FLAG", allow_hyphen_values = true)]
    sandbox_flags: Vec<String>,
}

fn above_zero(text: &str) -> Result<Rate, String> {
    let rate: Rate = text.parse()?;
    if rate.0 > 0.0 { Ok(rate) } else { Err("a rate must be above zero".into()) }
}

/// Runs it.
pub fn run(args: &CapacityArgs) -> Exit {
    match search(args) {
        Ok((report, None)) => conclude(&report),
        Ok((report, Some(reason))) => {
            let exit = conclude(&report);
            say!("slatest: THE RESULTS ARE NOT SAVED: {reason}");
            exit.unsaved()
        }
        Err(exit) => exit,
    }
}

fn search(args: &CapacityArgs) -> Result<(CapacityReport, Option<String>), Exit> {
    let stop = begin()?;
    let plan_args = PlanArgs {
        profile: args.profile.clone(),
        target: args.target.clone(),
        rate: Vec::new(),
        duration: None,
        scale: None,
        seed: args.seed,
        allow_listed: args.allow_listed,
        drills: false,
        allow_commands: false,
        sandbox_flags: args.sandbox_flags.clone(),
    };
    let refused = |error: RunError| tell(&error);
    let mut terminal = Terminal::new(true);
    let mut found = find(&plan_args).map_err(refused)?;
    let resolved = found.resolve(&mut terminal).map_err(refused)?;
    if let Some(drill) = resolved.plan.drills.first() {
        let profile = &resolved.plan.profile;
        let reason = format!(
            "the profile `{profile}` breaks things on purpose (drill `{}`): how much the platform carries is asked of one that doesn't",
            drill.name
        );
        return Err(said(Exit::Usage)(reason));
    }
    let limits = limits(args, &resolved);
    // What is wrong with the question shows before anything is sent.
    let (first, index) =
        step_plan(&resolved.plan, &args.scenario, limits.from, WARM_UP, args.step.0).map_err(said(Exit::Invalid))?;
    for need in addresses_needed(&first, &resolved.target) {
        // Steps follow one another, each faster than the last one that passed: what a limit counts together
        // may all be sent at the highest rate of all.
        let (longest, _) = step_plan(&resolved.plan, &args.scenario, limits.most, WARM_UP, need.limit.per.0)
            .map_err(said(Exit::Invalid))?;
        found.selection.check_addresses(&longest, &resolved.target, 1, &mut terminal).map_err(refused)?;
    }
    let workload = resolved.workloads.get(index).map(Arc::clone).into_iter().collect::<Vec<_>>();
    let _proxies = put_up_proxies(&resolved.target).map_err(refused)?;
    reach(&first, &workload).map_err(RunError::Unreachable).map_err(refused)?;
    terminal.reached();
    // Every step has the seed of the first.
    found.selection.overrides.seed = Some(resolved.plan.seed);
    let report = open(args, &resolved, &first, limits).map_err(said(Exit::Unexpected))?;
    let mut climb = Climb { args, found, stop, report, folder: args.out.clone(), unsaved: None };
    climb.folder = args.out.join(&climb.report.id);
    climb.save()?;
    climb.climb()?;
    Ok((climb.report, climb.unsaved))
}

fn said<E: std::fmt::Display>(exit: Exit) -> impl FnOnce(E) -> Exit {
    move |reason| {
        say!("slatest: {reason}");
        exit
    }
}

/// From the profile's rate on, up to what the target allows.
fn limits(args: &CapacityArgs, resolved: &Resolved) -> Limits {
    let scenario = resolved.plan.scenarios.iter().find(|scenario| scenario.name == args.scenario);
    let peak = scenario.map_or(1.0, |scenario| match &scenario.executor {
        ExecutorPlan::Arrivals { stages, .. } => stages.iter().map(|s| s.from.max(s.to)).fold(0.0, f64::max),
        ExecutorPlan::Users { .. } => 1.0,
    });
    let allowed = resolved.target.allow.max_rate.map_or(f64::INFINITY, |rate| rate.0);
    let most = args.max.map_or(MOST, |rate| rate.0).min(allowed);
    Limits { from: args.from.map_or(peak, |rate| rate.0), most }
}

fn open(
    args: &CapacityArgs,
    resolved: &Resolved,
    first: &Plan,
    limits: Limits,
) -> Result<CapacityReport, slatest_engine::record::StoreError> {
    let started = Timestamp::now();
    let label = format!("{}-capacity", resolved.plan.profile);
    let (id, _) = result_folder(&args.out, &label, started)?;
    Ok(CapacityReport {
        version: VERSION,
        id,
        slatest: env!("CARGO_PKG_VERSION").into(),
        started,
        ended: None,
        command: std::env::args().map(|word| redact(&word).into_owned()).collect(),
        profile: resolved.plan.profile.clone(),
        scenario: args.scenario.clone(),
        objectives: forecasts(first).iter().map(|f| format!("{} of {}", f.must_hold, f.scope)).collect(),
        seed: resolved.plan.seed,
        target: TargetRecord::new(&resolved.target),
        machine: Machine::this(),
        limits,
        steps: Vec::new(),
        end: Search::new(limits).so_far(),
        ended_early: None,
    })
}

/// A search under way.
struct Climb<'a> {
    args: &'a CapacityArgs,
    found: Found,
    stop: Stop,
    report: CapacityReport,
    folder: PathBuf,
    /// Why the report is not in its folder.
    unsaved: Option<String>,
}

impl Climb<'_> {
    fn save(&self) -> Result<(), Exit> {
        save_json(&self.folder, FILE, &self.report).map_err(said(Exit::Unexpected))
    }

    /// The same while steps are measured: what is known stays true, and is told in the end.
    fn save_or_note(&mut self) {
        if let Err(error) = save_json(&self.folder, FILE, &self.report) {
            self.unsaved = Some(error.to_string());
        } else {
            self.unsaved = None;
        }
    }

    /// Step by step to the end; what is known is written after each.
    fn climb(&mut self) -> Result<(), Exit> {
        let mut search = Search::new(self.report.limits);
        let mut ended_early = None;
        while let Next::Measure { rate, attempt } = search.next() {
            let (step, workloads) = self.step(rate, attempt)?;
            let measured = self.measure(&step, &workloads, rate, attempt)?;
            if self.stop.is_asked() {
                ended_early = Some("interrupted".to_owned());
                break;
            }
            let message = if measured.message.is_empty() { String::new() } else { format!(": {}", measured.message) };
            say!(
                "  {} {}, p99 {}{message}",
                Rate(rate),
                verdict_of(measured.verdict).name(),
                measured.p99.map_or_else(|| "-".into(), |time| time.to_string()),
            );
            search.report(measured.verdict);
            let passed = measured.verdict == StepVerdict::Pass;
            self.report.steps.push(measured);
            self.report.end = search.so_far();
            self.save_or_note();
            if let Next::Done(end) = search.next() {
                self.report.end = end;
            } else if let Err(reason) = self.recover(&step, &workloads, passed) {
                ended_early = Some(reason);
                break;
            }
        }
        self.report.ended_early = ended_early;
        self.report.ended = Some(Timestamp::now());
        self.save_or_note();
        Ok(())
    }

    /// A plan that is long enough to tell, freshly resolved: nothing is left over from the step before.
    fn step(&self, rate: f64, attempt: u8) -> Result<(Plan, Vec<Arc<dyn Workload>>), Exit> {
        let resolved = self.found.resolve(&mut Silent).map_err(|error| tell(&error))?;
        let step =
            |judged| step_plan(&resolved.plan, &self.args.scenario, rate, WARM_UP, judged).map_err(said(Exit::Invalid));
        let shortest = self.args.step.0;
        let (plan, index) = step(shortest)?;
        let needed = forecasts(&plan).iter().filter_map(|f| f.lengths).map(|(_, enough)| enough - WARM_UP).max();
        let judged = needed.unwrap_or(shortest).clamp(shortest, LONGEST.max(shortest));
        // More samples help what could not be told; what was void, a quieter moment.
        let untold =
            attempt > 1 && self.report.steps.last().is_some_and(|last| last.verdict == StepVerdict::Inconclusive);
        let (plan, _) = step(if untold { judged + judged } else { judged })?;
        Ok((plan, resolved.workloads.get(index).map(Arc::clone).into_iter().collect()))
    }

    fn measure(&self, step: &Plan, workloads: &[Arc<dyn Workload>], rate: f64, attempt: u8) -> Result<Step, Exit> {
        let judged_length = step.scenarios.first().map(|s| s.judged_length()).unwrap_or_default();
        let again = if attempt > 1 { ", once more" } else { "" };
        say!("slatest: {} at {} for {}{again}", self.args.scenario, Rate(rate), Span(judged_length));
        let workers = self.args.workers.map_or_else(workers_default, usize::from);
        let plan = Arc::new(step.clone());
        let blank = Step {
            rate,
            attempt,
            length: Nanos::ZERO,
            samples: 0,
            achieved: 0.0,
            error_rate: 0.0,
            p50: None,
            p95: None,
            p99: None,
            verdict: StepVerdict::Inconclusive,
            message: String::new(),
        };
        match measure(&plan, workloads.to_vec(), workers, self.stop.clone(), &mut Silent) {
            Ok(Measured { facts, judged }) => Ok(measured(blank, &facts, &judged, judged_length)),
            // Not a word on how the target does at this rate; it is asked again.
            Err(error @ EngineError::NotReady(_)) => Ok(Step { message: error.to_string(), ..blank }),
            Err(error @ EngineError::Worker(_)) => {
                Ok(Step { verdict: StepVerdict::Void, message: error.to_string(), ..blank })
            }
        }
    }

    /// Leaves the target alone until it is healthy.
    fn recover(&self, step: &Plan, workloads: &[Arc<dyn Workload>], passed: bool) -> Result<(), String> {
        nap(if passed { PAUSE.0 } else { PAUSE.1 });
        let since = Instant::now();
        loop {
            let Err(unhealthy) = reach(step, workloads) else { return Ok(()) };
            if self.stop.is_asked() {
                return Err("interrupted".into());
            }
            if since.elapsed() > RECOVERY {
                let reason = unhealthy.first().map(ToString::to_string).unwrap_or_default();
                return Err(format!("the target was not healthy again within {} s: {reason}", RECOVERY.as_secs()));
            }
            nap(ASKED_EVERY);
        }
    }
}

fn nap(length: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the target is to be left alone for so long")]
    std::thread::sleep(length);
}

/// What the facts of a step say.
fn measured(blank: Step, facts: &RunFacts, judged: &Judged, planned_length: Nanos) -> Step {
    let mut all = Tally::default();
    facts.timeline.judged.iter().for_each(|tally| all.merge(tally));
    let length = (facts.length - WARM_UP).min(planned_length);
    let responses = all.all_responses();
    let at = |quantile| responses.quantile(quantile).ok();
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let (verdict, message) = verdict(judged);
    Step {
        length,
        samples: all.completed(),
        achieved: all.outcome(Outcome::Ok) as f64 / length.as_secs_f64().max(1e-9),
        error_rate: share(all.failures(), all.countable()),
        p50: at(0.5),
        p95: at(0.95),
        p99: at(0.99),
        verdict,
        message,
        ..blank
    }
}

/// What a verdict means for the search, and what it rests on.
fn verdict(judged: &Judged) -> (StepVerdict, String) {
    let checks = judged.validity.iter().filter(|check| check.voids());
    let broken: Vec<String> = checks.map(|check| format!("{} {}", check.name, check.measured)).collect();
    let worst = judged.objectives.iter().filter(|objective| objective.verdict == judged.verdict);
    let objectives: Vec<String> = worst
        .take(3)
        .map(|o| format!("{} {} of {}, must be {}", o.indicator, o.measured_text(), o.scope, o.bound_text()))
        .collect();
    match judged.verdict {
        Verdict::Pass => (StepVerdict::Pass, String::new()),
        Verdict::Fail => (StepVerdict::Fail, objectives.join("; ")),
        Verdict::Inconclusive => (StepVerdict::Inconclusive, objectives.join("; ")),
        Verdict::Void if broken.is_empty() => (StepVerdict::Void, objectives.join("; ")),
        Verdict::Void => (StepVerdict::Void, broken.join("; ")),
    }
}

const fn verdict_of(verdict: StepVerdict) -> Verdict {
    match verdict {
        StepVerdict::Pass => Verdict::Pass,
        StepVerdict::Fail => Verdict::Fail,
        StepVerdict::Inconclusive => Verdict::Inconclusive,
        StepVerdict::Void => Verdict::Void,
    }
}

fn conclude(report: &CapacityReport) -> Exit {
    let mut out = std::io::stdout().lock();
    if let Err(error) = report.render(&mut out).and_then(|()| out.flush()) {
        say!("slatest: the curve could not be printed: {error}");
    }
    if report.ended_early.as_deref() == Some("interrupted") {
        return Exit::Interrupted;
    }
    match (report.end.passes, report.end.ceiling) {
        (Some(_), _) => Exit::Pass,
        (None, Ceiling::Generator) => Exit::Void,
        (None, Ceiling::Objectives) => Exit::Failed,
        (None, Ceiling::Undecided | Ceiling::Limit) => Exit::Inconclusive,
    }
}
