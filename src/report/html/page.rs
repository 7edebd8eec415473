//! Everything that the page says in words and tables.

use serde::Serialize;

use super::causes::{Cause, causes};
use super::objectives::{Objective, objectives};
use super::operations::{self, Operation, cells, operations as rows_of};
use super::picture::{Picture, picture};
use crate::report::course::Course;
use crate::report::phrases::{address, culprits, explanation, grouped, headline, length, plain, time};
use crate::report::timeline::{MarkKind, marks};
use crate::report::why::clock;
use crate::report::{agents, drills, ledger};
use slatest_engine::record::RunRecord;
use slatest_stats::{Effect, JudgedDrill};

/// Most rows of the table of errors.
const ERRORS_SHOWN: usize = 100;
/// Most incidents that are shown.
const INCIDENTS_SHOWN: usize = 50;

/// The page.
#[derive(Serialize)]
pub(super) struct Page {
    title: String,
    verdict: &'static str,
    headline: String,
    explanation: String,
    facts: Vec<(&'static str, String)>,
    causes: Vec<Cause>,
    more_causes: usize,
    picture: Option<Picture>,
    objectives: Vec<Objective>,
    culprits: Option<String>,
    columns: [&'static str; 9],
    operations: Vec<Operation>,
    operations_more: usize,
    total: Vec<(String, f64)>,
    errors: Vec<ErrorRow>,
    errors_more: usize,
    incidents: Vec<Incident>,
    drills: Vec<Drill>,
    drill_columns: [&'static str; 8],
    drill_legend: &'static str,
    findings: Vec<(&'static str, String)>,
    generator: Vec<(&'static str, String)>,
    checks: Vec<CheckRow>,
    agents: Option<Agents>,
    agent_columns: [&'static str; 8],
    scenarios: Vec<[String; 5]>,
    marks: Vec<(&'static str, String)>,
    left_out: Vec<String>,
    notices: Vec<String>,
    repeat: Vec<(&'static str, String)>,
    has_charts: bool,
}

#[derive(Serialize)]
struct ErrorRow {
    kind: String,
    count: String,
    number: u64,
    first: String,
    last: String,
    example: String,
    operations: String,
}

#[derive(Serialize)]
struct Incident {
    from: String,
    to: String,
    clock: String,
    scenario: String,
    message: String,
}

#[derive(Serialize)]
struct Drill {
    verdict: &'static str,
    name: String,
    story: String,
    asked: Vec<(&'static str, String)>,
    ledgers: Vec<Ledger>,
    rows: Vec<[String; 8]>,
    pictures: Vec<(String, [String; 2])>,
    good: Vec<String>,
    more: usize,
}

/// What a store was found to hold: a head, flaws with their verdicts, and what else is known.
type Ledger = (String, Vec<(&'static str, String)>, Vec<String>);

#[derive(Serialize)]
struct CheckRow {
    state: &'static str,
    name: String,
    measured: String,
    bound: String,
    message: String,
}

#[derive(Serialize)]
struct Agents {
    rows: Vec<[String; 8]>,
    notes: Vec<String>,
    more: usize,
}

/// The page of a run.
pub(super) fn page(run: &RunRecord, course: &Course) -> Page {
    let result = &run.result;
    let objectives = objectives(run, course);
    let (causes, more_causes) = causes(run, &objectives);
    let (errors, errors_more) = errors(run, course);
    Page {
        title: format!("{} {} on {}", headline(run), run.plan.profile, run.target.name),
        verdict: result.verdict.name(),
        headline: headline(run).to_owned(),
        explanation: explanation(run),
        facts: facts(run),
        causes,
        more_causes,
        picture: picture(run, course),
        culprits: culprits(run),
        objectives,
        columns: operations::COLUMNS,
        operations: rows_of(run, course),
        operations_more: result.operations.len().saturating_sub(200),
        total: cells(&result.total),
        errors,
        errors_more,
        incidents: incidents(run),
        drills: result.drills.iter().map(drill).collect(),
        drill_columns: drills::COLUMNS,
        drill_legend: drills::LEGEND,
        findings: result.findings.iter().map(finding).collect(),
        generator: generator(run),
        checks: result.validity.iter().map(check).collect(),
        agents: agents::agents(run).map(|all| Agents { rows: all.rows, notes: all.notes, more: all.more }),
        agent_columns: agents::COLUMNS,
        scenarios: scenarios(run),
        marks: marks(run).into_iter().map(|mark| (mark.kind.name(), mark_text(run, &mark))).collect(),
        left_out: run.plan.left_out.iter().map(|(scenario, reason)| format!("{scenario}: {reason}")).collect(),
        notices: run.notices.iter().chain(&course.flaws).map(|notice| plain(notice)).collect(),
        repeat: repeat(run),
        has_charts: course.slots > 1,
    }
}

fn mark_text(run: &RunRecord, mark: &crate::report::timeline::Mark) -> String {
    match mark.kind {
        MarkKind::Phase => format!("{} at {} ({})", mark.label, mark.from, clock(run, mark.from)),
        _ => format!("{}: {} – {} (from {})", mark.label, mark.from, mark.to, clock(run, mark.from)),
    }
}

fn facts(run: &RunRecord) -> Vec<(&'static str, String)> {
    let result = &run.result;
    let mut facts = vec![
        ("Profile", run.plan.profile.clone()),
        ("Target", run.target.name.clone()),
        ("Started", run.started.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
        ("Length", length(result.length)),
        ("Judged", format!("{} operations", grouped(result.total.count))),
    ];
    if !result.agents.is_empty() {
        facts.push(("Agents", result.agents.len().to_string()));
    }
    facts
}

fn errors(run: &RunRecord, course: &Course) -> (Vec<ErrorRow>, usize) {
    let more = course.errors.len().saturating_sub(ERRORS_SHOWN);
    let rows = course.errors.iter().take(ERRORS_SHOWN).map(|kind| {
        let (first, operation) = kind.first;
        let mut operations: Vec<(u64, String)> =
            kind.operations.iter().map(|(id, count)| (*count, address(run, *id))).collect();
        operations.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let others = operations.len().saturating_sub(4);
        let named: Vec<String> =
            operations.iter().take(4).map(|(count, name)| format!("{name} {}", grouped(*count))).collect();
        ErrorRow {
            kind: plain(&kind.kind),
            count: grouped(kind.count),
            number: kind.count,
            first: format!("{first} ({})", clock(run, first)),
            last: format!("{} ({})", kind.last, clock(run, kind.last)),
            example: format!("{}, ended within {} from {first}", address(run, operation), course.window),
            operations: format!(
                "{}{}",
                named.join(", "),
                if others > 0 { format!(" and {others} more") } else { String::new() }
            ),
        }
    });
    (rows.collect(), more)
}

fn incidents(run: &RunRecord) -> Vec<Incident> {
    let all = run.result.incidents.iter().take(INCIDENTS_SHOWN);
    all.map(|one| Incident {
        from: one.began.to_string(),
        to: one.ended.map_or_else(|| "the end".into(), |at| at.to_string()),
        clock: clock(run, one.began),
        scenario: plain(&one.scenario),
        message: plain(&one.message()),
    })
    .collect()
}

fn drill(drill: &JudgedDrill) -> Drill {
    let shown = || drill.components.iter().take(drills::COMPONENTS_SHOWN);
    Drill {
        verdict: drill.verdict.name(),
        name: plain(&drill.name),
        story: drills::story(drill),
        asked: drills::asked(drill).into_iter().map(|(verdict, text)| (verdict.name(), text)).collect(),
        ledgers: drill
            .ledger
            .iter()
            .map(|one| {
                let flaws = ledger::flaws(one).into_iter().map(|(verdict, text)| (verdict.name(), plain(&text)));
                (
                    plain(&ledger::head(one)),
                    flaws.collect(),
                    ledger::lines(one).iter().map(|line| plain(line)).collect(),
                )
            })
            .collect(),
        rows: shown().map(drills::row).collect(),
        pictures: shown()
            .map(|component| {
                let [above, cells, each] = drills::timeline(drill, component);
                (format!("{} ({each})", plain(&component.name)), [above, cells])
            })
            .collect(),
        good: drills::good(drill),
        more: drill.components.len().saturating_sub(drills::COMPONENTS_SHOWN),
    }
}

fn finding(finding: &slatest_engine::load::ScenarioFinding) -> (&'static str, String) {
    let verdict = if finding.holds { "pass" } else { "fail" };
    (verdict, format!("{}: {} ({})", plain(&finding.scenario), plain(&finding.check), plain(&finding.detail)))
}

fn generator(run: &RunRecord) -> Vec<(&'static str, String)> {
    let generator = &run.result.generator;
    let lag = |times| format!("p50 {}, p99 {}", time(times, |t| t.p50), time(times, |t| t.p99));
    let cpu = generator.cpu_share.map_or_else(|| "not known".into(), |share| format!("{:.1} %", share * 100.0));
    vec![
        ("Planned", grouped(generator.planned)),
        ("Sent", grouped(generator.sent)),
        ("Completed", grouped(generator.completed)),
        ("Dropped", grouped(generator.dropped)),
        ("In flight at the end", grouped(generator.in_flight)),
        ("Dispatch lag (the generator's own lateness)", lag(generator.dispatch_lag.as_ref())),
        ("Send lag (connecting included)", lag(generator.send_lag.as_ref())),
        ("CPU", cpu),
        ("Memory", format!("{} MiB", generator.resources.rss_bytes_max >> 20)),
    ]
}

fn check(check: &slatest_stats::Check) -> CheckRow {
    let state = match (check.holds, check.effect) {
        (true, _) => "pass",
        (false, Effect::Warn) => "warn",
        (false, Effect::Void) => "void",
    };
    CheckRow {
        state,
        name: plain(&check.name),
        measured: plain(&check.measured),
        bound: plain(&check.bound),
        message: plain(&check.message),
    }
}

fn scenarios(run: &RunRecord) -> Vec<[String; 5]> {
    let scenario = |one: &slatest_engine::profile::ScenarioPlan| {
        let open = matches!(one.executor, slatest_engine::profile::ExecutorPlan::Arrivals { .. });
        let most = one.executor.stages().iter().map(|stage| stage.from.max(stage.to)).fold(0.0, f64::max);
        let unit = if open { "/s" } else { " users" };
        [
            plain(&one.name),
            format!("{} ({})", plain(&one.workload), plain(&one.driver)),
            format!("{}{unit}", crate::report::phrases::rate(most)),
            format!("{} – {}", one.start, one.end()),
            format!("{} warm-up, {} cool-down", one.warm_up, one.cool_down),
        ]
    };
    run.plan.scenarios.iter().map(scenario).collect()
}

fn repeat(run: &RunRecord) -> Vec<(&'static str, String)> {
    let machine = &run.machine;
    let mut repeat = vec![
        ("Run", run.id.clone()),
        ("Command", plain(&run.command.join(" "))),
        ("Seed", run.seed.to_string()),
        ("slatest", run.slatest.clone()),
        (
            "Machine",
            format!(
                "{}, {} cores, {} GiB, Linux {}",
                plain(&machine.host),
                machine.cores,
                machine.memory_bytes >> 30,
                plain(&machine.kernel)
            ),
        ),
    ];
    if let Some(ended) = run.ended {
        repeat.push(("Ended", ended.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()));
    }
    repeat
}
