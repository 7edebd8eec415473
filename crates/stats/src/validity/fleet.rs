//! The agents of a run that many machines made: none lost, every interval exactly once, clocks that agree;
//! and each of them is asked what one generator is asked.

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
    let agents = e.agents.iter().filter_map(|agent| Some((agent, agent.own.as_deref()?)));
    let checked = agents.map(|(agent, own)| (check(own), weight(own), agent));
    let rank = |check: &Check| u8::from(!check.holds) + u8::from(check.voids());
    let worst = checked.max_by(|a, b| rank(&a.0).cmp(&rank(&b.0)).then(a.1.total_cmp(&b.1)));
    match worst {
        Some((check, weight, agent)) if e.agents.len() > 1 && (weight > 0.0 || !check.holds) => {
            Check { measured: format!("{} ({}, the worst)", check.measured, agent.name), ..check }
        }
        Some((check, ..)) => check,
        None => check(e),
    }
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
        !agent.taken_over && (e.scheduled == 0 || agent.owed as f64 > super::ACHIEVED_SHORT_MAX * e.scheduled as f64)
    };
    let (effect, words) = if gone.iter().chain(&early).any(light) {
        (Effect::Void, "its share of the load was not sent from then on: what was measured is of a lighter load")
    } else {
        (Effect::Warn, "what it sent until then counts, and the load that was planned was sent all the same")
    };
    Check::new("agents", effect, measured, bound, Some(words))
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
    let words = "what was measured then never arrived: the figures are of a part of the load";
    Check::new("intervals", Effect::Void, measured, bound, (!missing.is_empty()).then_some(words))
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
        let words = "windows of different agents can't be laid side by side: the way to them is too slow";
        return Check::new("agents' clocks", Effect::Void, measured, bound, Some(words));
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
    let mut words = told[..told.len() - more].join(", ");
    if more > 0 {
        words.push_str(&format!(" and {more} more"));
    }
    words
}
