//! What the generator itself uses and suffers: CPU, memory, stalls, clocks.

use std::time::Instant;

use super::facts::Resources;
use super::hiccup::HiccupMeter;
use super::host::HostWatch;
use super::quota::QuotaWatch;
use slatest_core::model::Nanos;

/// Measures from its start to its reading.
#[derive(Debug)]
pub struct Meter {
    started: Instant,
    cpu_secs: f64,
    hiccups: HiccupMeter,
    host: HostWatch,
    quota: QuotaWatch,
    /// By the quota at the start; one may be set under way.
    quota_cores: Option<f64>,
}

impl Meter {
    /// Starts to measure.
    pub fn start() -> Self {
        let quota = QuotaWatch::start();
        Self {
            started: Instant::now(),
            cpu_secs: cpu_secs(),
            hiccups: HiccupMeter::start(),
            host: HostWatch::start(),
            quota_cores: quota.cores(),
            quota,
        }
    }

    /// A window of the timeline closed, which ended at `end`: looks at the machine, and gives the
    /// longest stall since the window before.
    pub fn window_closed(&mut self, end: Instant) -> Nanos {
        self.host.look();
        self.hiccups.longest_until(end)
    }

    /// What came together. The worker threads must still be there.
    pub fn read(&mut self, workers: usize) -> Resources {
        let (stall_max, stall_total) = self.hiccups.totals();
        let quota_cores = self.quota_cores.into_iter().chain(self.quota.cores()).min_by(f64::total_cmp);
        let throttling = self.quota.throttling();
        let mut resources = Resources {
            workers,
            cores: quota_cores.unwrap_or(f64::MAX).min(processors()),
            quota_cores,
            quota_periods: throttling.periods,
            throttled_periods: throttling.throttled,
            throttled: throttling.time,
            cpu_secs: cpu_secs() - self.cpu_secs,
            wall_secs: self.started.elapsed().as_secs_f64(),
            rss_bytes_max: rss_bytes_max(),
            stall_max,
            stall_total,
            ..Resources::default()
        };
        self.host.read(&mut resources);
        resources
    }
}

/// Processors that this process may run on, quotas left aside.
fn processors() -> f64 {
    let allowed = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0))
        .map(|set| (0..nix::sched::CpuSet::count()).filter(|i| set.is_set(*i).unwrap_or(false)).count() as f64);
    allowed.unwrap_or(0.0).max(1.0)
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
