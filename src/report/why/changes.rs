//! What else changed when something broke, and what did not.

use crate::report::course::Course;
use crate::report::phrases::{plain, rate};
use crate::report::timeline::planned_rate;
use slatest_core::model::Nanos;
use slatest_engine::profile::ExecutorPlan;
use slatest_engine::record::RunRecord;
use slatest_stats::Heal;

/// What lies this close to the beginning came together with it, at least.
const TOGETHER: Nanos = Nanos::from_secs(2);
/// A generator that is later than this is named.
const LATE: u64 = 10_000_000;
/// A load that differs by less is the same.
const SAME_LOAD: f64 = 0.1;

/// Everything that happened around a stretch of the run, in sentences.
pub(super) fn changes(run: &RunRecord, course: &Course, (from, to): (Nanos, Nanos)) -> String {
    let near = course.slot.max(course.window).max(TOGETHER);
    let is_near = |at: Nanos| at.0.abs_diff(from.0) <= near.0;
    let mut said = Vec::new();
    for drill in &run.result.drills {
        let Some(issued) = drill.issued else { continue };
        let healed = match drill.heal {
            Heal::Done(at) => at,
            _ => run.result.length,
        };
        let name = plain(&drill.name);
        if from + near >= issued && from <= healed + near {
            said.push(format!("the drill {name} had broken `{}` at {issued}", plain(&drill.fault)));
        } else if issued >= from && issued < to {
            said.push(format!("the drill {name} broke `{}` only later, at {issued}", plain(&drill.fault)));
        } else {
            said.push(format!("no drill was under way ({name}: {issued} – {healed})"));
        }
    }
    for scenario in &run.plan.scenarios {
        let name = plain(&scenario.name);
        if scenario.start > Nanos::ZERO && is_near(scenario.start) {
            said.push(format!("the scenario {name} began"));
        }
        let unit = if matches!(scenario.executor, ExecutorPlan::Arrivals { .. }) { "/s" } else { " users" };
        let mut at = scenario.start;
        for stages in scenario.executor.stages().windows(2) {
            at += stages[0].duration;
            if is_near(at) && stages[0].from.to_bits() != stages[1].to.to_bits() {
                said.push(format!("{name} changed its stage at {at}, towards {}{unit}", rate(stages[1].to)));
            }
        }
    }
    let incidents = run.result.incidents.iter().filter(|one| {
        let ended = one.ended.unwrap_or(run.result.length);
        one.began < to && ended > from
    });
    let scenarios: Vec<String> = incidents.map(|one| format!("{} from {}", plain(&one.scenario), one.began)).collect();
    if scenarios.len() > 1 {
        said.push(format!("several scenarios broke together: {}", scenarios.join(", ")));
    }
    said.extend(load(run, course, (from, to)));
    said.extend(under_way(course, (from, to)));
    said.push(generator(course, (from, to)));
    for agent in run.result.agents.iter().filter(|agent| agent.lost_at.is_some_and(is_near)) {
        said.push(format!("the agent {} was lost", plain(&agent.name)));
    }
    said.join("; ")
}

fn load(run: &RunRecord, course: &Course, (from, to): (Nanos, Nanos)) -> Option<String> {
    let before = Nanos(from.0.saturating_sub((to - from).0.max(course.slot.0)));
    let (earlier, then) = (planned_rate(&run.plan, before, from)?, planned_rate(&run.plan, from, to)?);
    if earlier <= 0.0 {
        return None;
    }
    Some(if (then / earlier - 1.0).abs() <= SAME_LOAD {
        format!("the load did not change ({}/s planned)", rate(then))
    } else {
        format!("the planned load went from {}/s to {}/s", rate(earlier), rate(then))
    })
}

fn under_way(course: &Course, (from, to): (Nanos, Nanos)) -> Option<String> {
    let slots = course.slots_of(from, to);
    let within = course.in_flight.get(slots.clone())?.iter().copied().max()?;
    let before = course.in_flight.get(..slots.start)?.iter().copied().max()?;
    (within > 2 * before && within > before + 10)
        .then(|| format!("up to {within} operations were under way, {before} at most before"))
}

fn generator(course: &Course, (from, to): (Nanos, Nanos)) -> String {
    let slots = course.slots_of(from, to);
    let late =
        course.lateness.get(slots.clone()).unwrap_or_default().iter().flatten().copied().max().unwrap_or_default();
    let stall = course.stall.get(slots).unwrap_or_default().iter().copied().max().unwrap_or_default();
    if late > LATE || stall.0 > LATE {
        let stood = if stall.is_zero() { String::new() } else { format!(", its machine stood still for {stall}") };
        format!("the generator itself was late by up to {} (p99){stood}", Nanos(late))
    } else {
        format!("the generator was on time (p99 late by {} at most)", Nanos(late))
    }
}
