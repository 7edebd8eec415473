//! Drills before anything is sent: what they would do, and whether what is watched can tell what is asked.

use std::fmt::Write as _;

use super::forecast::arrivals;
use crate::report::phrases::{grouped, plain};
use slatest_core::model::{Nanos, OperationId, Span};
use slatest_core::schedule::Curve;
use slatest_engine::profile::{Aim, DrillPlan, DrillStart, ExecutorPlan, Plan, RecoveryPlan};
use slatest_faults::steps::HealBy;
use slatest_stats::{ALPHA, Asked, Reading, clopper_pearson, fewest_operations};

/// Share of failures that is reckoned with where no objective promises one: what a clean steady state of some
/// thousand operations shows.
const USUAL_FAILURES: f64 = 0.001;
/// A window must hold so many standard deviations more operations than it takes, or chance leaves some unknown: a row
/// of thirty is then whole in 999 of 1,000 cases.
const MARGIN: f64 = 4.0;

/// What the drills of a plan would do, as paragraphs; empty where there are none.
pub fn outlook(plan: &Plan) -> Vec<Vec<String>> {
    plan.drills.iter().map(|drill| of_drill(plan, drill)).collect()
}

fn of_drill(plan: &Plan, drill: &DrillPlan) -> Vec<String> {
    let when = match drill.start {
        DrillStart::At(at) => format!("at {}", Span(at)),
        DrillStart::AfterSteady { windows, within } => {
            format!("after {windows} windows in which every objective holds (given up after {})", Span(within))
        }
    };
    let heal = match (drill.heal, drill.hold) {
        (HealBy::Manual, _) => "people heal it".to_owned(),
        (HealBy::Auto, Some(hold)) => format!("healed after {}", Span(hold)),
        (HealBy::Auto, None) => "healed when the watch ends".to_owned(),
    };
    let mut lines = vec![format!(
        "{}: injects {} {when}; {heal}; watches {} for {}; restored after {} good windows of {}",
        plain(&drill.name),
        plain(&drill.fault_words()),
        plain(&drill.scope),
        Span(drill.watch),
        drill.restored_after,
        Span(plan.window),
    )];
    if let DrillStart::AfterSteady { .. } = drill.start {
        lines.extend(steady(plan));
    }
    lines.push(telling(plan, &drill.scope, &drill.operations));
    for objective in &drill.objectives {
        if objective.scope != drill.scope {
            lines.push(telling(plan, &objective.scope, &objective.operations));
        }
        lines.extend(of_objective(plan, objective));
        lines.extend(of_losses(plan, objective));
    }
    lines.extend(sessions(plan, drill));
    if drill.objectives.is_empty() {
        lines.push("no recovery objective names it: its figures are shown, and nothing is judged".into());
    }
    lines
}

/// Objectives of which a window holds too few operations to call the run steady.
fn steady(plan: &Plan) -> Vec<String> {
    let limits = plan.steady_limits().into_iter();
    let short = limits.filter_map(|(limit, places)| {
        let operations: Vec<OperationId> = places.into_iter().map(|(operation, _)| operation).collect();
        let expected = rate(plan, &operations)? * plan.window.as_secs_f64();
        (expected < needed_for(limit.fewest)).then(|| {
            format!(
                "steady state: MAY NEVER COME: a window holds {} operations of {}, and it takes {} to tell; make `window` longer, or inject it `at` an instant",
                figure(expected),
                plain(&limit.message),
                grouped(limit.fewest),
            )
        })
    });
    short.collect()
}

/// Whether windows hold enough operations of a scope to show an outage.
fn telling(plan: &Plan, scope: &str, operations: &[OperationId]) -> String {
    let share = promised_failures(plan, operations).unwrap_or(USUAL_FAILURES);
    let Some(fewest) = fewest_operations(share) else {
        return format!("{}: so many may fail that no window can show an outage", plain(scope));
    };
    let Some(per_sec) = rate(plan, operations) else {
        return format!(
            "{}: a window is known from {fewest} operations on; how many virtual users get done is the target's to say",
            plain(scope)
        );
    };
    let expected = per_sec * plan.window.as_secs_f64();
    let needed = needed_for(fewest);
    let message =
        format!("{}: {} operations a window, {fewest} needed to see an outage", plain(scope), figure(expected));
    if expected >= needed {
        return message;
    }
    if per_sec <= 0.0 {
        return format!("{message}: CAN'T TELL, nothing is sent");
    }
    let wanted = Nanos::from_millis((needed / per_sec * 10.0).ceil() as u64 * 100);
    let word = if expected < fewest as f64 { "CAN'T TELL" } else { "MAY NOT TELL, chance leaves windows unknown" };
    format!(
        "{message}: {word}; make `window` {} or the rate {}/s at least",
        Span(wanted),
        figure(needed / plan.window.as_secs_f64())
    )
}

/// Mean of a Poisson number of operations that is at least `fewest` but by a chance of [`MARGIN`] deviations:
/// m − k √m = n.
fn needed_for(fewest: u64) -> f64 {
    let root = f64::midpoint(MARGIN, MARGIN.mul_add(MARGIN, 4.0 * fewest as f64).sqrt());
    root * root
}

/// The tightest share of failures that an objective promises of all these operations.
fn promised_failures(plan: &Plan, operations: &[OperationId]) -> Option<f64> {
    let covers = |objective: &&slatest_engine::profile::ObjectivePlan| {
        operations.iter().all(|o| objective.operations.contains(o))
    };
    let shares = plan.objectives.iter().filter(covers).filter_map(|objective| match objective.aim {
        Aim::ErrorRate { below } => Some(below),
        _ => None,
    });
    shares.min_by(f64::total_cmp)
}

/// Operations of these per second, on average over their scenarios; `None` in the closed model.
fn rate(plan: &Plan, operations: &[OperationId]) -> Option<f64> {
    let mut sum = 0.0;
    for operation in operations.iter().filter_map(|id| plan.operations.get(id.index())) {
        let scenario = plan.scenarios.get(operation.scenario)?;
        arrivals(scenario)?;
        let ExecutorPlan::Arrivals { stages, .. } = &scenario.executor else { return None };
        let curve = Curve::new(stages);
        sum += curve.total() / curve.duration().as_secs_f64().max(1e-9) * operation.share;
    }
    Some(sum)
}

/// Whether a recovery at the target could be told: the bounds are at least two windows apart.
fn of_objective(plan: &Plan, objective: &RecoveryPlan) -> Option<String> {
    let rto = objective.rto()?;
    let width = Nanos(plan.window.0.saturating_mul(2));
    let name = plain(&objective.name);
    if rto <= width {
        return Some(format!(
            "{name}: CAN'T PASS, the bounds of a recovery time are {} apart with windows of {}, and the target is {}: make `window` {} at most",
            Span(width),
            Span(plan.window),
            Span(rto),
            Span(Nanos((rto.0 / 10).max(1_000_000))),
        ));
    }
    let least = Span(Nanos(rto.0 - width.0));
    Some(format!(
        "{name}: recoveries under {least} pass {}, those over {} fail; in between it is inconclusive",
        Span(rto),
        Span(Nanos(rto.0 + width.0))
    ))
}

/// Whether losses could be told: there must be a ledger of what is written, and the more stands in it, the more it says.
fn of_losses(plan: &Plan, objective: &RecoveryPlan) -> Option<String> {
    let asks_losses = |asked: &Asked| matches!(asked, Asked::Rpo(_) | Asked::LostWrites(_));
    if !objective.asks.iter().any(asks_losses) {
        return None;
    }
    let (name, scope) = (plain(&objective.name), plain(&objective.scope));
    let keeps = |id: &&OperationId| plan.operations.get(id.index()).is_some_and(|operation| operation.ledger);
    let kept: Vec<OperationId> = objective.operations.iter().filter(keeps).copied().collect();
    if kept.is_empty() {
        return Some(format!(
            "{name}: CAN'T TELL what is lost: no operation of {scope} keeps a ledger of its writes; give those that write a `ledger` in their workload"
        ));
    }
    let noun = if kept.len() == 1 { "operation" } else { "operations" };
    let message = format!("{name}: the writes of {} {noun} are kept in the ledger and read back", kept.len());
    let writes = rate(plan, &kept).map(|per_sec| (per_sec * plan.end().as_secs_f64()) as u64).filter(|n| *n > 0);
    Some(match writes {
        Some(writes) => {
            let most = Reading::Share(clopper_pearson(0, writes, ALPHA).upper);
            format!("{message}; none lost of about {} would show that at most {most} are", grouped(writes))
        }
        None => message,
    })
}

/// In an outage, operations wait for their timeouts; where they take all sessions, what comes next is dropped, after
/// the recovery too, and the recovery time is the generator's own.
fn sessions(plan: &Plan, drill: &DrillPlan) -> Vec<String> {
    let mut said = Vec::new();
    for (index, scenario) in plan.scenarios.iter().enumerate() {
        let ExecutorPlan::Arrivals { stages, .. } = &scenario.executor else { continue };
        let timeouts = drill.operations.iter().filter_map(|id| plan.operations.get(id.index()));
        let longest = timeouts.filter(|operation| operation.scenario == index).map(|operation| operation.timeout).max();
        let Some(timeout) = longest else { continue };
        let waiting = Curve::new(stages).peak() * timeout.as_secs_f64();
        if waiting > scenario.max_in_flight as f64 {
            said.push(format!(
                "{}: in an outage up to {} operations wait for their timeout of {}, and `max_in_flight` is {}: the rest is dropped, also for a while after the recovery; raise it, or shorten the timeout",
                plain(&scenario.name),
                grouped(waiting.ceil() as u64),
                Span(timeout),
                grouped(scenario.max_in_flight),
            ));
        }
    }
    said
}

fn figure(value: f64) -> String {
    let mut text = String::new();
    let _ = if value < 10.0 { write!(text, "{value:.1}") } else { write!(text, "{}", grouped(value.ceil() as u64)) };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::forecast::tests::plan as night;

    fn plan(window: Nanos, rto: Nanos) -> Plan {
        let mut plan = night();
        plan.window = window;
        let operations = vec![OperationId(0), OperationId(1), OperationId(2)];
        plan.drills = vec![DrillPlan {
            name: "primary-loss".into(),
            start: DrillStart::AfterSteady { windows: 10, within: Nanos::from_secs(30) },
            fault: Some("primary-kill".into()),
            injector: serde_json::from_value(
                serde_json::json!({ "process": { "pid_file": "a.pid", "signal": "kill" } }),
            )
            .unwrap(),
            hold: None,
            heal: HealBy::Auto,
            watch: Nanos::from_secs(60),
            restored_after: 30,
            scope: "api/*".into(),
            operations: operations.clone(),
            objectives: vec![RecoveryPlan {
                name: "rto".into(),
                scope: "api/*".into(),
                operations,
                asks: vec![Asked::Rto(rto)],
            }],
        }];
        plan
    }

    #[test]
    fn what_a_drill_would_do() {
        let said = outlook(&plan(Nanos::from_secs(1), Nanos::from_secs(60))).concat().join("\n");
        insta::assert_snapshot!(said);
    }

    #[test]
    fn losses_are_told_by_a_ledger_alone() {
        let mut asked = plan(Nanos::from_secs(1), Nanos::from_secs(60));
        let said = |plan: &Plan| outlook(plan).concat().join("\n");
        assert!(!said(&asked).contains("ledger"), "nobody asks");
        asked.drills[0].objectives[0].asks.push(Asked::LostWrites(0));
        assert!(
            said(&asked).contains("CAN'T TELL what is lost: no operation of api/* keeps a ledger"),
            "{}",
            said(&asked)
        );
        asked.operations[1].ledger = true;
        assert!(said(&asked).contains("the writes of 1 operation are kept in the ledger"), "{}", said(&asked));
    }

    #[test]
    fn windows_too_short_for_the_load_or_too_long_for_the_target_are_said() {
        let short = outlook(&plan(Nanos::from_millis(100), Nanos::from_secs(60))).concat().join("\n");
        assert!(short.contains("CAN'T TELL"), "{short}");
        let long = outlook(&plan(Nanos::from_secs(60), Nanos::from_secs(60))).concat().join("\n");
        assert!(long.contains("CAN'T PASS"), "{long}");
        // One at a time a chance of unknown windows is left; with the rest, none to speak of.
        let needed = needed_for(11);
        assert!((needed - MARGIN * needed.sqrt() - 11.0).abs() < 1e-9, "{needed}");
    }
}
