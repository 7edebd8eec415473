//! Profile, workloads and target come together: everything is checked, nothing is contacted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::draft::{Draft, Load};
use super::drills::{self, DrillPlan};
use super::executor;
use super::file::{ProfileFile, RateCounts};
use super::library::Library;
use super::limits;
use super::objectives;
use super::overrides::Overrides;
use super::plan::{ExecutorPlan, MixItem, OperationPlan, Plan, PlanStep, ScenarioPlan};
use super::scenario::{Binding, Casting, LeftOut, ResolveContext, endpoint_place};
use crate::profile::Target;
use slatest_core::model::{Nanos, OperationId, Problem, Problems, Span};
use slatest_core::schedule::Places;
use slatest_core::source::{CREDENTIAL_WRITTEN, Located, Source};
use slatest_core::target::Guard;
use slatest_core::text::is_harmful;
use slatest_core::text::plain;
use slatest_drivers::{Step, Workload};
use slatest_faults::check_target;

/// Length of a window when the profile doesn't say.
const WINDOW_DEFAULT: Nanos = Nanos::from_secs(1);
/// How long operations may go on after the last arrival when the profile doesn't say.
const GRACEFUL_STOP_DEFAULT: Nanos = Nanos::from_secs(30);
/// Most scenarios of a profile.
const SCENARIOS_MAX: usize = 100;
/// Most operations of a run; each has histograms on every worker.
const OPERATIONS_MAX: usize = 1000;

/// What can run.
pub struct Resolved {
    /// Name of the run.
    pub run: String,
    /// What a run is going to do.
    pub plan: Plan,
    /// The workload of each scenario, in the order of the plan.
    pub workloads: Vec<Arc<dyn Workload>>,
    /// The target. Serialising it shows where secrets come from, and none of them.
    pub target: Target,
    /// Whether the profile allows a target marked production.
    pub production: bool,
    /// The folder that relative paths start from, for the fault of each drill of the plan: that of the file in
    /// which the fault is written.
    pub fault_folders: Vec<PathBuf>,
    /// The folder that relative paths in the target start from.
    pub target_folder: PathBuf,
}

/// Checks everything that a user wrote and makes it ready to run. Contacts nobody. `run` is the
/// name that the run has towards the target.
///
/// # Errors
/// Every mistake that can be told apart from its consequences, each with its place.
pub fn resolve(
    library: &Library,
    profile: &Source,
    target_source: &Source,
    overrides: &Overrides,
    run: &str,
) -> Result<Resolved, Problems> {
    let mut problems = Problems::default();
    let file = problems.take(profile.parse::<ProfileFile>());
    let target = problems.take(target_source.parse::<Target>());
    let (Some(file), Some(target)) = (file, target) else { return Err(problems) };
    check_whole(profile, &file, &mut problems);
    let guard = Guard::new(&target.allow)
        .map_err(|reason| Problems::from(target_source.problem_at(&target.allow, "allow.hosts", reason)));
    let Some(guard) = problems.take(guard) else { return Err(problems) };
    problems.take(check_target(target_source, &target, &guard));

    let mut drafts = Vec::with_capacity(file.scenarios.len());
    for (name, spec) in &file.scenarios {
        let (draft, wrong) = executor::draft(profile, name, spec);
        drafts.push(draft);
        problems.0.extend(wrong.0);
    }
    if problems.0.is_empty() {
        problems.take(fill_lengths(profile, &file, &mut drafts));
        problems.take(overrides.apply_loads(&mut drafts));
        overrides.apply_duration(&mut drafts);
        problems.take(overrides.check(&drafts));
        for draft in &drafts {
            problems.take(executor::check_judged(profile, &file.scenarios[&draft.name], draft));
        }
    }

    // JSON readers hold whole numbers up to 2^53; a seed that can't be copied repeats nothing.
    let seed = overrides.seed.or(file.seed).unwrap_or_else(|| rand::random::<u64>() >> 11);
    let ground = ResolveContext { library, profile, target_source, target: &target, guard: &guard, seed, run };
    let mut casts: BTreeMap<&str, Binding<'_>> = BTreeMap::new();
    let mut left_out: Vec<LeftOut> = Vec::new();
    for (name, spec) in &file.scenarios {
        match problems.take(ground.cast(name, spec)) {
            Some(Casting::Binding(cast)) => drop(casts.insert(name, cast)),
            Some(Casting::LeftOut(gone)) => left_out.push(gone),
            None => {}
        }
    }
    let faulty = check_endpoints(&ground, casts.values(), &mut problems);
    let mut assembly = PlanBuilder::default();
    for draft in &mut drafts {
        let Some(cast) = casts.get(draft.name.as_str()).filter(|cast| !faulty.contains(cast.endpoint)) else {
            continue;
        };
        if let Some(workload) = problems.take(ground.compile(cast, draft)) {
            assembly.add(draft, cast, &file, workload);
        }
    }
    if assembly.operations.len() > OPERATIONS_MAX {
        let message = format!("{} operations are too many: at most {OPERATIONS_MAX}", assembly.operations.len());
        return Err(profile.problem("scenarios", message).into());
    }
    // Where a workload is missing, a scope that matches nothing may be no mistake.
    let whole = assembly.scenarios.len() + left_out.len() == file.scenarios.len();
    let objectives = if whole && !assembly.scenarios.is_empty() {
        problems.take(objectives::resolve(profile, &file, &mut assembly.operations, &mut left_out))
    } else {
        problems.take(objectives::check(profile, &file));
        None
    };
    let window = file.window.as_ref().map_or(WINDOW_DEFAULT, |window| window.value.0);
    let drills = if whole && !assembly.scenarios.is_empty() {
        let stage = drills::Stage {
            source: profile,
            file: &file,
            target: &target,
            guard: &guard,
            target_name: &target_source.name,
            window,
            scenarios: &assembly.scenarios,
            operations: &assembly.operations,
        };
        problems.take(drills::resolve(&stage, &mut left_out)).unwrap_or_default()
    } else {
        Vec::new()
    };
    if problems.0.is_empty() {
        limits::check(&ground, &assembly.scenarios, &mut problems);
    }
    drop_echoes(&mut problems);
    if !problems.0.is_empty() {
        return Err(problems);
    }
    let Some(objectives) = objectives else {
        let message = format!("nothing is left to run on the target `{}`", target.name);
        let gone: Vec<String> =
            left_out.into_iter().map(|gone| format!("{}: {}", gone.scenario, gone.reason)).collect();
        return Err(profile.problem("scenarios", message).with_help(gone.join("; ")).into());
    };
    let fault_folder = |drill: &DrillPlan| match drill.fault {
        Some(_) => target_source.folder.clone(),
        None => profile.folder.clone(),
    };
    let fault_folders = drills.iter().map(fault_folder).collect();
    let plan = Plan {
        profile: file.name.value.clone(),
        description: file.description.clone(),
        seed,
        window,
        graceful_stop: file.graceful_stop.map_or(GRACEFUL_STOP_DEFAULT, |Span(stop)| stop),
        on_agent_loss: file.on_agent_loss.unwrap_or_default(),
        on_coordinator_loss: file.on_coordinator_loss.unwrap_or_default(),
        scenarios: assembly.scenarios,
        operations: assembly.operations,
        objectives,
        drills,
        left_out: left_out.into_iter().map(LeftOut::told).collect(),
    };
    let run = run.to_owned();
    let target_folder = target_source.folder.clone();
    Ok(Resolved {
        run,
        plan,
        workloads: assembly.workloads,
        production: file.production,
        target,
        fault_folders,
        target_folder,
    })
}

/// What concerns the profile as a whole.
fn check_whole(source: &Source, file: &ProfileFile, problems: &mut Problems) {
    if file.scenarios.is_empty() || file.scenarios.len() > SCENARIOS_MAX {
        let message = format!("a profile needs from 1 to {SCENARIOS_MAX} scenarios, not {}", file.scenarios.len());
        problems.0.push(source.problem("scenarios", message));
    }
    for (name, spec) in &file.scenarios {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            let message = format!("`{name}` can't name a scenario: use letters, digits, `-`, `_` and `.`");
            problems.0.push(source.problem_at(spec, format!("scenarios.{name}"), message));
        }
    }
    check_name(source, &file.name, "name", problems);
    let drills = file.drills.iter().enumerate().map(|(i, drill)| (format!("drills[{i}].name"), &drill.name));
    let objectives = file.objectives.iter().enumerate().map(|(i, one)| (format!("objectives[{i}].name"), &one.name));
    for (key, name) in objectives.chain(drills) {
        check_name(source, name, &key, problems);
    }
    if let Some(window) = &file.window
        && !(Nanos::from_millis(100)..=Nanos::from_secs(60)).contains(&window.value.0)
    {
        let message = format!("a window must be from 100ms to 60s long, not {window}");
        problems.0.push(source.problem_at(window, "window", message));
    }
}

/// Most characters of a name.
const NAME_CHARS_MAX: usize = 200;

/// A name is shown everywhere: on terminals, in reports, in logs.
pub(super) fn check_name(source: &Source, name: &Located<String>, key: &str, problems: &mut Problems) {
    let message = if name.trim().is_empty() {
        "a name needs at least one letter".to_owned()
    } else if name.chars().count() > NAME_CHARS_MAX {
        format!("a name must not have more than {NAME_CHARS_MAX} characters")
    } else if name.chars().any(is_harmful) {
        format!("`{}` can't be a name: it has characters that can't be seen, or that a terminal obeys", plain(name))
    } else {
        return;
    };
    problems.0.push(source.problem_at(name, key, message));
}

/// Constant scenarios without a length of their own end with the longest other.
fn fill_lengths(source: &Source, file: &ProfileFile, drafts: &mut [Draft]) -> Result<(), Problems> {
    let mut problems = Problems::default();
    let end = drafts.iter().filter(|draft| draft.duration() > Nanos::ZERO).map(Draft::end).max();
    for draft in drafts.iter_mut().filter(|draft| draft.duration() == Nanos::ZERO) {
        let spec = &file.scenarios[&draft.name];
        let key = format!("scenarios.{}.duration", draft.name);
        match (end, draft.stages.first_mut()) {
            (Some(end), Some(stage)) if end > draft.start => stage.duration = end - draft.start,
            (Some(end), _) => {
                let message = format!("the scenario starts when the run is over, after {}", Span(end));
                problems.0.push(source.problem_at(spec, key, message));
            }
            (None, _) => {
                let message = "nothing says how long the run is: give this scenario or another a duration or stages";
                problems.0.push(source.problem_at(&spec.executor, key, message));
            }
        }
    }
    problems.or(())
}

/// Asks every endpoint in use for what shows without contacting it; the names of those at fault.
fn check_endpoints<'c>(
    ground: &ResolveContext<'_>,
    casts: impl Iterator<Item = &'c Binding<'c>>,
    problems: &mut Problems,
) -> BTreeSet<String> {
    let used: BTreeSet<&str> = casts.map(|cast| cast.endpoint).collect();
    let mut faulty = BTreeSet::new();
    for name in used {
        let Some(endpoint) = ground.target.endpoints.get(name) else { continue };
        for (key, reason) in endpoint.faults(&ground.target_source.folder, ground.guard) {
            let place = endpoint_place(ground.target_source, endpoint, name, &key);
            let veiled = reason.contains(CREDENTIAL_WRITTEN);
            problems.0.push(Problem { veiled, ..Problem::new(place, reason) });
            faulty.insert(name.to_owned());
        }
    }
    faulty
}

/// One mistake in a workload shows once, however many scenarios use it.
fn drop_echoes(problems: &mut Problems) {
    let mut kept: Vec<Problem> = Vec::with_capacity(problems.0.len());
    for problem in problems.0.drain(..) {
        if !kept.contains(&problem) {
            kept.push(problem);
        }
    }
    problems.0 = kept;
}

/// The growing parts of the plan.
#[derive(Default)]
struct PlanBuilder {
    scenarios: Vec<ScenarioPlan>,
    operations: Vec<OperationPlan>,
    workloads: Vec<Arc<dyn Workload>>,
}

impl PlanBuilder {
    fn add(&mut self, draft: &Draft, cast: &Binding<'_>, file: &ProfileFile, workload: Arc<dyn Workload>) {
        let mix = file.scenarios.get(&draft.name).map(|spec| spec.mix).unwrap_or_default();
        let items = items(workload.as_ref());
        let shares = shares(&items, mix, workload.operations().len());
        let first = u16::try_from(self.operations.len()).unwrap_or(u16::MAX);
        let scenario = self.scenarios.len();
        let per_arrival: f64 = shares.iter().sum();
        for (i, (operation, share)) in workload.operations().iter().zip(shares).enumerate() {
            let owned = |names: &[&'static str]| names.iter().map(|&name| name.to_owned()).collect();
            self.operations.push(OperationPlan {
                scenario,
                address: format!("{}/{}", draft.name, operation.name),
                timeout: operation.timeout,
                timings: owned(&operation.timings),
                ratios: owned(&operation.ratios),
                thresholds: Vec::new(),
                share,
                ledger: operation.ledger,
                once: workload.once().is_some_and(|once| once.has(i)),
            });
        }
        let mut draft = draft.clone();
        if draft.rate_counts == RateCounts::Requests && per_arrival > 0.0 {
            draft.multiply(per_arrival.recip());
        }
        let stages = draft.stages.clone();
        self.scenarios.push(ScenarioPlan {
            name: draft.name.clone(),
            workload: cast.workload.clone(),
            endpoint: cast.endpoint.to_owned(),
            driver: cast.driver.name().to_owned(),
            executor: match draft.load {
                Load::Arrivals(law) => ExecutorPlan::Arrivals { law, stages },
                Load::Users(think) => ExecutorPlan::Users { stages, think },
            },
            mix,
            start: draft.start,
            warm_up: draft.warm_up,
            cool_down: draft.cool_down,
            max_in_flight: draft.in_flight_max(),
            users: draft.users,
            once: workload.once().map(|once| once.steps.iter().map(plan_step).collect()).unwrap_or_default(),
            rate_counts: draft.rate_counts,
            places: Places { count: places(&draft, workload.as_ref()), first: scenario as u64 },
            first_operation: OperationId(first),
            items,
        });
        self.workloads.push(workload);
    }
}

/// The fewest of what a worker must have to take part: a group of sessions, a user or an operation under way,
/// and a connection. At least 1.
fn places(draft: &Draft, workload: &dyn Workload) -> u64 {
    let users = match (draft.users, &draft.load) {
        (Some(users), _) => users.div_ceil(workload.session_group().max(1)),
        (None, Load::Users(_)) => draft.stages.iter().map(|s| s.from.max(s.to)).fold(0.0, f64::max).ceil() as u64,
        (None, Load::Arrivals(_)) => draft.in_flight_max(),
    };
    workload.connections().map_or(users, |connections| users.min(connections)).max(1)
}

fn items(workload: &dyn Workload) -> Vec<MixItem> {
    let operations = workload.operations().iter().enumerate().map(|(i, operation)| MixItem {
        weight: operation.weight,
        steps: vec![PlanStep::Operation(i)],
        flow: None,
    });
    let flows = workload.flows().iter().map(|flow| MixItem {
        weight: flow.weight,
        steps: flow.steps.iter().map(plan_step).collect(),
        flow: Some(flow.name.clone()),
    });
    operations.chain(flows).filter(|item| item.weight > 0.0).collect()
}

const fn plan_step(step: &Step) -> PlanStep {
    match *step {
        Step::Operation(i) => PlanStep::Operation(i),
        Step::Think(length) => PlanStep::Think(length),
    }
}

/// Executions of each operation per arrival.
fn shares(items: &[MixItem], mix: super::file::Mix, operations: usize) -> Vec<f64> {
    let weight = |item: &MixItem| match mix {
        super::file::Mix::Weighted => item.weight,
        super::file::Mix::InTurn => 1.0,
    };
    let whole: f64 = items.iter().map(weight).sum();
    let mut shares = vec![0.0; operations];
    for item in items {
        for step in &item.steps {
            if let PlanStep::Operation(i) = step
                && let Some(share) = shares.get_mut(*i)
            {
                *share += weight(item) / whole;
            }
        }
    }
    shares
}
