//! From what a run left behind to what is said of it.

use serde::{Deserialize, Serialize};

use self::objective::judge_objectives;
use super::agents::AgentFacts;
use super::facts::{Resources, RunFacts, Scheduling};
use crate::profile::{ExecutorPlan, Plan};
use slatest_core::measure::{ErrorKinds, Tally, Timeline};
use slatest_core::model::{GENERATOR_FAULT, Nanos, OUTCOMES, Outcome, Verdict};
use slatest_stats::{AgentEvidence, Check, Evidence, JudgedDrill, JudgedObjective, anderson_darling, validity};

mod advice;
mod culprits;
mod drills;
mod incidents;
mod keeping_up;
mod objective;
mod steadiness;
mod times;
mod under_way;
mod unsent;

pub use incidents::{Incident, IncidentError, IncidentOperation};

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
    /// Every drill of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drills: Vec<JudgedDrill>,
    /// When the target did not serve, although nobody broke it on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Incident>,
}

/// Judges a run. The run's verdict is
/// - void when a check of the run itself says so, whatever the objectives say;
/// - otherwise the worst of its objectives, of its drills and of what the workloads found at the end (a finding
///   that does not hold is a fail);
/// - without any objective: pass when something was measured, which then only says that the run
///   itself is sound (reports say `no objectives`); inconclusive when nothing was;
/// - never a pass when the target did not keep up with what it was sent;
/// - never a pass when it was interrupted: what was to be shown has not been shown.
pub fn judge(plan: &Plan, facts: &RunFacts) -> Judged {
    let evidence = evidence(plan, facts);
    let mut validity = validity(&evidence);
    let behind = keeping_up::falling_behind(plan, facts);
    validity.extend(behind.iter().map(|one| {
        let name = plan.scenarios.get(one.scenario).map_or("", |scenario| scenario.name.as_str());
        Check::falling_behind(name, one.message())
    }));
    let incidents = incidents::incidents(plan, facts);
    let objectives = judge_objectives(plan, facts, &behind, &incidents);
    let mut verdicts: Vec<Verdict> = objectives.iter().map(|o| o.verdict).collect();
    let drills = drills::judge_drills(plan, &facts.drills);
    verdicts.extend(drills.iter().map(|drill| drill.verdict));
    if plan.objectives.is_empty() {
        let measured = facts.timeline.judged.iter().any(|tally| tally.completed() > 0);
        verdicts.push(if measured { Verdict::Pass } else { Verdict::Inconclusive });
    }
    if !behind.is_empty() {
        verdicts.push(Verdict::Inconclusive);
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
    Judged { verdict: Verdict::worst(verdicts), objectives, validity, drills, incidents }
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
    let mut uniforms = facts.arrival_law.clone();
    let gaps = uniforms.len();
    Evidence {
        open_model: plan.scenarios.iter().any(|s| matches!(s.executor, ExecutorPlan::Arrivals { .. })),
        scheduled: facts.scheduled,
        fired: facts.fired,
        planned,
        outcomes,
        in_flight: *in_flight + facts.agents.iter().map(|agent| agent.in_flight).sum::<u64>(),
        most_blocked,
        dispatch_lag_p99: dispatch_lag.quantile(0.99).ok(),
        arrivals_off: (facts.timeline.arrivals.off(), facts.timeline.arrivals.windows()),
        arrival_law: (gaps >= GAPS_FEWEST).then(|| (anderson_darling(&mut uniforms), gaps)),
        under_way: under_way::under_way(facts),
        shortest_timeout: plan.shortest_timeout(),
        drills: !plan.drills.is_empty(),
        stall_limit: plan.stall_limit(),
        judged_windows: *judged_windows,
        spoiled_windows: *spoiled_windows,
        own_faults: own_faults(judged.iter().chain(unjudged)),
        unsent: unsent::unsent(plan, &facts.timeline),
        window: plan.window,
        agents: facts.agents.iter().map(|agent| agent_evidence(plan, agent)).collect(),
        ..machine(&facts.resources)
    }
}

/// What the machine of a generator says.
fn machine(resources: &Resources) -> Evidence {
    Evidence {
        cpu_secs: resources.cpu_secs,
        wall_secs: resources.wall_secs,
        cores: resources.cores,
        run_queue_secs: resources.run_queue_secs,
        steal_secs: resources.steal_secs,
        machine_cores: resources.machine_cores,
        stall_max: resources.stall_max,
        stall_total: resources.stall_total,
        suspended: resources.suspended,
        clock_step: resources.clock_step,
        writes_missed: resources.writes_missed,
        quota: resources.quota_cores,
        throttled: (resources.throttled_periods, resources.quota_periods, resources.throttled),
        silent_max: resources.silent_max,
        workers_lost: resources.workers_lost,
        realtime: match resources.scheduling {
            Scheduling::Ordinary => None,
            Scheduling::Realtime => Some(true),
            Scheduling::TakenBack => Some(false),
        },
        open_files: (resources.open_files_max > 0).then_some((resources.open_files_max, resources.open_files_limit)),
        ..Evidence::default()
    }
}

/// One agent is asked what one generator is asked.
fn agent_evidence(plan: &Plan, agent: &AgentFacts) -> AgentEvidence {
    let own = agent.resources.as_ref().map(|resources| {
        Box::new(Evidence {
            dispatch_lag_p99: agent.dispatch_lag.quantile(0.99).ok(),
            shortest_timeout: plan.shortest_timeout(),
            stall_limit: plan.stall_limit(),
            judged_windows: agent.judged_windows,
            spoiled_windows: agent.spoiled_windows,
            ..machine(resources)
        })
    });
    AgentEvidence {
        name: agent.name.clone(),
        host: agent.host.clone(),
        own,
        lost_at: agent.lost_at,
        early: agent.early.clone(),
        taken_over: agent.taken_over,
        shortfall: agent.scheduled.saturating_sub(agent.fired),
        intervals: agent.intervals,
        missing: agent.missing.clone(),
        clock_bound: agent.clock_bound,
        wall_difference: Nanos(agent.wall_difference_ns.unsigned_abs()),
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

#[cfg(test)]
mod tests;
