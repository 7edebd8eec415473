//! What the generator itself uses and suffers: CPU, memory, and stalls of the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::facts::Resources;
use crate::model::Nanos;

/// How long the hiccup meter sleeps at a time.
const NAP: Duration = Duration::from_millis(5);
/// Gaps beyond this are stalls.
const STALL: Duration = Duration::from_millis(10);

/// A thread that does nothing but notice when it was not run: a stall of the host (or of all its
/// processors) shows as a gap, however little the kernel says of it.
#[derive(Debug)]
struct HiccupMeter {
    done: Arc<AtomicBool>,
    longest_ns: Arc<AtomicU64>,
    total_ns: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl HiccupMeter {
    fn start() -> Self {
        let mut meter =
            Self { done: Arc::default(), longest_ns: Arc::default(), total_ns: Arc::default(), thread: None };
        let (done, longest, total) =
            (Arc::clone(&meter.done), Arc::clone(&meter.longest_ns), Arc::clone(&meter.total_ns));
        let watch = move || {
            while !done.load(Ordering::Relaxed) {
                let before = Instant::now();
                #[expect(clippy::disallowed_methods, reason = "oversleeping is what this thread measures")]
                std::thread::sleep(NAP);
                let gap = before.elapsed().saturating_sub(NAP);
                if gap > STALL {
                    let gap = u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX);
                    longest.fetch_max(gap, Ordering::Relaxed);
                    total.fetch_add(gap, Ordering::Relaxed);
                }
            }
        };
        // Without the thread there is just nothing to tell about stalls.
        meter.thread = std::thread::Builder::new().name("hiccup-meter".into()).spawn(watch).ok();
        meter
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

/// Measures from its start to its reading.
#[derive(Debug)]
pub struct Meter {
    started: Instant,
    cpu_secs: f64,
    hiccups: HiccupMeter,
}

impl Meter {
    pub fn start() -> Self {
        Self { started: Instant::now(), cpu_secs: cpu_secs(), hiccups: HiccupMeter::start() }
    }

    pub fn read(&self, workers: usize) -> Resources {
        Resources {
            workers,
            cores: std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64),
            cpu_secs: cpu_secs() - self.cpu_secs,
            wall_secs: self.started.elapsed().as_secs_f64(),
            rss_bytes_max: rss_bytes_max(),
            stall_max: Nanos(self.hiccups.longest_ns.load(Ordering::Relaxed)),
            stall_total: Nanos(self.hiccups.total_ns.load(Ordering::Relaxed)),
        }
    }
}

/// User and system seconds of this process so far; zero where the kernel doesn't say.
fn cpu_secs() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF);
    usage.map_or(0.0, |u| {
        let secs = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
        secs(u.user_time()) + secs(u.system_time())
    })
}

fn rss_bytes_max() -> u64 {
    let status = procfs::process::Process::myself().and_then(|p| p.status());
    status.ok().and_then(|s| s.vmhwm).unwrap_or(0) * 1024
}
