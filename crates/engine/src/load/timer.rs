//! Waiting for an instant, to some microseconds.

use std::cell::Cell;
use std::io;
use std::time::Instant;

use slatest_core::measure::Latencies;
use slatest_core::model::{Clock, MonotonicClock, Nanos};
use slatest_core::timer::KernelTimer;

/// Most that the kernel's timer is set early. A timerfd wakes some 20–50 µs late (tokio's own timer
/// about 1 ms); what is left after it woke is waited for by yielding, so that other tasks of the
/// worker run meanwhile.
const EARLY_MAX: Nanos = Nanos(50_000);
/// How early it is set before anything is known of this machine.
const EARLY_FIRST: Nanos = Nanos(30_000);
/// What a wake that was later than the last ones adds, and what an earlier one takes off, in
/// nanoseconds: (later, sooner). Three to two: in balance, three of five wakes are in time and yield
/// until they are due.
const SELDOM: (u64, u64) = (900, 600);
/// The same where wakes are frequent. Yielding costs a processor as much as work does: one to nine, so
/// nine of ten are late by what wakes differ among themselves, some microseconds.
const OFTEN: (u64, u64) = (150, 1_350);
/// Waits of this length and more are seldom enough.
const LONG: Nanos = Nanos::from_millis(1);

/// A timer of one worker.
pub struct Timer {
    kernel: KernelTimer,
    /// How late the kernel's timer usually wakes, followed wake by wake: it is set so much early.
    early: Cell<Nanos>,
}

impl Timer {
    /// Needs a tokio runtime with I/O around it.
    ///
    /// # Errors
    /// When the kernel gives no timer (out of file descriptors).
    pub fn new() -> io::Result<Self> {
        Ok(Self { kernel: KernelTimer::new()?, early: Cell::new(EARLY_FIRST) })
    }

    /// Waits until the clock reads `due`. Safe to drop half-way.
    ///
    /// # Errors
    /// When the kernel refuses the timer; never seen.
    pub async fn wait_until(&self, clock: &dyn Clock, due: Nanos) -> io::Result<()> {
        let (later, sooner) = if due - clock.now() >= LONG { SELDOM } else { OFTEN };
        loop {
            let early = self.early.get();
            let left = due - clock.now();
            if left <= early {
                break;
            }
            self.kernel.wait((left - early).as_duration()).await?;
            let woken = clock.now() + early;
            if woken >= due {
                let late = woken - due > early;
                self.early.set(if late { (early + Nanos(later)).min(EARLY_MAX) } else { early - Nanos(sooner) });
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
