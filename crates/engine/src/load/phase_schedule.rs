//! What a plan says of each instant of its run.

use super::event::Phase;
use crate::profile::{ExecutorPlan, Plan, ScenarioPlan};
use slatest_core::model::Nanos;
use slatest_core::schedule::Curve;

/// The course that a run is planned to take.
#[derive(Debug)]
pub struct PhaseSchedule {
    curves: Vec<(Nanos, Curve)>,
    /// From when on something is judged.
    judged_from: Nanos,
    end: Nanos,
}

impl PhaseSchedule {
    /// Of a plan.
    pub fn new(plan: &Plan) -> Self {
        Self {
            curves: plan.scenarios.iter().map(rate_curve).collect(),
            judged_from: plan.scenarios.iter().map(|s| s.start + s.warm_up).min().unwrap_or_default(),
            end: plan.end(),
        }
    }

    /// When the last arrival can be.
    pub const fn end(&self) -> Nanos {
        self.end
    }

    /// Planned arrivals per second at an instant, over all scenarios.
    pub fn rate_at(&self, at: Nanos) -> f64 {
        let rate = |(start, curve): &(Nanos, Curve)| if at < *start { 0.0 } else { curve.value_at(at - *start) };
        self.curves.iter().map(rate).sum()
    }

    /// Where a run is that has started; `ending` when it was asked to end before its time.
    pub fn phase(&self, now: Nanos, ending: bool) -> Phase {
        if ending || now >= self.end {
            Phase::Draining
        } else if now >= self.judged_from {
            Phase::Measuring
        } else {
            Phase::WarmUp
        }
    }
}

/// The rate of a scenario's arrivals; nothing for a closed model, whose rate nobody plans.
fn rate_curve(scenario: &ScenarioPlan) -> (Nanos, Curve) {
    let stages = match &scenario.executor {
        ExecutorPlan::Arrivals { stages, .. } => stages.as_slice(),
        ExecutorPlan::Users { .. } => &[],
    };
    (scenario.start, Curve::new(stages))
}
