//! The whole summary on a terminal. It starts with the verdict and ends with it.

use std::io;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use console::Style;

use super::brief::{ending, sorted};
use super::harmless::harmless;
use super::phrases::{
    ERRORS_SHOWN, INCIDENTS_SHOWN, culprits, errors, explanation, grouped, headline, length, plain, rate, retried,
    time, top_errors, traffic,
};
use super::{Render, drills, ledger};
use slatest_core::model::Verdict;
use slatest_engine::record::{OperationFigures, RunRecord};
use slatest_stats::{Check, Effect, JudgedLedger};

/// Columns of what is said beneath an objective, its indent left out.
const LINE: usize = 116;

/// The summary as text, at most 120 columns wide with names of ordinary length.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// Whether to colour it.
    pub color: bool,
}

impl Render for Text {
    fn render(&self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        let run = &*harmless(run);
        self.head(run, out)?;
        self.objectives(run, out)?;
        incidents(run, out)?;
        over_time(run, out)?;
        operations(run, out)?;
        error_kinds(run, out)?;
        self.drills(run, out)?;
        self.findings(run, out)?;
        notes(run, out)?;
        self.generator(run, out)?;
        agents(run, out)?;
        writeln!(out)?;
        ending(run, *self, None, out)
    }
}

impl Text {
    /// For standard output as it is: coloured on a terminal, unless `NO_COLOR` or `--color` say
    /// otherwise.
    pub fn for_terminal() -> Self {
        Self { color: console::colors_enabled() }
    }

    pub(super) fn style(self, verdict: Verdict) -> Style {
        let style = Style::new().force_styling(self.color);
        match verdict {
            Verdict::Pass => style.green(),
            Verdict::Inconclusive => style.yellow(),
            Verdict::Fail => style.red(),
            Verdict::Void => style.magenta(),
        }
    }

    fn head(self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        let result = &run.result;
        let verdict = self.style(result.verdict).bold().apply_to(headline(run).to_uppercase());
        writeln!(out, "{verdict}  {}", explanation(run))?;
        writeln!(
            out,
            "{} on {} · {} · {} operations judged · seed {}",
            run.plan.profile,
            run.target.name,
            length(result.length),
            grouped(result.total.count),
            run.seed,
        )?;
        writeln!(out, "run {} · slatest {}", run.id, run.slatest)
    }

    fn objectives(self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        let objectives = sorted(run);
        if objectives.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nObjectives (bounds at 95 % each)")?;
        let mut table = table(&["verdict", "objective", "scope", "must hold", "measured", "interval", "bad / samples"]);
        for objective in &objectives {
            table.add_row(vec![
                objective.verdict.name().to_owned(),
                plain(&objective.name),
                plain(&objective.scope),
                format!("{} {}", objective.indicator, objective.bound_text()),
                objective.measured_text(),
                objective.interval_text(),
                format!("{} / {}", grouped(objective.bad), grouped(objective.samples)),
            ]);
        }
        align_right(&mut table, &[4, 6]);
        // The verdict is coloured afterwards: the table would count the colour as width.
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        for (i, line) in lines.iter().enumerate() {
            let Some(objective) = i.checked_sub(1).and_then(|i| objectives.get(i)) else {
                writeln!(out, "{line}")?;
                continue;
            };
            let name = objective.verdict.name();
            let colored = self.style(objective.verdict).apply_to(name).to_string();
            writeln!(out, "{}", line.replacen(name, &colored, 1))?;
            for note in objective.notes() {
                for line in wrapped(&note) {
                    writeln!(out, "   {line}")?;
                }
            }
        }
        if let Some(culprits) = culprits(run) {
            for line in wrapped(&culprits) {
                writeln!(out, " {line}")?;
            }
        }
        Ok(())
    }

    /// What was broken on purpose, and how it recovered.
    fn drills(self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        for drill in &run.result.drills {
            let verdict = self.style(drill.verdict).bold().apply_to(drill.verdict.name());
            writeln!(out, "\nDrill {}: {verdict}", plain(&drill.name))?;
            for line in wrapped(&drills::story(drill)) {
                writeln!(out, " {line}")?;
            }
            for (verdict, text) in drills::asked(drill) {
                let name = verdict.name();
                let colored = self.style(verdict).apply_to(name).to_string();
                for (i, line) in wrapped(&format!("{name}  {text}")).iter().enumerate() {
                    match i {
                        0 => writeln!(out, " {}", line.replacen(name, &colored, 1))?,
                        _ => writeln!(out, "   {line}")?,
                    }
                }
            }
            self.ledgers(&drill.ledger, out)?;
            if drill.components.is_empty() {
                continue;
            }
            writeln!(out, "\nSince the fault (bounds hold the truth)")?;
            let shown = || drill.components.iter().take(drills::COMPONENTS_SHOWN);
            let mut table = table(&drills::COLUMNS);
            shown().for_each(|component| {
                table.add_row(drills::row(component));
            });
            align_right(&mut table, &[1, 2, 3, 5, 6, 7]);
            for line in table.lines() {
                writeln!(out, "{}", line.trim_end())?;
            }
            if drill.components.len() > drills::COMPONENTS_SHOWN {
                let more = drill.components.len() - drills::COMPONENTS_SHOWN;
                writeln!(out, " and {more} more (run.json has them)")?;
            }
            writeln!(out, "\n {}", drills::LEGEND)?;
            for component in shown() {
                let [above, cells, each] = drills::timeline(drill, component);
                writeln!(out, " {} ({each})", plain(&component.name))?;
                writeln!(out, "  {above}\n  {cells}")?;
            }
            for line in drills::good(drill).iter().flat_map(|text| wrapped(text)) {
                writeln!(out, " {line}")?;
            }
        }
        Ok(())
    }

    /// What the stores were found to hold of what was written.
    fn ledgers(self, ledgers: &[JudgedLedger], out: &mut dyn io::Write) -> io::Result<()> {
        for ledger in ledgers {
            for (i, line) in wrapped(&ledger::head(ledger)).iter().enumerate() {
                writeln!(out, "{}{line}", if i == 0 { " " } else { "   " })?;
            }
            for (verdict, text) in ledger::flaws(ledger) {
                let name = verdict.name();
                for (i, line) in wrapped(&format!("{name}  {text}")).iter().enumerate() {
                    let line =
                        line.replacen(name, &self.style(verdict).apply_to(name).to_string(), usize::from(i == 0));
                    writeln!(out, "   {line}")?;
                }
            }
            for line in ledger::lines(ledger).iter().flat_map(|text| wrapped(text)) {
                writeln!(out, "   {line}")?;
            }
        }
        Ok(())
    }

    fn findings(self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        if run.result.findings.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nChecked at the end")?;
        for finding in &run.result.findings {
            let (message, verdict) = if finding.holds { ("held", Verdict::Pass) } else { ("failed", Verdict::Fail) };
            let message = self.style(verdict).apply_to(message);
            writeln!(out, " {message}  {}: {} ({})", finding.scenario, finding.check, plain(&finding.detail))?;
        }
        Ok(())
    }

    fn generator(self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        let generator = &run.result.generator;
        writeln!(out, "\nGenerator")?;
        writeln!(
            out,
            " {} planned · {} sent · {} completed · {} dropped · {} in flight at the end",
            grouped(generator.planned),
            grouped(generator.sent),
            grouped(generator.completed),
            grouped(generator.dropped),
            grouped(generator.in_flight),
        )?;
        let resources = &generator.resources;
        writeln!(
            out,
            " send lag p50 {} p99 {} · dispatch lag p50 {} p99 {} · CPU {} of {} cores · {} MiB",
            time(generator.send_lag.as_ref(), |t| t.p50),
            time(generator.send_lag.as_ref(), |t| t.p99),
            time(generator.dispatch_lag.as_ref(), |t| t.p50),
            time(generator.dispatch_lag.as_ref(), |t| t.p99),
            generator.cpu_share.map_or_else(|| "?".into(), |share| format!("{:.1}%", share * 100.0)),
            if resources.cores > 0.0 { (resources.cores * 1e3).round() / 1e3 } else { run.machine.cores as f64 },
            resources.rss_bytes_max >> 20,
        )?;
        for check in &run.result.validity {
            self.check(check, out)?;
        }
        Ok(())
    }

    fn check(self, check: &Check, out: &mut dyn io::Write) -> io::Result<()> {
        let (message, verdict) = match (check.holds, check.effect) {
            (true, _) => ("ok  ", Verdict::Pass),
            (false, Effect::Warn) => ("warn", Verdict::Inconclusive),
            (false, Effect::Void) => ("VOID", Verdict::Void),
        };
        let message = self.style(verdict).apply_to(message);
        let Check { name, measured, bound, message: explanation, .. } = check;
        writeln!(out, " {message}  {name}: {measured}; must be: {bound}")?;
        if !explanation.is_empty() {
            writeln!(out, "       {explanation}")?;
        }
        Ok(())
    }
}

/// When the target did not serve, although nobody broke it.
fn incidents(run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
    let incidents = &run.result.incidents;
    if incidents.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nIncidents (by when operations were meant to start)")?;
    for incident in incidents.iter().take(INCIDENTS_SHOWN) {
        for (i, line) in wrapped(&incident.message()).iter().enumerate() {
            writeln!(out, "{}{line}", if i == 0 { " " } else { "   " })?;
        }
    }
    if incidents.len() > INCIDENTS_SHOWN {
        writeln!(out, " and {} more (run.json has them)", incidents.len() - INCIDENTS_SHOWN)?;
    }
    Ok(())
}

fn over_time(run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
    for (i, line) in super::over_time::lines(run).iter().enumerate() {
        writeln!(out, "{}{line}", if i == 0 { "\n" } else { "" })?;
    }
    Ok(())
}

fn operations(run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "\nOperations (response times of all that ended; warm-up left out)")?;
    let mut table = table(&["operation", "count", "/s", "errors", "p50", "p95", "p99", "p99.9", "max", "service p99"]);
    for operation in run.result.operations.iter().chain([&run.result.total]) {
        table.add_row(row(operation));
    }
    align_right(&mut table, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    ratios(run, out)
}

fn row(operation: &OperationFigures) -> Vec<String> {
    let response = operation.response.as_ref();
    vec![
        plain(&operation.address),
        grouped(operation.count),
        rate(operation.rate),
        errors(operation),
        time(response, |t| t.p50),
        time(response, |t| t.p95),
        time(response, |t| t.p99),
        time(response, |t| t.p999),
        time(response, |t| t.max),
        time(operation.service.as_ref(), |t| t.p99),
    ]
}

/// What drivers report besides.
fn ratios(run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
    for operation in run.result.operations.iter().chain([&run.result.total]) {
        if let Some(traffic) = traffic(operation) {
            writeln!(out, " {}: {traffic}", plain(&operation.address))?;
        }
    }
    for operation in run.result.operations.iter().filter(|o| o.retried_stale > 0) {
        writeln!(out, " {} {}", plain(&operation.address), retried(operation))?;
    }
    for operation in &run.result.operations {
        for ratio in operation.ratios.iter().filter(|r| r.total > 0) {
            let share = slatest_stats::Reading::Share(ratio.good as f64 / ratio.total as f64);
            let (good, total) = (grouped(ratio.good), grouped(ratio.total));
            writeln!(out, " {} {}: {share} ({good} of {total})", operation.address, ratio.name)?;
        }
    }
    parts(run, out)
}

/// Parts of the time, a line per operation.
fn parts(run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for operation in &run.result.operations {
        let parts: Vec<String> = operation
            .timings
            .iter()
            .filter_map(|timing| {
                let times = timing.times.as_ref()?;
                Some(format!("{} {} ({})", timing.name, times.p95, grouped(times.samples)))
            })
            .collect();
        if !parts.is_empty() {
            table.add_row(std::iter::once(plain(&operation.address)).chain(parts).collect::<Vec<_>>());
        }
    }
    if table.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nParts of the time, p95 (samples)")?;
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn error_kinds(run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
    let errors = top_errors(run);
    if errors.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nErrors")?;
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for (count, operation, kind) in errors.iter().take(ERRORS_SHOWN) {
        table.add_row([grouped(*count), (*operation).to_owned(), plain(kind)]);
    }
    align_right(&mut table, &[0]);
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    if errors.len() > ERRORS_SHOWN {
        writeln!(out, " and {} more kinds (run.json has them)", errors.len() - ERRORS_SHOWN)?;
    }
    Ok(())
}

/// Who made the load, where many machines did.
fn agents(run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
    let Some(agents) = super::agents::agents(run) else { return Ok(()) };
    writeln!(out, "\nAgents")?;
    let mut table = table(&super::agents::COLUMNS);
    agents.rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    align_right(&mut table, &[2, 3, 4, 5, 6, 7]);
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    for note in agents.notes {
        for line in wrapped(&note) {
            writeln!(out, " {line}")?;
        }
    }
    if agents.more > 0 {
        writeln!(out, " and {} more (run.json has them)", agents.more)?;
    }
    Ok(())
}

fn notes(run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
    if !run.plan.left_out.is_empty() {
        writeln!(out, "\nLeft out")?;
        for (scenario, reason) in &run.plan.left_out {
            writeln!(out, " {}", plain(&format!("{scenario}: {reason}")))?;
        }
    }
    if !run.notices.is_empty() {
        writeln!(out, "\nNotices")?;
        for notice in &run.notices {
            writeln!(out, " {}", plain(notice))?;
        }
    }
    Ok(())
}

/// Words in lines of at most [`LINE`] columns.
pub(super) fn wrapped(text: &str) -> Vec<String> {
    wrapped_to(text, LINE)
}

/// Words in lines of at most so many columns.
pub(super) fn wrapped_to(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in plain(text).split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A table without boxes.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.iter().map(Cell::new).collect::<Vec<_>>());
    table
}

pub(super) fn align_right(table: &mut Table, columns: &[usize]) {
    for &index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
