//! The end of a run: have all replicas become the same?

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::document::{Comparison, Document};
use crate::driver::Finding;
use crate::model::Nanos;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until no edit is on its way and all replicas are the same, at most `patience`; then says
/// what it found.
pub(super) async fn settle(documents: &[Arc<Document>], patience: Nanos) -> Vec<Finding> {
    let deadline = Instant::now() + patience.as_duration();
    // Those that were quiet and equal at a look are not looked at again: nobody edits any more.
    let mut open: Vec<&Arc<Document>> = documents.iter().collect();
    let mut settled = Vec::with_capacity(documents.len());
    loop {
        open.retain(|document| {
            let found = document.is_quiet().then(|| document.compare());
            let done = found.filter(|f| f.equal && f.disconnected == 0);
            settled.extend(done);
            done.is_none()
        });
        if open.is_empty() || Instant::now() >= deadline {
            break;
        }
        sleep(LOOK).await;
    }
    settled.extend(open.iter().map(|document| document.compare()));
    findings(&settled)
}

fn findings(found: &[Comparison]) -> Vec<Finding> {
    let count = |is: fn(&Comparison) -> bool| found.iter().filter(|f| is(f)).count();
    let equal = count(|f| f.equal);
    let different = found.len() - equal;
    let replicas: usize = found.iter().map(|f| f.replicas).sum();
    let disconnected: usize = found.iter().map(|f| f.disconnected).sum();
    let missing: usize = found.iter().map(|f| f.missing).sum();
    let mut detail = format!("{equal} of {} documents equal in all replicas ({replicas} replicas)", found.len());
    if different > 0 {
        detail.push_str(&format!("; {different} with replicas that differ"));
    }
    if disconnected > 0 {
        detail.push_str(&format!("; {disconnected} replicas without a connection"));
    }
    let lost = match missing {
        0 => "every acknowledged edit is in every replica".to_owned(),
        n => format!("acknowledged edits of {n} replicas are missing in another"),
    };
    vec![
        Finding { check: "convergence".into(), holds: different == 0, detail },
        Finding { check: "acknowledged edits".into(), holds: missing == 0, detail: lost },
    ]
}
