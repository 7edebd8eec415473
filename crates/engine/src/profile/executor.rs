//! A scenario's executor: which figures it needs, which contradict it, and what they come to.

use super::draft::{Draft, Load};
use super::file::{ExecutorKind, ScenarioSpec, StageTarget};
use slatest_core::model::{Nanos, Place, Problem, Problems, Rate, Span};
use slatest_core::schedule::StagePlan;
use slatest_core::source::{Located, Source};

/// Most arrivals per second of one scenario.
const RATE_MAX: f64 = 10_000_000.0;
/// Least of it that isn't zero: one a year.
const RATE_MIN: f64 = 1.0 / (366.0 * 24.0 * 3600.0);
/// Most users, sessions or operations under way of one scenario.
const USERS_MAX: u64 = 1_000_000;
/// Most stages of one scenario.
const STAGES_MAX: usize = 1000;
/// Shortest stage that the command line may come to.
const STAGE_MIN: Nanos = Nanos::from_millis(1);
/// Longest scenario.
const LENGTH_MAX: Nanos = Nanos::from_secs(366 * 24 * 3600);

/// Checks a scenario's figures: what they come to, and every one that is missing, of no meaning, or
/// contradicts the executor.
pub(super) fn draft(source: &Source, name: &str, spec: &Located<ScenarioSpec>) -> (Draft, Problems) {
    let mut checking = Checking { source, spec, key: format!("scenarios.{name}"), problems: Problems::default() };
    checking.contradictions();
    let stages = match spec.executor.value {
        ExecutorKind::ConstantArrivalRate => {
            let rate = checking.needed(spec.rate.as_ref(), "rate").map(|rate| checking.rate(rate, "rate"));
            checking.constant(rate.flatten())
        }
        ExecutorKind::ConstantVus => {
            let (written, key) = match (&spec.vus, &spec.users) {
                (None, Some(users)) => (Some(users), "users"),
                (vus, _) => (vus.as_ref(), "vus"),
            };
            let users = checking.needed(written, key).map(|users| checking.users(users, key));
            checking.constant(users.flatten())
        }
        ExecutorKind::RampingArrivalRate => {
            let from = spec.start_rate.as_ref().map_or(0.0, |rate| checking.start(rate, "start_rate", rate.value.0));
            checking.ramping(from)
        }
        ExecutorKind::RampingVus => {
            let from = spec.start_vus.as_ref().map_or(0.0, |vus| checking.start(vus, "start_vus", vus.value as f64));
            checking.ramping(from)
        }
    };
    let load = match spec.executor.value {
        ExecutorKind::ConstantArrivalRate | ExecutorKind::RampingArrivalRate => {
            Load::Arrivals(spec.arrivals.as_ref().map(|law| law.value).unwrap_or_default())
        }
        ExecutorKind::ConstantVus | ExecutorKind::RampingVus => {
            Load::Users(spec.think.map(|Span(think)| think).unwrap_or_default())
        }
    };
    let closed = matches!(load, Load::Users(_));
    let counts = [(&spec.max_in_flight, "max_in_flight"), (if closed { &None } else { &spec.users }, "users")];
    for (count, key) in counts {
        if let Some(count) = count {
            checking.users(count, key);
        }
    }
    let length = |span: &Option<Located<Span>>| span.as_ref().map(|span| span.value.0).unwrap_or_default();
    let draft = Draft {
        name: name.to_owned(),
        load,
        stages,
        start: spec.start_after.map(|Span(after)| after).unwrap_or_default(),
        warm_up: length(&spec.warm_up),
        cool_down: length(&spec.cool_down),
        max_in_flight: spec.max_in_flight.as_ref().map(|count| count.value),
        // In a closed model they are what the stages count.
        users: spec.users.as_ref().map(|count| count.value).filter(|_| !closed),
        rate_counts: spec.rate_counts.as_ref().map(|counts| counts.value).unwrap_or_default(),
        scaled: false,
    };
    if draft.end() > LENGTH_MAX {
        checking.problem(spec, "duration", "the scenario lasts longer than a year");
    }
    (draft, checking.problems)
}

/// Checks that something is left to judge, once the length is known.
///
/// # Errors
/// When warm-up and cool-down leave nothing.
pub(super) fn check_judged(source: &Source, spec: &ScenarioSpec, draft: &Draft) -> Result<(), Problems> {
    if draft.warm_up + draft.cool_down < draft.duration() {
        return Ok(());
    }
    let Some(culprit) = spec.warm_up.as_ref().or(spec.cool_down.as_ref()) else { return Ok(()) };
    let key = if spec.warm_up.is_some() { "warm_up" } else { "cool_down" };
    let message = format!(
        "warm-up ({}) and cool-down ({}) leave nothing of the scenario's {} to judge",
        Span(draft.warm_up),
        Span(draft.cool_down),
        Span(draft.duration())
    );
    let problem = source.problem_at(culprit, format!("scenarios.{}.{key}", draft.name), message);
    Err(problem.with_help("make them shorter or the scenario longer").into())
}

/// The most of either, with its unit.
fn unit(with_users: bool) -> String {
    if with_users { USERS_MAX.to_string() } else { format!("{RATE_MAX}/s") }
}

/// The same limits for a draft whose figures the command line replaced or multiplied. `flags` are those that were said.
pub(super) fn check_limits(draft: &Draft, flags: &str) -> Result<(), Problems> {
    let mut problems = Problems::default();
    let mut wrong = |what: String| {
        let place = Place { key: flags.to_owned(), ..Place::default() };
        problems.0.push(Problem::new(place, format!("the scenario `{}` {what}", draft.name)));
    };
    let (peak, with_users) = (draft.peak(), matches!(draft.load, Load::Users(_)));
    if !peak.is_finite() || peak > if with_users { USERS_MAX as f64 } else { RATE_MAX } {
        let what = if with_users { "users" } else { "a rate" };
        wrong(format!("would reach {what} above {}, the most there can be", unit(with_users)));
    }
    if peak < RATE_MIN {
        wrong("would send less than one operation a year".into());
    }
    for (count, what) in [(draft.users, "users"), (draft.max_in_flight, "operations in flight")] {
        if let Some(count) = count.filter(|count| *count > USERS_MAX) {
            wrong(format!("would have {count} {what}; at most {USERS_MAX} are possible"));
        }
    }
    if draft.end() > LENGTH_MAX {
        wrong("would last longer than a year".into());
    }
    if draft.stages.iter().any(|stage| stage.duration < STAGE_MIN) {
        wrong(format!("would have a stage shorter than {}", Span(STAGE_MIN)));
    }
    problems.or(())
}

struct Checking<'a> {
    source: &'a Source,
    spec: &'a Located<ScenarioSpec>,
    key: String,
    problems: Problems,
}

impl<'a> Checking<'a> {
    fn problem<T>(&mut self, at: &Located<T>, key: &str, message: impl Into<String>) {
        self.problems.0.push(self.source.problem_at(at, format!("{}.{key}", self.key), message));
    }

    /// Keys that say something the executor can't do.
    fn contradictions(&mut self) {
        let spec = self.spec;
        let at = |present: Option<(usize, usize)>| present;
        let place = |line, column| Located { value: (), line, column };
        macro_rules! written {
            ($($key:ident),+) => { [$((stringify!($key), at(spec.$key.as_ref().map(|v| (v.line, v.column))))),+] };
        }
        let keys = written!(rate, start_rate, vus, start_vus, duration, stages, arrivals);
        let (name, takes): (_, &[&str]) = match spec.executor.value {
            ExecutorKind::ConstantArrivalRate => ("constant-arrival-rate", &["rate", "duration", "arrivals"]),
            ExecutorKind::RampingArrivalRate => ("ramping-arrival-rate", &["start_rate", "stages", "arrivals"]),
            ExecutorKind::ConstantVus => ("constant-vus", &["vus", "duration"]),
            ExecutorKind::RampingVus => ("ramping-vus", &["start_vus", "stages"]),
        };
        for (key, written) in keys {
            if let Some((line, column)) = written
                && !takes.contains(&key)
            {
                let message = format!("`{key}` contradicts the executor `{name}`, which takes {}", takes.join(", "));
                self.problem(&place(line, column), key, message);
            }
        }
        let open = matches!(spec.executor.value, ExecutorKind::ConstantArrivalRate | ExecutorKind::RampingArrivalRate);
        if let Some(counts) = spec.rate_counts.as_ref().filter(|_| !open) {
            let message = format!("`rate_counts` contradicts the executor `{name}`, which has no rate");
            self.problem(counts, "rate_counts", message);
        }
        match (&spec.users, &spec.vus, spec.executor.value) {
            (Some(users), Some(vus), ExecutorKind::ConstantVus) if users.value != vus.value => {
                let message = format!("`users` says {users} and `vus` {vus}, and both count the same: leave one out");
                self.problem(users, "users", message);
            }
            (Some(users), _, ExecutorKind::RampingVus) => {
                self.problem(users, "users", "the stages of `ramping-vus` say how many users there are");
            }
            _ => {}
        }
        if open && spec.think.is_some() {
            let message = "only virtual users think between executions; in an open model the rate says when";
            self.problem(spec, "think", message);
        }
    }

    fn needed<T>(&mut self, value: Option<&'a Located<T>>, key: &str) -> Option<&'a Located<T>> {
        if value.is_none() {
            let message = format!("this executor needs `{key}`");
            self.problem(&self.spec.executor.clone(), key, message);
        }
        value
    }

    fn rate(&mut self, rate: &Located<Rate>, key: &str) -> Option<f64> {
        let Rate(value) = rate.value;
        if value <= 0.0 {
            self.problem(rate, key, "a rate must be above zero");
        } else if value < RATE_MIN {
            self.problem(rate, key, "a rate must not be below one a year");
        } else if value > RATE_MAX {
            self.problem(rate, key, format!("a rate must not be above {RATE_MAX}/s"));
        } else {
            return Some(value);
        }
        None
    }

    /// What a ramp starts from: zero is fine.
    fn start<T: std::fmt::Display>(&mut self, written: &Located<T>, key: &str, value: f64) -> f64 {
        let most = if key == "start_vus" { USERS_MAX as f64 } else { RATE_MAX };
        if value <= most {
            return value;
        }
        self.problem(written, key, format!("`{key}` must not be above {}, not {written}", unit(key == "start_vus")));
        0.0
    }

    fn users(&mut self, users: &Located<u64>, key: &str) -> Option<f64> {
        if (1..=USERS_MAX).contains(&users.value) {
            return Some(users.value as f64);
        }
        self.problem(users, key, format!("`{key}` must lie from 1 to {USERS_MAX}, not {users}"));
        None
    }

    fn constant(&self, value: Option<f64>) -> Vec<StagePlan> {
        let duration = self.spec.duration.as_ref().map(|span| span.value.0).unwrap_or_default();
        value.map(|value| StagePlan { duration, from: value, to: value }).into_iter().collect()
    }

    fn ramping(&mut self, start: f64) -> Vec<StagePlan> {
        let Some(stages) = self.needed(self.spec.stages.as_ref(), "stages") else { return Vec::new() };
        if stages.is_empty() || stages.len() > STAGES_MAX {
            let message = format!("a ramping executor needs from 1 to {STAGES_MAX} stages, not {}", stages.len());
            self.problem(stages, "stages", message);
            return Vec::new();
        }
        let with_users = self.spec.executor.value == ExecutorKind::RampingVus;
        let mut from = start;
        let mut plans = Vec::with_capacity(stages.len());
        for (i, stage) in stages.iter().enumerate() {
            let key = format!("stages[{i}].target");
            let to = match (stage.target.value, with_users) {
                (StageTarget::Rate(Rate(rate)), false) => rate,
                (StageTarget::Users(users), true) => users as f64,
                (StageTarget::Rate(_), true) => {
                    self.problem(&stage.target, &key, "`ramping-vus` ramps users: write a number, like 50");
                    continue;
                }
                (StageTarget::Users(_), false) => {
                    let message = "`ramping-arrival-rate` ramps a rate: write it with its unit, like 300/s";
                    self.problem(&stage.target, &key, message);
                    continue;
                }
            };
            let most = if with_users { USERS_MAX as f64 } else { RATE_MAX };
            if to > most {
                self.problem(&stage.target, &key, format!("a stage must not go above {most}"));
            }
            plans.push(StagePlan { duration: stage.duration.value.0, from, to });
            from = to;
        }
        if plans.len() == stages.len() && plans.iter().all(|stage| stage.from <= 0.0 && stage.to <= 0.0) {
            self.problem(stages, "stages", "no stage goes above zero, so nothing would ever be sent");
        }
        plans
    }
}
