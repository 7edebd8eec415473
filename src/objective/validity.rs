//! Is the generator telling the truth? Checked on every run before any objective.

use serde::{Deserialize, Serialize};

use crate::model::{Nanos, OUTCOMES, Outcome};

/// Achieved arrivals may fall short of the planned ones by this share.
const ACHIEVED_SHORT_MAX: f64 = 0.01;
/// The dispatch lag's p99 may be this share of the tightest latency threshold.
const LAG_SHARE_MAX: f64 = 0.01;
/// The generator may use this share of its CPU.
const CPU_SHARE_MAX: f64 = 0.7;
/// A firewall may block this share of an operation: the same as arrivals may be missing, because
/// what is blocked never reached the target and its load was lighter than planned.
pub const BLOCKED_SHARE_MAX: f64 = 0.01;

/// What a check that does not hold does to the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The run says nothing about the target.
    Void,
    /// It is shown.
    Warn,
}

/// One check of the run itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// What was found.
    pub measured: String,
    /// What it must be.
    pub bound: String,
    /// Whether it is.
    pub holds: bool,
    /// What follows when it is not.
    pub effect: Effect,
    /// What that means, for the person who reads it; empty where it holds.
    pub words: String,
}

impl Check {
    /// Whether it makes the run void.
    pub fn voids(&self) -> bool {
        !self.holds && self.effect == Effect::Void
    }

    fn new(name: &str, effect: Effect, measured: String, bound: String, broken: Option<&str>) -> Self {
        let words = broken.unwrap_or_default().to_owned();
        Self { name: name.into(), measured, bound, holds: broken.is_none(), effect, words }
    }
}

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
    /// The tightest limit that an objective puts on a response time: the times that lateness is in.
    pub tightest_limit: Option<Nanos>,
    /// CPU seconds used while load was sent.
    pub cpu_secs: f64,
    /// Wall seconds of the same time; 0 when not known.
    pub wall_secs: f64,
    /// Processors that could be used.
    pub cores: f64,
    /// Longest stall of the host.
    pub stall_max: Nanos,
    /// All stalls added up.
    pub stall_total: Nanos,
}

/// Every check, in the order in which it is shown.
pub fn validity(evidence: &Evidence) -> Vec<Check> {
    vec![
        achieved(evidence),
        dispatch_lag(evidence),
        ledger(evidence),
        dropped(evidence),
        blocked(evidence),
        cpu(evidence),
        stalls(evidence),
    ]
}

fn achieved(e: &Evidence) -> Check {
    let bound = format!("within {}% of planned", ACHIEVED_SHORT_MAX * 100.0);
    let name = "arrivals achieved";
    if !e.open_model {
        return Check::new(name, Effect::Void, "closed model: none planned ahead".into(), bound, None);
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
    let Some(limit) = e.tightest_limit else {
        return Check::new(name, Effect::Void, measured, "no latency objective to compare with".into(), None);
    };
    let allowed = Nanos((limit.0 as f64 * LAG_SHARE_MAX) as u64);
    let bound = format!("≤ {allowed} (1% of the tightest limit, {limit})");
    let broken = e
        .dispatch_lag_p99
        .is_some_and(|lag| lag > allowed)
        .then_some("arrivals were fired late by the generator itself: use a quieter machine, a lower rate, or agents");
    Check::new(name, Effect::Void, measured, bound, broken)
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
    Check::new("ledger", Effect::Void, format!("{} planned {sign} {sum}", e.planned), "adds up".into(), broken)
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
        _ => Check::new(name, Effect::Void, total.to_string(), bound, None),
    }
}

fn cpu(e: &Evidence) -> Check {
    let bound = format!("< {:.0}% of {} cores", CPU_SHARE_MAX * 100.0, e.cores);
    if e.wall_secs <= 0.0 || e.cores <= 0.0 {
        let unknown = "the generator's use of CPU is not known: the run did not end by itself";
        let bound = format!("< {:.0}%", CPU_SHARE_MAX * 100.0);
        return Check::new("generator CPU", Effect::Warn, "not known".into(), bound, Some(unknown));
    }
    let share = e.cpu_secs / e.wall_secs / e.cores;
    let broken = (share >= CPU_SHARE_MAX)
        .then_some("the generator was short of CPU, so its own delays are in the figures: lower the rate or add cores");
    Check::new("generator CPU", Effect::Void, format!("{:.1}%", share * 100.0), bound, broken)
}

fn stalls(e: &Evidence) -> Check {
    if e.wall_secs <= 0.0 {
        let unknown = "whether the machine stood still is not known: the run did not end by itself";
        return Check::new("host stalls", Effect::Warn, "not known".into(), "known".into(), Some(unknown));
    }
    let measured = format!("longest {}, {} in all", e.stall_max, e.stall_total);
    let Some(limit) = e.tightest_limit else {
        return Check::new("host stalls", Effect::Warn, measured, "no latency objective to compare with".into(), None);
    };
    // A stall can only make response times longer, so it never makes a false pass; what it does to
    // the arrivals is in the dispatch lag, which can void the run.
    let broken = (e.stall_max >= limit).then_some(
        "the machine itself stood still for longer than a latency limit; exceedances of that moment are its own",
    );
    Check::new("host stalls", Effect::Warn, measured, format!("< {limit} (the tightest limit)"), broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Evidence {
        Evidence {
            open_model: true,
            scheduled: 1_000,
            fired: 995,
            planned: 1_000,
            outcomes: [990, 1, 2, 3, 0, 0, 4],
            dispatch_lag_p99: Some(Nanos::from_millis(1)),
            tightest_limit: Some(Nanos::from_millis(100)),
            cpu_secs: 10.0,
            wall_secs: 10.0,
            cores: 2.0,
            ..Evidence::default()
        }
    }

    /// Names of the checks that don't hold, with whether they void.
    fn broken(evidence: &Evidence) -> Vec<(String, bool)> {
        validity(evidence).into_iter().filter(|c| !c.holds).map(|c| (c.name.clone(), c.voids())).collect()
    }

    #[test]
    fn a_sound_run_breaks_nothing() {
        assert_eq!(broken(&sound()), []);
    }

    #[test]
    fn each_bound_is_held() {
        let cases: [(&str, bool, Evidence); 8] = [
            ("arrivals achieved", true, Evidence { fired: 989, ..sound() }),
            ("dispatch lag p99", true, Evidence { dispatch_lag_p99: Some(Nanos(1_000_001)), ..sound() }),
            ("ledger", true, Evidence { planned: 1_001, ..sound() }),
            ("dropped arrivals", false, Evidence { outcomes: [990, 1, 2, 3, 0, 4, 0], ..sound() }),
            (
                "blocked by a firewall",
                true,
                Evidence {
                    outcomes: [980, 0, 0, 0, 20, 0, 0],
                    most_blocked: Some(("api/list".into(), 0.02)),
                    ..sound()
                },
            ),
            (
                "blocked by a firewall",
                false,
                Evidence {
                    outcomes: [999, 0, 0, 0, 1, 0, 0],
                    most_blocked: Some(("api/list".into(), 0.001)),
                    ..sound()
                },
            ),
            ("generator CPU", true, Evidence { cpu_secs: 14.0, ..sound() }),
            ("host stalls", false, Evidence { stall_max: Nanos::from_millis(100), ..sound() }),
        ];
        for (name, voids, evidence) in cases {
            assert_eq!(broken(&evidence), [(name.to_owned(), voids)]);
        }
    }

    #[test]
    fn what_was_in_flight_when_the_run_was_killed_is_in_the_ledger() {
        let evidence = Evidence { outcomes: [990, 0, 0, 0, 0, 0, 0], in_flight: 10, ..sound() };
        assert_eq!(broken(&evidence), []);
    }

    #[test]
    fn what_is_not_known_is_said_and_voids_nothing() {
        let evidence = Evidence { scheduled: 0, fired: 0, wall_secs: 0.0, ..sound() };
        let names: Vec<(String, bool)> =
            [("arrivals achieved", false), ("generator CPU", false), ("host stalls", false)]
                .map(|(n, v)| (n.to_owned(), v))
                .into();
        assert_eq!(broken(&evidence), names);
    }
}
