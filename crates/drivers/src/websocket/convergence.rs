//! The end of a run: have all replicas become the same, and did the server keep what it passed on?

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep, timeout_at};

use super::document::{Comparison, Document};
use super::failure;
use super::plan::Shared;
use crate::Finding;
use crate::failure::Failure;
use slatest_core::model::Nanos;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Most documents that are read back from the server, and how many at a time.
const READ_BACK_MAX: usize = 100;
const READ_BACK_AT_ONCE: usize = 8;

/// Waits until no edit is on its way and all replicas are the same, at most `patience`; then says
/// what it found, and what a new client finds.
pub(super) async fn settle(shared: &Shared, documents: &[(u64, Arc<Document>)], patience: Nanos) -> Vec<Finding> {
    let deadline = Instant::now() + patience.as_duration();
    // Those that were quiet and equal at a look are not looked at again: nobody edits any more.
    let mut open: Vec<&Arc<Document>> = documents.iter().map(|(_, document)| document).collect();
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
    // However long the replicas took, the server is asked.
    let deadline = deadline.max(Instant::now() + shared.dialer.timeout.min(patience.as_duration()));
    let read_back = ReadBack::of(shared, documents, deadline).await;
    vec![convergence(&settled), acknowledged(&settled, &read_back)]
}

/// What new clients got from the server.
#[derive(Debug, Default)]
struct ReadBack {
    /// Documents with every acknowledged edit.
    whole: usize,
    /// Documents that lack some.
    lacking: usize,
    /// Documents that could not be had, and why not in the last case.
    unread: usize,
    reason: Option<String>,
}

impl ReadBack {
    async fn of(shared: &Shared, documents: &[(u64, Arc<Document>)], deadline: Instant) -> Self {
        let step = documents.len().div_ceil(READ_BACK_MAX).max(1);
        let reads = stream::iter(documents.iter().step_by(step)).map(async |(number, document)| {
            let fetched = timeout_at(deadline, shared.fetch(&number.to_string())).await;
            let fetched = fetched.unwrap_or_else(|_| Err(failure::timed_out("read back")))?;
            Ok::<_, Failure>(document.is_kept_by(&fetched.replica))
        });
        let mut found = Self::default();
        let mut reads = std::pin::pin!(reads.buffer_unordered(READ_BACK_AT_ONCE));
        while let Some(read) = reads.next().await {
            match read {
                Ok(true) => found.whole += 1,
                Ok(false) => found.lacking += 1,
                Err(reason) => {
                    found.unread += 1;
                    found.reason = Some(reason.kind);
                }
            }
        }
        found
    }
}

fn convergence(found: &[Comparison]) -> Finding {
    let equal = found.iter().filter(|f| f.equal).count();
    let different = found.len() - equal;
    let replicas: usize = found.iter().map(|f| f.replicas).sum();
    let disconnected: usize = found.iter().map(|f| f.disconnected).sum();
    let mut detail = format!("{equal} of {} documents equal in all replicas ({replicas} replicas)", found.len());
    if different > 0 {
        detail.push_str(&format!("; {different} with replicas that differ"));
    }
    if disconnected > 0 {
        detail.push_str(&format!("; {disconnected} replicas without a connection"));
    }
    Finding { check: "convergence".into(), holds: different == 0, detail }
}

fn acknowledged(found: &[Comparison], read_back: &ReadBack) -> Finding {
    let missing: usize = found.iter().map(|f| f.missing).sum();
    let ReadBack { whole, lacking, unread, reason } = read_back;
    let mut detail = match missing {
        0 => "every acknowledged edit is in every replica".to_owned(),
        n => format!("acknowledged edits of {n} replicas are missing in another"),
    };
    let asked = whole + lacking + unread;
    detail.push_str(&format!("; a new client got all of them in {whole} of {asked} documents"));
    if let Some(reason) = reason {
        detail.push_str(&format!(" ({unread} could not be read back: {reason})"));
    }
    // What could not be read back is not known to be kept.
    Finding { check: "acknowledged edits".into(), holds: missing + lacking + unread == 0, detail }
}
