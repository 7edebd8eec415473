//! What the kernel says of the machine under a run: clocks that jump, processors that are
//! withheld, files that run out.

use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};
use nix::time::{ClockId, clock_gettime};
use procfs::CurrentSI as _;

use super::facts::Resources;
use slatest_core::model::Nanos;

/// How often it is worth looking.
const EVERY: Duration = Duration::from_secs(1);
/// Looks between two counts of the open files: with many, counting takes milliseconds.
const FILES_EVERY: u32 = 5;
/// Clocks that are read further apart than this were read across a stall, and are read again.
const CLOSE_TOGETHER_NS: i128 = 200_000;
/// Offsets of clocks that differ by less are the same: the reading itself takes time.
const SAME_NS: i128 = 2_000_000;
/// How often they are read again.
const TRIES: usize = 5;

/// Offsets of two clocks against the monotonic one, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offsets {
    /// The wall clock: changes when it is set.
    wall: i128,
    /// The clock that runs on in sleep: changes when the machine was suspended.
    boot: i128,
}

impl Offsets {
    /// Reads them; `None` when the machine stalls each time, or has no such clocks.
    fn read() -> Option<Self> {
        let read = |clock| {
            let time = clock_gettime(clock).ok()?;
            Some(i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec()))
        };
        for _ in 0..TRIES {
            let before = read(ClockId::CLOCK_MONOTONIC)?;
            let (wall, boot) = (read(ClockId::CLOCK_REALTIME)?, read(ClockId::CLOCK_BOOTTIME)?);
            if read(ClockId::CLOCK_MONOTONIC)? - before < CLOSE_TOGETHER_NS {
                return Some(Self { wall: wall - before, boot: boot - before });
            }
        }
        None
    }
}

/// What the clocks did since the first look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Clocks {
    /// The latest offsets.
    last: Option<Offsets>,
    /// The largest step of the wall clock between two looks. Slewing, which the time daemon does at
    /// up to 0.5 ms in a second, is none.
    step: Nanos,
    /// All sleep added up.
    suspended: Nanos,
}

impl Clocks {
    fn look(&mut self, now: Option<Offsets>) {
        let (Some(now), last) = (now, self.last) else { return };
        self.last = Some(now);
        let Some(last) = last else { return };
        let nanos = |ns: i128| Nanos(u64::try_from(ns).unwrap_or(u64::MAX));
        let slept = now.boot - last.boot;
        if slept > SAME_NS {
            self.suspended += nanos(slept);
        }
        // Sleep moves the wall clock against the monotonic one as well.
        let stepped = (now.wall - last.wall - slept.max(0)).abs();
        if stepped > SAME_NS {
            self.step = self.step.max(nanos(stepped));
        }
    }
}

/// Watches from its start on, when it is told to look.
#[derive(Debug)]
pub struct HostWatch {
    clocks: Clocks,
    looked: Instant,
    looks: u32,
    files_max: u64,
    stolen_ms: Option<u64>,
    queued_ns: u64,
}

impl HostWatch {
    /// Starts, from the figures of now.
    pub fn start() -> Self {
        let mut clocks = Clocks::default();
        clocks.look(Offsets::read());
        Self {
            clocks,
            looked: Instant::now(),
            looks: 0,
            files_max: open_files(),
            stolen_ms: stolen_ms(),
            queued_ns: queued_ns(),
        }
    }

    /// Looks, when the last look is long enough ago.
    pub fn look(&mut self) {
        if self.looked.elapsed() < EVERY {
            return;
        }
        self.looked = Instant::now();
        self.looks += 1;
        self.clocks.look(Offsets::read());
        if self.looks.is_multiple_of(FILES_EVERY) {
            self.files_max = self.files_max.max(open_files());
        }
    }

    /// Writes down what was seen. The worker threads must still be there.
    pub fn read(&mut self, into: &mut Resources) {
        self.clocks.look(Offsets::read());
        into.clock_step = self.clocks.step;
        into.suspended = self.clocks.suspended;
        into.open_files_max = self.files_max.max(open_files());
        into.open_files_limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
        into.run_queue_secs = queued_ns().saturating_sub(self.queued_ns) as f64 / 1e9;
        into.steal_secs = stolen_ms().zip(self.stolen_ms).map(|(now, before)| now.saturating_sub(before) as f64 / 1e3);
        into.machine_cores = machine_cores();
    }
}

/// Files that this process has open; 0 when the kernel doesn't say.
fn open_files() -> u64 {
    procfs::process::Process::myself().and_then(|me| me.fd_count()).unwrap_or(0) as u64
}

/// Milliseconds that the hypervisor has withheld from all processors since the machine started.
fn stolen_ms() -> Option<u64> {
    procfs::KernelStats::current().ok()?.total.steal_ms()
}

fn machine_cores() -> f64 {
    procfs::KernelStats::current().map_or(0.0, |stats| stats.cpu_time.len() as f64)
}

/// Nanoseconds that the worker threads have waited for a processor.
fn queued_ns() -> u64 {
    let Ok(tasks) = procfs::process::Process::myself().and_then(|me| me.tasks()) else { return 0 };
    let workers = tasks.flatten().filter(|task| task.stat().is_ok_and(|stat| stat.comm.starts_with("worker-")));
    workers.filter_map(|task| task.schedstat().ok()).map(|stat| stat.run_delay).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i128 = 1_000_000_000;

    fn clocks(readings: &[(i128, i128)]) -> Clocks {
        let mut clocks = Clocks::default();
        for &(wall, boot) in readings {
            clocks.look(Some(Offsets { wall, boot }));
        }
        clocks
    }

    #[test]
    fn a_slewed_clock_is_steady() {
        let clocks = clocks(&[(0, 0), (500_000, 0), (1_000_000, 300), (1_500_000, 0)]);
        assert_eq!((clocks.step, clocks.suspended), (Nanos::ZERO, Nanos::ZERO));
    }

    #[test]
    fn a_clock_that_is_set_back_has_stepped() {
        let clocks = clocks(&[(0, 0), (-3 * SECOND, 0), (-3 * SECOND, 0)]);
        assert_eq!((clocks.step, clocks.suspended), (Nanos::from_secs(3), Nanos::ZERO));
    }

    #[test]
    fn sleep_is_sleep_and_no_step() {
        let clocks = clocks(&[(0, 0), (60 * SECOND, 60 * SECOND), (61 * SECOND, 61 * SECOND)]);
        assert_eq!((clocks.step, clocks.suspended), (Nanos::ZERO, Nanos::from_secs(61)));
    }

    #[test]
    fn a_reading_that_failed_is_passed_over() {
        let mut clocks = clocks(&[(0, 0)]);
        clocks.look(None);
        clocks.look(Some(Offsets { wall: 5 * SECOND, boot: 0 }));
        assert_eq!(clocks.step, Nanos::from_secs(5));
    }

    #[test]
    fn this_machine_says_what_is_asked() {
        let mut watch = HostWatch::start();
        let mut resources = Resources::default();
        watch.read(&mut resources);
        assert!(resources.open_files_max >= 3, "{resources:?}");
        assert!(resources.open_files_limit >= resources.open_files_max);
        assert!(resources.machine_cores >= 1.0);
        assert_eq!(resources.suspended, Nanos::ZERO);
    }
}
