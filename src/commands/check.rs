//! `slatest check`: everything is validated and reached, the plan is shown, and no load is sent.

use std::fmt::Write as _;

use clap::Args;
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use console::Style;

use super::Exit;
use super::drills;
use super::failure::tell;
use super::forecast::{Forecast, Outlook, arrivals, forecasts};
use super::prepare::{PlanArgs, find};
use super::terminal::Terminal;
use crate::report::phrases::{grouped, length as spoken, plain};
use slatest_core::model::{Nanos, Span};
use slatest_core::say;
use slatest_core::schedule::{ArrivalLaw, Curve, StagePlan};
use slatest_core::target::Environment;
use slatest_core::terminal::print_all;
use slatest_engine::load::reach;
use slatest_engine::profile::{AddressNeed, ExecutorPlan, Plan, ScenarioPlan, Target, addresses_needed, peak_rate};
use slatest_engine::record::HealthLine;
use slatest_engine::run::{RunError, alerts, put_up_proxies};

/// Columns of what is printed.
const WIDTH: usize = 100;
/// Column at which a scenario's lines start.
const INDENT: usize = 11;

/// Arguments of `slatest check`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest check --profile peak                      on the embedded sandbox
  slatest check --profile peak --target staging     files, endpoints and credentials of staging
  slatest check --profile peak --target staging --offline    files only, nobody is contacted
  slatest check --profile peak --duration 30m       would half an hour be enough?

Exit codes: 0 ready to run, 3 refused, 103 an endpoint can't be used, 104 invalid file.
No load is sent.")]
pub struct CheckArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// Contacts nobody: checks the files alone
    #[arg(long)]
    offline: bool,
}

/// Runs it.
pub fn run(args: &CheckArgs) -> Exit {
    match check(args) {
        Ok(()) => Exit::Pass,
        Err(error) => {
            let exit = tell(&error);
            if let RunError::Unreachable(endpoints) = &error {
                let noun = if endpoints.len() == 1 { "endpoint" } else { "endpoints" };
                say!("slatest: {} {noun} can't be used; no load was sent", endpoints.len());
            }
            exit
        }
    }
}

fn check(args: &CheckArgs) -> Result<(), RunError> {
    let found = find(&args.plan)?;
    let resolved = found.resolve(&mut Terminal::new(true))?;
    alerts(&resolved)?;
    let plan = &resolved.plan;
    let objectives = outlook(&forecasts(plan), console::colors_enabled());
    let needs = addresses(&addresses_needed(plan, &resolved.target));
    print_all(&[head(plan, &resolved.target), scenarios(plan), objectives, drilled(plan), needs].concat());
    if args.offline {
        print_all("\nThe files are valid. Endpoints were not contacted (--offline); nothing was sent.\n");
        return Ok(());
    }
    let proxies = put_up_proxies(&resolved.target)?;
    let reached = reach(&resolved.plan, &resolved.workloads);
    drop((proxies, found));
    let lines = reached.map_err(|endpoints| {
        print_all("\n");
        RunError::Unreachable(endpoints)
    })?;
    print_all(&format!("{}\nReady to run; no load was sent.\n", endpoints(&lines)));
    Ok(())
}

fn head(plan: &Plan, target: &Target) -> String {
    let mut text = format!("{} on {}", plan.profile, target.name);
    if target.environment == Environment::Production {
        text.push_str(" (PRODUCTION)");
    }
    if let Some(description) = &plan.description {
        let _ = write!(text, ": {}", plain(description));
    }
    let known: f64 = plan.scenarios.iter().filter_map(arrivals).map(|(all, _)| all).sum();
    let closed = plan.scenarios.iter().filter(|s| matches!(s.executor, ExecutorPlan::Users { .. })).count();
    let beside = if closed == 0 { "" } else { ", and what the virtual users get done" };
    let parts = vec![
        format!("{} long, then up to {} to end what is under way", spoken(plan.end()), spoken(plan.graceful_stop)),
        format!("{} arrivals expected{beside}", grouped(known.round() as u64)),
        format!("at most {} requests/s in all", figure(peak_rate(&plan.scenarios))),
        format!("seed {}", plan.seed),
    ];
    format!("{}\n{}\n", wrapped(&[text], "", 0), wrapped(&parts, " · ", 0))
}

fn scenarios(plan: &Plan) -> String {
    let mut text = String::from("\nScenarios\n");
    for scenario in &plan.scenarios {
        for (i, line) in scenario_lines(scenario).into_iter().enumerate() {
            let name = if i == 0 { scenario.name.as_str() } else { "" };
            // A longer name stands on a line of its own, so that the rest stays aligned.
            if name.len() > INDENT - 2 {
                let _ = write!(text, " {name}\n{:INDENT$}{line}\n", "");
            } else {
                let _ = writeln!(text, " {name:<width$} {line}", width = INDENT - 2);
            }
        }
    }
    for (scenario, reason) in &plan.left_out {
        let _ = writeln!(text, " {}", wrapped(&[format!("left out: {scenario}: {}", plain(reason))], "", 3));
    }
    text
}

fn scenario_lines(scenario: &ScenarioPlan) -> Vec<String> {
    let stages = scenario.executor.stages();
    let steady = matches!(stages, [only] if only.from == only.to);
    let (name, unit) = match (&scenario.executor, steady) {
        (ExecutorPlan::Arrivals { .. }, true) => ("constant-arrival-rate", "/s"),
        (ExecutorPlan::Arrivals { .. }, false) => ("ramping-arrival-rate", "/s"),
        (ExecutorPlan::Users { .. }, true) => ("constant-vus", " users"),
        (ExecutorPlan::Users { .. }, false) => ("ramping-vus", " users"),
    };
    let how = match &scenario.executor {
        ExecutorPlan::Arrivals { law: ArrivalLaw::Poisson, .. } => "poisson".to_owned(),
        ExecutorPlan::Arrivals { law: ArrivalLaw::Uniform, .. } => "uniform".to_owned(),
        ExecutorPlan::Users { think, .. } if think.0 > 0 => format!("think {think}"),
        ExecutorPlan::Users { .. } => "no think time".to_owned(),
    };
    let mut load = vec![format!("{name}, {how}: {}", stage(stages.first(), unit))];
    load.extend(stages.iter().skip(1).map(|s| stage(Some(s), unit)));
    let mut facts = vec![match arrivals(scenario) {
        Some((all, judged)) => {
            let peak = figure(Curve::new(stages).peak());
            let (all, judged) = (all.round() as u64, judged.round() as u64);
            let judged = if judged == all { "all".to_owned() } else { grouped(judged) };
            let counted = format!("{} arrivals, {judged} judged, at most {peak}/s", grouped(all));
            match scenario.requests_per_arrival() {
                1.0 => counted,
                each => {
                    let requests = figure(Curve::new(stages).peak() * each);
                    format!("{counted} of {each:.2} requests each: at most {requests} requests/s")
                }
            }
        }
        None => "as many arrivals as the users get done".into(),
    }];
    facts.push(format!("{} long", spoken(scenario.executor.duration())));
    for (length, message) in
        [(scenario.start, "starts after"), (scenario.warm_up, "warm-up"), (scenario.cool_down, "cool-down")]
    {
        if length.0 > 0 {
            facts.push(format!("{message} {}", spoken(length)));
        }
    }
    facts.push(format!("at most {} in flight", grouped(scenario.max_in_flight)));
    facts.extend(scenario.users.map(|n| format!("{} users", grouped(n))));
    if !scenario.once.is_empty() {
        facts.push("a first act of its own for each".into());
    }
    vec![
        format!("{} by {}, endpoint {}", scenario.workload, scenario.driver, scenario.endpoint),
        wrapped(&load, " · ", INDENT),
        wrapped(&facts, " · ", INDENT),
    ]
}

fn stage(stage: Option<&StagePlan>, unit: &str) -> String {
    let Some(StagePlan { duration, from, to }) = stage else { return "nothing".into() };
    let (from, to) = (figure(*from), figure(*to));
    if from == to {
        format!("{to}{unit} for {}", spoken(*duration))
    } else {
        format!("{from} → {to}{unit} in {}", spoken(*duration))
    }
}

/// A number with no more decimals than it has.
fn figure(value: f64) -> String {
    if value.fract() == 0.0 { grouped(value as u64) } else { format!("{:.1}", value) }
}

fn outlook(forecasts: &[Forecast], color: bool) -> String {
    if forecasts.is_empty() {
        return "\nNo objectives: a run says only whether it was sound itself.\n".into();
    }
    let mut text = String::from(
        "\nObjectives: can the run tell?\n\
         (fewest: samples for a pass when none of them is bad; enough: samples that pass a target twice as\n\
         good as asked nine times in ten; more where bad ones come together)\n",
    );
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["outlook", "objective", "scope", "must hold", "samples", "fewest", "enough"].map(Cell::new));
    let count = |n: Option<u64>| n.map_or_else(|| "-".into(), grouped);
    for f in forecasts {
        let samples = if f.outlook == Outlook::Unknown { "?".into() } else { count(f.samples) };
        table.add_row([
            word(f.outlook).to_owned(),
            f.name.clone(),
            f.scope.clone(),
            f.must_hold.clone(),
            samples,
            count(f.fewest),
            count(f.enough),
        ]);
    }
    for column in 4..7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (i, line) in table.lines().enumerate() {
        let line = line.trim_end();
        let Some(forecast) = i.checked_sub(1).and_then(|i| forecasts.get(i)) else {
            let _ = writeln!(text, "{line}");
            continue;
        };
        let style = Style::new().force_styling(color);
        let style = match forecast.outlook {
            Outlook::Good => style.green(),
            Outlook::Chance(_) | Outlook::Unknown => style.yellow(),
            Outlook::Never | Outlook::Slower => style.red(),
        };
        // Coloured afterwards: the table would count the colour as width.
        let word = word(forecast.outlook);
        let _ = writeln!(text, "{}", line.replacen(word, &style.apply_to(word).to_string(), 1));
        if let Some(message) = advice(forecast) {
            let _ = writeln!(text, "   {}", wrapped(&[message], "", 3));
        }
    }
    text
}

const fn word(outlook: Outlook) -> &'static str {
    match outlook {
        Outlook::Good => "good",
        Outlook::Chance(_) => "uncertain",
        Outlook::Never | Outlook::Slower => "can't pass",
        Outlook::Unknown => "unknown",
    }
}

/// What to say of an objective that is not sure to be told.
fn advice(forecast: &Forecast) -> Option<String> {
    let lengths = forecast.lengths.map(|(fewest, enough)| (spoken(fewest), spoken(enough)));
    match (forecast.outlook, lengths) {
        (Outlook::Good, _) => None,
        (Outlook::Chance(chance), Some((_, enough))) => Some(format!(
            "may be inconclusive: a target twice as good as asked passes in {:.0} of 100 runs; enough: {enough}",
            chance * 100.0
        )),
        (Outlook::Never, Some((fewest, enough))) => {
            Some(format!("inconclusive however good the target is: run {fewest} at least; enough: {enough}"))
        }
        (Outlook::Chance(_) | Outlook::Never, None) => Some("nothing in scope is judged in this run".into()),
        (Outlook::Slower, _) => Some("fewer are sent per second than must be completed".into()),
        (Outlook::Unknown, _) => {
            Some("virtual users start again when they are done: how often is the target's to say".into())
        }
    }
}

/// What is broken on purpose, and whether its consequences can be told.
fn drilled(plan: &Plan) -> String {
    let drills = drills::outlook(plan);
    if drills.is_empty() {
        return String::new();
    }
    let mut text = String::from("\nDrills: can the run tell?\n");
    for lines in drills {
        for (i, line) in lines.into_iter().enumerate() {
            let indent = if i == 0 { 1 } else { 3 };
            let _ = writeln!(text, "{:indent$}{}", "", wrapped(&[line], "", indent + 2));
        }
    }
    text
}

/// How many agents it takes where one address may send only so much.
fn addresses(needs: &[AddressNeed]) -> String {
    if needs.is_empty() {
        return String::new();
    }
    let mut text = String::from("\nSource addresses: how many agents does it take, each with one of its own?\n");
    for need in needs {
        let noun = if need.addresses == 1 { "agent" } else { "agents" };
        let mut message = format!(
            "{} {noun}: {} {} in the busiest {} (from {} on), and one address may send {}",
            grouped(need.addresses),
            grouped(need.most.ceil() as u64),
            need.counted,
            need.limit.per,
            Span(Nanos::from_secs(need.busiest_from.as_secs_f64() as u64)),
            grouped(need.limit.requests.get()),
        );
        if !need.unknown.is_empty() {
            let _ = write!(
                message,
                "; and what the virtual users of {} send, which is not known beforehand: they never pause",
                need.unknown.join(", ")
            );
        }
        let width = need.endpoint.len() + 3;
        let _ = writeln!(text, " {}  {}", need.endpoint, wrapped(&[message], "", width));
    }
    let more = needs.iter().any(|need| need.addresses > 1);
    if more {
        text.push_str("   (or --allow-listed, when they stand on the firewall's allow list)\n");
    }
    text
}

fn endpoints(lines: &[HealthLine]) -> String {
    let mut text = String::from("\nReached\n");
    let width = lines.iter().map(|line| line.endpoint.len()).max().unwrap_or(0);
    let mut shown: Vec<(&str, &str)> = Vec::new();
    for line in lines {
        // Scenarios may share an endpoint.
        if shown.contains(&(&line.endpoint, &line.message)) {
            continue;
        }
        shown.push((&line.endpoint, &line.message));
        let message = wrapped(&[plain(&line.message)], "", width + 3);
        let _ = writeln!(text, " {:<width$}  {message}", line.endpoint);
    }
    text
}

/// Parts one after another, broken into lines between them (and between words, where one part is
/// too long for a line), each but the first indented.
pub(super) fn wrapped(parts: &[String], separator: &str, indent: usize) -> String {
    let mut text = String::new();
    let mut column = indent;
    for (i, part) in parts.iter().enumerate() {
        let last = i + 1 == parts.len();
        let whole = part.chars().count() + if last { 0 } else { separator.trim_end().chars().count() };
        let fits = indent + whole <= WIDTH;
        let message: Vec<&str> = if fits { vec![part.as_str()] } else { part.split(' ').collect() };
        for (j, word) in message.iter().enumerate() {
            let ends = j + 1 == message.len() && !last;
            let width = word.chars().count() + if ends { separator.trim_end().chars().count() } else { 0 };
            if column > indent && column + width > WIDTH {
                text.truncate(text.trim_end().len());
                let _ = write!(text, "\n{:indent$}", "");
                column = indent;
            }
            let after = if j + 1 < message.len() {
                " "
            } else if ends {
                separator
            } else {
                ""
            };
            let _ = write!(text, "{word}{after}");
            column += word.chars().count() + after.chars().count();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::forecast::tests::plan;

    #[test]
    fn a_plan_for_people() {
        let plan = plan();
        let target = Target {
            name: "staging".into(),
            description: None,
            environment: Environment::Staging,
            allow: slatest_core::target::Allow { hosts: vec![], max_rate: None, max_users: None, drills: false }.into(),
            endpoints: Default::default(),
            absent: Default::default(),
            agents: None,
            faults: Default::default(),
            proxies: Default::default(),
            alerts: None,
        };
        let reached = |endpoint: &str, message: &str| HealthLine {
            scenario: "any".into(),
            endpoint: endpoint.into(),
            message: message.into(),
        };
        let lines = [
            reached("api", "HTTP/1.1, 200 in 1.20 ms"),
            reached("store", "PostgreSQL 16"),
            reached("api", "HTTP/1.1, 200 in 1.20 ms"),
        ];
        let text =
            [head(&plan, &target), scenarios(&plan), outlook(&forecasts(&plan), false), endpoints(&lines)].concat();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn lines_break_between_parts_and_inside_long_ones() {
        let parts: Vec<String> = (0..30).map(|i| format!("part {i}")).collect();
        let text = wrapped(&parts, " · ", 4);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(text.replace("\n    ", " "), parts.join(" · "));
        let long = vec!["word ".repeat(60).trim_end().to_owned()];
        let text = wrapped(&long, "", 4);
        assert!(text.lines().count() == 4 && text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn addresses_are_said_where_something_limits_them() {
        assert_eq!(addresses(&[]), "");
        let need = AddressNeed {
            endpoint: "api".into(),
            limit: slatest_core::target::SourceLimit {
                requests: std::num::NonZeroU64::new(2_000).unwrap(),
                per: "5m".parse().unwrap(),
            },
            counted: "requests",
            most: 39_000.0,
            busiest_from: Nanos::from_secs(80),
            addresses: 20,
            unknown: vec!["night".into()],
        };
        let text = addresses(&[need]);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn without_objectives_it_says_so() {
        assert!(outlook(&[], false).contains("No objectives"));
    }
}
