//! Which operations are shown to be at fault, among many that were judged by themselves.

use super::objective::Tried;
use slatest_core::model::Verdict;
use slatest_stats::{ALPHA, holm};

/// Among the operations of each `each: operation` objective, tells those that fail beyond what
/// chance does to one of so many from those that don't. A fail stays a fail either way: by itself it
/// is shown at 95 %, and no pass.
pub(super) fn name(tried: &mut [Tried<'_>]) {
    for family in tried.chunk_by_mut(|a, b| std::ptr::eq(a.objective, b.objective)) {
        let counted: Vec<usize> = (0..family.len())
            .filter(|&i| {
                let judged = &family[i].judged;
                judged.samples > 0 && judged.verdict != Verdict::Void && family[i].limit().is_some()
            })
            .collect();
        if counted.len() < 2 {
            continue;
        }
        let chances: Vec<f64> = counted.iter().map(|&i| family[i].chance_of_so_many).collect();
        for (&i, named) in counted.iter().zip(holm(&chances, ALPHA)) {
            let judged = &mut family[i].judged;
            if judged.verdict != Verdict::Fail {
                continue;
            }
            judged.culprit = Some(named);
            judged.message = Some(if named {
                format!("shown to be at fault among {} operations (Holm, 5% for all together)", counted.len())
            } else {
                format!(
                    "beyond the bound by itself, but not shown to be at fault among {} operations (Holm, 5% for all \
                     together): run longer to tell",
                    counted.len()
                )
            });
        }
    }
}
