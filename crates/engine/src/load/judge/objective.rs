//! One objective, judged.

use super::incidents::Incident;
use super::keeping_up::FallingBehind;
use super::times::Times;
use super::{advice, culprits, steadiness};
use crate::load::facts::{Abortion, RunFacts};
use crate::load::over_time::{bad_by_slot, bad_from_firing, bad_over_time, within_judged};
use crate::profile::{Aim, ObjectivePlan, Plan, ScenarioPlan};
use slatest_core::measure::{ByLateness, Flow, Tally};
use slatest_core::model::{Nanos, OperationId, Outcome, Verdict};
use slatest_stats::{
    ALPHA, BLOCKED_SHARE_MAX, BadStretch, Batch, BatchJudgement, Interval, JudgedObjective, LAG_SHARE_MAX, Reading,
    effective_ranks, judge_batches_above, judge_batches_below, poisson_interval, quantile_rank, worst_stretch,
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
    /// Its operations, each with its place in the objective's lists.
    scope: Vec<(OperationId, usize)>,
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
pub(super) fn judge_objectives(
    plan: &Plan,
    facts: &RunFacts,
    behind: &[FallingBehind],
    incidents: &[Incident],
) -> Vec<JudgedObjective> {
    let mut tried: Vec<Tried<'_>> =
        plan.objectives.iter().flat_map(|objective| try_objective(plan, facts, objective)).collect();
    for one in tried.iter_mut().filter(|one| one.judged.verdict == Verdict::Inconclusive && one.judged.samples > 0) {
        one.judged.message = Some(advice::undecided(plan, one, incidents));
    }
    steadiness::demand(plan, &mut tried);
    demand_keeping_up(plan, &mut tried, behind);
    culprits::name(&mut tried);
    if let Some(aborted) = &facts.aborted {
        fail_aborted(plan, &mut tried, aborted);
    }
    for one in tried.iter_mut().filter(|one| one.judged.verdict != Verdict::Pass) {
        one.judged.stretch = stretch(facts, one);
    }
    tried.into_iter().map(|one| one.judged).collect()
}

/// A target that does not keep up fails each throughput that is asked of it, and passes nothing else: its
/// response times are those of a run of this length.
fn demand_keeping_up(plan: &Plan, tried: &mut [Tried<'_>], behind: &[FallingBehind]) {
    for one in tried {
        let of = |behind: &&FallingBehind| {
            let mut scope = one.objective.operations.iter().filter_map(|id| plan.operations.get(id.index()));
            scope.any(|operation| operation.scenario == behind.scenario)
        };
        let Some(behind) = behind.iter().find(of) else { continue };
        match (&one.objective.aim, one.judged.verdict) {
            (Aim::Throughput { .. }, Verdict::Pass | Verdict::Fail | Verdict::Inconclusive) => {
                one.judged.verdict = Verdict::Fail;
            }
            (_, Verdict::Pass | Verdict::Inconclusive) => one.judged.verdict = Verdict::Inconclusive,
            _ => continue,
        }
        one.judged.message = Some(behind.message());
    }
}

/// The objective that ended the run does not hold, whatever the test for one look says of the counts
/// that there were by the time everything had ended.
fn fail_aborted(plan: &Plan, tried: &mut [Tried<'_>], aborted: &Abortion) {
    let Some(objective) = plan.objectives.get(aborted.objective) else { return };
    let at = aborted.operation.and_then(|one| objective.operations.iter().position(|o| *o == one)).unwrap_or(0);
    if let Some(one) = tried.iter_mut().filter(|one| std::ptr::eq(one.objective, objective)).nth(at) {
        one.judged.verdict = Verdict::Fail;
        one.judged.message =
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
    let scope_places = scope.iter().map(|one| (one.operation, one.position)).collect();
    let judged = blank(objective, name);
    let mut tried = Tried { objective, judged, scope: scope_places, batches, chance_of_so_many: 1.0, from, to };
    match &objective.aim {
        Aim::Quantile { of, thresholds, quantile, below } => {
            let mut times = Times::default();
            for one in scope {
                times.add(plan, one, thresholds.get(one.position).copied());
            }
            let found = judge_batches_below(&tried.batches, 1.0 - quantile);
            let places = scope.iter().map(|one| (one.operation, one.position));
            let from_firing = bad_from_firing(&facts.timeline, &objective.aim, places, (from, to), &tried.batches);
            let least = judge_batches_below(&from_firing, 1.0 - quantile);
            let ranks = effective_ranks(times.observed, found.worth.effective, *quantile, ALPHA);
            tried.judged.indicator = format!("{} {of}", advice::quantile_name(*quantile));
            tried.judged.bound = Reading::Time(*below);
            tried.judged.measured = times.at_most(quantile_rank(times.observed, *quantile));
            tried.judged.lower = times.at_least(ranks.lower);
            tried.judged.upper = times.at_most(ranks.upper);
            tried.settle(&found, times.exceeded, times.observed);
            tried.bracket(&least, times.by_lateness);
            if of == "response_time" {
                tried.demand_punctuality(facts, *below);
            }
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
        tried.judged.message = Some(format!("{blocked} of {ended} were answered by a firewall, not by the target"));
    } else if judged.samples == 0 && judged.measured.is_none() {
        tried.judged.message = Some("no data: nothing in scope ended in the judged part of the run".into());
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

    /// From the planned instant no time is too short, from that of firing none is too long by the generator's
    /// doing: a pass is one by the first, a fail one by the second, and where they disagree lateness decides.
    fn bracket(&mut self, least: &BatchJudgement, by_lateness: ByLateness) {
        if by_lateness.samples == 0 {
            return;
        }
        self.judged.by_lateness = Some(by_lateness);
        self.chance_of_so_many = least.chance_of_so_many;
        self.judged.verdict = match (self.judged.verdict, least.judgement.verdict) {
            (Verdict::Pass, _) => Verdict::Pass,
            (_, Verdict::Fail) => Verdict::Fail,
            (most, least) if most == least => most,
            _ => {
                self.judged.message = Some(format!(
                    "the generator's own lateness decides: {} to {} of {} are bad, {} of them only because they were \
                     fired up to {} late; use a quieter machine, a lower rate, or agents",
                    self.judged.bad.saturating_sub(by_lateness.samples),
                    self.judged.bad,
                    self.judged.samples,
                    by_lateness.samples,
                    by_lateness.lateness_max,
                ));
                Verdict::Void
            }
        };
    }

    /// A load that came late by more than a tenth of the limit is another load than was planned: nothing
    /// passes by it.
    fn demand_punctuality(&mut self, facts: &RunFacts, limit: Nanos) {
        let Ok(lag) = facts.timeline.dispatch_lag.quantile(0.99) else { return };
        let allowed = Nanos((limit.0 as f64 * LAG_SHARE_MAX) as u64);
        if lag > allowed && matches!(self.judged.verdict, Verdict::Pass | Verdict::Inconclusive) {
            self.judged.verdict = Verdict::Void;
            self.judged.message = Some(format!(
                "the generator fired late by {lag} (p99), which is more than {}% of the limit",
                LAG_SHARE_MAX * 100.0
            ));
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

/// When what counts against an objective came.
fn stretch(facts: &RunFacts, one: &Tried<'_>) -> Option<BadStretch> {
    let places = one.scope.iter().map(|(operation, position)| (*operation, *position));
    let slots = bad_by_slot(&facts.timeline, &one.objective.aim, places, (one.from, one.to));
    let batches: Vec<Batch> = slots.iter().map(|(_, batch)| *batch).collect();
    let found = worst_stretch(&batches)?;
    let ((from, _), _) = slots.get(found.first)?;
    let ((_, to), _) = slots.get(found.end.checked_sub(1)?)?;
    Some(BadStretch {
        from: *from,
        to: (found.end < slots.len()).then_some(*to),
        window: slots.first().map_or(Nanos::ZERO, |((from, to), _)| *to - *from),
        bad: found.within.bad,
        samples: found.within.n,
        bad_elsewhere: found.elsewhere.bad,
        samples_elsewhere: found.elsewhere.n,
    })
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
        by_lateness: None,
        stretch: None,
        verdict: Verdict::Inconclusive,
        message: None,
    }
}

/// A plain comparison: what completed within the judged part, over its length, is a fact of this run and not
/// an estimate of a chance; its Poisson bounds are shown beside it.
fn throughput(plan: &Plan, facts: &RunFacts, judged: &mut JudgedObjective, scope: &[InScope<'_>], above: f64) {
    let (mut rate, mut sum) = (0.0, Flow::default());
    for one in scope {
        let Some((flow, length)) = within_judged(plan, facts, one.operation) else { continue };
        rate += flow.ok as f64 / length.as_secs_f64();
        sum = sum.and(flow);
    }
    let interval = poisson_interval(sum.ok);
    let scaled = |bound: f64| (sum.ok > 0).then(|| Reading::rate(rate * bound / sum.ok as f64));
    let known = sum.due + sum.ended > 0;
    judged.indicator = "throughput".into();
    judged.below = false;
    judged.bound = Reading::Rate(above);
    judged.measured = known.then_some(Reading::rate(rate));
    judged.lower = scaled(interval.lower);
    judged.upper = scaled(interval.upper);
    judged.bad = sum.ended - sum.ok;
    judged.samples = sum.ended;
    judged.verdict = match known {
        false => Verdict::Inconclusive,
        true if rate > above => Verdict::Pass,
        true => Verdict::Fail,
    };
}

fn sums(scope: &[InScope<'_>], of: impl Fn(&Tally) -> (u64, u64)) -> (u64, u64) {
    scope.iter().map(|one| of(one.tally)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}
