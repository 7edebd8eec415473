//! The worker threads of the generator: whether each went on making turns, and how they were scheduled.

use super::{Evidence, LAG_SHARE_MAX};
use crate::{Check, Effect};
use slatest_core::model::Nanos;

/// Where no operation has a timeout, a worker may stand still for this long.
const SILENT_MAX: Nanos = Nanos::from_secs(1);

/// Told only where a worker stood still. What it fired meanwhile was late, which is in the dispatch lag; what came
/// meanwhile was read late, which is in no bracket. So it may last as long as the dispatch lag may.
pub(super) fn turns(e: &Evidence) -> Check {
    let name = "worker threads";
    let allowed = e.shortest_timeout.map_or(SILENT_MAX, |timeout| Nanos((timeout.0 as f64 * LAG_SHARE_MAX) as u64));
    let bound = format!("a turn at least every {allowed}");
    if e.workers_lost > 0 {
        let measured = format!("{} made no turn any more and were not waited for", e.workers_lost);
        let message = "an operation held a thread of the generator for ever (its own fault, none of the target's): what \
                     was due there was never sent, and what was under way never read; please report it";
        return Check::new(name, Effect::Void, measured, bound, Some(message));
    }
    let measured = format!("longest time without a turn {}", e.silent_max);
    let (effect, message) = if e.silent_max > allowed {
        (
            Effect::Void,
            "an operation held a thread of the generator (its own fault, none of the target's): what came meanwhile was \
             read late, so times and timeouts may be the generator's; lower the rate, or ask for smaller answers",
        )
    } else {
        (
            Effect::Warn,
            "an operation held a thread of the generator for a moment; exceedances in the windows that are marked \
             `spoiled` may be its own",
        )
    };
    Check::new(name, effect, measured, bound, Some(message))
}

/// Told only where the real-time class was asked for.
pub(super) fn class(e: &Evidence) -> Check {
    let name = "scheduling";
    let bound = "real-time, as asked".to_owned();
    if e.realtime == Some(true) {
        return Check::sound(name, "real-time class: the workers run before all else here".into(), bound);
    }
    let message = "a worker did not let go of its processor, so that the real-time class was taken from all of them: from \
                 then on they waited for their turn, as the other checks show";
    Check::new(name, Effect::Warn, "real-time, taken back".into(), bound, Some(message))
}
