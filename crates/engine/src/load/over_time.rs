//! What counts against an objective, over time.

use crate::profile::Aim;
use slatest_core::measure::Timeline;
use slatest_core::model::{Nanos, OperationId};
use slatest_stats::{BATCHES, Batch};

/// Bad samples (exceedances, failures, misses) and all samples of a scope, in batches of time between
/// `from` and `to`; `scope` holds operations with their place in the aim's lists. Empty where nothing
/// is counted one by one.
pub(super) fn bad_over_time(
    timeline: &Timeline,
    aim: &Aim,
    scope: impl IntoIterator<Item = (OperationId, usize)>,
    (from, to): (Nanos, Nanos),
) -> Vec<Batch> {
    let counters: Vec<_> =
        scope.into_iter().filter_map(|(operation, position)| Some((operation, aim.counter(position)?))).collect();
    if counters.is_empty() {
        return Vec::new();
    }
    // A ratio counts the good ones.
    let good_is_counted = matches!(aim, Aim::Ratio { .. });
    let bad = |counted: u64, n: u64| if good_is_counted { n.saturating_sub(counted) } else { counted };
    let counts = timeline.batches.cut(&counters, from, to, BATCHES);
    counts.into_iter().map(|(counted, n)| Batch { bad: bad(counted, n), n }).collect()
}
