//! `slatest doctor`: what this machine can generate, and what stands in the way.

use std::fmt;

use nix::sys::resource::{Resource, getrlimit};
use procfs::Current as _;

use super::Exit;
use slatest_core::measure::Latencies;
use slatest_core::model::Nanos;
use slatest_core::terminal::print_all;
use slatest_engine::load::{QuotaWatch, timer_lateness};

/// File descriptors that a run of 10,000 sessions needs, with some to spare.
const FILES_WANTED: u64 = 10_000 + 2_000;
/// Ports towards one address that such a run needs.
const PORTS_WANTED: u64 = 10_000 + 2_000;
/// Waits that are timed.
const WAITS: u32 = 2_000;
/// Gap between them: 2 s in all.
const GAP: Nanos = Nanos::from_millis(1);
/// Median lateness beyond which the pacer is not what it should be.
const LATENESS_MEDIAN_MAX: Nanos = Nanos(200_000);
/// CPU per request of the HTTP path at full recording, by which the estimate is made: an order of
/// magnitude, said as such.
const CPU_PER_REQUEST: Nanos = Nanos(20_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Good,
    Poor,
    Unknown,
}

#[derive(Debug)]
struct Line {
    state: State,
    name: &'static str,
    found: String,
    advice: Option<String>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.state {
            State::Good => "ok  ",
            State::Poor => "poor",
            State::Unknown => "?   ",
        };
        write!(f, "{mark}  {:<16} {}", self.name, self.found)?;
        if let Some(advice) = &self.advice {
            write!(f, "\n      {:<16} → {advice}", "")?;
        }
        Ok(())
    }
}

impl Line {
    const fn new(state: State, name: &'static str, found: String) -> Self {
        Self { state, name, found, advice: None }
    }

    fn advise(mut self, advice: impl Into<String>) -> Self {
        if self.state == State::Poor {
            self.advice = Some(advice.into());
        }
        self
    }
}

const fn judge(good: bool) -> State {
    if good { State::Good } else { State::Poor }
}

/// Looks at the machine, prints what it finds, and says whether something is poor by its words, not
/// by its exit code: a poor machine is still a machine.
pub fn run() -> Exit {
    print_all(&format!("slatest doctor: timing {WAITS} waits of {GAP}, one moment\n\n"));
    let lines = [cores(), quota(), memory(), files(), ports(), clock_source(), timer()];
    let mut text = String::new();
    for line in &lines {
        text.push_str(&format!("{line}\n"));
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cores = QuotaWatch::start().cores().unwrap_or(f64::MAX).min(cores as f64);
    let per_core = 1e9 * 0.7 / CPU_PER_REQUEST.0 as f64;
    text.push_str(&format!(
        "\nAs an order of magnitude, at 70 % of {cores:.3} cores: {:.0} HTTP requests per second, when the target is on \
         other machines.\n",
        per_core * cores
    ));
    let poor = lines.iter().filter(|l| l.state == State::Poor).count();
    if poor > 0 {
        let of = lines.len();
        text.push_str(&format!("{poor} of {of} could be better; a run says so when it made a difference.\n"));
    }
    print_all(&text);
    Exit::Pass
}

fn cores() -> Line {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let busy: f64 = load.split_whitespace().next().and_then(|l| l.parse().ok()).unwrap_or(0.0);
    let state = judge(busy < 0.3 * cores as f64 + 0.2);
    Line::new(state, "cores", format!("{cores}, load of the last minute {busy:.2}"))
        .advise("other work competes with the generator: stop it, or generate from another machine")
}

/// A control group's quota is a fraction of a processor, taken away again and again within each period.
fn quota() -> Line {
    match QuotaWatch::start().cores() {
        None => Line::new(State::Good, "CPU quota", "none".into()),
        Some(cores) => Line::new(judge(cores >= 1.0), "CPU quota", format!("{:.3} cores", cores))
            .advise("a control group takes the processor away beyond this: raise it (`cpu.max`, `limits.cpu`)"),
    }
}

fn memory() -> Line {
    match procfs::Meminfo::current() {
        Ok(memory) => {
            let free = memory.mem_available.unwrap_or(memory.mem_free);
            let gib = free as f64 / f64::from(1 << 30);
            Line::new(judge(gib >= 1.0), "memory", format!("{gib:.1} GiB available")).advise("free at least 1 GiB")
        }
        Err(e) => Line::new(State::Unknown, "memory", format!("can't be read: {e}")),
    }
}

fn files() -> Line {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) => {
            // A run raises the soft limit by itself.
            let found = format!("{soft} open files, {hard} at most (raised by itself)");
            Line::new(judge(hard >= FILES_WANTED), "file limit", found)
                .advise(format!("10,000 sessions need {FILES_WANTED}: raise the hard limit (ulimit -Hn)"))
        }
        Err(e) => Line::new(State::Unknown, "file limit", format!("can't be read: {e}")),
    }
}

fn ports() -> Line {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let range: Vec<u64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    match range.as_slice() {
        [low, high] if high >= low => {
            let count = high - low + 1;
            Line::new(judge(count >= PORTS_WANTED), "local ports", format!("{low}–{high}: {count} towards one address"))
                .advise("widen net.ipv4.ip_local_port_range")
        }
        _ => Line::new(State::Unknown, "local ports", "the range can't be read".into()),
    }
}

fn clock_source() -> Line {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    match std::fs::read_to_string(path) {
        Ok(source) => {
            let source = source.trim().to_owned();
            // The others need a system call for each reading, some of them microseconds.
            let fast =
                ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"].contains(&source.as_str());
            Line::new(judge(fast), "clock", source).advise("reading this clock is slow; tsc or kvm-clock is fast")
        }
        Err(_) => Line::new(State::Unknown, "clock", "its source can't be read".into()),
    }
}

fn timer() -> Line {
    let lateness = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(timer_lateness(WAITS, GAP)));
    match lateness {
        Ok(lateness) => {
            let at = |q| Latencies::quantile(&lateness, q).unwrap_or_default();
            let found = format!("late by {} at the median, {} at p99, {} at most", at(0.5), at(0.99), lateness.max());
            Line::new(judge(at(0.5) <= LATENESS_MEDIAN_MAX), "timer", found)
                .advise("the machine wakes late: it is busy, or a virtual machine whose host is")
        }
        Err(e) => Line::new(State::Unknown, "timer", format!("can't be timed: {e}")),
    }
}
