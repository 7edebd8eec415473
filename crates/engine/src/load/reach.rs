//! Reaches every endpoint before anything is sent.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::profile::Plan;
use slatest_drivers::{Unreachable, Workload};

/// Longest wait for one endpoint's health check.
const HEALTH: Duration = Duration::from_secs(30);

/// What a scenario's health check said before the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthLine {
    /// Of which scenario.
    pub scenario: String,
    /// Of which endpoint.
    pub endpoint: String,
    /// What it said, in words.
    #[serde(alias = "words")]
    pub message: String,
}

/// Reaches the endpoint of every scenario, all at once.
///
/// # Errors
/// Every endpoint that can't be used.
pub fn reach(plan: &Plan, workloads: &[Arc<dyn Workload>]) -> Result<Vec<HealthLine>, Vec<Unreachable>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let unreachable = |endpoint: &str, reason: String| Unreachable {
        endpoint: endpoint.into(),
        address: "address not reached".into(),
        reason,
    };
    let runtime = runtime.map_err(|e| vec![unreachable("all", format!("no runtime to reach them with: {e}"))])?;
    let checks = plan.scenarios.iter().zip(workloads).map(|(scenario, workload)| async move {
        let found = tokio::time::timeout(HEALTH, workload.health()).await.unwrap_or_else(|_| {
            Err(unreachable(&scenario.endpoint, format!("its health check did not end within {} s", HEALTH.as_secs())))
        });
        found.map(|health| HealthLine {
            scenario: scenario.name.clone(),
            endpoint: scenario.endpoint.clone(),
            message: health.detail,
        })
    });
    let found = runtime.block_on(join_all(checks));
    runtime.shutdown_timeout(Duration::from_millis(200));
    let (mut lines, mut failed) = (Vec::new(), Vec::new());
    for result in found {
        match result {
            Ok(line) => lines.push(line),
            Err(error) => failed.push(error),
        }
    }
    failed.dedup();
    if failed.is_empty() { Ok(lines) } else { Err(failed) }
}
