//! One objective, judged.

use super::times::Times;
use super::{advice, culprits, steadiness};
use crate::load::facts::{Abortion, RunFacts};
use crate::load::over_time::bad_over_time;
use crate::profile::{Aim, ObjectivePlan, Plan, ScenarioPlan};
use slatest_core::measure::Tally;
use slatest_core::model::{Nanos, OperationId, Outcome, Verdict};
use slatest_stats::{
    ALPHA, BLOCKED_SHARE_MAX, Batch, BatchJudgement, Interval, JudgedObjective, Reading, effective_ranks,
    judge_batches_above, judge_batches_below, poisson_interval, quantile_rank,
};

/// One operation in an objective's scope: where its figures are.
#[derive(Clone, Copy)]
pub(super) struct InScope<'a> {
    pub(super) operation: OperationId,
    pub(super) tally: &'a Tally,
    /// Its place in the objective's lists.
    position: usize,
}

/// An objective (or one operation of it) that was judged by itself, with what it was judged on: so
/// that what concerns several of them can follow.
pub(super) struct Tried<'a> {
    pub(super) objective: &'a ObjectivePlan,
    pub(super) judged: JudgedObjective,
    /// Bad ones over time; empty where nothing is counted (throughput).
    pub(super) batches: Vec<Batch>,
    /// Chance, at the limit, of so many bad ones or more.
    pub(super) chance_of_so_many: f64,
    /// The judged part of its scope, up to the end of the run.
    pub(super) from: Nanos,
    pub(super) to: Nanos,
}

impl Tried<'_> {
    /// The share of bad ones that must not be reached; none where nothing is counted.
    pub(super) fn limit(&self) -> Option<f64> {
        self.objective.aim.bad_share_limit()
    }
}

/// Every objective of a plan, judged: each by itself first, then whether it was steady, and which
/// operations are shown to be at fault.
pub(super) fn judge_objectives(plan: &Plan, facts: &RunFacts) -> Vec<JudgedObjective> {
    let mut tried: Vec<Tried<'_>> =
        plan.objectives.iter().flat_map(|objective| try_objective(plan, facts, objective)).collect();
    steadiness::demand(plan, &mut tried);
    culprits::name(&mut tried);
    if let Some(aborted) = &facts.aborted {
        fail_aborted(plan, &mut tried, aborted);
    }
    tried.into_iter().map(|one| one.judged).collect()
}

/// The objective that ended the run does not hold, whatever the test for one look says of the counts
/// that there were by the time everything had ended.
fn fail_aborted(plan: &Plan, tried: &mut [Tried<'_>], aborted: &Abortion) {
    let Some(objective) = plan.objectives.get(aborted.objective) else { return };
    let at = aborted.operation.and_then(|one| objective.operations.iter().position(|o| *o == one)).unwrap_or(0);
    if let Some(one) = tried.iter_mut().filter(|one| std::ptr::eq(one.objective, objective)).nth(at) {
        one.judged.verdict = Verdict::Fail;
        one.judged.words =
            Some(format!("ended the run at {}: {} of {} by then", aborted.at, aborted.bad, aborted.samples));
    }
}

fn try_objective<'a>(plan: &Plan, facts: &RunFacts, objective: &'a ObjectivePlan) -> Vec<Tried<'a>> {
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
                try_scope(plan, facts, objective, address, std::slice::from_ref(one))
            })
            .collect()
    } else {
        vec![try_scope(plan, facts, objective, &objective.scope, &scope)]
    }
}

fn try_scope<'a>(
    plan: &Plan,
    facts: &RunFacts,
    objective: &'a ObjectivePlan,
    name: &str,
    scope: &[InScope<'_>],
) -> Tried<'a> {
    let (from, to) = judged_part(plan, facts, scope);
    let places = scope.iter().map(|one| (one.operation, one.position));
    let batches = bad_over_time(&facts.timeline, &objective.aim, places, (from, to));
    let mut tried = Tried { objective, judged: blank(objective, name), batches, chance_of_so_many: 1.0, from, to };
    match &objective.aim {
        Aim::Quantile { of, thresholds, quantile, below } => {
            let mut times = Times::default();
            for one in scope {
                times.add(plan, one, thresholds.get(one.position).copied());
            }
            let found = judge_batches_below(&tried.batches, 1.0 - quantile);
            let ranks = effective_ranks(times.observed, found.worth.effective, *quantile, ALPHA);
            tried.judged.indicator = format!("{} {of}", advice::quantile_name(*quantile));
            tried.judged.bound = Reading::Time(*below);
            tried.judged.measured = times.at_most(quantile_rank(times.observed, *quantile));
            tried.judged.lower = times.at_least(ranks.lower);
            tried.judged.upper = times.at_most(ranks.upper);
            tried.settle(&found, times.exceeded, times.observed);
        }
        Aim::ErrorRate { below } => {
            let found = judge_batches_below(&tried.batches, *below);
            let (bad, n) = sums(scope, |t| (t.failures(), t.countable()));
            tried.judged.indicator = "error_rate".into();
            tried.judged.bound = Reading::Share(*below);
            tried.settle_share(&found, bad, n);
        }
        Aim::Ratio { of, ratios, above } => {
            let (mut good, mut n) = (0, 0);
            for one in scope {
                let index = ratios.get(one.position).copied().unwrap_or(usize::MAX);
                let (g, t) = one.tally.ratios.get(index).copied().unwrap_or_default();
                good += g;
                n += t;
            }
            let found = judge_batches_above(&tried.batches, *above);
            tried.judged.indicator.clone_from(of);
            tried.judged.below = false;
            tried.judged.bound = Reading::Share(*above);
            tried.settle_share(&found, n.saturating_sub(good), n);
        }
        Aim::Throughput { above } => throughput(plan, facts, &mut tried.judged, scope, *above),
    }
    let judged = &tried.judged;
    let (blocked, ended) = sums(scope, |t| (t.outcome(Outcome::Blocked), t.completed()));
    if blocked as f64 > BLOCKED_SHARE_MAX * ended as f64 {
        tried.judged.verdict = Verdict::Void;
        tried.judged.words = Some(format!("{blocked} of {ended} were answered by a firewall, not by the target"));
    } else if judged.samples == 0 && judged.measured.is_none() {
        tried.judged.words = Some("no data: nothing in scope ended in the judged part of the run".into());
    } else if judged.verdict == Verdict::Inconclusive {
        tried.judged.words = Some(advice::undecided(plan, &tried));
    }
    tried
}

impl Tried<'_> {
    fn settle(&mut self, found: &BatchJudgement, bad: u64, samples: u64) {
        self.judged.bad = bad;
        self.judged.samples = samples;
        self.judged.verdict = found.judgement.verdict;
        self.chance_of_so_many = found.chance_of_so_many;
        if samples > 0 {
            // As many decimals as survive being written and read.
            self.judged.deff = Some((found.worth.deff * 1e6).round() / 1e6);
            self.judged.effective = Some(found.worth.effective.floor() as u64);
        }
    }

    fn settle_share(&mut self, found: &BatchJudgement, bad: u64, samples: u64) {
        let Interval { lower, upper } = found.judgement.interval;
        let estimate = found.judgement.estimate;
        self.judged.measured = estimate.map(Reading::share);
        self.judged.lower = estimate.map(|_| Reading::share(lower));
        self.judged.upper = estimate.map(|_| Reading::share(upper));
        self.settle(found, bad, samples);
    }
}

/// From when to when anything in scope is judged.
fn judged_part(plan: &Plan, facts: &RunFacts, scope: &[InScope<'_>]) -> (Nanos, Nanos) {
    let scenarios = || scope.iter().filter_map(|one| scenario(plan, one));
    let from = scenarios().map(|s| s.start + s.warm_up).min().unwrap_or_default();
    let to = scenarios().map(|s| s.end() - s.cool_down).max().unwrap_or_default();
    (from, to.min(facts.length))
}

fn scenario<'a>(plan: &'a Plan, one: &InScope<'_>) -> Option<&'a ScenarioPlan> {
    plan.operations.get(one.operation.index()).and_then(|o| plan.scenarios.get(o.scenario))
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
        deff: None,
        effective: None,
        trend: None,
        culprit: None,
        verdict: Verdict::Inconclusive,
        words: None,
    }
}

/// A plain comparison: what was delivered is a fact of this run, not an estimate of a chance; its
/// Poisson bounds are shown beside it.
fn throughput(plan: &Plan, facts: &RunFacts, judged: &mut JudgedObjective, scope: &[InScope<'_>], above: f64) {
    let mut rate = 0.0;
    for one in scope {
        let Some(scenario) = scenario(plan, one) else { continue };
        let from = scenario.start + scenario.warm_up;
        let to = (scenario.end() - scenario.cool_down).min(facts.length);
        // What drills judged was sent, too, and is not counted here.
        let aside = facts.drills.iter().filter_map(|drill| drill.aside);
        let aside = aside.map(|(since, until)| until.min(to) - since.max(from)).fold(Nanos::ZERO, |sum, one| sum + one);
        let secs = (to - from - aside).as_secs_f64();
        if secs > 0.0 {
            rate += one.tally.outcome(Outcome::Ok) as f64 / secs;
        }
    }
    let (ok, ended) = sums(scope, |t| (t.outcome(Outcome::Ok), t.completed()));
    let interval = poisson_interval(ok);
    let scaled = |bound: f64| (ok > 0).then(|| Reading::rate(rate * bound / ok as f64));
    judged.indicator = "throughput".into();
    judged.below = false;
    judged.bound = Reading::Rate(above);
    judged.measured = (ended > 0).then_some(Reading::rate(rate));
    judged.lower = scaled(interval.lower);
    judged.upper = scaled(interval.upper);
    judged.bad = ended - ok;
    judged.samples = ended;
    judged.verdict = match ended {
        0 => Verdict::Inconclusive,
        _ if rate > above => Verdict::Pass,
        _ => Verdict::Fail,
    };
}

fn sums(scope: &[InScope<'_>], of: impl Fn(&Tally) -> (u64, u64)) -> (u64, u64) {
    scope.iter().map(|one| of(one.tally)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}
