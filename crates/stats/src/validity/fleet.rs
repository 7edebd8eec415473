//! The agents of a run that many machines made: none lost, every interval exactly once, clocks that agree;
//! and each of them is asked what one generator is asked.

use std::collections::BTreeMap;

use super::{AgentEvidence, Evidence};
use crate::{Check, Effect};
use slatest_core::model::Nanos;

/// Clocks must agree to this share of a window: beyond, what happened at one time stands in two windows.
const CLOCK_SHARE_MAX: f64 = 0.5;
/// Wall clocks that differ by more are said: certificates and tokens end by them.
const WALL_MAX: Nanos = Nanos::from_secs(1);
/// How many agents are named.
const NAMED: usize = 4;

/// The check of the agent that is worst by it; of this process where there are no agents. What holds of the
/// worst holds of all: an average would hide one late agent among many.
pub(super) fn worst(e: &Evidence, check: fn(&Evidence) -> Check, weight: fn(&Evidence) -> f64) -> Check {
    let agents = e.agents.iter().filter_map(|agent| Some((agent.name.clone(), agent.own.as_deref()?)));
    worst_of(e, agents, check, weight)
}

fn worst_of<'a>(
    e: &Evidence,
    asked: impl Iterator<Item = (String, &'a Evidence)>,
    check: fn(&Evidence) -> Check,
    weight: fn(&Evidence) -> f64,
) -> Check {
    let checked = asked.map(|(who, own)| (check(own), weight(own), who));
    let rank = |check: &Check| u8::from(!check.holds) + u8::from(check.voids());
    let worst = checked.max_by(|a, b| rank(&a.0).cmp(&rank(&b.0)).then(a.1.total_cmp(&b.1)));
    match worst {
        Some((check, weight, who)) if e.agents.len() > 1 && (weight > 0.0 || !check.holds) => {
            Check { measured: format!("{} ({who}, the worst)", check.measured), ..check }
        }
        Some((check, ..)) => check,
        None => check(e),
    }
}

/// Whether this holds of this process, or of any agent.
pub(super) fn any(e: &Evidence, holds: impl Fn(&Evidence) -> bool) -> bool {
    holds(e) || e.agents.iter().filter_map(|agent| agent.own.as_deref()).any(holds)
}

/// Each agent's use of what it may use, by its own quota, and each machine's use by all agents on it: four agents at
/// a fifth of a machine each leave it as little as one at four fifths.
pub(super) fn cpu(e: &Evidence) -> Check {
    let mut hosts: BTreeMap<&str, (u64, Evidence)> = BTreeMap::new();
    for (agent, own) in e.agents.iter().filter_map(|agent| Some((agent, agent.own.as_deref()?))) {
        let (agents, all) = hosts.entry(&agent.host).or_default();
        *agents += 1;
        all.cpu_secs += own.cpu_secs;
        all.wall_secs = all.wall_secs.max(own.wall_secs);
        // Who has a quota says nothing of what the others may use.
        all.cores = all.cores.max(if own.quota.is_some() { own.machine_cores } else { own.cores });
    }
    let hosts: Vec<(String, Evidence)> = hosts
        .into_iter()
        .filter(|(host, (agents, _))| *agents > 1 && !host.is_empty())
        .map(|(host, (agents, all))| (format!("the {agents} agents of {host}"), all))
        .collect();
    let agents = e.agents.iter().filter_map(|agent| Some((agent.name.clone(), agent.own.as_deref()?)));
    let all = agents.chain(hosts.iter().map(|(name, all)| (name.clone(), all)));
    worst_of(e, all, super::host::cpu, |e| super::share(e.cpu_secs, e.cores * e.wall_secs))
}

/// Who they are, told only where there are any.
pub(super) fn checks(e: &Evidence) -> Vec<Check> {
    if e.agents.is_empty() { Vec::new() } else { vec![lost(e), intervals(e), clocks(e)] }
}

fn lost(e: &Evidence) -> Check {
    let all = e.agents.len();
    let gone: Vec<&AgentEvidence> = e.agents.iter().filter(|agent| agent.lost_at.is_some()).collect();
    let early: Vec<&AgentEvidence> =
        e.agents.iter().filter(|agent| agent.lost_at.is_none() && !agent.early.is_empty()).collect();
    let bound = "none lost".to_owned();
    if gone.is_empty() && early.is_empty() {
        return Check::sound("agents", format!("{all} of {all} to the end"), bound);
    }
    let mut told: Vec<String> = Vec::new();
    told.extend(gone.iter().filter_map(|agent| Some(format!("{} lost at {}", agent.name, agent.lost_at?))));
    told.extend(early.iter().map(|agent| format!("{} ended early: {}", agent.name, agent.early)));
    let measured = format!("{} of {all} to the end; {}", all - told.len(), some(&told));
    let light = |agent: &&AgentEvidence| {
        !agent.taken_over
            && (e.scheduled == 0 || agent.shortfall as f64 > super::ACHIEVED_SHORT_MAX * e.scheduled as f64)
    };
    let (effect, message) = if gone.iter().chain(&early).any(light) {
        (Effect::Void, "its share of the load was not sent from then on: what was measured is of a lighter load")
    } else {
        (Effect::Warn, "what it sent until then counts, and the load that was planned was sent all the same")
    };
    Check::new("agents", effect, measured, bound, Some(message))
}

fn intervals(e: &Evidence) -> Check {
    let arrived: u64 = e.agents.iter().map(|agent| agent.intervals).sum();
    let missing: Vec<String> = e
        .agents
        .iter()
        // Of those that were lost or stopped there was nothing more to come; that is another check's matter.
        .filter(|agent| agent.lost_at.is_none() && agent.early.is_empty())
        .flat_map(|agent| agent.missing.iter().map(move |(from, to)| format!("{} from {from} to {to}", agent.name)))
        .collect();
    let bound = "every one exactly once".to_owned();
    let measured = if missing.is_empty() {
        format!("{arrived} arrived")
    } else {
        format!("{arrived} arrived; {}", some(&missing))
    };
    let message = "what was measured then never arrived: the figures are of a part of the load";
    Check::new("intervals", Effect::Void, measured, bound, (!missing.is_empty()).then_some(message))
}

fn clocks(e: &Evidence) -> Check {
    let allowed = Nanos((e.window.0 as f64 * CLOCK_SHARE_MAX) as u64);
    let bound = format!("known to {allowed}");
    let loosest = e.agents.iter().max_by_key(|agent| agent.clock_bound);
    let furthest = e.agents.iter().max_by_key(|agent| agent.wall_difference);
    let (Some(loosest), Some(furthest)) = (loosest, furthest) else {
        return Check::sound("agents' clocks", "no agents".into(), bound);
    };
    let measured = format!("offsets known to {} ({})", loosest.clock_bound, loosest.name);
    if loosest.clock_bound > allowed {
        let message = "windows of different agents can't be laid side by side: the way to them is too slow";
        return Check::new("agents' clocks", Effect::Void, measured, bound, Some(message));
    }
    let apart = (furthest.wall_difference > WALL_MAX).then(|| {
        format!(
            "the wall clock of {} is {} off: no time measured hangs on it, but certificates and tokens end by it",
            furthest.name, furthest.wall_difference
        )
    });
    Check::new("agents' clocks", Effect::Warn, measured, bound, apart)
}

/// The first few, and how many more there are.
fn some(told: &[String]) -> String {
    let more = told.len().saturating_sub(NAMED);
    let mut message = told[..told.len() - more].join(", ");
    if more > 0 {
        message.push_str(&format!(" and {more} more"));
    }
    message
}
