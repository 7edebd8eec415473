//! Reports of a series: the repeats side by side, and what they say together.

mod bars;
mod junit;
mod markdown;
mod phrases;
#[cfg(test)]
mod tests;
mod text;

use std::io;

use super::Json;
use super::harmless::harmless_json;
pub(crate) use phrases::latest;
use slatest_engine::record::Series;

/// A format that can show a series.
pub trait RenderSeries {
    /// Writes a series in it.
    ///
    /// # Errors
    /// When `out` says no.
    fn render_series(&self, series: &Series, out: &mut dyn io::Write) -> io::Result<()>;
}

impl RenderSeries for Json {
    fn render_series(&self, series: &Series, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "{}", harmless_json(&serde_json::to_string_pretty(series)?))
    }
}
