//! A plan that is measured and judged, and recorded by somebody else.

use std::sync::Arc;

use super::Observer;
use crate::load::{Engine, EngineError, Judged, RunFacts, Stop, judge};
use crate::profile::Plan;
use slatest_drivers::Workload;

/// What came of a plan.
#[derive(Debug)]
pub struct Measured {
    /// What was measured.
    pub facts: RunFacts,
    /// What is said of it.
    pub judged: Judged,
}

/// Makes the whole load of a plan in this process, and judges it. Nothing is written. Blocks.
///
/// # Errors
/// When a scenario can't get ready, or a worker fails.
pub fn measure(
    plan: &Arc<Plan>,
    workloads: Vec<Arc<dyn Workload>>,
    workers: usize,
    stop: Stop,
    observer: &mut dyn Observer,
) -> Result<Measured, EngineError> {
    let engine = Engine::alone(Arc::clone(plan), workloads, workers, stop);
    let facts = engine.run(&mut |event| observer.event(&event))?;
    let judged = judge(plan, &facts);
    Ok(Measured { facts, judged })
}
