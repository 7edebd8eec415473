//! A profile with drills again and again, the target sound in between.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::single::{Begun, once};
use super::{RunError, RunOptions, Selection, SeriesNews, SeriesObserver, put_up_proxies, run_name};
use crate::load::{RunClock, Stop, reach};
use crate::profile::{Plan, Resolved};
use crate::record::{
    EndedEarly, RunRecord, RunWriter, SERIES_FILE, Series, SeriesOpening, Status, TargetRecord, repeat_seed,
    result_folder, save_json,
};
use slatest_drivers::Workload;
use slatest_faults::execute::unsound;
use slatest_faults::{Proxies, Stopwatch};
use slatest_stats::Heal;

/// How long it may take until the target is sound again after a repeat, beyond the drill's own look.
const SOUND_WITHIN: Duration = Duration::from_secs(180);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What came of a series.
#[derive(Debug)]
pub struct SeriesOutcome {
    /// Its account.
    pub series: Series,
    /// Where it is written.
    pub folder: PathBuf,
    /// Why a repeat did not come about; none came after it.
    pub not_run: Option<RunError>,
    /// Why not all of it is in its folder.
    pub unsaved: Option<RunError>,
}

/// Runs a selection `repeats` times, each with a seed of its own. What is known is written after each repeat. Blocks.
///
/// # Errors
/// Why there was no first repeat.
pub fn series(
    selection: &Selection,
    repeats: u64,
    options: &RunOptions,
    stop: &Stop,
    observer: &mut dyn SeriesObserver,
) -> Result<SeriesOutcome, RunError> {
    let first = selection.resolve(&run_name(), observer)?;
    repeatable(&first.plan)?;
    selection.check_addresses(&first.plan, &first.target, 1, observer)?;
    // They stay up: what was broken through them is seen to be mended through them.
    let proxies = put_up_proxies(&first.target)?;
    let (series, folder) = open(options, repeats, &first)?;
    observer.series(&series, SeriesNews::Opened(&folder));
    let outcome = SeriesOutcome { series, folder, not_run: None, unsaved: None };
    let mut leading = Leading { selection, options, proxies, stop, observer, outcome };
    let early = leading.repeats(first);
    leading.outcome.series.end(Timestamp::now(), early);
    leading.outcome.unsaved = leading.save().err();
    Ok(leading.outcome)
}

/// Why a profile can't be repeated.
fn repeatable(plan: &Plan) -> Result<(), RunError> {
    if plan.drills.is_empty() {
        return Err(RunError::Usage(format!("--repeat repeats drills, and the profile `{}` has none", plan.profile)));
    }
    let by_hand = plan.drills.iter().find(|drill| !drill.heal.is_auto());
    by_hand.map_or(Ok(()), |drill| {
        let name = &drill.name;
        Err(RunError::Usage(format!(
            "the drill `{name}` is left to people to heal (`heal: manual`): nothing can come after it by itself"
        )))
    })
}

fn open(options: &RunOptions, planned: u64, first: &Resolved) -> Result<(Series, PathBuf), RunError> {
    let started = Timestamp::now();
    let label = format!("{}-series", first.plan.profile);
    let (id, folder) = result_folder(&options.out, &label, started)?;
    let series = Series::new(SeriesOpening {
        id,
        started,
        command: options.command.clone(),
        profile: first.plan.profile.clone(),
        seed: first.plan.seed,
        target: TargetRecord::new(&first.target),
        planned,
    });
    save_json(&folder, SERIES_FILE, &series)?;
    Ok((series, folder))
}

/// A series under way.
struct Leading<'a> {
    selection: &'a Selection,
    options: &'a RunOptions,
    proxies: Arc<Proxies>,
    stop: &'a Stop,
    observer: &'a mut dyn SeriesObserver,
    outcome: SeriesOutcome,
}

impl Leading<'_> {
    fn save(&self) -> Result<(), RunError> {
        Ok(save_json(&self.outcome.folder, SERIES_FILE, &self.outcome.series)?)
    }

    fn tell(&mut self, news: SeriesNews<'_>) {
        self.observer.series(&self.outcome.series, news);
    }

    /// Repeat by repeat to the end; what is known is written after each. Gives why it ended early.
    fn repeats(&mut self, first: Resolved) -> Option<EndedEarly> {
        let (planned, seed) = (self.outcome.series.planned, self.outcome.series.seed);
        let mut next = Some(first);
        for number in 1..=planned {
            let seed = repeat_seed(seed, number);
            // Nothing is left over from the repeat before: sessions, feeds and names are its own.
            let resolved = match next.take().map_or_else(|| self.resolve(seed), Ok) {
                Ok(resolved) => resolved,
                Err(error) => return Some(self.not_run(error)),
            };
            let (plan, workloads) = (resolved.plan.clone(), resolved.workloads.clone());
            self.tell(SeriesNews::RepeatBegins { number, seed });
            let record = match self.repeat(number, seed, resolved) {
                Ok(record) => record,
                Err(early) => return early,
            };
            if let Err(error) = self.save() {
                let early = left_broken(&record).map(EndedEarly::LeftBroken);
                return Some(early.unwrap_or_else(|| self.unsaved(&error.to_string())));
            }
            self.tell(SeriesNews::RepeatEnded { number });
            if let Some(reason) = left_broken(&record) {
                return Some(EndedEarly::LeftBroken(reason));
            }
            if record.status == Status::Interrupted || self.stop.is_asked() {
                let early = number < planned || record.status == Status::Interrupted;
                return early.then_some(EndedEarly::Interrupted);
            }
            if number < planned
                && let Err(early) = self.sound_again(&record.folder, &plan, &workloads)
            {
                return Some(early);
            }
        }
        None
    }

    fn resolve(&mut self, seed: u64) -> Result<Resolved, RunError> {
        let mut selection = self.selection.clone();
        selection.overrides.seed = Some(seed);
        selection.resolve(&run_name(), self.observer)
    }

    /// One repeat, which then stands in the account; else why the series ends.
    fn repeat(&mut self, number: u64, seed: u64, resolved: Resolved) -> Result<RunRecord, Option<EndedEarly>> {
        let ran = {
            let SeriesOutcome { series, folder, .. } = &mut self.outcome;
            let mut begun = |writer: &RunWriter| {
                series.begin(number, seed, writer.id().to_owned());
                Ok(save_json(folder, SERIES_FILE, series)?)
            };
            let mut watched = Begun { observer: self.observer, begun: &mut begun };
            once(resolved, self.options, Arc::clone(&self.proxies), self.stop, &mut watched)
        };
        let outcome = match ran {
            Ok(outcome) => outcome,
            Err(RunError::Interrupted) if self.stop.is_asked() => return Err(Some(EndedEarly::Interrupted)),
            Err(error) => {
                // It may have broken something before it gave out; what it says of that is not known here.
                self.tell(SeriesNews::NotRun(&error));
                return Err(Some(self.not_run(error)));
            }
        };
        let record = outcome.record;
        let message = self.observer.explain(&record);
        self.outcome.series.add(&record, message);
        let Some(reason) = outcome.unsaved else { return Ok(record) };
        // What it says is kept in the series, and no more is broken without an account of it.
        let reason = reason.to_string();
        self.tell(SeriesNews::NotSaved(&reason));
        let early = left_broken(&record).map(EndedEarly::LeftBroken);
        Err(Some(early.unwrap_or_else(|| self.unsaved(&reason))))
    }

    /// Waits until what a repeat broke is sound again, and the target is healthy. The drill healed it and looked
    /// already; others may have to catch up.
    fn sound_again(&mut self, folder: &Path, plan: &Plan, workloads: &[Arc<dyn Workload>]) -> Result<(), EndedEarly> {
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
                self.tell(SeriesNews::NotYetSound(&wrong.join("; ")));
                return Err(EndedEarly::Interrupted);
            }
            if since.elapsed() > SOUND_WITHIN {
                let within = SOUND_WITHIN.as_secs();
                return Err(broken(format!("not sound again within {within} s: {}", wrong.join("; "))));
            }
            nap();
        }
    }

    fn not_run(&mut self, error: RunError) -> EndedEarly {
        let reason = match &error {
            RunError::Invalid { .. } | RunError::Refused(_) => "the profile or the target changed".to_owned(),
            error => error.to_string(),
        };
        self.outcome.not_run = Some(error);
        EndedEarly::NotRun(reason)
    }

    fn unsaved(&mut self, reason: &str) -> EndedEarly {
        self.outcome.not_run = Some(RunError::Unsaved(reason.to_owned()));
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
