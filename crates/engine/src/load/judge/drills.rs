//! Drills are judged: recovery times against their targets, losses against what may be lost.

use crate::load::drills::DrillFacts;
use crate::profile::{DrillPlan, Plan};
use slatest_core::model::{Nanos, OperationId, Verdict};
use slatest_stats::{
    Asked, ComponentRecovery, DrillEnd, Heal, JudgedDrill, JudgedLedger, JudgedPart, JudgedRecovery, LedgerOf, Losses,
    judge_ledger, judge_losses, judge_rto, recovery,
};

/// Every drill of the plan, in its order; one of which the run has nothing to say was not started.
pub(super) fn judge_drills(plan: &Plan, facts: &[DrillFacts]) -> Vec<JudgedDrill> {
    let judged =
        |(index, drill): (usize, &DrillPlan)| judge_drill(plan, drill, facts.iter().find(|one| one.drill == index));
    plan.drills.iter().enumerate().map(judged).collect()
}

fn judge_drill(plan: &Plan, drill: &DrillPlan, facts: Option<&DrillFacts>) -> JudgedDrill {
    let end = facts.map_or_else(|| DrillEnd::NotStarted("the run ended before".into()), |facts| facts.end.clone());
    let watched = facts.and_then(|facts| facts.watched(drill));
    let components: Vec<ComponentRecovery> = match (facts, watched) {
        (Some(facts), Some(watched)) => facts.cells.iter().map(|cells| recovery(cells, &watched)).collect(),
        _ => Vec::new(),
    };
    let part = |scope: &str, operations: &[OperationId], asked: Asked| -> JudgedPart {
        let nothing = |message: String| JudgedPart {
            asked,
            measured: "no data".into(),
            verdict: Verdict::Inconclusive,
            message: Some(message),
        };
        match (&end, facts, watched) {
            (DrillEnd::NotStarted(reason), ..) => nothing(format!("the fault was not injected: {reason}")),
            (DrillEnd::InjectFailed(reason), ..) => nothing(format!("the fault could not be injected: {reason}")),
            (_, Some(facts), Some(watched)) => match asked {
                Asked::Rto(rto) => components
                    .iter()
                    .find(|one| one.name == scope)
                    .map_or_else(|| nothing(format!("`{scope}` was not watched")), |one| judge_rto(one, rto)),
                Asked::Rpo(_) | Asked::LostWrites(_) => {
                    let losses = losses(plan, facts, operations);
                    judge_losses(losses.as_ref(), watched.fault, watched.clock_bound, asked)
                }
            },
            _ => nothing("the run ended while the drill was under way".into()),
        }
    };
    let objectives: Vec<JudgedRecovery> = drill
        .objectives
        .iter()
        .map(|objective| {
            let asks = objective.asks.iter();
            let parts: Vec<JudgedPart> =
                asks.map(|asked| part(&objective.scope, &objective.operations, *asked)).collect();
            let verdict = Verdict::worst(parts.iter().map(|part| part.verdict));
            JudgedRecovery { name: objective.name.clone(), scope: objective.scope.clone(), parts, verdict }
        })
        .collect();
    let heal = facts.map_or(Heal::Nothing, |facts| facts.heal.clone());
    // Without objectives a drill passes when it was done: it was asked for figures alone.
    let done = if end == DrillEnd::Watched { Verdict::Pass } else { Verdict::Inconclusive };
    let healed = if matches!(heal, Heal::Failed(_)) { Verdict::Fail } else { Verdict::Pass };
    let ledger: Vec<JudgedLedger> = match (facts, facts.and_then(|facts| facts.issued)) {
        (Some(facts), Some(fault)) => facts
            .ledgers
            .iter()
            .map(|ledger| judge_ledger(ledger, fault, |operation| address(plan, operation)))
            .collect(),
        _ => Vec::new(),
    };
    let parts = objectives.iter().map(|one| one.verdict).chain(ledger.iter().map(JudgedLedger::verdict));
    let verdict = Verdict::worst(parts.chain([done, healed]));
    let since = |at: Nanos| at - facts.and_then(|facts| facts.issued).unwrap_or_default();
    JudgedDrill {
        name: drill.name.clone(),
        fault: drill.fault_words(),
        end,
        issued: facts.and_then(|facts| facts.issued),
        acknowledged: facts.and_then(|facts| facts.acknowledged),
        reported: facts.and_then(|facts| facts.reported),
        detected: facts.and_then(|facts| facts.detected.clone()).map(|(at, alert)| (since(at), alert)),
        heal,
        components,
        ledger,
        objectives,
        verdict,
    }
}

/// What was lost of these operations' writes; `None` where none of them keeps a ledger, or nobody read one.
fn losses(plan: &Plan, facts: &DrillFacts, operations: &[OperationId]) -> Option<Losses> {
    let kept = |id: &&OperationId| plan.operations.get(id.index()).is_some_and(|operation| operation.ledger);
    let kept: Vec<OperationId> = operations.iter().filter(kept).copied().collect();
    let writes = |ledger: &&LedgerOf| {
        let scenario = |id: &OperationId| plan.scenarios.get(plan.operations.get(id.index())?.scenario);
        kept.iter().filter_map(scenario).any(|scenario| scenario.name == ledger.scenario)
    };
    let mut ledgers = facts.ledgers.iter().filter(writes).peekable();
    ledgers.peek().is_some().then(|| Losses::of(ledgers, &kept))
}

fn address(plan: &Plan, operation: OperationId) -> String {
    let known = plan.operations.get(operation.index());
    known.map_or_else(|| format!("operation {}", operation.0), |known| known.address.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::judge::tests::plan as judged_plan;
    use crate::load::shapes;
    use crate::load::{DrillWatch, SteadyWatch};
    use crate::profile::{DrillStart, RecoveryPlan};
    use slatest_core::measure::Recorder;
    use slatest_core::model::{Completion, OperationId, Outcome};
    use slatest_core::writes::{LedgerCheck, OperationWrites};
    use slatest_faults::steps::HealBy;

    fn plan() -> Plan {
        let mut plan = judged_plan(vec![]);
        let operations = vec![OperationId(0), OperationId(1)];
        plan.objectives.clear();
        plan.operations.iter_mut().for_each(|operation| operation.thresholds.clear());
        plan.operations[1].ledger = true;
        plan.drills = vec![DrillPlan {
            name: "primary-loss".into(),
            start: DrillStart::At(Nanos::from_secs(20)),
            fault: Some("primary-kill".into()),
            injector: serde_json::from_value(
                serde_json::json!({ "process": { "pid_file": "primary.pid", "signal": "kill" } }),
            )
            .unwrap(),
            hold: None,
            heal: HealBy::Auto,
            watch: Nanos::from_secs(60),
            restored_after: 10,
            scope: "api/*".into(),
            operations: operations.clone(),
            objectives: vec![RecoveryPlan {
                name: "db-rto".into(),
                scope: "api/*".into(),
                operations,
                asks: vec![Asked::Rto(Nanos::from_secs(30)), Asked::LostWrites(0)],
            }],
        }];
        plan
    }

    /// 50/s of two operations for 80 s, down for `down` from 20.25 s on.
    fn facts(plan: &Plan, down: Nanos) -> DrillFacts {
        let fault = Nanos::from_millis(20_250);
        let mut recorder = Recorder::new(shapes(plan), plan.window).with_cohorts(true);
        let mut watch = DrillWatch::new(plan, &plan.drills[0], 0);
        for second in 0..80 {
            for i in 0..50 {
                let at = Nanos::from_secs(second) + Nanos::from_millis(i * 20);
                let operation = OperationId((i % 2) as u16);
                recorder.fired(operation, true, at, at);
                let is_down = at >= fault && at < fault + down;
                let completion = if is_down {
                    Completion::failed(Outcome::Disconnected, Some(at), at + Nanos::from_millis(1), "refused")
                } else {
                    Completion::ok(at, at + Nanos::from_millis(4))
                };
                recorder.ended(operation, true, at, &completion);
            }
            watch.window(&recorder.close_window());
            if second == 19 {
                watch.fault(fault);
            }
        }
        DrillFacts {
            drill: 0,
            end: DrillEnd::Watched,
            issued: Some(fault),
            acknowledged: Some(fault + Nanos::from_millis(80)),
            reported: None,
            detected: Some((fault + Nanos::from_secs(7), "DatabaseDown".into())),
            heal: Heal::Done(Nanos::from_secs(80)),
            watched_until: Nanos::from_secs(80),
            clock_bound: Nanos::ZERO,
            cells: watch.into_cells(),
            ledgers: vec![kept(LedgerCheck::default())],
            exclusion: None,
        }
    }

    /// 900 writes of the second operation, and what else was found.
    fn kept(found: LedgerCheck) -> LedgerOf {
        let operations = vec![OperationWrites {
            operation: OperationId(1),
            acknowledged: 900,
            unreadable: 0,
            lost: found.lost.count,
            lost_after_fault: 0,
            oldest_lost: None,
            unknown: 0,
        }];
        LedgerOf { scenario: "api".into(), check: Ok(LedgerCheck { acknowledged: 900, operations, ..found }) }
    }

    #[test]
    fn what_the_ledger_found_counts_where_it_was_asked_for_and_where_no_promise_allows_it() {
        let plan = plan();
        let judge = |ledgers| {
            let facts = DrillFacts { ledgers, ..facts(&plan, Nanos::from_secs(12)) };
            let drill = judge_drills(&plan, &[facts]).remove(0);
            (drill.objectives[0].parts[1].verdict, drill.verdict, drill.ledger.len())
        };
        let lost = LedgerCheck {
            lost: slatest_core::writes::Losses { count: 2, named: Vec::new() },
            ..LedgerCheck::default()
        };
        assert_eq!(judge(vec![kept(lost)]), (Verdict::Fail, Verdict::Fail, 1));
        let wrong = LedgerCheck { wrong_value: 1, ..LedgerCheck::default() };
        assert_eq!(judge(vec![kept(wrong)]), (Verdict::Pass, Verdict::Fail, 1));
        // Who writes for no ledger loses nothing that could be told.
        let mut unkept = plan.clone();
        unkept.operations[1].ledger = false;
        let drill = judge_drills(&unkept, &[facts(&plan, Nanos::from_secs(12))]).remove(0);
        let part = &drill.objectives[0].parts[1];
        assert!(
            part.message.as_ref().is_some_and(|message| message.contains("no ledger of writes was kept")),
            "{part:?}"
        );
        // Another scenario's store is shown, and no objective on this one is judged by it.
        let other = LedgerOf { scenario: "events".into(), check: Err("no broker answers".into()) };
        assert_eq!(judge(vec![kept(LedgerCheck::default()), other.clone()]), (Verdict::Pass, Verdict::Pass, 2));
        assert_eq!(judge(vec![other]), (Verdict::Inconclusive, Verdict::Inconclusive, 1));
    }

    #[test]
    fn a_drill_is_judged_from_its_facts() {
        let plan = plan();
        let judged = judge_drills(&plan, &[facts(&plan, Nanos::from_secs(12))]);
        let [drill] = judged.as_slice() else { panic!("one drill") };
        assert_eq!((drill.verdict, drill.fault.as_str()), (Verdict::Pass, "primary-kill"));
        assert_eq!(drill.detected, Some((Nanos::from_secs(7), "DatabaseDown".into())));
        let names: Vec<&str> = drill.components.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["api/*", "api/list", "api/create", "*"]);
        for component in &drill.components {
            let restored = component.restored.expect("restored");
            let truth = Nanos::from_secs(12);
            assert!(restored.lower <= truth && truth <= restored.upper, "{component:?}");
        }
        let late = judge_drills(&plan, &[facts(&plan, Nanos::from_secs(40))]);
        assert_eq!((late[0].verdict, late[0].objectives[0].parts[1].verdict), (Verdict::Fail, Verdict::Pass));
    }

    #[test]
    fn what_did_not_happen_is_inconclusive_and_says_why() {
        let plan = plan();
        let nothing = judge_drills(&plan, &[facts(&plan, Nanos::ZERO)]);
        assert_eq!(nothing[0].verdict, Verdict::Inconclusive);
        assert!(nothing[0].objectives[0].parts[0].message.as_ref().unwrap().contains("the fault did nothing"));
        let never = judge_drills(&plan, &[]);
        assert_eq!(never[0].verdict, Verdict::Inconclusive);
        let message = never[0].objectives[0].parts[0].message.as_ref().unwrap();
        assert!(message.contains("not injected: the run ended before"), "{message}");
        let failed =
            DrillFacts { end: DrillEnd::InjectFailed("no such pid".into()), issued: None, ..facts(&plan, Nanos::ZERO) };
        let failed = judge_drills(&plan, &[failed]);
        assert_eq!((failed[0].verdict, failed[0].components.len()), (Verdict::Inconclusive, 0));
    }

    #[test]
    fn a_heal_that_failed_is_a_fail_whatever_recovered() {
        let plan = plan();
        let broken =
            DrillFacts { heal: Heal::Failed("it does not start".into()), ..facts(&plan, Nanos::from_secs(12)) };
        let judged = judge_drills(&plan, &[broken]);
        assert_eq!((judged[0].objectives[0].verdict, judged[0].verdict), (Verdict::Pass, Verdict::Fail));
    }

    #[test]
    fn a_run_is_steady_when_it_serves_for_long_enough() {
        let plan = plan();
        let windows = |failing: u64| {
            let mut recorder = Recorder::new(shapes(&plan), plan.window);
            let mut watch = SteadyWatch::new(&plan, 5);
            let steady = (0..20).find(|&second| {
                for i in 0..50 {
                    let at = Nanos::from_secs(second) + Nanos::from_millis(i * 20);
                    recorder.fired(OperationId(0), true, at, at);
                    let failed = Completion::failed(Outcome::Rejected, Some(at), at, "status 503");
                    let completion = if second < failing { failed } else { Completion::ok(at, at) };
                    recorder.ended(OperationId(0), true, at, &completion);
                }
                watch.window(&recorder.close_window())
            });
            (steady, watch.why_not())
        };
        assert_eq!(windows(0).0, Some(4));
        assert_eq!(windows(7).0, Some(11));
        let (steady, reason) = windows(20);
        assert_eq!(steady, None);
        assert!(reason.contains("error_rate < 1% did not hold: 50 of 50"), "{reason}");
    }
}
