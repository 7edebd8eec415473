//! From what a run left behind to what is said of it.

use serde::{Deserialize, Serialize};

use super::facts::{Abortion, RunFacts};
use crate::measure::{ErrorKinds, Latencies, Series, Tally, Timeline};
use crate::model::{GENERATOR_FAULT, OUTCOMES, OperationId, Outcome, Verdict};
use crate::objective::{
    ALPHA, BLOCKED_SHARE_MAX, Check, Evidence, Interval, JudgedObjective, Judgement, Reading, anderson_darling,
    fewest_for_pass, judge_above, judge_below, poisson_interval, quantile_rank, quantile_ranks, validity,
};
use crate::profile::{Aim, ExecutorPlan, ObjectivePlan, Plan};

/// Fewer gaps than these say nothing of their law.
const GAPS_FEWEST: usize = 50;

/// What is said of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The worst of everything below.
    pub verdict: Verdict,
    /// One per objective, or per operation where each is judged by itself, in the profile's order.
    pub objectives: Vec<JudgedObjective>,
    /// The checks of the run itself.
    pub validity: Vec<Check>,
}

/// Judges a run. The run's verdict is
/// - void when a check of the run itself says so, whatever the objectives say;
/// - otherwise the worst of its objectives and of what the workloads found at the end (a finding
///   that does not hold is a fail);
/// - without any objective: pass when something was measured, which then only says that the run
///   itself is sound (reports say `no objectives`); inconclusive when nothing was;
/// - never a pass when it was interrupted: what was to be shown has not been shown.
pub fn judge(plan: &Plan, facts: &RunFacts) -> Judged {
    let evidence = evidence(plan, facts);
    let validity = validity(&evidence);
    let judge_one = |(i, objective): (usize, &ObjectivePlan)| {
        let mut judged = judge_objective(plan, facts, objective);
        if let Some(aborted) = facts.aborted.as_ref().filter(|aborted| aborted.objective == i) {
            fail_aborted(&mut judged, objective, aborted);
        }
        judged
    };
    let objectives: Vec<JudgedObjective> = plan.objectives.iter().enumerate().flat_map(judge_one).collect();
    let mut verdicts: Vec<Verdict> = objectives.iter().map(|o| o.verdict).collect();
    if plan.objectives.is_empty() {
        let measured = facts.timeline.judged.iter().any(|tally| tally.completed() > 0);
        verdicts.push(if measured { Verdict::Pass } else { Verdict::Inconclusive });
    }
    if facts.findings.iter().any(|finding| !finding.holds) {
        verdicts.push(Verdict::Fail);
    }
    if validity.iter().any(Check::voids) {
        verdicts.push(Verdict::Void);
    }
    if facts.interrupted {
        verdicts.push(Verdict::Inconclusive);
    }
    Judged { verdict: Verdict::worst(verdicts), objectives, validity }
}

fn evidence(plan: &Plan, facts: &RunFacts) -> Evidence {
    let Timeline { judged, unjudged, dispatch_lag, in_flight, judged_windows, spoiled_windows, .. } = &facts.timeline;
    let mut planned = 0;
    let mut outcomes = [0; OUTCOMES.len()];
    let mut most_blocked: Option<(String, f64)> = None;
    for (i, operation) in plan.operations.iter().enumerate() {
        let (mut ended, mut blocked) = (0, 0);
        for tally in [judged.get(i), unjudged.get(i)].into_iter().flatten() {
            planned += tally.planned;
            for (sum, count) in outcomes.iter_mut().zip(tally.outcomes) {
                *sum += count;
            }
            ended += tally.completed();
            blocked += tally.outcome(Outcome::Blocked);
        }
        if blocked > 0 {
            let share = blocked as f64 / ended as f64;
            if most_blocked.as_ref().is_none_or(|(_, most)| share > *most) {
                most_blocked = Some((operation.address.clone(), share));
            }
        }
    }
    let resources = &facts.resources;
    let mut uniforms = facts.spacing.clone();
    let gaps = uniforms.len();
    Evidence {
        open_model: plan.scenarios.iter().any(|s| matches!(s.executor, ExecutorPlan::Arrivals { .. })),
        scheduled: facts.scheduled,
        fired: facts.fired,
        planned,
        outcomes,
        in_flight: *in_flight,
        most_blocked,
        dispatch_lag_p99: dispatch_lag.quantile(0.99).ok(),
        spacing: (gaps >= GAPS_FEWEST).then(|| (anderson_darling(&mut uniforms), gaps)),
        tightest_limit: plan.tightest_limit(),
        cpu_secs: resources.cpu_secs,
        wall_secs: resources.wall_secs,
        cores: resources.cores,
        run_queue_secs: resources.run_queue_secs,
        steal_secs: resources.steal_secs,
        machine_cores: resources.machine_cores,
        stall_max: resources.stall_max,
        stall_total: resources.stall_total,
        stall_limit: plan.stall_limit(),
        judged_windows: *judged_windows,
        spoiled_windows: *spoiled_windows,
        suspended: resources.suspended,
        clock_step: resources.clock_step,
        open_files: (resources.open_files_max > 0).then_some((resources.open_files_max, resources.open_files_limit)),
        own_faults: own_faults(judged.iter().chain(unjudged)),
    }
}

/// The objective that ended the run does not hold, whatever the test for one look says of the counts
/// that there were by the time everything had ended.
fn fail_aborted(judged: &mut [JudgedObjective], objective: &ObjectivePlan, aborted: &Abortion) {
    let at = aborted.operation.and_then(|one| objective.operations.iter().position(|o| *o == one)).unwrap_or(0);
    if let Some(judged) = judged.get_mut(at) {
        judged.verdict = Verdict::Fail;
        judged.words = Some(format!("ended the run at {}: {} of {} by then", aborted.at, aborted.bad, aborted.samples));
    }
}

/// The most frequent failure of the generator's own machine, with how often there was any.
fn own_faults<'a>(tallies: impl Iterator<Item = &'a Tally>) -> Option<(String, u64)> {
    let mut kinds = ErrorKinds::default();
    for tally in tallies {
        for (kind, count) in tally.errors.top() {
            if let Some(fault) = kind.strip_prefix(GENERATOR_FAULT) {
                kinds.add(fault, count);
            }
        }
    }
    let faults = kinds.top();
    let total = faults.iter().map(|(_, count)| count).sum();
    faults.first().map(|(kind, _)| ((*kind).to_owned(), total))
}

/// One operation in an objective's scope: where its figures are.
#[derive(Clone, Copy)]
struct InScope<'a> {
    operation: OperationId,
    tally: &'a Tally,
    /// Its place in the objective's lists.
    position: usize,
}

fn judge_objective(plan: &Plan, facts: &RunFacts, objective: &ObjectivePlan) -> Vec<JudgedObjective> {
    let scope: Vec<InScope<'_>> = objective
        .operations
        .iter()
        .enumerate()
        .filter_map(|(position, &operation)| {
            facts.timeline.judged.get(operation.index()).map(|tally| InScope { operation, tally, position })
        })
        .collect();
    if objective.each {
        scope
            .iter()
            .map(|one| {
                let address = plan.operations.get(one.operation.index()).map_or("", |o| o.address.as_str());
                judge_scope(plan, facts, objective, address, std::slice::from_ref(one))
            })
            .collect()
    } else {
        vec![judge_scope(plan, facts, objective, &objective.scope, &scope)]
    }
}

fn judge_scope(
    plan: &Plan,
    facts: &RunFacts,
    objective: &ObjectivePlan,
    name: &str,
    scope: &[InScope<'_>],
) -> JudgedObjective {
    let mut judged = match &objective.aim {
        Aim::Quantile { of, thresholds, quantile, below } => {
            let mut times = Times::default();
            for one in scope {
                times.add(plan, one, thresholds.get(one.position).copied());
            }
            let judgement = judge_below(times.exceeded, times.observed, 1.0 - quantile);
            let ranks = quantile_ranks(times.observed, *quantile, ALPHA);
            JudgedObjective {
                indicator: format!("{} {of}", quantile_name(*quantile)),
                below: true,
                bound: Reading::Time(*below),
                measured: times.at_most(quantile_rank(times.observed, *quantile)),
                lower: times.at_least(ranks.lower),
                upper: times.at_most(ranks.upper),
                bad: times.exceeded,
                samples: times.observed,
                verdict: judgement.verdict,
                ..blank(objective, name)
            }
        }
        Aim::ErrorRate { below } => {
            let (bad, n) = sums(scope, |t| (t.failures(), t.countable()));
            JudgedObjective {
                indicator: "error_rate".into(),
                below: true,
                bound: Reading::Share(*below),
                bad,
                ..share(judge_below(bad, n, *below), n, objective, name)
            }
        }
        Aim::Ratio { of, ratios, above } => {
            let (mut good, mut n) = (0, 0);
            for one in scope {
                let index = ratios.get(one.position).copied().unwrap_or(usize::MAX);
                let (g, t) = one.tally.ratios.get(index).copied().unwrap_or_default();
                good += g;
                n += t;
            }
            JudgedObjective {
                indicator: of.clone(),
                below: false,
                bound: Reading::Share(*above),
                bad: n.saturating_sub(good),
                ..share(judge_above(good.min(n), n, *above), n, objective, name)
            }
        }
        Aim::Throughput { above } => throughput(plan, facts, objective, name, scope, *above),
    };
    let (blocked, ended) = sums(scope, |t| (t.outcome(Outcome::Blocked), t.completed()));
    if blocked as f64 > BLOCKED_SHARE_MAX * ended as f64 {
        judged.verdict = Verdict::Void;
        judged.words = Some(format!("{blocked} of {ended} were answered by a firewall, not by the target"));
    } else if judged.samples == 0 && judged.measured.is_none() {
        judged.words = Some("no data: nothing in scope ended in the judged part of the run".into());
    } else if judged.verdict == Verdict::Inconclusive {
        judged.words = Some(undecided(&judged, &objective.aim));
    }
    judged
}

/// Why there is no verdict although there are samples, and what it would take.
fn undecided(judged: &JudgedObjective, aim: &Aim) -> String {
    let limit = match aim {
        Aim::Quantile { quantile, .. } => 1.0 - quantile,
        Aim::ErrorRate { below } => *below,
        Aim::Ratio { above, .. } => 1.0 - above,
        Aim::Throughput { .. } => return "nothing was measured".into(),
    };
    let (bad, samples) = (judged.bad, judged.samples);
    match fewest_for_pass(bad, limit) {
        Some(enough) if (bad as f64) < limit * samples as f64 => {
            format!("too few samples for a verdict: with {bad} against it, a pass takes {enough}")
        }
        _ => format!("too close to the bound for a verdict: {bad} of {samples} is no fail yet, and no pass"),
    }
}

/// What is known before anything is measured.
fn blank(objective: &ObjectivePlan, scope: &str) -> JudgedObjective {
    JudgedObjective {
        name: objective.name.clone(),
        scope: scope.to_owned(),
        indicator: String::new(),
        below: true,
        bound: Reading::Failed,
        measured: None,
        lower: None,
        upper: None,
        bad: 0,
        samples: 0,
        verdict: Verdict::Inconclusive,
        words: None,
    }
}

fn share(judgement: Judgement, samples: u64, objective: &ObjectivePlan, scope: &str) -> JudgedObjective {
    let Interval { lower, upper } = judgement.interval;
    JudgedObjective {
        measured: judgement.estimate.map(Reading::share),
        lower: judgement.estimate.map(|_| Reading::share(lower)),
        upper: judgement.estimate.map(|_| Reading::share(upper)),
        samples,
        verdict: judgement.verdict,
        ..blank(objective, scope)
    }
}

/// A plain comparison: what was delivered is a fact of this run, not an estimate of a chance; its
/// Poisson bounds are shown beside it.
fn throughput(
    plan: &Plan,
    facts: &RunFacts,
    objective: &ObjectivePlan,
    name: &str,
    scope: &[InScope<'_>],
    above: f64,
) -> JudgedObjective {
    let mut rate = 0.0;
    for one in scope {
        let Some(scenario) = plan.operations.get(one.operation.index()).and_then(|o| plan.scenarios.get(o.scenario))
        else {
            continue;
        };
        let from = scenario.start + scenario.warm_up;
        let to = (scenario.end() - scenario.cool_down).min(facts.length);
        let secs = (to - from).as_secs_f64();
        if secs > 0.0 {
            rate += one.tally.outcome(Outcome::Ok) as f64 / secs;
        }
    }
    let (ok, ended) = sums(scope, |t| (t.outcome(Outcome::Ok), t.completed()));
    let interval = poisson_interval(ok);
    let scaled = |bound: f64| (ok > 0).then(|| Reading::rate(rate * bound / ok as f64));
    let verdict = match ended {
        0 => Verdict::Inconclusive,
        _ if rate > above => Verdict::Pass,
        _ => Verdict::Fail,
    };
    JudgedObjective {
        indicator: "throughput".into(),
        below: false,
        bound: Reading::Rate(above),
        measured: (ended > 0).then_some(Reading::rate(rate)),
        lower: scaled(interval.lower),
        upper: scaled(interval.upper),
        bad: ended - ok,
        samples: ended,
        verdict,
        ..blank(objective, name)
    }
}

fn sums(scope: &[InScope<'_>], of: impl Fn(&Tally) -> (u64, u64)) -> (u64, u64) {
    scope.iter().map(|one| of(one.tally)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// The times of a scope with failures at infinity.
#[derive(Default)]
struct Times {
    exceeded: u64,
    observed: u64,
    /// Of these, how many have a time at all.
    timed: u64,
    values: Latencies,
}

impl Times {
    fn add(&mut self, plan: &Plan, one: &InScope<'_>, threshold: Option<usize>) {
        let tally = one.tally;
        let Some(index) = threshold else { return };
        let operation = plan.operations.get(one.operation.index());
        let Some(threshold) = operation.and_then(|o| o.thresholds.get(index)) else { return };
        let (Some(&exceeded), Some(&observed)) = (tally.exceeded.get(index), tally.observed.get(index)) else { return };
        self.exceeded += exceeded;
        self.observed += observed;
        // Every failure was observed, and has no time.
        self.timed += observed.saturating_sub(tally.failures());
        match threshold.series {
            Series::ResponseTime => self.values.merge(&tally.response),
            Series::ServiceTime => self.values.merge(&tally.service),
            Series::Timing(timing) => {
                if let Some(values) = tally.timings.get(usize::from(timing)) {
                    self.values.merge(values);
                }
            }
        }
    }

    /// The greatest value that the sample of this rank can have. (Service times and timings are
    /// kept of some failures too; which ones they are is not known any more, so the worst is
    /// assumed: that they are the least. Response times are of successes alone.)
    fn at_most(&self, rank: u64) -> Option<Reading> {
        self.at(rank, self.values.count().saturating_sub(self.timed))
    }

    /// The least value that the sample of this rank can have.
    fn at_least(&self, rank: u64) -> Option<Reading> {
        self.at(rank, 0)
    }

    fn at(&self, rank: u64, shift: u64) -> Option<Reading> {
        if rank == 0 || rank > self.observed {
            return None;
        }
        if rank > self.timed {
            return Some(Reading::Failed);
        }
        self.values.value_at_rank(rank + shift).ok().map(Reading::Time)
    }
}

/// `p95`, `p99.9`.
fn quantile_name(quantile: f64) -> String {
    format!("p{}", (quantile * 100.0 * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests;
