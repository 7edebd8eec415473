//! A series as Markdown.

use std::io;

use super::{RenderSeries, bars, phrases};
use crate::report::Markdown;
use crate::report::harmless::harmless;
use crate::report::markdown::{escape, mark};
use crate::report::phrases::length;
use slatest_engine::record::Series;

impl RenderSeries for Markdown {
    fn render_series(&self, series: &Series, out: &mut dyn io::Write) -> io::Result<()> {
        let series = &*harmless(series);
        writeln!(out, "## {} {}, repeated: {}", mark(series.verdict), series.profile, series.verdict)?;
        writeln!(
            out,
            "\n{}. On `{}`, {} of {} repeats, {} in all, seed {}, series `{}`, slatest {}.",
            escape(&phrases::explanation(series)),
            series.target.name,
            series.repeats.len(),
            series.planned,
            length(series.length()),
            series.seed,
            series.id,
            series.slatest,
        )?;
        if let Some(under_way) = phrases::under_way(series) {
            writeln!(out, "\n> {}", escape(&under_way))?;
        }
        for drill in &series.drills {
            writeln!(out, "\n### Drill {}\n", escape(&drill.name))?;
            writeln!(out, "{}, injected {} times.\n", escape(&drill.fault), drill.injected)?;
            for objective in &drill.objectives {
                writeln!(out, "- **{}**", escape(&phrases::asks(objective)))?;
                for line in phrases::objective(objective) {
                    writeln!(out, "  - {}", escape(&line))?;
                }
            }
            for line in phrases::notes(drill) {
                writeln!(out, "- {}", escape(&line))?;
            }
            for (component, rto) in phrases::shown_components(drill) {
                let all: Vec<_> = series.drill(&drill.name).collect();
                let shown = all.get(all.len().saturating_sub(phrases::REPEATS_SHOWN)..).unwrap_or_default();
                let outage =
                    |one: &slatest_engine::record::DrillRepeat| one.component(component).and_then(|one| one.outage);
                let outages: Vec<_> = shown.iter().filter_map(|(_, one)| outage(one)).collect();
                let scale = bars::Scale::of(outages.iter(), rto);
                writeln!(
                    out,
                    "\n{}\n\n| {} |\n|---:|---|---|---:|---|---:|---:|---:|",
                    escape(component),
                    phrases::COLUMNS.join(" | ")
                )?;
                for (repeat, one) in shown {
                    let (verdict, mut row) = phrases::row(repeat, one, component);
                    row[1] = format!("{} {verdict}", mark(verdict));
                    row[2] = format!("`{}`", scale.bar(outage(one).as_ref()));
                    writeln!(out, "| {} |", row.each_ref().map(|cell| escape(cell)).join(" | "))?;
                }
                writeln!(out, "\n{}", bars::LEGEND)?;
            }
            if drill.components.is_empty() {
                continue;
            }
            writeln!(out, "\n| {} |\n|---|---:|---:|---:|---:|---:|---:|", phrases::COMPONENT_COLUMNS.join(" | "))?;
            for component in drill.components.iter().take(phrases::COMPONENTS_SHOWN) {
                writeln!(
                    out,
                    "| {} |",
                    phrases::component_row(component).each_ref().map(|cell| escape(cell)).join(" | ")
                )?;
            }
        }
        let not = phrases::did_not_pass(series);
        if !not.is_empty() {
            writeln!(out, "\n### Did not pass\n")?;
        }
        for (verdict, text) in not.iter().take(phrases::REPEATS_SHOWN) {
            writeln!(out, "- {} {verdict} {}", mark(*verdict), escape(text))?;
        }
        Ok(())
    }
}
