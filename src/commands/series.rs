//! `slatest run --repeat`: a profile with drills again and again, the target sound in between.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Exit;
use super::drills;
use super::prepare::{Found, PlanArgs, find, spread};
use super::run::{RunArgs, one};
use super::run_recorder::{Ended, NotRun, write_junit};
use crate::report::phrases::{explanation, plain};
use crate::report::{Junit, RenderSeries as _, Text, latest};
use slatest_core::model::Verdict;
use slatest_core::say;
use slatest_drivers::Workload;
use slatest_engine::load::{RunClock, Stop, reach};
use slatest_engine::profile::{Plan, Resolved};
use slatest_engine::record::{
    EndedEarly, RunRecord, RunWriter, SERIES_FILE, Series, SeriesOpening, Status, TargetRecord, repeat_seed,
    result_folder, save_json,
};
use slatest_faults::execute::unsound;
use slatest_faults::{Proxies, Stopwatch};
use slatest_stats::Heal;

/// How long it may take until the target is sound again after a repeat, beyond the drill's own look.
const SOUND_WITHIN: Duration = Duration::from_secs(180);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs it.
pub fn run(args: &RunArgs, repeats: u64, stop: &Stop) -> Exit {
    match make(args, repeats, stop) {
        Ok(made) => conclude(&made),
        Err(exit) => exit,
    }
}

/// A series and where it is written.
struct Made {
    series: Series,
    folder: PathBuf,
    /// The exit code of a run that did not come about.
    not_run: Option<Exit>,
    /// Why not all of it is in its folder.
    unsaved: Option<String>,
}

fn make(args: &RunArgs, repeats: u64, stop: &Stop) -> Result<Made, Exit> {
    let usage = |reason: String| {
        say!("slatest: {reason}");
        Exit::Usage
    };
    if args.by_agents() {
        return Err(usage("--repeat repeats drills, and those are led by one process: leave the agents out".into()));
    }
    let found = find(&args.plan)?;
    let first = found.resolve(&args.plan)?;
    refusal(&first.plan).map_err(usage)?;
    spread(&args.plan, &first.plan, &first.target, 1)?;
    // They stay up: what was broken through them is seen to be mended through them.
    let proxies = drills::put_up_proxies(&first.target)?;
    let (series, folder) = open(args, repeats, &first).map_err(|not| not.say())?;
    say!("slatest: {repeats} repeats of {}, told in {}", series.profile, folder.join(SERIES_FILE).display());
    let made = Made { series, folder, not_run: None, unsaved: None };
    let mut leading = Leading { args, found, proxies, stop, made };
    leading.lead(first).map_err(|not| not.say())?;
    Ok(leading.made)
}

/// Why a profile can't be repeated.
fn refusal(plan: &Plan) -> Result<(), String> {
    if plan.drills.is_empty() {
        return Err(format!("--repeat repeats drills, and the profile `{}` has none", plan.profile));
    }
    let by_hand = plan.drills.iter().find(|drill| !drill.heal.is_auto());
    by_hand.map_or(Ok(()), |drill| {
        let name = &drill.name;
        Err(format!(
            "the drill `{name}` is left to people to heal (`heal: manual`): nothing can come after it by itself"
        ))
    })
}

fn open(args: &RunArgs, planned: u64, first: &Resolved) -> Result<(Series, PathBuf), NotRun> {
    let started = Timestamp::now();
    let unexpected = |error| NotRun::new(Exit::Unexpected, error);
    let label = format!("{}-series", first.plan.profile);
    let (id, folder) = result_folder(&args.out, &label, started).map_err(unexpected)?;
    let series = Series::new(SeriesOpening {
        id,
        started,
        command: std::env::args().collect(),
        profile: first.plan.profile.clone(),
        seed: first.plan.seed,
        target: TargetRecord::new(&first.target),
        planned,
    });
    save_json(&folder, SERIES_FILE, &series).map_err(unexpected)?;
    Ok((series, folder))
}

/// A series under way.
struct Leading<'a> {
    args: &'a RunArgs,
    found: Found,
    proxies: Arc<Proxies>,
    stop: &'a Stop,
    made: Made,
}

impl Leading<'_> {
    fn save(&self) -> Result<(), NotRun> {
        save_json(&self.made.folder, SERIES_FILE, &self.made.series)
            .map_err(|error| NotRun::new(Exit::Unexpected, error))
    }

    /// Repeat by repeat to the end; what is known is written after each.
    fn lead(&mut self, first: Resolved) -> Result<(), NotRun> {
        let early = self.repeats(first)?;
        self.made.series.end(Timestamp::now(), early);
        let saved = self.save();
        let series = &self.made.series;
        let junit = write_junit(&self.made.folder, |file| Junit.render_series(series, file));
        self.made.unsaved = saved.and(junit).err().map(|not| not.reason);
        Ok(())
    }

    fn repeats(&mut self, first: Resolved) -> Result<Option<EndedEarly>, NotRun> {
        let (planned, seed) = (self.made.series.planned, self.made.series.seed);
        let mut next = Some(first);
        for number in 1..=planned {
            let seed = repeat_seed(seed, number);
            // Nothing is left over from the repeat before: sessions, feeds and names are its own.
            let resolved = match next.take() {
                Some(resolved) => resolved,
                None => {
                    let plan = PlanArgs { seed: Some(seed), ..self.args.plan.clone() };
                    match self.found.resolve(&plan) {
                        Ok(resolved) => resolved,
                        Err(exit) => return Ok(Some(self.not_run(exit, "the profile or the target changed"))),
                    }
                }
            };
            let (plan, workloads) = (resolved.plan.clone(), resolved.workloads.clone());
            say!("slatest: repeat {number} of {planned}, seed {seed}");
            let ran = {
                let Made { series, folder, .. } = &mut self.made;
                let mut begun = |writer: &RunWriter| {
                    series.begin(number, seed, writer.id().to_owned());
                    save_json(folder, SERIES_FILE, series).map_err(|error| NotRun::new(Exit::Unexpected, error))
                };
                one(self.args, resolved, Arc::clone(&self.proxies), self.stop, &mut begun)
            };
            let record = match ran {
                Ok(Ended { record, unsaved: None, .. }) => record,
                Ok(Ended { record, unsaved: Some(reason), .. }) => {
                    // What it says is kept in the series, and no more is broken without an account of it.
                    say!("slatest: THE RESULTS ARE NOT SAVED: {reason}");
                    self.made.series.add(&record, explanation(&record));
                    let early = left_broken(&record).map(EndedEarly::LeftBroken);
                    return Ok(Some(early.unwrap_or_else(|| self.not_run(Exit::Unsaved, &reason))));
                }
                Err(not) if self.stop.is_asked() && not.exit == Exit::Interrupted => {
                    return Ok(Some(EndedEarly::Interrupted));
                }
                Err(not) => {
                    // It may have broken something before it gave out; what it says of that is not known here.
                    let exit = not.say();
                    return Ok(Some(self.not_run(exit, &not.reason)));
                }
            };
            self.made.series.add(&record, explanation(&record));
            if let Err(not) = self.save() {
                let early = left_broken(&record).map(EndedEarly::LeftBroken);
                return Ok(Some(early.unwrap_or_else(|| self.not_run(Exit::Unsaved, &not.reason))));
            }
            say!("slatest: repeat {number} of {planned}: {}", latest(&self.made.series));
            if let Some(reason) = left_broken(&record) {
                return Ok(Some(EndedEarly::LeftBroken(reason)));
            }
            if record.status == Status::Interrupted || self.stop.is_asked() {
                return Ok(
                    (number < planned || record.status == Status::Interrupted).then_some(EndedEarly::Interrupted)
                );
            }
            if number < planned
                && let Err(early) = self.sound_again(&record.folder, &plan, &workloads)
            {
                return Ok(Some(early));
            }
        }
        Ok(None)
    }

    /// Waits until what a repeat broke is sound again, and the target is healthy. The drill healed it and looked
    /// already; others may have to catch up.
    fn sound_again(&self, folder: &Path, plan: &Plan, workloads: &[Arc<dyn Workload>]) -> Result<(), EndedEarly> {
        let broken = |reason: String| EndedEarly::LeftBroken(reason);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| broken(format!("no runtime to look at it with: {e}")))?;
        let stopwatch = Stopwatch::new(Arc::new(RunClock::default()));
        let since = Instant::now();
        loop {
            let wrong = runtime.block_on(unsound(folder, &stopwatch, Some(Arc::clone(&self.proxies))));
            let mut wrong = wrong.unwrap_or_else(|reason| vec![reason]);
            if wrong.is_empty() {
                let Err(unhealthy) = reach(plan, workloads) else { return Ok(()) };
                wrong = unhealthy.iter().map(ToString::to_string).collect();
            }
            if self.stop.is_asked() {
                // It was healed; who ended the series will want to know that it is not yet as it was.
                say!("slatest: warning: not sound again yet: {}", plain(&wrong.join("; ")));
                return Err(EndedEarly::Interrupted);
            }
            if since.elapsed() > SOUND_WITHIN {
                let within = SOUND_WITHIN.as_secs();
                return Err(broken(format!("not sound again within {within} s: {}", wrong.join("; "))));
            }
            nap();
        }
    }

    fn not_run(&mut self, exit: Exit, reason: &str) -> EndedEarly {
        self.made.not_run = Some(exit);
        EndedEarly::NotRun(reason.to_owned())
    }
}

fn nap() {
    #[expect(clippy::disallowed_methods, reason = "the target is to be left alone for so long")]
    std::thread::sleep(LOOK_EVERY);
}

/// What a repeat left broken; then nothing must come after it.
fn left_broken(record: &RunRecord) -> Option<String> {
    let each: Vec<String> = record
        .result
        .drills
        .iter()
        .filter_map(|drill| match &drill.heal {
            Heal::Failed(reason) | Heal::Open(reason) => {
                Some(format!("the drill `{}` of {} was not healed: {reason}", drill.name, record.id))
            }
            Heal::ByHand => Some(format!("the drill `{}` of {} is left to people to heal", drill.name, record.id)),
            Heal::Done(_) | Heal::Nothing => None,
        })
        .collect();
    (!each.is_empty()).then(|| each.join("; "))
}

/// Shows what all repeats say, and gives the exit code.
fn conclude(made: &Made) -> Exit {
    let Made { series, folder, not_run, unsaved } = made;
    let mut out = std::io::stdout().lock();
    if let Err(error) = Text::for_terminal().render_series(series, &mut out).and_then(|()| out.flush()) {
        say!("slatest: the summary could not be printed: {error}");
    }
    if let Some(EndedEarly::LeftBroken(reason)) = &series.ended_early {
        say!("slatest: THE TARGET IS NOT SOUND, nothing more was done to it: {}", plain(reason));
        say!("slatest: see to it by hand; {} has what was done until then", folder.display());
    }
    let exit = match (&series.ended_early, not_run) {
        (Some(EndedEarly::LeftBroken(_)), _) => Exit::Failed,
        (Some(EndedEarly::Interrupted), _) => Exit::Interrupted,
        (_, Some(exit)) if series.verdict != Verdict::Fail => *exit,
        _ => series.verdict.into(),
    };
    let Some(reason) = unsaved else { return exit };
    say!("slatest: THE RESULTS ARE NOT SAVED: {reason}");
    exit.unsaved()
}
