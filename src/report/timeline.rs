//! What a plan holds at which time: its load, its phases, its drills and what became of them.

use super::phrases::plain;
use slatest_core::model::Nanos;
use slatest_core::schedule::Curve;
use slatest_engine::profile::{ExecutorPlan, Plan};
use slatest_engine::record::RunRecord;
use slatest_stats::Heal;

/// Most marks of a run.
const MARKS_MAX: usize = 200;

/// What a mark stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkKind {
    /// Sent and never judged.
    Warmup,
    /// A scenario begins, or changes its stage.
    Phase,
    /// Something was broken on purpose: from the fault to the heal.
    Drill,
    /// Something broke by itself.
    Incident,
}

impl MarkKind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warmup => "warm-up",
            Self::Phase => "phase",
            Self::Drill => "drill",
            Self::Incident => "incident",
        }
    }
}

/// A part of a run, or an instant of it (`from` = `to`), with what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub kind: MarkKind,
    pub from: Nanos,
    pub to: Nanos,
    pub label: String,
}

/// Everything that is marked in a run's charts, in order of time.
pub(super) fn marks(run: &RunRecord) -> Vec<Mark> {
    let mut marks = Vec::new();
    let end = run.result.length;
    let warm = run.plan.scenarios.iter().map(|one| one.start + one.warm_up).min().unwrap_or_default();
    if warm > Nanos::ZERO {
        marks.push(Mark { kind: MarkKind::Warmup, from: Nanos::ZERO, to: warm.min(end), label: "warm-up".into() });
    }
    for scenario in &run.plan.scenarios {
        let mut at = scenario.start;
        let name = plain(&scenario.name);
        let mut phase = |at: Nanos, what: String| {
            if at > Nanos::ZERO && at < end {
                marks.push(Mark { kind: MarkKind::Phase, from: at, to: at, label: format!("{name} {what}") });
            }
        };
        phase(at, "begins".into());
        for (i, stage) in scenario.executor.stages().iter().enumerate() {
            if i > 0 {
                phase(at, format!("stage {}", i + 1));
            }
            at += stage.duration;
        }
        phase(at, "ends".into());
    }
    for drill in &run.result.drills {
        let Some(issued) = drill.issued else { continue };
        let to = if let Heal::Done(at) = drill.heal { at } else { end };
        marks.push(Mark { kind: MarkKind::Drill, from: issued, to: to.max(issued), label: plain(&drill.name) });
    }
    for incident in &run.result.incidents {
        let to = incident.ended.unwrap_or(end).max(incident.began);
        marks.push(Mark { kind: MarkKind::Incident, from: incident.began, to, label: plain(&incident.scenario) });
    }
    marks.sort_by_key(|mark| (mark.from, mark.to));
    marks.dedup();
    marks.truncate(MARKS_MAX);
    marks
}

/// Arrivals a second that the plan holds between two instants, over all scenarios with an open model; `None` where it has
/// none, or no time lies between them.
pub(super) fn planned_rate(plan: &Plan, from: Nanos, to: Nanos) -> Option<f64> {
    let length = to.0.checked_sub(from.0).filter(|length| *length > 0)? as f64 / 1e9;
    let mut planned: Option<f64> = None;
    for scenario in &plan.scenarios {
        let ExecutorPlan::Arrivals { stages, .. } = &scenario.executor else { continue };
        let curve = Curve::new(stages);
        let level = |at: Nanos| curve.integral_to(at - scenario.start);
        *planned.get_or_insert(0.0) += level(to) - level(from);
    }
    planned.map(|planned| planned / length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slatest_core::schedule::StagePlan;

    #[test]
    fn a_ramp_is_planned_by_its_area() {
        let mut plan = slatest_engine::record::sample::plan();
        plan.scenarios.truncate(1);
        let secs = Nanos::from_secs;
        let scenario = &mut plan.scenarios[0];
        scenario.start = secs(10);
        let ExecutorPlan::Arrivals { stages, .. } = &mut scenario.executor else { panic!("an open model") };
        *stages = vec![
            StagePlan { duration: secs(10), from: 0.0, to: 100.0 },
            StagePlan { duration: secs(10), from: 100.0, to: 100.0 },
        ];
        assert_eq!(planned_rate(&plan, secs(0), secs(10)), Some(0.0));
        assert_eq!(planned_rate(&plan, secs(10), secs(20)), Some(50.0));
        assert_eq!(planned_rate(&plan, secs(15), secs(20)), Some(75.0));
        assert_eq!(planned_rate(&plan, secs(10), secs(30)), Some(75.0));
        assert_eq!(planned_rate(&plan, secs(40), secs(50)), Some(0.0));
        assert_eq!(planned_rate(&plan, secs(40), secs(40)), None);
    }
}
