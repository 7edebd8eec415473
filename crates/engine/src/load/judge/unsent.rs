//! What the workload could not build, from the kinds of errors.

use crate::profile::Plan;
use slatest_core::measure::Timeline;
use slatest_core::model::WORKLOAD_FAULT;

/// The most frequent of the operations that were never sent (its address, why), with how many there were in all.
pub(super) fn unsent(plan: &Plan, timeline: &Timeline) -> Option<(String, String, u64)> {
    let mut total = 0_u64;
    let mut most: Option<(u64, &str, String)> = None;
    for (i, operation) in plan.operations.iter().enumerate() {
        for tally in [timeline.judged.get(i), timeline.unjudged.get(i)].into_iter().flatten() {
            for (kind, count) in tally.errors.top() {
                let Some(reason) = kind.strip_prefix(WORKLOAD_FAULT) else { continue };
                total = total.saturating_add(count);
                if most.as_ref().is_none_or(|(before, ..)| count > *before) {
                    most = Some((count, &operation.address, reason.to_owned()));
                }
            }
        }
    }
    most.map(|(_, address, reason)| (address.to_owned(), reason, total))
}
