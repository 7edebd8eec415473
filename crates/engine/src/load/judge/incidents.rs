//! Incidents: when the target did not serve, although nobody broke it on purpose.

use serde::{Deserialize, Serialize};

use crate::load::facts::RunFacts;
use crate::profile::{Aim, Plan, ScenarioPlan};
use slatest_core::measure::{ErrorKinds, Trouble};
use slatest_core::model::{Nanos, OperationId};
use slatest_stats::{ALPHA, BadRow, bad_rows, clopper_pearson, is_bad};

/// A window needs so many operations on average to be looked at by itself; else windows are taken together.
const FEWEST: u64 = 5;
/// Windows are not taken together into fewer than these.
const GROUPS_MIN: u64 = 10;
/// How often the usual share is reckoned again without the windows that are bad.
const ROUNDS: usize = 5;
/// Most operations and kinds of error that are kept of one incident.
const NAMED_MAX: usize = 10;
/// Most incidents that are kept of a run.
const INCIDENTS_MAX: usize = 100;

/// A time in which a scenario's operations failed or were late beyond what was promised. All instants are those at
/// which operations were meant to start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Of which scenario.
    pub scenario: String,
    /// The start of its first bad window, in nanoseconds of the run's clock.
    pub began: Nanos,
    /// The end of its last bad window; `None` where nothing good followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Nanos>,
    /// Both may be off by this: the length of what was looked at together.
    pub window: Nanos,
    /// How many windows of this length were bad.
    pub bad_windows: u64,
    /// Operations that were due meanwhile.
    pub due: u64,
    /// How many of these failed.
    pub failed: u64,
    /// How many did not fail and took longer than an objective allows.
    pub late: u64,
    /// The operations that it met, the worst first.
    pub operations: Vec<IncidentOperation>,
    /// Kinds of error, the most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<IncidentError>,
}

/// What an incident was for one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentOperation {
    /// `scenario/operation`.
    pub address: String,
    /// How many failed.
    pub failed: u64,
    /// How many were late and did not fail.
    pub late: u64,
    /// How many were due.
    pub due: u64,
}

/// A kind of error in an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentError {
    /// The kind.
    pub kind: String,
    /// How often.
    pub count: u64,
}

impl Incident {
    /// It in one line: `16.0 s – 22.0 s (± 1.00 s) sql: 812 of 900 failed; connection refused 812; sql/read 812 of 900`.
    pub fn message(&self) -> String {
        let at = |at: Nanos| format!("{:.1} s", at.as_secs_f64());
        let until = self.ended.map_or_else(|| "the end".into(), at);
        let mut parts = vec![format!("{} of {} failed", self.failed, self.due)];
        if self.late > 0 {
            parts[0] = format!("{}, {} were late", parts[0], self.late);
        }
        if !self.errors.is_empty() {
            let kinds: Vec<String> = self.errors.iter().map(|one| format!("{} {}", one.kind, one.count)).collect();
            parts.push(kinds.join(", "));
        }
        let met: Vec<String> = self
            .operations
            .iter()
            .map(|one| format!("{} {} of {}", one.address, one.failed + one.late, one.due))
            .collect();
        parts.push(met.join(", "));
        format!("{} – {until} (± {}) {}: {}", at(self.began), self.window, self.scenario, parts.join("; "))
    }
}

/// Every incident of a run, scenario by scenario. What a drill judges is none.
pub(super) fn incidents(plan: &Plan, facts: &RunFacts) -> Vec<Incident> {
    let scenarios = plan.scenarios.iter().enumerate();
    scenarios.flat_map(|(place, scenario)| of_scenario(plan, facts, place, scenario)).take(INCIDENTS_MAX).collect()
}

/// What must not be exceeded: by failures, or by the threshold of this index of each operation.
struct Limit {
    share: f64,
    of: Vec<(OperationId, Option<usize>)>,
}

/// What happened to the operations of a scenario over time, in groups of windows.
struct Groups<'a> {
    length: Nanos,
    /// By operation of the scenario: what was due in each group.
    due: Vec<(OperationId, Vec<u64>)>,
    troubles: Vec<(usize, OperationId, &'a Trouble)>,
    /// Groups that are looked at.
    looked_at: Vec<bool>,
}

impl<'a> Groups<'a> {
    fn of(facts: &'a RunFacts, operations: &[OperationId], scenario: &ScenarioPlan) -> Option<Self> {
        let from = scenario.start + scenario.warm_up;
        let to = (scenario.end() - scenario.cool_down).min(facts.length);
        let slots = facts.timeline.course.slots(operations);
        let (start, end) = slots.first()?.0;
        let due: u64 = slots.iter().filter(|((at, _), _)| *at >= from && *at < to).map(|(_, flow)| flow.due).sum();
        let mut length = (end - start).max(facts.timeline.troubles.slot()).0.max(1);
        let judged = (to - from).0;
        while due < FEWEST * (judged / length) && judged / length >= 2 * GROUPS_MIN {
            length *= 2;
        }
        let count = usize::try_from(to.0.div_ceil(length)).ok().filter(|count| *count > 0)?;
        let due = operations
            .iter()
            .map(|id| {
                let mut sums = vec![0; count];
                for ((at, _), flow) in facts.timeline.course.slots(&[*id]) {
                    if let Some(sum) = usize::try_from(at.0 / length).ok().and_then(|group| sums.get_mut(group)) {
                        *sum += flow.due;
                    }
                }
                (*id, sums)
            })
            .collect();
        let troubles = facts
            .timeline
            .troubles
            .cells()
            .filter(|(_, id, _)| operations.contains(id))
            .filter_map(|(at, id, trouble)| Some((usize::try_from(at.0 / length).ok()?, id, trouble)))
            .filter(|(group, ..)| *group < count)
            .collect();
        let exclusion: Vec<(Nanos, Nanos)> = facts
            .drills
            .iter()
            .flat_map(|drill| drill.exclusion.into_iter().chain(drill.issued.map(|at| (at, drill.watched_until))))
            .collect();
        let looked_at = (0..count as u64)
            .map(|group| {
                let (start, end) = (Nanos(group * length), Nanos((group + 1) * length));
                start >= from && !exclusion.iter().any(|&(since, until)| start < until && end > since)
            })
            .collect();
        Some(Self { length: Nanos(length), due, troubles, looked_at })
    }

    /// Per group that is looked at: (bad, out of) of one limit.
    fn counts(&self, limit: &Limit) -> Vec<(u64, u64)> {
        let mut counts = vec![(0, 0); self.looked_at.len()];
        for (id, due) in &self.due {
            if limit.of.iter().any(|(of, _)| of == id) {
                counts.iter_mut().zip(due).for_each(|(count, due)| count.1 += due);
            }
        }
        for (group, id, trouble) in &self.troubles {
            for (_, threshold) in limit.of.iter().filter(|(of, _)| of == id) {
                counts[*group].0 += match threshold {
                    None => trouble.failed,
                    Some(index) => trouble.exceeded.get(*index).copied().unwrap_or_default(),
                };
            }
        }
        // What was fired late was counted as due later.
        counts.iter_mut().for_each(|(bad, n)| *n = (*n).max(*bad));
        counts
    }
}

fn of_scenario(plan: &Plan, facts: &RunFacts, place: usize, scenario: &ScenarioPlan) -> Vec<Incident> {
    let operations: Vec<OperationId> = (0..plan.operations.len())
        .filter(|i| plan.operations[*i].scenario == place)
        .map(|i| OperationId(i as u16))
        .collect();
    if !facts.timeline.troubles.cells().any(|(_, id, _)| operations.contains(&id)) {
        return Vec::new();
    }
    let Some(groups) = Groups::of(facts, &operations, scenario) else { return Vec::new() };
    let mut limits = promised(plan, &operations);
    let covered = |id: &OperationId| limits.iter().any(|limit| limit.of.contains(&(*id, None)));
    if !operations.iter().all(covered) {
        limits.push(usual(&groups, &operations));
    }
    let shares: Vec<f64> = limits.iter().map(|limit| limit.share).collect();
    let counts: Vec<Vec<(u64, u64)>> = limits.iter().map(|limit| groups.counts(limit)).collect();
    let windows: Vec<Option<Vec<(u64, u64)>>> = (groups.looked_at.iter().enumerate())
        .map(|(group, looked_at)| looked_at.then(|| counts.iter().map(|of| of[group]).collect()))
        .collect();
    bad_rows(&windows, &shares).iter().map(|row| described(plan, scenario, &groups, row)).collect()
}

/// What the objectives promise of failures and of response times.
fn promised(plan: &Plan, operations: &[OperationId]) -> Vec<Limit> {
    let mut limits = Vec::new();
    for objective in &plan.objectives {
        let Some(share) = objective.aim.bad_share_limit() else { continue };
        let of = objective.operations.iter().enumerate().filter(|(_, id)| operations.contains(id));
        let of: Vec<(OperationId, Option<usize>)> = match &objective.aim {
            Aim::ErrorRate { .. } => of.map(|(_, id)| (*id, None)).collect(),
            Aim::Quantile { of: times, thresholds, .. } if times == "response_time" => {
                of.filter_map(|(at, id)| Some((*id, Some(*thresholds.get(at)?)))).collect()
            }
            _ => continue,
        };
        match objective.each {
            true => limits.extend(of.into_iter().map(|one| Limit { share, of: vec![one] })),
            false if of.is_empty() => {}
            false => limits.push(Limit { share, of }),
        }
    }
    limits
}

/// No more failures than the run itself had usually: over the windows that are not bad.
fn usual(groups: &Groups<'_>, operations: &[OperationId]) -> Limit {
    let mut limit = Limit { share: 1.0, of: operations.iter().map(|id| (*id, None)).collect() };
    let counts = groups.counts(&limit);
    for _ in 0..ROUNDS {
        let usual = counts
            .iter()
            .zip(&groups.looked_at)
            .filter(|(count, looked_at)| **looked_at && !is_bad(&[**count], &[limit.share]));
        let (bad, n) = usual.fold((0, 0), |sum, ((bad, n), _)| (sum.0 + bad, sum.1 + n));
        let share = if n == 0 { 1.0 } else { clopper_pearson(bad, n, ALPHA).upper };
        if share >= limit.share {
            break;
        }
        limit.share = share;
    }
    limit
}

fn described(plan: &Plan, scenario: &ScenarioPlan, groups: &Groups<'_>, row: &BadRow) -> Incident {
    let start = |group: usize| Nanos(groups.length.0.saturating_mul(group as u64));
    let mut operations = Vec::new();
    let mut kinds = ErrorKinds::default();
    for (id, due) in &groups.due {
        let (mut failed, mut exceeded) = (0, 0);
        for (_, _, trouble) in
            groups.troubles.iter().filter(|(group, of, _)| of == id && (row.first..=row.last).contains(group))
        {
            failed += trouble.failed;
            exceeded += trouble.exceeded.iter().copied().max().unwrap_or(0).max(trouble.failed);
            kinds.merge(&trouble.errors);
        }
        if exceeded > 0 {
            operations.push(IncidentOperation {
                address: plan.operations[id.index()].address.clone(),
                failed,
                late: exceeded - failed,
                due: due[row.first..=row.last].iter().sum(),
            });
        }
    }
    operations.sort_by_key(|one| std::cmp::Reverse(one.failed + one.late));
    let sum = |of: fn(&IncidentOperation) -> u64| operations.iter().map(of).sum();
    let due = groups.due.iter().map(|(_, due)| due[row.first..=row.last].iter().sum::<u64>()).sum();
    let top = kinds.top().into_iter().take(NAMED_MAX);
    Incident {
        scenario: scenario.name.clone(),
        began: start(row.first),
        ended: row.ended.then(|| start(row.last + 1)),
        window: groups.length,
        bad_windows: row.bad as u64,
        due,
        failed: sum(|one| one.failed),
        late: sum(|one| one.late),
        errors: top.map(|(kind, count)| IncidentError { kind: kind.to_owned(), count }).collect(),
        operations: operations.into_iter().take(NAMED_MAX).collect(),
    }
}
