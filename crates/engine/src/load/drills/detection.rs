//! Asks those who watch the target when they saw what was broken, beside the drill that breaks it.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::oneshot;

use slatest_faults::{AlertWatch, Detected, FaultError, Moment};

/// What is known of a fault's detection: what detected it, nothing, or why nobody knows.
pub type Detection = Result<Option<Detected>, FaultError>;

/// Drives a drill to its end, and asks meanwhile when it was detected: from the instant that comes by `fault` on,
/// for as long as `within`.
pub async fn beside<T>(
    drill: impl Future<Output = T>,
    watch: Option<AlertWatch>,
    fault: oneshot::Receiver<Moment>,
    within: Duration,
) -> (T, Detection) {
    let Some(watch) = watch else { return (drill.await, Ok(None)) };
    let mut drill = pin!(drill);
    let mut detecting = pin!(detect(watch, fault, within));
    tokio::select! {
        biased;
        ended = &mut drill => (ended, Ok(None)),
        found = &mut detecting => (drill.await, found),
    }
}

async fn detect(mut watch: AlertWatch, fault: oneshot::Receiver<Moment>, within: Duration) -> Detection {
    let mut fault = pin!(fault);
    let fired = tokio::select! {
        biased;
        // What is looked at after the fault must not pass for what fired before.
        fault = &mut fault => fault,
        looked = watch.before() => {
            if let Err(error) = looked {
                tracing::warn!(%error, "what fires already is not known");
            }
            fault.await
        }
    };
    match fired {
        Ok(fault) => watch.first_after(fault, within).await,
        // Nothing was broken.
        Err(_) => Ok(None),
    }
}
