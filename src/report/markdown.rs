//! Markdown, for the summaries of CI systems.

use std::io;

use super::harmless::harmless;
use super::phrases::{
    ERRORS_SHOWN, INCIDENTS_SHOWN, culprits, errors, explanation, grouped, headline, length, rate, retried, time,
    top_errors, traffic,
};
use super::{Render, drills, ledger};
use slatest_core::model::Verdict;
use slatest_engine::record::RunRecord;
use slatest_stats::JudgedLedger;

/// The summary in GitHub's dialect of Markdown.
#[derive(Clone, Copy, Debug)]
pub struct Markdown;

impl Render for Markdown {
    fn render(&self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        let run = &*harmless(run);
        let result = &run.result;
        writeln!(out, "## {} {}: {}", mark(result.verdict), run.plan.profile, headline(run))?;
        writeln!(
            out,
            "\n{}. On `{}` for {}, {} operations judged, seed {}, run `{}`, slatest {}.",
            escape(&explanation(run)),
            run.target.name,
            length(result.length),
            grouped(result.total.count),
            run.seed,
            run.id,
            run.slatest,
        )?;
        objectives(run, out)?;
        drills_section(run, out)?;
        if !result.incidents.is_empty() {
            writeln!(out, "\n### Incidents (by when operations were meant to start)\n")?;
            for incident in result.incidents.iter().take(INCIDENTS_SHOWN) {
                writeln!(out, "- {}", escape(&incident.message()))?;
            }
            if result.incidents.len() > INCIDENTS_SHOWN {
                writeln!(out, "\n{} more stand in run.json.", result.incidents.len() - INCIDENTS_SHOWN)?;
            }
        }
        operations(run, out)?;
        let errors = top_errors(run);
        if !errors.is_empty() {
            writeln!(out, "\n### Errors\n\n| count | operation | kind |\n|---:|---|---|")?;
            for (count, operation, kind) in errors.iter().take(ERRORS_SHOWN) {
                writeln!(out, "| {} | {} | {} |", grouped(*count), escape(operation), escape(kind))?;
            }
        }
        if !result.findings.is_empty() {
            writeln!(out, "\n### Checked at the end\n")?;
            for finding in &result.findings {
                let verdict = if finding.holds { Verdict::Pass } else { Verdict::Fail };
                let (mark, detail) = (mark(verdict), escape(&finding.detail));
                writeln!(out, "- {mark} {}: {} ({detail})", escape(&finding.scenario), escape(&finding.check))?;
            }
        }
        if !run.plan.left_out.is_empty() {
            writeln!(out, "\n### Left out\n")?;
            for (scenario, reason) in &run.plan.left_out {
                writeln!(out, "- {}: {}", escape(scenario), escape(reason))?;
            }
        }
        writeln!(out, "\n### Generator\n\n| | check | measured | must be |\n|---|---|---|---|")?;
        for check in &result.validity {
            let mark = if check.holds {
                mark(Verdict::Pass)
            } else if check.voids() {
                mark(Verdict::Void)
            } else {
                mark(Verdict::Inconclusive)
            };
            writeln!(out, "| {mark} | {} | {} | {} |", check.name, escape(&check.measured), escape(&check.bound))?;
        }
        agents(run, out)?;
        for notice in &run.notices {
            writeln!(out, "\n> {}", escape(notice))?;
        }
        Ok(())
    }
}

fn objectives(run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
    if run.result.objectives.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n### Objectives\n\n| verdict | objective | scope | must hold | measured | interval | bad / samples |\n\
         |---|---|---|---|---:|---|---:|"
    )?;
    for o in &run.result.objectives {
        writeln!(
            out,
            "| {} {} | {} | {} | {} {} | {} | {} | {} / {} |",
            mark(o.verdict),
            o.verdict,
            escape(&o.name),
            escape(&o.scope),
            escape(&o.indicator),
            escape(&o.bound_text()),
            o.measured_text(),
            o.interval_text(),
            grouped(o.bad),
            grouped(o.samples),
        )?;
    }
    let notes: Vec<String> = run
        .result
        .objectives
        .iter()
        .flat_map(|o| o.notes().into_iter().map(move |note| format!("{} {}: {note}", o.name, o.scope)))
        .chain(culprits(run))
        .collect();
    for (i, note) in notes.iter().enumerate() {
        let before = if i == 0 { "\n" } else { "" };
        writeln!(out, "{before}- {}", escape(note))?;
    }
    Ok(())
}

/// What was broken on purpose, and how it recovered.
fn drills_section(run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
    for drill in &run.result.drills {
        writeln!(out, "\n### Drill {}: {} {}\n", escape(&drill.name), mark(drill.verdict), drill.verdict)?;
        writeln!(out, "{}\n", escape(&drills::story(drill)))?;
        for (verdict, text) in drills::asked(drill) {
            writeln!(out, "- {} {verdict} {}", mark(verdict), escape(&text))?;
        }
        ledgers(&drill.ledger, out)?;
        if drill.components.is_empty() {
            continue;
        }
        writeln!(out, "\n| {} |\n|---|---:|---:|---:|---|---:|---:|---:|", drills::COLUMNS.join(" | "))?;
        let shown = || drill.components.iter().take(drills::COMPONENTS_SHOWN);
        for component in shown() {
            writeln!(out, "| {} |", drills::row(component).each_ref().map(|cell| escape(cell)).join(" | "))?;
        }
        writeln!(out, "\n{}\n\n```", drills::LEGEND)?;
        for component in shown() {
            let [above, cells, each] = drills::timeline(drill, component);
            writeln!(out, "{} ({each})\n  {above}\n  {cells}", component.name.replace('`', "'"))?;
        }
        writeln!(out, "```")?;
        for (i, line) in drills::good(drill).iter().enumerate() {
            let before = if i == 0 { "\n" } else { "" };
            writeln!(out, "{before}- {}", escape(line))?;
        }
        if drill.components.len() > drills::COMPONENTS_SHOWN {
            writeln!(
                out,
                "\n{} more components stand in run.json.",
                drill.components.len() - drills::COMPONENTS_SHOWN
            )?;
        }
    }
    Ok(())
}

/// What the stores were found to hold of what was written.
fn ledgers(ledgers: &[JudgedLedger], out: &mut dyn io::Write) -> io::Result<()> {
    for ledger in ledgers {
        writeln!(out, "\n{}", escape(&ledger::head(ledger)))?;
        let flaws = ledger::flaws(ledger);
        let flaws = flaws.iter().map(|(verdict, message)| format!("{} {verdict} {}", mark(*verdict), escape(message)));
        for (i, line) in flaws.chain(ledger::lines(ledger).iter().map(|line| escape(line))).enumerate() {
            let before = if i == 0 { "\n" } else { "" };
            writeln!(out, "{before}- {line}")?;
        }
    }
    Ok(())
}

/// Who made the load, where many machines did.
fn agents(run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
    let Some(agents) = super::agents::agents(run) else { return Ok(()) };
    writeln!(
        out,
        "\n### Agents\n\n| {} |\n|---|---|---:|---:|---:|---:|---:|---:|",
        super::agents::COLUMNS.join(" | ")
    )?;
    for row in &agents.rows {
        writeln!(out, "| {} |", row.each_ref().map(|cell| escape(cell)).join(" | "))?;
    }
    for (i, note) in agents.notes.iter().enumerate() {
        let before = if i == 0 { "\n" } else { "" };
        writeln!(out, "{before}- {}", escape(note))?;
    }
    if agents.more > 0 {
        writeln!(out, "\n{} more agents stand in run.json.", agents.more)?;
    }
    Ok(())
}

fn operations(run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(
        out,
        "\n### Operations\n\n| operation | count | /s | errors | p50 | p95 | p99 | p99.9 | max | service p99 |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    )?;
    for o in run.result.operations.iter().chain([&run.result.total]) {
        let response = o.response.as_ref();
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            escape(&o.address),
            grouped(o.count),
            rate(o.rate),
            errors(o),
            time(response, |t| t.p50),
            time(response, |t| t.p95),
            time(response, |t| t.p99),
            time(response, |t| t.p999),
            time(response, |t| t.max),
            time(o.service.as_ref(), |t| t.p99),
        )?;
    }
    let traffic = run.result.operations.iter().chain([&run.result.total]).filter_map(|o| Some((o, traffic(o)?)));
    let again = run.result.operations.iter().filter(|o| o.retried_stale > 0).map(|o| (o, retried(o)));
    for (i, (o, line)) in traffic.chain(again).enumerate() {
        let before = if i == 0 { "\n" } else { "" };
        writeln!(out, "{before}- {}: {line}", escape(&o.address))?;
    }
    Ok(())
}

pub(super) const fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✅",
        Verdict::Inconclusive => "⚠️",
        Verdict::Fail => "❌",
        Verdict::Void => "🚫",
    }
}

/// Text that stays text inside a table.
pub(super) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;").replace('\n', " ")
}
