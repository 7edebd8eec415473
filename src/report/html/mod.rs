//! The report for people, in one HTML file that needs nothing beside it and asks nobody for anything.
//!
//! What it says stands in plain HTML: it works without scripts, prints, and can be searched. The data of the charts lie in
//! one block (`<script type="application/json" id="slatest-data">`), gzip in base64, with a version for those who parse it.

mod causes;
mod data;
mod objectives;
mod operations;
mod page;
mod picture;
mod rows;
#[cfg(test)]
mod tests;

use std::io::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, context};
use ring::digest::{SHA256, digest};

use super::Render;
use super::course::read;
use super::harmless::harmless;
use slatest_engine::record::RunRecord;

/// uPlot 1.6.32, MIT: its licence lies beside it.
const UPLOT: &str = include_str!("assets/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("assets/uPlot.min.css");
const STYLE: &str = include_str!("assets/report.css");
const SCRIPTS: [&str; 5] = [
    include_str!("assets/data.js"),
    include_str!("assets/chart.js"),
    include_str!("assets/charts.js"),
    include_str!("assets/tables.js"),
    include_str!("assets/main.js"),
];
/// Each part of the page, by the name under which others include it.
const TEMPLATES: [(&str, &str); 4] = [
    ("page.html", include_str!("assets/page.html")),
    ("objectives.html", include_str!("assets/objectives.html")),
    ("operations.html", include_str!("assets/operations.html")),
    ("run.html", include_str!("assets/run.html")),
];

/// One self-contained HTML file.
#[derive(Clone, Copy, Debug)]
pub struct Html;

impl Render for Html {
    fn render(&self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        let mut run = harmless(run).into_owned();
        // More would be no page that anybody reads, and none that a browser shows.
        run.result.objectives.truncate(OBJECTIVES_MAX);
        let course = read(&run);
        let script = SCRIPTS
            .iter()
            .fold(format!("{UPLOT}\n"), |all, part| all + "(function(){\"use strict\";\n" + part + "})();\n");
        let style = format!("{UPLOT_STYLE}\n{STYLE}");
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
            hash(&script),
            hash(&style)
        );
        let data = packed(&data::data(&run, &course))?;
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(io::Error::other)?);
        for (name, text) in TEMPLATES {
            environment.add_template(name, text).map_err(io::Error::other)?;
        }
        let page = Value::from(Serde(page::page(&run, &course)));
        let page = environment
            .get_template("page.html")
            .and_then(|template| template.render(context! { page, policy, data }))
            .map_err(io::Error::other)?;
        // Script and style are put in as they are, behind the template: nothing of them may be escaped, and nothing that
        // comes from elsewhere may be put in unescaped.
        let mut rest = page.as_str();
        for (mark, text) in [("<!--style-->", style), ("<!--script-->", script)] {
            let (before, after) =
                rest.split_once(mark).ok_or_else(|| io::Error::other("the template lacks its marks"))?;
            out.write_all(before.as_bytes())?;
            out.write_all(text.as_bytes())?;
            rest = after;
        }
        out.write_all(rest.as_bytes())
    }
}

/// Most judged objectives that are shown.
const OBJECTIVES_MAX: usize = 5_000;

/// A source expression of a content security policy.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

/// JSON in gzip in base64.
fn packed(data: &serde_json::Value) -> io::Result<String> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    serde_json::to_writer(&mut gzip, data)?;
    gzip.flush()?;
    Ok(STANDARD.encode(gzip.finish()?))
}
