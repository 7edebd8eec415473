//! Drills are checked: that they can be, one after another, while load is sent, and that what is watched
//! can show what is asked.

use std::collections::BTreeSet;

use super::plan::{DrillPlan, DrillStart, RecoveryPlan};
use super::spec::{DrillSpec, RecoverySpec};
use crate::profile::Target;
use crate::profile::file::ProfileFile;
use crate::profile::objectives::Scope;
use crate::profile::plan::{OperationPlan, ScenarioPlan};
use crate::profile::scenario::LeftOut;
use slatest_core::model::{Nanos, OperationId, Problem, Problems, Span, suggest};
use slatest_core::source::{Located, Source};
use slatest_core::target::Guard;
use slatest_faults::steps::HealBy;
use slatest_faults::{FaultSpec, InjectSpec, mistakes};
use slatest_stats::{Asked, CELLS_MAX};

/// Good windows in a row that are a recovery, when the profile doesn't say.
const RESTORED_AFTER_DEFAULT: u64 = 30;
/// Most windows in a row that can be asked for.
const WINDOWS_MAX: u64 = 3_600;
/// Shortest default of how long a steady state may take.
const STEADY_WITHIN_FEWEST: Nanos = Nanos::from_secs(30);
/// Most drills of a profile, and most recovery objectives.
const DRILLS_MAX: usize = 100;
/// Most windows that are kept of all components of one drill together.
const CELLS_OF_ALL_MAX: u64 = 2_000_000;

/// What drills are resolved against.
pub(in crate::profile) struct Stage<'a> {
    pub(in crate::profile) source: &'a Source,
    pub(in crate::profile) file: &'a ProfileFile,
    pub(in crate::profile) target: &'a Target,
    pub(in crate::profile) guard: &'a Guard,
    pub(in crate::profile) target_name: &'a str,
    pub(in crate::profile) window: Nanos,
    pub(in crate::profile) scenarios: &'a [ScenarioPlan],
    pub(in crate::profile) operations: &'a [OperationPlan],
}

/// Resolves the drills of a profile with their objectives. Those on nothing but scenarios that were left out are
/// noted there.
///
/// # Errors
/// Every mistake.
pub(in crate::profile) fn resolve(stage: &Stage<'_>, left_out: &mut [LeftOut]) -> Result<Vec<DrillPlan>, Problems> {
    let mut problems = Problems::default();
    let mut drills: Vec<DrillPlan> = Vec::new();
    let mut names = BTreeSet::new();
    // When the drill before is over at the latest.
    let mut free = Nanos::ZERO;
    for (list, count) in [("drills", stage.file.drills.len()), ("recovery", stage.file.recovery.len())] {
        if count > DRILLS_MAX {
            problems.0.push(stage.source.problem(list, format!("{count} are too many: at most {DRILLS_MAX}")));
            return Err(problems);
        }
    }
    for (i, spec) in stage.file.drills.iter().enumerate() {
        let drill = Drill { stage, spec, key: format!("drills[{i}]") };
        if !names.insert(spec.name.as_str()) {
            let message = format!("the drill `{}` is there twice", spec.name);
            problems.0.push(drill.problem(&spec.name, "name", message));
        }
        match drill.resolve(left_out, &mut free) {
            Ok(Some(plan)) => drills.push(plan),
            Ok(None) => {}
            Err(more) => problems.0.extend(more.0),
        }
    }
    let mut names: BTreeSet<&str> = stage.file.objectives.iter().map(|spec| spec.name.as_str()).collect();
    for (i, spec) in stage.file.recovery.iter().enumerate() {
        let recovery = Recovery { stage, spec, key: format!("recovery[{i}]") };
        if !names.insert(spec.name.as_str()) {
            let message = format!("the objective `{}` is there twice", spec.name);
            problems.0.push(recovery.problem(&spec.name, "name", message));
        }
        problems.take(recovery.resolve(&mut drills, left_out));
    }
    problems.or(drills)
}

struct Drill<'a> {
    stage: &'a Stage<'a>,
    spec: &'a Located<DrillSpec>,
    key: String,
}

impl Drill<'_> {
    fn problem<T>(&self, at: &Located<T>, key: &str, message: impl Into<String>) -> Problem {
        self.stage.source.problem_at(at, format!("{}.{key}", self.key), message)
    }

    fn resolve(&self, left_out: &mut [LeftOut], free: &mut Nanos) -> Result<Option<DrillPlan>, Problems> {
        let spec = self.spec;
        let mut problems = Problems::default();
        let scope = Scope { source: self.stage.source, written: &spec.scope, key: format!("{}.scope", self.key) };
        let says = "so the drill would watch nothing";
        let operations = problems.take(scope.operations(&spec.name, says, self.stage.operations, left_out));
        let injection = problems.take(self.injection());
        let restored_after = spec.restored_after.as_ref().map_or(RESTORED_AFTER_DEFAULT, |n| n.value);
        for (windows, key) in [(&spec.restored_after, "restored_after"), (&spec.after_steady, "after_steady")] {
            if let Some(windows) = windows
                && !(1..=WINDOWS_MAX).contains(&windows.value)
            {
                let message = format!("from 1 to {WINDOWS_MAX} windows, not {windows}");
                problems.0.push(self.problem(windows, key, message));
            }
        }
        problems.0.extend(self.watch(restored_after).err());
        problems.0.extend(self.hold().err());
        let start = problems.take(self.start(*free).map_err(Problems::from));
        let (Some(operations), Some((fault, injector)), Some(start), true) =
            (operations, injection, start, problems.0.is_empty())
        else {
            return Err(problems);
        };
        if operations.is_empty() {
            return Ok(None);
        }
        self.time(start, &operations, free)?;
        Ok(Some(DrillPlan {
            name: spec.name.value.clone(),
            start,
            fault,
            injector,
            hold: spec.hold.as_ref().map(|hold| hold.value.0),
            heal: spec.heal,
            watch: spec.watch.value.0,
            restored_after,
            scope: spec.scope.value.clone(),
            operations,
            objectives: Vec::new(),
        }))
    }

    /// What is broken: (name of the target's fault, injector).
    fn injection(&self) -> Result<(Option<String>, FaultSpec), Problems> {
        let written = &self.spec.inject;
        let target = self.stage.target;
        let name = match &written.value {
            InjectSpec::Inline(spec) => return self.inline(spec).map(|()| (None, spec.clone())),
            InjectSpec::Fault(name) => name,
        };
        let Some(fault) = target.faults.get(name) else {
            let message = format!("the target `{}` ({}) has no fault `{name}`", target.name, self.stage.target_name);
            let help = if target.faults.is_empty() {
                "it has no section `faults:`, which says what can be broken there".to_owned()
            } else {
                suggest(name, target.faults.keys().map(String::as_str))
            };
            return Err(self.problem(written, "inject.fault", message).with_help(help).into());
        };
        Ok((Some(name.clone()), fault.value.clone()))
    }

    /// One that is written in the profile is checked as those of the target are.
    fn inline(&self, spec: &FaultSpec) -> Result<(), Problems> {
        let place = format!("{}.inject", self.key);
        let stage = self.stage;
        let wrong = mistakes(stage.source, (&place, &self.spec.inject), spec, stage.target, stage.guard);
        if wrong.is_empty() { Ok(()) } else { Err(Problems(wrong)) }
    }

    fn watch(&self, restored_after: u64) -> Result<(), Problem> {
        let (watch, window) = (&self.spec.watch, self.stage.window);
        let row = Nanos(window.0.saturating_mul(restored_after.saturating_add(1)));
        if watch.value.0 < row {
            let message =
                format!("in {watch} no recovery shows, which takes {restored_after} good windows of {}", Span(window));
            let help = format!("watch for {} at least, or lower `restored_after`", Span(row));
            return Err(self.problem(watch, "watch", message).with_help(help));
        }
        let windows = watch.value.0.0 / window.0.max(1);
        if windows > CELLS_MAX as u64 / 2 {
            let message = format!("{watch} are {windows} windows of {}, more than are kept", Span(window));
            let help = "watch for a shorter time, or make the profile's `window` longer";
            return Err(self.problem(watch, "watch", message).with_help(help));
        }
        Ok(())
    }

    fn hold(&self) -> Result<(), Problem> {
        let Some(hold) = &self.spec.hold else { return Ok(()) };
        if self.spec.heal == HealBy::Manual {
            let message = "`hold` says when the run heals the fault, and `heal: manual` that it never does";
            return Err(self.problem(hold, "hold", message).with_help("leave one of them out"));
        }
        if hold.value >= self.spec.watch.value {
            let message = format!("the fault is held for {hold}, and watched for {} only", self.spec.watch);
            return Err(self.problem(hold, "hold", message).with_help("watch for longer than it is held"));
        }
        Ok(())
    }

    fn start(&self, free: Nanos) -> Result<DrillStart, Problem> {
        let spec = self.spec;
        match (&spec.at, &spec.after_steady) {
            (Some(at), None) => {
                if let Some(within) = &spec.steady_within {
                    let message = "`steady_within` goes with `after_steady`";
                    return Err(self.problem(within, "steady_within", message));
                }
                if at.value.0 < free {
                    let message = format!("at {at} the drill before may still be watched, until {}", Span(free));
                    return Err(self
                        .problem(at, "at", message)
                        .with_help("one drill follows another, in the order written"));
                }
                Ok(DrillStart::At(at.value.0))
            }
            (None, Some(windows)) => {
                let row = Nanos(self.stage.window.0.saturating_mul(windows.value.min(WINDOWS_MAX)));
                let within = spec.steady_within.as_ref().map(|within| within.value.0);
                if let (Some(within), Some(written)) = (within, &spec.steady_within)
                    && within < row
                {
                    let message =
                        format!("{windows} windows of {} take longer than {written}", Span(self.stage.window));
                    return Err(self.problem(written, "steady_within", message));
                }
                let within = within.unwrap_or_else(|| Nanos(row.0.saturating_mul(3)).max(STEADY_WITHIN_FEWEST));
                Ok(DrillStart::AfterSteady { windows: windows.value, within })
            }
            (Some(at), Some(_)) => {
                let message = "`at` and `after_steady` both say when the fault is injected";
                Err(self.problem(at, "at", message).with_help("leave one of them out"))
            }
            (None, None) => {
                let message = "nothing says when the fault is injected";
                let help = "write `at: 60s`, or `after_steady: 30` (windows in which every objective holds)";
                Err(self.problem(&spec.name, "at", message).with_help(help))
            }
        }
    }

    /// Load must be sent as long as it is watched; then the next may begin.
    fn time(&self, start: DrillStart, operations: &[OperationId], free: &mut Nanos) -> Result<(), Problem> {
        let (key, latest) = match start {
            DrillStart::At(at) => ("at", at),
            DrillStart::AfterSteady { within, .. } => ("after_steady", *free + within),
        };
        let scenarios: BTreeSet<usize> =
            operations.iter().filter_map(|o| Some(self.stage.operations.get(o.index())?.scenario)).collect();
        let scenarios = || scenarios.iter().filter_map(|&i| self.stage.scenarios.get(i));
        let over = latest + self.spec.watch.value.0;
        if let Some(first) = scenarios().min_by_key(|scenario| scenario.end())
            && over > first.end()
        {
            let message = format!(
                "it may be watched until {}, and the scenario `{}` ends after {}",
                Span(over),
                first.name,
                Span(first.end())
            );
            let help = "make the scenario longer, or the drill earlier or shorter";
            return Err(self.problem(&self.spec.watch, "watch", message).with_help(help));
        }
        if let (DrillStart::At(at), Some(last)) = (start, scenarios().max_by_key(|scenario| scenario.start))
            && at <= last.start
        {
            let message = format!(
                "the scenario `{}` begins after {} only: nothing would be known from before the fault",
                last.name,
                Span(last.start)
            );
            return Err(self.problem(&self.spec.name, key, message).with_help("inject it later"));
        }
        let windows = self.spec.watch.value.0.0 / self.stage.window.0.max(1);
        let components = operations.len() as u64 + 2;
        if windows.saturating_mul(components) > CELLS_OF_ALL_MAX {
            let message =
                format!("{windows} windows of {components} components are more than are kept ({CELLS_OF_ALL_MAX})");
            let help = "watch for a shorter time, make the profile's `window` longer, or the scope narrower";
            return Err(self.problem(&self.spec.watch, "watch", message).with_help(help));
        }
        *free = over;
        Ok(())
    }
}

struct Recovery<'a> {
    stage: &'a Stage<'a>,
    spec: &'a Located<RecoverySpec>,
    key: String,
}

impl Recovery<'_> {
    fn problem<T>(&self, at: &Located<T>, key: &str, message: impl Into<String>) -> Problem {
        self.stage.source.problem_at(at, format!("{}.{key}", self.key), message)
    }

    fn resolve(&self, drills: &mut [DrillPlan], left_out: &mut [LeftOut]) -> Result<(), Problems> {
        let spec = self.spec;
        let written = &self.stage.file.drills;
        if !written.iter().any(|drill| *drill.name == *spec.drill) {
            let message = format!("there is no drill `{}`", spec.drill);
            let help = suggest(&spec.drill, written.iter().map(|drill| drill.name.as_str()));
            return Err(self.problem(&spec.drill, "drill", message).with_help(help).into());
        }
        let asks: Vec<Asked> = [
            spec.rto.as_ref().map(|rto| Asked::Rto(rto.value.0)),
            spec.rpo.as_ref().map(|rpo| Asked::Rpo(rpo.value.0)),
            spec.lost_writes.as_ref().map(|most| Asked::LostWrites(most.value)),
        ]
        .into_iter()
        .flatten()
        .collect();
        if asks.is_empty() {
            let message = "it asks for nothing";
            let help = "give it one of `rto`, `rpo`, `lost_writes`";
            return Err(self.problem(&spec.name, "rto", message).with_help(help).into());
        }
        // One that has a mistake of its own, or went with what was left out.
        let Some(drill) = drills.iter_mut().find(|drill| drill.name == *spec.drill.value) else { return Ok(()) };
        let operations = match &spec.scope {
            None => drill.operations.clone(),
            Some(written) => {
                let scope = Scope { source: self.stage.source, written, key: format!("{}.scope", self.key) };
                let says = "so the objective would say nothing";
                scope.operations(&spec.name, says, self.stage.operations, left_out)?
            }
        };
        if operations.is_empty() {
            return Ok(());
        }
        if let Some(rto) = &spec.rto {
            let row = Nanos(self.stage.window.0.saturating_mul(drill.restored_after + 1));
            let needed = rto.value.0 + row;
            if drill.watch < needed {
                let message = format!(
                    "the drill is watched for {}, which can't show whether {rto} is met: that takes {} good windows after it",
                    Span(drill.watch),
                    drill.restored_after
                );
                let help = format!("let the drill `watch: {}` at least", Span(needed));
                return Err(self.problem(rto, "rto", message).with_help(help).into());
            }
        }
        let scope = spec.scope.as_ref().map_or_else(|| drill.scope.clone(), |scope| scope.value.clone());
        drill.objectives.push(RecoveryPlan { name: spec.name.value.clone(), scope, operations, asks });
        Ok(())
    }
}
