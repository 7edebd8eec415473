//! Waiting for an instant, to some microseconds: tokio's own timer is about 1 ms late, which is more
//! than what is measured here may be off.

use std::time::Duration;

use slatest_core::timer::KernelTimer;

/// Waits as long, never shorter. Takes a file descriptor meanwhile; without one it is tokio's timer
/// that waits.
pub async fn pause(length: Duration) {
    if length.is_zero() {
        return;
    }
    if let Ok(timer) = KernelTimer::new()
        && timer.wait(length).await.is_ok()
    {
        return;
    }
    tokio::time::sleep(length).await;
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_pause_is_never_shorter_than_asked() {
        for length in [1, 70, 1_300, 5_001].map(Duration::from_micros) {
            let since = Instant::now();
            pause(length).await;
            assert!(since.elapsed() >= length);
        }
    }
}
