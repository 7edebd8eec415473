//! Is the generator telling the truth? Checked on every run before any objective.

mod fleet;
mod host;
mod little;
mod unsent;
mod workers;

pub use self::little::UnderWay;
use super::arrival_law::ARRIVAL_LAW_BOUND;
use super::check::{Check, Effect};
use slatest_core::model::{Nanos, OUTCOMES, Outcome};

/// Achieved arrivals may fall short of the planned ones by this share.
const ACHIEVED_SHORT_MAX: f64 = 0.01;
/// The dispatch lag's p99 may be this share of an objective's own limit, and of the shortest timeout. Whether it
/// decided a verdict is told by brackets; past this share the load is another one than was planned.
pub const LAG_SHARE_MAX: f64 = 0.1;
/// This share of the windows may hold other arrivals than were planned for them.
const WINDOWS_OFF_MAX: f64 = 0.05;
/// So many may always: a lateness that stays the same leaves the first window of the load short and fills one behind
/// its last.
const EDGES: u64 = 2;
/// A firewall may block this share of an operation: the same as arrivals may be missing, because
/// what is blocked never reached the target and its load was lighter than planned.
pub const BLOCKED_SHARE_MAX: f64 = 0.01;

/// What the checks are made of.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Whether the plan has arrivals at all (open model).
    pub open_model: bool,
    /// Arrivals that the schedule holds up to the end of the run; 0 when not known.
    pub scheduled: u64,
    /// Arrivals of these that were fired.
    pub fired: u64,
    /// Operations that were due, warm-up and steps of flows included.
    pub planned: u64,
    /// How they ended, in the order of [`OUTCOMES`].
    pub outcomes: [u64; OUTCOMES.len()],
    /// Operations under way at the end that no outcome holds (a run that was killed).
    pub in_flight: u64,
    /// The operation of which most was blocked, with that share.
    pub most_blocked: Option<(String, f64)>,
    /// p99 of fired − intended; `None` when nothing was fired.
    pub dispatch_lag_p99: Option<Nanos>,
    /// Anderson–Darling's A² of the gaps between arrivals that were really fired against the planned
    /// law, with the number of gaps; `None` where there were too few, or no law to hold them against.
    pub arrival_law: Option<(f64, usize)>,
    /// Windows whose count of arrivals was not the planned one, of how many.
    pub arrivals_off: (u64, u64),
    /// Time under way by the engine's clock and by the recorded times; `None` where they can't be compared.
    pub under_way: Option<UnderWay>,
    /// The shortest timeout of an operation: what bounds lateness, whatever is asked of the target.
    pub shortest_timeout: Option<Nanos>,
    /// Whether recovery times are read from its windows.
    pub drills: bool,
    /// CPU seconds used while load was sent.
    pub cpu_secs: f64,
    /// Wall seconds of the same time; 0 when not known.
    pub wall_secs: f64,
    /// Processors that could be used.
    pub cores: f64,
    /// Seconds that the worker threads were ready to run and were not run.
    pub run_queue_secs: f64,
    /// Seconds that the hypervisor withheld from the machine; `None` when the kernel doesn't say.
    pub steal_secs: Option<f64>,
    /// Processors of the machine: what the stolen seconds are out of.
    pub machine_cores: f64,
    /// Writes that the ledger should hold and doesn't.
    pub writes_missed: u64,
    /// Longest stall of the host.
    pub stall_max: Nanos,
    /// All stalls added up.
    pub stall_total: Nanos,
    /// A window that holds a stall of this length is spoiled.
    pub stall_limit: Nanos,
    /// Windows in which something was judged.
    pub judged_windows: u64,
    /// Windows of these that a stall spoiled.
    pub spoiled_windows: u64,
    /// How long the machine was suspended.
    pub suspended: Nanos,
    /// The largest step of the wall clock against the monotonic one.
    pub clock_step: Nanos,
    /// Most files open at once, and how many may be; `None` when not known.
    pub open_files: Option<(u64, u64)>,
    /// The most frequent failure of the generator's own machine (no descriptor, no port), with how
    /// often there was any.
    pub own_faults: Option<(String, u64)>,
    /// The most frequent reason why an operation could not be built and was never sent (operation, reason), with how
    /// many there were in all.
    pub unsent: Option<(String, String, u64)>,
    /// Processors that a control group's quota leaves; `None` without one.
    pub quota: Option<f64>,
    /// Periods of the quota in which the generator was held back, in which it wanted to run, and how long it was held
    /// back.
    pub throttled: (u64, u64, Nanos),
    /// The longest time in which a worker thread made no turn.
    pub silent_max: Nanos,
    /// Worker threads that were given up.
    pub workers_lost: u64,
    /// Whether the workers kept the real-time class; `None` where nobody asked for it.
    pub realtime: Option<bool>,
    /// Length of a window.
    pub window: Nanos,
    /// Who made the load, where many machines did.
    pub agents: Vec<AgentEvidence>,
}

/// What the checks of one agent are made of.
#[derive(Clone, Debug, Default)]
pub struct AgentEvidence {
    /// Its name.
    pub name: String,
    /// The name of its machine.
    pub host: String,
    /// What it says of itself: its machine and its own lateness; `None` when it never said.
    pub own: Option<Box<Evidence>>,
    /// When it was given up, on the run's clock.
    pub lost_at: Option<Nanos>,
    /// Why it stopped before the plan's end; empty when it did not.
    pub early: String,
    /// Whether others took over what it did no more.
    pub taken_over: bool,
    /// Arrivals of its share that were never fired.
    pub shortfall: u64,
    /// Intervals that arrived.
    pub intervals: u64,
    /// Parts of the run of which no interval arrived: (from, to).
    pub missing: Vec<(Nanos, Nanos)>,
    /// Its clock's offset is off by this much at most.
    pub clock_bound: Nanos,
    /// By how much its wall clock and the coordinator's differ.
    pub wall_difference: Nanos,
}

/// Every check, in the order in which it is shown.
pub fn validity(evidence: &Evidence) -> Vec<Check> {
    let lag = |e: &Evidence| e.dispatch_lag_p99.map_or(0.0, Nanos::as_secs_f64);
    let mut checks = vec![
        achieved(evidence),
        fleet::worst(evidence, dispatch_lag, lag),
        arrivals_by_window(evidence),
        arrival_law(evidence),
        ledger(evidence),
        dropped(evidence),
        blocked(evidence),
        fleet::cpu(evidence),
        fleet::worst(evidence, host::steal, |e| share(e.steal_secs.unwrap_or(0.0), e.machine_cores * e.wall_secs)),
        fleet::worst(evidence, host::stalls, |e| e.spoiled_windows as f64 + share(e.stall_max.as_secs_f64(), 1e6)),
        fleet::worst(evidence, host::clock, |e| e.suspended.as_secs_f64() + e.clock_step.as_secs_f64()),
        match evidence.own_faults {
            // Operations say that something was short, not on which machine.
            Some(_) => host::files(evidence),
            None => fleet::worst(evidence, host::files, |e| {
                e.open_files.map_or(0.0, |(open, limit)| share(open as f64, limit as f64))
            }),
        },
    ];
    if fleet::any(evidence, |e| e.quota.is_some() || e.throttled.0 > 0) {
        checks.push(fleet::worst(evidence, host::quota, |e| share(e.throttled.0 as f64, e.throttled.1 as f64)));
    }
    if fleet::any(evidence, |e| e.silent_max > Nanos::ZERO || e.workers_lost > 0) {
        checks
            .push(fleet::worst(evidence, workers::turns, |e| e.workers_lost as f64 * 1e9 + e.silent_max.as_secs_f64()));
    }
    if fleet::any(evidence, |e| e.realtime.is_some()) {
        checks.push(fleet::worst(evidence, workers::class, |e| if e.realtime == Some(false) { 1.0 } else { 0.0 }));
    }
    checks.extend(unsent::unsent(evidence));
    checks.extend(evidence.under_way.as_ref().and_then(little::check));
    if evidence.writes_missed > 0 {
        checks.push(writes(evidence));
    }
    checks.extend(fleet::checks(evidence));
    checks
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn achieved(e: &Evidence) -> Check {
    let bound = format!("within {}% of planned", ACHIEVED_SHORT_MAX * 100.0);
    let name = "arrivals achieved";
    if !e.open_model {
        return Check::sound(name, "closed model: none planned ahead".into(), bound);
    }
    if e.scheduled == 0 {
        let unknown = "how many arrivals were planned is not known: the run did not end by itself";
        return Check::new(name, Effect::Warn, "not known".into(), bound, Some(unknown));
    }
    let share = e.fired as f64 / e.scheduled as f64;
    let measured = format!("{} of {} ({:.2}%)", e.fired, e.scheduled, share * 100.0);
    let broken = ((share - 1.0).abs() > ACHIEVED_SHORT_MAX)
        .then_some("the generator did not send what was planned: lower the rate, or give it more processors");
    Check::new(name, Effect::Void, measured, bound, broken)
}

fn dispatch_lag(e: &Evidence) -> Check {
    let name = "dispatch lag p99";
    let measured = e.dispatch_lag_p99.map_or_else(|| "nothing was fired".into(), |lag| lag.to_string());
    let by_timeout = e.shortest_timeout.map(|timeout| {
        let allowed = Nanos((timeout.0 as f64 * LAG_SHARE_MAX) as u64);
        (allowed, format!("≤ {allowed} ({}% of the shortest timeout, {timeout})", LAG_SHARE_MAX * 100.0))
    });
    // What is fired late sees a recovery late.
    let by_window =
        e.drills.then(|| (e.window, format!("≤ {} (a window, in which a recovery is looked for)", e.window)));
    let Some((allowed, bound)) = by_timeout.into_iter().chain(by_window).min_by_key(|(allowed, _)| *allowed) else {
        return Check::sound(name, measured, "no operation to compare with".into());
    };
    let broken = e.dispatch_lag_p99.is_some_and(|lag| lag > allowed).then(|| {
        let waited = match e.run_queue_secs {
            secs if secs >= 0.01 => format!(" (its threads waited {secs:.2} s for a processor)"),
            _ => String::new(),
        };
        format!(
            "arrivals were fired late by the generator itself{waited}: use a quieter machine, a lower rate, or agents"
        )
    });
    Check::new(name, Effect::Void, measured, bound, broken)
}

/// The schedule is known exactly: were as many arrivals fired in each window as were planned for it?
fn arrivals_by_window(e: &Evidence) -> Check {
    let name = "arrivals by window";
    let (off, windows) = e.arrivals_off;
    let bound = format!("≤ {}% of the windows (of 1 s at least) off by more than 5%", WINDOWS_OFF_MAX * 100.0);
    if windows == 0 {
        return Check::sound(name, "none planned ahead".into(), bound);
    }
    let measured = format!("{off} of {windows} windows off");
    let broken = (off > EDGES && off as f64 > WINDOWS_OFF_MAX * windows as f64).then_some(
        "the generator fired bursts and gaps where the plan has none: use a quieter machine, a lower rate, or agents",
    );
    Check::new(name, Effect::Void, measured, bound, broken)
}

fn arrival_law(e: &Evidence) -> Check {
    let name = "arrival law";
    let bound = format!("A² ≤ {ARRIVAL_LAW_BOUND}");
    match e.arrival_law {
        None => Check::sound(name, "fewer than 50 gaps of a random law: not judged".into(), bound),
        Some((statistic, gaps)) => {
            let measured = format!("A² {statistic:.2} over {gaps} gaps");
            let broken = (statistic > ARRIVAL_LAW_BOUND).then_some(
                "the gaps between arrivals were not of the planned law: the load came in another shape than was asked for",
            );
            Check::new(name, Effect::Void, measured, bound, broken)
        }
    }
}

fn ledger(e: &Evidence) -> Check {
    let mut parts: Vec<String> = OUTCOMES
        .iter()
        .filter(|o| e.outcomes[o.index()] > 0)
        .map(|o| format!("{} {}", e.outcomes[o.index()], o.name().replace('_', " ")))
        .collect();
    if e.in_flight > 0 {
        parts.push(format!("{} in flight", e.in_flight));
    }
    let accounted = e.outcomes.iter().sum::<u64>() + e.in_flight;
    let sum = if parts.is_empty() { "0".into() } else { parts.join(" + ") };
    let sign = if accounted == e.planned { '=' } else { '≠' };
    let broken = (accounted != e.planned)
        .then_some("operations are unaccounted for: a defect of slatest; please report it with the run's folder");
    Check::new("accounting", Effect::Void, format!("{} planned {sign} {sum}", e.planned), "adds up".into(), broken)
}

/// Said only when it is broken: most runs have no ledger of writes.
fn writes(e: &Evidence) -> Check {
    let message = "the disk of the results could not follow, so nobody knows whether these were acknowledged: a faster \
                 disk, or fewer operations with `ledger`";
    let measured = format!("{} missing", e.writes_missed);
    Check::new("ledger of writes", Effect::Void, measured, "none missing".into(), Some(message))
}

fn dropped(e: &Evidence) -> Check {
    let dropped = e.outcomes[Outcome::Dropped.index()];
    // They are failures of the target in every objective already (users who were not served), so a
    // target that drowns fails; it is not the generator that was at fault.
    let broken = (dropped > 0).then_some(
        "never sent for want of a free session; they count as failures (raise `max_in_flight` if the target was not slow)",
    );
    Check::new("dropped arrivals", Effect::Warn, dropped.to_string(), "none".into(), broken)
}

fn blocked(e: &Evidence) -> Check {
    let name = "blocked by a firewall";
    let total = e.outcomes[Outcome::Blocked.index()];
    let bound = format!("≤ {}% of any operation", BLOCKED_SHARE_MAX * 100.0);
    match &e.most_blocked {
        Some((operation, share)) if *share > BLOCKED_SHARE_MAX => Check::new(
            name,
            Effect::Void,
            format!("{total}, most of {operation} ({:.1}%)", share * 100.0),
            bound,
            Some("a firewall answered in the target's place: allow this machine's address in it, or lower the rate"),
        ),
        Some((operation, _)) if total > 0 => Check::new(
            name,
            Effect::Warn,
            format!("{total}, most of {operation}"),
            bound,
            Some("some requests were answered by a firewall; they are left out of every objective"),
        ),
        _ => Check::sound(name, total.to_string(), bound),
    }
}

#[cfg(test)]
mod tests;
