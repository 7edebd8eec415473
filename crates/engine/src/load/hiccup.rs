//! A thread that does nothing but notice when it was not run.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::realtime;
use super::worker::NICENESS;
use slatest_core::model::Nanos;

/// How long the meter sleeps at a time.
const NAP: Duration = Duration::from_millis(5);
/// Gaps beyond this are stalls.
const STALL: Duration = Duration::from_millis(10);
/// Most stalls that wait to be asked for; the oldest go first.
const STALLS_MAX: usize = 4_096;

/// A time in which the machine stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// When it began.
    pub from: Instant,
    /// When it was over.
    pub to: Instant,
}

/// What was noticed.
#[derive(Debug, Default)]
struct Noticed {
    stalls: VecDeque<Stall>,
    longest: Duration,
    total: Duration,
}

impl Noticed {
    fn add(&mut self, stall: Stall) {
        let length = stall.to.saturating_duration_since(stall.from);
        self.longest = self.longest.max(length);
        self.total += length;
        if self.stalls.len() == STALLS_MAX {
            self.stalls.pop_front();
        }
        self.stalls.push_back(stall);
    }
}

/// A stall of the host (or of all its processors) shows as a gap in this thread's naps, however
/// little the kernel says of it. It runs at the priority of the workers: a gap that they would not
/// have felt is none.
#[derive(Debug)]
pub struct HiccupMeter {
    done: Arc<AtomicBool>,
    noticed: Arc<Mutex<Noticed>>,
    thread: Option<JoinHandle<()>>,
}

impl HiccupMeter {
    /// Starts to watch.
    pub fn start() -> Self {
        let mut meter = Self { done: Arc::default(), noticed: Arc::default(), thread: None };
        let (done, noticed) = (Arc::clone(&meter.done), Arc::clone(&meter.noticed));
        let watch = move || {
            // Without the right to it, it watches as an ordinary thread.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
            if realtime::is_asked() {
                let _ = realtime::enter_as_worker();
            }
            while !done.load(Ordering::Relaxed) {
                let due = Instant::now() + NAP;
                #[expect(clippy::disallowed_methods, reason = "oversleeping is what this thread measures")]
                std::thread::sleep(NAP);
                let now = Instant::now();
                if now.saturating_duration_since(due) > STALL {
                    noticed.lock().unwrap_or_else(PoisonError::into_inner).add(Stall { from: due, to: now });
                }
            }
        };
        // Without the thread there is just nothing to tell about stalls.
        meter.thread = std::thread::Builder::new().name("hiccup-meter".into()).spawn(watch).ok();
        meter
    }

    /// The longest stall that began before `end` and was not told before; zero when there was none.
    /// One that was noticed late is told with the next question.
    pub fn longest_until(&self, end: Instant) -> Nanos {
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut longest = Duration::ZERO;
        while let Some(stall) = noticed.stalls.front().filter(|stall| stall.from < end) {
            longest = longest.max(stall.to.saturating_duration_since(stall.from));
            noticed.stalls.pop_front();
        }
        longest.into()
    }

    /// The longest stall of all, and all of them added up.
    pub fn totals(&self) -> (Nanos, Nanos) {
        let noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        (noticed.longest.into(), noticed.total.into())
    }
}

impl Drop for HiccupMeter {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_told_once_and_to_the_window_it_began_in() {
        let meter = HiccupMeter { done: Arc::default(), noticed: Arc::default(), thread: None };
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        {
            let mut noticed = meter.noticed.lock().unwrap();
            noticed.add(Stall { from: at(100), to: at(130) });
            noticed.add(Stall { from: at(500), to: at(700) });
            noticed.add(Stall { from: at(990), to: at(1_100) });
            noticed.add(Stall { from: at(1_500), to: at(1_520) });
        }
        assert_eq!(meter.longest_until(at(1_000)), Nanos::from_millis(200));
        assert_eq!(meter.longest_until(at(2_000)), Nanos::from_millis(20));
        assert_eq!(meter.longest_until(at(3_000)), Nanos::ZERO);
        assert_eq!(meter.totals(), (Nanos::from_millis(200), Nanos::from_millis(360)));
    }

    #[test]
    fn a_flood_of_stalls_is_bounded_and_the_totals_are_not() {
        let mut noticed = Noticed::default();
        let zero = Instant::now();
        for _ in 0..STALLS_MAX + 10 {
            noticed.add(Stall { from: zero, to: zero + Duration::from_millis(11) });
        }
        assert_eq!(noticed.stalls.len(), STALLS_MAX);
        assert_eq!(noticed.total, Duration::from_millis(11) * (STALLS_MAX as u32 + 10));
    }
}
