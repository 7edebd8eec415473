//! Waiting for an instant, to some microseconds.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use tokio::io::unix::AsyncFd;

use crate::measure::Latencies;
use crate::model::{Clock, MonotonicClock, Nanos};

/// How early the kernel's timer is set; the rest is waited for by yielding, so that other tasks of
/// the worker run meanwhile. A timerfd wakes some 20–50 µs late, tokio's own timer about 1 ms.
const EARLY: Nanos = Nanos(40_000);

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

/// A timer of one worker.
pub struct Timer {
    fd: AsyncFd<Fd>,
}

impl Timer {
    /// Needs a tokio runtime with I/O around it.
    ///
    /// # Errors
    /// When the kernel gives no timer (out of file descriptors).
    pub fn new() -> io::Result<Self> {
        let fd = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        // SAFETY: `Fd` owns its descriptor, always gives the same one, and closes it only when the
        // `AsyncFd` around it is dropped.
        let fd = unsafe { AsyncFd::register(Fd(fd))? };
        Ok(Self { fd })
    }

    /// Waits until the clock reads `due`. Safe to drop half-way.
    ///
    /// # Errors
    /// When the kernel refuses the timer; never seen.
    pub async fn wait_until(&self, clock: &dyn Clock, due: Nanos) -> io::Result<()> {
        let left = due - clock.now();
        if left > EARLY {
            self.fd
                .get_ref()
                .0
                .set(Expiration::OneShot(Duration::from_nanos((left - EARLY).0).into()), TimerSetTimeFlags::empty())?;
            let mut ready = self.fd.readable().await?;
            ready.clear_ready();
            // Reading clears the expiry; it may already be gone when an earlier wait was dropped.
            let mut expiries = [0_u8; 8];
            match nix::unistd::read(self.fd.get_ref().as_fd(), &mut expiries) {
                Ok(_) | Err(nix::errno::Errno::EAGAIN) => {}
                Err(e) => return Err(e.into()),
            }
        }
        while clock.now() < due {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// How late this machine fires: the lateness of `samples` waits of `gap` each, measured now. Takes
/// samples × gap.
///
/// # Errors
/// When the kernel gives no timer.
pub async fn timer_lateness(samples: u32, gap: Nanos) -> io::Result<Latencies> {
    let timer = Timer::new()?;
    let clock = MonotonicClock::starting_at(Instant::now());
    let mut lateness = Latencies::default();
    let mut due = clock.now();
    for _ in 0..samples {
        due += gap;
        timer.wait_until(&clock, due).await?;
        lateness.record(clock.now() - due);
    }
    Ok(lateness)
}
