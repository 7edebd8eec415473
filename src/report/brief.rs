//! The summary on a terminal, a screen of it: 80 columns, and its last lines say the verdict, what failed since when, and
//! where the report lies.

use std::io;
use std::path::PathBuf;

use comfy_table::Table;

use super::harmless::harmless;
use super::phrases::{errors, explanation, grouped, headline, length, plain, rate, severity, time, top_errors};
use super::text::{align_right, table, wrapped_to};
use super::{Render, Text, drills};
use slatest_core::model::Verdict;
use slatest_engine::record::{OperationFigures, RunRecord};
use slatest_stats::JudgedObjective;

/// Columns of a narrow terminal.
const COLUMNS: usize = 80;
/// Lines of a low terminal, the prompt left out.
const LINES: usize = 23;
/// Most operations in the table.
const OPERATIONS_SHOWN: usize = 3;
/// Objectives that are shown whatever else is to be said.
const OBJECTIVES_LEAST: usize = 3;
/// Most objectives in the table, should there be room for more.
const OBJECTIVES_SHOWN: usize = 8;
/// Most kinds of error.
const ERRORS_SHOWN: usize = 2;
/// Most causes in the last lines.
const CAUSES_SHOWN: usize = 3;

/// A screen of text. `slatest report --verbose` has the whole.
#[derive(Clone, Debug)]
pub struct Brief {
    /// Whether to colour it.
    pub color: bool,
    /// The file in which the report for people lies, where there is one.
    pub page: Option<PathBuf>,
}

impl Brief {
    /// For standard output as it is.
    pub fn for_terminal(page: Option<PathBuf>) -> Self {
        Self { color: console::colors_enabled(), page }
    }
}

impl Render for Brief {
    fn render(&self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        let run = &*harmless(run);
        let result = &run.result;
        let verdict = headline(run).to_uppercase();
        let line = format!(
            "{verdict}  {} on {} · {} · {} operations judged · seed {}",
            run.plan.profile,
            run.target.name,
            length(result.length),
            grouped(result.total.count),
            run.seed
        );
        let mut last = Vec::new();
        ending(run, Text { color: self.color }, self.page.as_ref(), &mut last)?;
        let course = super::over_time::lines(run);
        let kinds = kinds(run);
        // What stands anyway: the first line, the tables' heads with a blank line each, the total, what was left out.
        let lines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
        let over_time = if course.is_empty() { 0 } else { course.len() + 1 };
        let taken = 1 + 3 + 3 + over_time + kinds.len() + 1 + lines(&last);
        // Where much is to be said in the end, the table of operations goes first.
        let with_operations = LINES >= taken + OBJECTIVES_LEAST.min(run.result.objectives.len());
        let room = (LINES + if with_operations { 0 } else { 3 }).saturating_sub(taken);
        let not_passed = run.result.objectives.iter().filter(|one| one.verdict != Verdict::Pass).count();
        let wanted = run.result.objectives.len().min(OBJECTIVES_SHOWN);
        let objectives = room.saturating_sub(OPERATIONS_SHOWN).max(not_passed).min(room).min(wanted);
        let colored = Text { color: self.color }.style(result.verdict).bold().apply_to(&verdict).to_string();
        writeln!(out, "{}", cut(&line, COLUMNS).replacen(&verdict, &colored, 1))?;
        self.objectives(run, objectives, out)?;
        for (i, line) in course.iter().enumerate() {
            writeln!(out, "{}{line}", if i == 0 { "\n" } else { "" })?;
        }
        if with_operations {
            operations(run, (room - objectives).min(OPERATIONS_SHOWN), out)?;
        }
        for line in kinds {
            writeln!(out, " {line}")?;
        }
        writeln!(out)?;
        out.write_all(&last)
    }
}

impl Brief {
    fn objectives(&self, run: &RunRecord, shown: usize, out: &mut dyn io::Write) -> io::Result<()> {
        let objectives = sorted(run);
        if objectives.is_empty() {
            return Ok(());
        }
        // The counts are the first that a narrow terminal can do without.
        let whole = objectives_table(&objectives[..shown.min(objectives.len())], 6);
        let fits = whole.iter().all(|line| console::measure_text_width(line) <= COLUMNS);
        let lines = if fits { whole } else { objectives_table(&objectives[..shown.min(objectives.len())], 5) };
        writeln!(out)?;
        let style = Text { color: self.color };
        for (i, line) in lines.into_iter().enumerate() {
            let line = cut(&line, COLUMNS);
            match i.checked_sub(1).and_then(|i| objectives.get(i)).filter(|_| i <= shown) {
                Some(objective) => {
                    let name = objective.verdict.name();
                    let colored = style.style(objective.verdict).apply_to(name).to_string();
                    writeln!(out, "{}", line.replacen(name, &colored, 1))?;
                }
                None => writeln!(out, "{line}")?,
            }
        }
        if objectives.len() > shown {
            let rest = &objectives[shown..];
            let held = rest.iter().filter(|one| one.verdict == Verdict::Pass).count();
            let said = if held == rest.len() { "which held" } else { "not all of which held" };
            writeln!(out, " and {} more, {said}", rest.len())?;
        }
        Ok(())
    }
}

/// The lines of the table of objectives, with so many of its columns.
fn objectives_table(objectives: &[&JudgedObjective], columns: usize) -> Vec<String> {
    let heads = ["verdict", "objective", "scope", "must hold", "measured", "bad / samples"];
    let mut table = table(&heads[..columns]);
    for objective in objectives {
        let cells = [
            objective.verdict.name().to_owned(),
            cut(&plain(&objective.name), 14),
            cut(&plain(&objective.scope), 20),
            cut(&format!("{} {}", short(&objective.indicator), objective.bound_text()), 19),
            objective.measured_text(),
            format!("{} / {}", grouped(objective.bad), grouped(objective.samples)),
        ];
        table.add_row(&cells[..columns]);
    }
    align_right(&mut table, &[4, 5]);
    lines_of(&table)
}

/// Objectives in the order in which a reader wants them: those that did not pass first, the worst of these first.
pub(super) fn sorted(run: &RunRecord) -> Vec<&JudgedObjective> {
    let mut sorted: Vec<&JudgedObjective> = run.result.objectives.iter().collect();
    sorted.sort_by_key(|one| severity(one.verdict));
    sorted
}

/// Indicators as short as they can be said.
fn short(indicator: &str) -> String {
    plain(indicator.strip_suffix(" response_time").unwrap_or(indicator))
}

fn operations(run: &RunRecord, shown: usize, out: &mut dyn io::Write) -> io::Result<()> {
    let mut worst: Vec<&OperationFigures> = run.result.operations.iter().filter(|one| one.count > 0).collect();
    worst.sort_by_key(|one| {
        std::cmp::Reverse((one.outcomes.failures(), one.response.as_ref().map_or(0, |times| times.p99.0)))
    });
    let mut table = table(&["operation", "count", "/s", "errors", "p50", "p95", "p99"]);
    for one in [&run.result.total].into_iter().chain(worst.into_iter().take(shown)) {
        let response = one.response.as_ref();
        table.add_row([
            cut(&plain(&one.address), 28),
            grouped(one.count),
            rate(one.rate),
            errors(one),
            time(response, |t| t.p50),
            time(response, |t| t.p95),
            time(response, |t| t.p99),
        ]);
    }
    align_right(&mut table, &[1, 2, 3, 4, 5, 6]);
    writeln!(out)?;
    for line in lines_of(&table) {
        writeln!(out, "{}", cut(&line, COLUMNS))?;
    }
    Ok(())
}

/// The most frequent kinds of error, in a line.
fn kinds(run: &RunRecord) -> Vec<String> {
    let kinds = top_errors(run);
    if kinds.is_empty() {
        return Vec::new();
    }
    let more = kinds.len().saturating_sub(ERRORS_SHOWN);
    let named: Vec<String> = kinds
        .iter()
        .take(ERRORS_SHOWN)
        .map(|(count, operation, kind)| format!("{} × {} in {}", grouped(*count), plain(kind), plain(operation)))
        .collect();
    let more = if more > 0 { format!("; and {more} more kinds") } else { String::new() };
    vec![cut(&format!("errors: {}{more}", named.join("; ")), COLUMNS - 1)]
}

/// The last lines: verdict, what failed since when, and where the report lies.
pub(super) fn ending(run: &RunRecord, style: Text, page: Option<&PathBuf>, out: &mut dyn io::Write) -> io::Result<()> {
    let headline = headline(run).to_uppercase();
    let colored = style.style(run.result.verdict).bold().apply_to(&headline).to_string();
    for (i, line) in wrapped_to(&format!("{headline}  {}", explanation(run)), COLUMNS).iter().enumerate() {
        match i {
            0 => writeln!(out, "{}", line.replacen(&headline, &colored, 1))?,
            _ => writeln!(out, "{line}")?,
        }
    }
    let causes = causes(run);
    for cause in causes.iter().take(CAUSES_SHOWN) {
        for (i, line) in wrapped_to(cause, COLUMNS - 3).iter().take(2).enumerate() {
            writeln!(out, "{}{}", if i == 0 { " " } else { "   " }, cut(line, COLUMNS - 3))?;
        }
    }
    if causes.len() > CAUSES_SHOWN {
        writeln!(out, " and {} more", causes.len() - CAUSES_SHOWN)?;
    }
    let folder = run.folder.display().to_string();
    let whole = match page {
        Some(page) => format!("report {} · run {folder}", page.display()),
        None => format!("run {folder} · slatest report {} --format html", run.id),
    };
    let short = page.map_or(folder, |page| page.display().to_string());
    // A path is never cut: it is there to be copied.
    writeln!(out, "{}", plain(if console::measure_text_width(&whole) <= COLUMNS { &whole } else { &short }))
}

/// What did not pass, each with since when, in a line.
fn causes(run: &RunRecord) -> Vec<String> {
    let result = &run.result;
    let mut causes = Vec::new();
    for check in result.validity.iter().filter(|check| check.voids()) {
        causes.push(plain(&format!("{}: {}; must be: {}", check.name, check.measured, check.bound)));
    }
    for one in sorted(run).into_iter().filter(|one| one.verdict != Verdict::Pass) {
        let when = one.stretch.map_or_else(|| incident(run, one), |stretch| Some(stretch.message()));
        let when = when.or_else(|| one.message.clone()).map_or_else(String::new, |when| format!(" {when}"));
        causes.push(plain(&format!("{} {}{when}", one.name, one.scope)));
    }
    for drill in result.drills.iter().filter(|drill| drill.verdict != Verdict::Pass) {
        let broken = drills::asked(drill).into_iter().find(|(verdict, _)| *verdict != Verdict::Pass);
        let said = broken.map_or_else(|| drills::story(drill), |(_, text)| text);
        causes.push(plain(&format!("drill {}: {said}", drill.name)));
    }
    for finding in result.findings.iter().filter(|finding| !finding.holds) {
        causes.push(plain(&format!("{}: {} did not hold: {}", finding.scenario, finding.check, finding.detail)));
    }
    causes
}

/// The first incident of the scenario that an objective is about.
fn incident(run: &RunRecord, one: &JudgedObjective) -> Option<String> {
    let scenario = one.scope.split('/').next().unwrap_or_default();
    let met = run.result.incidents.iter().find(|incident| scenario == "*" || incident.scenario == scenario)?;
    let until = met.ended.map_or_else(|| "to the end".into(), |at| format!("to {at}"));
    Some(format!("in the incident from {} {until}", met.began))
}

/// The lines of a table without what is empty at their ends.
fn lines_of(table: &Table) -> Vec<String> {
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// A text that takes so many columns at most.
fn cut(text: &str, columns: usize) -> String {
    if console::measure_text_width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if console::measure_text_width(&kept) + 2 > columns {
            break;
        }
        kept.push(c);
    }
    kept + "…"
}
