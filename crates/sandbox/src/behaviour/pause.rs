//! Waiting for an instant, to some microseconds: tokio's own timer is about 1 ms late, which is more
//! than what is measured here may be off.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use tokio::io::unix::AsyncFd;

/// nix's timer with both of the traits that tokio asks for.
struct Fd(TimerFd);

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Waits as long, never shorter. Takes a file descriptor meanwhile; without one it is tokio's timer
/// that waits.
pub async fn pause(length: Duration) {
    if length.is_zero() {
        return;
    }
    match armed(length) {
        Ok(timer) => drop(timer.readable().await),
        Err(_) => tokio::time::sleep(length).await,
    }
}

fn armed(length: Duration) -> io::Result<AsyncFd<Fd>> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
    timer.set(Expiration::OneShot(length.into()), TimerSetTimeFlags::empty())?;
    // SAFETY: `Fd` owns its descriptor, always gives the same one, and closes it only when the
    // `AsyncFd` around it is dropped.
    Ok(unsafe { AsyncFd::register(Fd(timer))? })
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
