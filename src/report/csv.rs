//! CSV: a row an operation, for spreadsheets and scripts.

use std::io;

use csv::{Terminator, WriterBuilder};

use super::Render;
use super::harmless::harmless;
use slatest_core::model::Nanos;
use slatest_engine::record::{OperationFigures, RunRecord, TimeFigures};

/// Heads of the columns. Times are milliseconds, rates per second.
const COLUMNS: [&str; 26] = [
    "run",
    "profile",
    "target",
    "started",
    "verdict",
    "operation",
    "planned",
    "count",
    "rate",
    "ok",
    "rejected",
    "timed_out",
    "disconnected",
    "blocked",
    "dropped",
    "unknown",
    "error_rate",
    "mean_ms",
    "p50_ms",
    "p90_ms",
    "p95_ms",
    "p99_ms",
    "p999_ms",
    "max_ms",
    "service_p99_ms",
    "send_lag_p99_ms",
];

/// The figures of every operation and of all together (`total`), by RFC 4180.
#[derive(Clone, Copy, Debug)]
pub struct Csv;

impl Render for Csv {
    fn render(&self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        let run = &*harmless(run);
        let mut csv = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
        csv.write_record(COLUMNS)?;
        for operation in run.result.operations.iter().chain([&run.result.total]) {
            csv.write_record(row(run, operation))?;
        }
        csv.flush()
    }
}

fn row(run: &RunRecord, operation: &OperationFigures) -> Vec<String> {
    let outcomes = &operation.outcomes;
    let response = operation.response.as_ref();
    let ms = |times: Option<&TimeFigures>, of: fn(&TimeFigures) -> Nanos| {
        times.map_or_else(String::new, |times| format!("{:.3}", of(times).0 as f64 / 1e6))
    };
    let errors = operation.error_share().map_or_else(String::new, |share| format!("{share:.6}"));
    let counts = [
        outcomes.ok,
        outcomes.rejected,
        outcomes.timed_out,
        outcomes.disconnected,
        outcomes.blocked,
        outcomes.dropped,
        outcomes.unknown,
    ];
    let mut cells = vec![
        harmless_cell(&run.id),
        harmless_cell(&run.plan.profile),
        harmless_cell(&run.target.name),
        run.started.to_string(),
        run.result.verdict.name().to_owned(),
        harmless_cell(&operation.address),
        operation.planned.to_string(),
        operation.count.to_string(),
        format!("{:.3}", operation.rate),
    ];
    cells.extend(counts.map(|count| count.to_string()));
    cells.push(errors);
    cells.extend([
        ms(response, |t| t.mean),
        ms(response, |t| t.p50),
        ms(response, |t| t.p90),
        ms(response, |t| t.p95),
        ms(response, |t| t.p99),
        ms(response, |t| t.p999),
        ms(response, |t| t.max),
        ms(operation.service.as_ref(), |t| t.p99),
        ms(operation.send_lag.as_ref(), |t| t.p99),
    ]);
    cells
}

/// A cell that a spreadsheet takes for text: what begins like a formula is none (OWASP, CSV injection).
fn harmless_cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
