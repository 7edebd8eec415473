//! What the generator itself uses and suffers: CPU, memory, stalls, clocks.

use std::time::Instant;

use super::facts::Resources;
use super::hiccup::HiccupMeter;
use super::host::HostWatch;
use slatest_core::model::Nanos;

/// Measures from its start to its reading.
#[derive(Debug)]
pub struct Meter {
    started: Instant,
    cpu_secs: f64,
    hiccups: HiccupMeter,
    host: HostWatch,
}

impl Meter {
    /// Starts to measure.
    pub fn start() -> Self {
        Self { started: Instant::now(), cpu_secs: cpu_secs(), hiccups: HiccupMeter::start(), host: HostWatch::start() }
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
        let mut resources = Resources {
            workers,
            cores: std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64),
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
