//! A series on a terminal. It starts with the verdict.

use std::io;

use super::bars::{LEGEND, Scale};
use super::{RenderSeries, phrases};
use crate::report::harmless::harmless;
use crate::report::phrases::{length, plain};
use crate::report::text::{Text, align_right, table, wrapped};
use slatest_engine::record::{DrillRepeat, DrillSummary, Repeat, Series};

impl RenderSeries for Text {
    fn render_series(&self, series: &Series, out: &mut dyn io::Write) -> io::Result<()> {
        let series = &*harmless(series);
        let verdict = self.style(series.verdict).bold().apply_to(series.verdict.name().to_uppercase());
        let name = series.verdict.name().to_uppercase();
        for (i, line) in wrapped(&format!("{name}  {}", phrases::explanation(series))).iter().enumerate() {
            match i {
                0 => writeln!(out, "{}", line.replacen(&name, &verdict.to_string(), 1))?,
                _ => writeln!(out, "  {line}")?,
            }
        }
        writeln!(
            out,
            "{} on {} · {} of {} repeats, {} in all · seed {}",
            series.profile,
            series.target.name,
            series.repeats.len(),
            series.planned,
            length(series.length()),
            series.seed,
        )?;
        writeln!(out, "series {} · slatest {}", series.id, series.slatest)?;
        for line in phrases::under_way(series).iter().flat_map(|text| wrapped(text)) {
            writeln!(out, "{line}")?;
        }
        for drill in &series.drills {
            self.drill(series, drill, out)?;
        }
        let not = phrases::did_not_pass(series);
        if !not.is_empty() {
            writeln!(out, "\nDid not pass")?;
        }
        for (verdict, text) in not.iter().take(phrases::REPEATS_SHOWN) {
            let name = verdict.name();
            let colored = self.style(*verdict).apply_to(name).to_string();
            for (i, line) in wrapped(&format!("{name}  {text}")).iter().enumerate() {
                match i {
                    0 => writeln!(out, " {}", line.replacen(name, &colored, 1))?,
                    _ => writeln!(out, "   {line}")?,
                }
            }
        }
        Ok(())
    }
}

impl Text {
    fn drill(self, series: &Series, drill: &DrillSummary, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "\nDrill {}, {} · injected {} times", plain(&drill.name), plain(&drill.fault), drill.injected)?;
        for objective in &drill.objectives {
            for (i, line) in wrapped(&phrases::asks(objective)).iter().enumerate() {
                writeln!(out, "{}{line}", if i == 0 { " " } else { "   " })?;
            }
            for line in phrases::objective(objective).iter().flat_map(|text| wrapped(text)) {
                writeln!(out, "   {line}")?;
            }
        }
        for line in phrases::notes(drill).iter().flat_map(|text| wrapped(text)) {
            writeln!(out, " {line}")?;
        }
        for (component, rto) in phrases::shown_components(drill) {
            writeln!(out, "\n {} from repeat to repeat", plain(component))?;
            let all: Vec<(&Repeat, &DrillRepeat)> = series.drill(&drill.name).collect();
            let skipped = all.len().saturating_sub(phrases::REPEATS_SHOWN);
            if skipped > 0 {
                writeln!(out, " ({skipped} earlier ones stand in series.json)")?;
            }
            let shown = all.get(skipped..).unwrap_or_default();
            let outages: Vec<_> =
                shown.iter().map(|(_, one)| one.component(component).and_then(|one| one.outage)).collect();
            let scale = Scale::of(outages.iter().flatten(), rto);
            let mut table = table(&phrases::COLUMNS);
            let mut verdicts = Vec::new();
            for ((repeat, one), outage) in shown.iter().zip(&outages) {
                let (verdict, mut row) = phrases::row(repeat, one, component);
                row[2] = scale.bar(outage.as_ref());
                verdicts.push(verdict);
                table.add_row(row);
            }
            align_right(&mut table, &[0, 3, 5, 6, 7]);
            // Coloured afterwards: the table would count the colour as width.
            for (i, line) in table.lines().enumerate() {
                let line = line.trim_end();
                match i.checked_sub(1).and_then(|i| verdicts.get(i)) {
                    Some(verdict) => {
                        let colored = self.style(*verdict).apply_to(verdict.name()).to_string();
                        writeln!(out, "{}", line.replacen(verdict.name(), &colored, 1))?;
                    }
                    None => writeln!(out, "{line}")?,
                }
            }
            writeln!(out, " {LEGEND}")?;
        }
        if drill.components.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n Recovery times of all repeats (bounds at 95 % each)")?;
        let mut table = table(&phrases::COMPONENT_COLUMNS);
        for component in drill.components.iter().take(phrases::COMPONENTS_SHOWN) {
            table.add_row(phrases::component_row(component));
        }
        align_right(&mut table, &[1, 2, 3, 4, 5, 6]);
        for line in table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        if drill.components.len() > phrases::COMPONENTS_SHOWN {
            let more = drill.components.len() - phrases::COMPONENTS_SHOWN;
            writeln!(out, " and {more} more (series.json has them)")?;
        }
        Ok(())
    }
}
