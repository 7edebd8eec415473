//! The machine of the generator: processors, stalls, clocks, descriptors and ports.

use super::Evidence;
use crate::{Check, Effect};
use slatest_core::model::Nanos;

/// The generator may use this share of its CPU.
const CPU_SHARE_MAX: f64 = 0.7;
/// A quota may hold the generator back in this share of its periods: a p99 has room for as much.
const THROTTLED_SHARE_MAX: f64 = 0.01;
/// So many periods are no pattern yet, however short the run.
const THROTTLED_FEW: u64 = 2;
/// The hypervisor may withhold this share of the processors: beyond, the machine is not the one
/// that the run believed to have.
const STEAL_SHARE_MAX: f64 = 0.1;
/// This share of the judged windows may be spoiled by stalls. A p95 has room for 5 % of bad
/// moments; where more windows than that hold a stall, a quantile says as much of the machine as of
/// the target.
const SPOILED_SHARE_MAX: f64 = 0.05;
/// So many spoiled windows are no pattern yet, however short the run.
const SPOILED_FEW: u64 = 2;
/// A step of the wall clock that is more than a correction: tokens and certificates expire early or
/// late, and no time stamp can be laid beside the target's own.
const CLOCK_STEP_MAX: Nanos = Nanos::from_secs(1);
/// What a clock may be corrected by without a word.
const CLOCK_STEP_QUIET: Nanos = Nanos::from_millis(20);
/// Share of the limit of open files from which they were as good as spent.
const FILES_SHARE_MAX: f64 = 0.95;

const UNKNOWN: &str = "not known";

pub(super) fn cpu(e: &Evidence) -> Check {
    let name = "generator CPU";
    if e.wall_secs <= 0.0 || e.cores <= 0.0 {
        let unknown = "the generator's use of CPU is not known: the run did not end by itself";
        let bound = format!("< {:.0}%", CPU_SHARE_MAX * 100.0);
        return Check::new(name, Effect::Warn, UNKNOWN.into(), bound, Some(unknown));
    }
    let bound = format!("< {:.0}% of {} cores", CPU_SHARE_MAX * 100.0, cores(e.cores));
    let share = e.cpu_secs / e.wall_secs / e.cores;
    let broken = (share >= CPU_SHARE_MAX)
        .then_some("the generator was short of CPU, so its own delays are in the figures: lower the rate or add cores");
    Check::new(name, Effect::Void, format!("{:.1}%", share * 100.0), bound, broken)
}

/// At most three decimals: a quota may be a fraction that has no end.
fn cores(cores: f64) -> f64 {
    (cores * 1e3).round() / 1e3
}

/// Told only where a control group has a quota.
pub(super) fn quota(e: &Evidence) -> Check {
    let name = "CPU quota";
    let (throttled, periods, time) = e.throttled;
    let quota = e.quota.map_or_else(|| "taken away by now".into(), |quota| format!("{} cores", cores(quota)));
    let measured = format!("{quota}; held back in {throttled} of {periods} periods, {time} in all");
    let bound = format!("held back in ≤ {:.0}% of the periods", THROTTLED_SHARE_MAX * 100.0);
    if throttled > THROTTLED_FEW && throttled as f64 > THROTTLED_SHARE_MAX * periods as f64 {
        let message = "a control group took the processor away from the generator, so its own delays are in the figures: \
                     raise the quota (`cpu.max`, `limits.cpu`), lower the rate, or use more agents";
        return Check::new(name, Effect::Void, measured, bound, Some(message));
    }
    let message = "a control group took the processor away for a moment, which can only make times longer";
    Check::new(name, Effect::Warn, measured, bound, (throttled > 0).then_some(message))
}

pub(super) fn steal(e: &Evidence) -> Check {
    let name = "stolen CPU";
    let bound = format!("≤ {:.0}%", STEAL_SHARE_MAX * 100.0);
    let Some(stolen) = e.steal_secs.filter(|_| e.wall_secs > 0.0 && e.machine_cores > 0.0) else {
        return Check::sound(name, UNKNOWN.into(), bound);
    };
    let share = stolen / e.wall_secs / e.machine_cores;
    let broken = (share > STEAL_SHARE_MAX)
        .then_some("the hypervisor gave the processors to others: use an instance that isn't shared, or a larger one");
    Check::new(name, Effect::Void, format!("{:.1}%", share * 100.0), bound, broken)
}

pub(super) fn stalls(e: &Evidence) -> Check {
    let name = "host stalls";
    if e.wall_secs <= 0.0 && e.spoiled_windows == 0 {
        let unknown = "whether the machine stood still is not known: the run did not end by itself";
        return Check::new(name, Effect::Warn, UNKNOWN.into(), "known".into(), Some(unknown));
    }
    let measured = format!(
        "longest {}, {} in all, {} of {} windows spoiled",
        e.stall_max, e.stall_total, e.spoiled_windows, e.judged_windows
    );
    let bound = format!("≤ {:.0}% spoiled (≥ {})", SPOILED_SHARE_MAX * 100.0, e.stall_limit);
    let many =
        e.spoiled_windows > SPOILED_FEW && e.spoiled_windows as f64 > SPOILED_SHARE_MAX * e.judged_windows as f64;
    if many {
        let message = "the machine itself stood still too often to say what was the target's: use a quieter one";
        return Check::new(name, Effect::Void, measured, bound, Some(message));
    }
    // A stall can only make response times longer, so it never makes a false pass; what it does to
    // the arrivals is in the dispatch lag.
    let message = "the machine itself stood still for a moment; exceedances in the windows that are marked \
                 `spoiled` may be its own";
    Check::new(name, Effect::Warn, measured, bound, (e.spoiled_windows > 0).then_some(message))
}

pub(super) fn clock(e: &Evidence) -> Check {
    let name = "clock";
    let bound = format!("never asleep, steps ≤ {CLOCK_STEP_QUIET}");
    if e.suspended > Nanos::ZERO {
        let message = "the machine was suspended under way: what was due meanwhile was never sent in its time";
        return Check::new(name, Effect::Void, format!("asleep for {}", e.suspended), bound, Some(message));
    }
    let measured = if e.clock_step == Nanos::ZERO { "steady".into() } else { format!("stepped by {}", e.clock_step) };
    if e.clock_step > CLOCK_STEP_MAX {
        let message = "the wall clock was set under way: credentials may have expired early or late, and time stamps \
                     can't be laid beside the target's; response times are of another clock and stand";
        return Check::new(name, Effect::Void, measured, bound, Some(message));
    }
    let message = "the wall clock was corrected under way: time stamps before it are off by as much; response times \
                 are of another clock and stand";
    Check::new(name, Effect::Warn, measured, bound, (e.clock_step > CLOCK_STEP_QUIET).then_some(message))
}

pub(super) fn files(e: &Evidence) -> Check {
    let name = "files and ports";
    let bound = format!("never short of any, < {:.0}% of the files", FILES_SHARE_MAX * 100.0);
    let open = match e.open_files {
        Some((open, limit)) => format!("{open} of {limit} files open"),
        None => "open files not known".into(),
    };
    if let Some((kind, count)) = &e.own_faults {
        let measured = format!("{open}; {count} operations failed: {kind}");
        // What this machine is out of is said so by every driver; the rest are limits of the client itself, each with
        // its own cure in its words.
        let message = if kind.starts_with("out of ") {
            "this machine had none left for the load, which says nothing of the target: raise `ulimit -n`, widen \
             net.ipv4.ip_local_port_range, or use agents"
        } else {
            "a limit of the generator itself, which says nothing of the target: see what the kind asks for (a setting \
             of the workload, a smaller message), or lower the rate"
        };
        let name = if kind.starts_with("out of ") { name } else { "generator's limits" };
        let bound = if name == "files and ports" { bound } else { "never met".into() };
        return Check::new(name, Effect::Void, measured, bound, Some(message));
    }
    let spent = e.open_files.is_some_and(|(open, limit)| open as f64 >= FILES_SHARE_MAX * limit as f64);
    let message = "the generator was out of file descriptors, or about to be: raise `ulimit -n`, or use agents";
    Check::new(name, Effect::Void, open, bound, spent.then_some(message))
}
