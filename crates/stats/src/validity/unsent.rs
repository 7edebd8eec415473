//! Operations that the workload could not build: they never reached the target, so nothing is its failure.

use super::super::check::{Check, Effect};
use super::Evidence;

/// Says what could not be built; nothing where all was sent.
pub(super) fn unsent(e: &Evidence) -> Option<Check> {
    let (operation, reason, count) = e.unsent.as_ref()?;
    let measured = format!("{count} never sent; most often {operation}: {reason}");
    let message = "the load was lighter than planned, and what was not sent is no failure of the target: mend the workload \
                 (a capture that is not there yet, a template that fails, a path that is none)";
    Some(Check::new("requests built", Effect::Void, measured, "all".into(), Some(message)))
}
