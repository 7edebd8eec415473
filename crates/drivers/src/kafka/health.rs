//! Whether the brokers answer, and which partitions the workload's topics have.

use std::sync::Arc;

use super::cluster::Topology;
use super::workload::Shared;
use crate::{Health, Unreachable};
use slatest_core::model::Nanos;

/// Asks the brokers. Nothing of it stays there.
///
/// # Errors
/// Why they can't be used.
pub(super) async fn health(shared: &Arc<Shared>) -> Result<Health, Unreachable> {
    match shared.inspect().await {
        Ok(topology) => Ok(Health { detail: detail(&topology) }),
        Err(refusal) => Err(Unreachable {
            endpoint: shared.plan.endpoint.clone(),
            address: shared.plan.cluster.brokers.join(","),
            reason: refusal.detail,
        }),
    }
}

fn detail(topology: &Topology) -> String {
    let topics: Vec<String> =
        topology.partitions.iter().map(|(topic, count)| format!("{topic} ({count} partitions)")).collect();
    let elapsed = Nanos::from(topology.elapsed);
    format!("{} brokers; {}; answered in {elapsed}", topology.brokers, topics.join(", "))
}
