//! The kernel's timer, to some microseconds: tokio's own is about 1 ms late.

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

/// A timer of the kernel: one file descriptor.
pub struct KernelTimer(AsyncFd<Fd>);

impl KernelTimer {
    /// Needs a tokio runtime with I/O around it.
    ///
    /// # Errors
    /// When the kernel gives no timer (out of file descriptors).
    pub fn new() -> io::Result<Self> {
        let fd = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        // SAFETY: `Fd` owns its descriptor, always gives the same one, and closes it only when the
        // `AsyncFd` around it is dropped.
        Ok(Self(unsafe { AsyncFd::register(Fd(fd))? }))
    }

    /// Waits as long as this, from now; a length of zero would never ring. It never ends early, unless the wait before
    /// it was dropped half-way: who drops one looks at the clock after the next.
    ///
    /// # Errors
    /// When the kernel refuses the timer; never seen.
    pub async fn wait(&self, length: Duration) -> io::Result<()> {
        self.0.get_ref().0.set(Expiration::OneShot(length.into()), TimerSetTimeFlags::empty())?;
        // An expiry needs no reading: setting the timer anew takes it back, and the next one is news again.
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}
