//! Reports: one file per format, each from the record of a run alone.

mod agents;
mod brief;
mod course;
mod csv;
mod ctrf;
mod drills;
#[cfg(test)]
mod formats_tests;
mod harmless;
pub mod history;
mod hlog;
mod html;
mod json;
mod junit;
mod k6;
mod ledger;
mod markdown;
#[cfg(test)]
mod mutations;
mod over_time;
pub(crate) mod phrases;
mod progress;
mod series;
#[cfg(test)]
mod tests;
mod text;
mod timeline;
mod why;

use std::io;

pub use brief::Brief;
pub use csv::Csv;
pub use ctrf::Ctrf;
pub use hlog::Hlog;
pub use html::Html;
pub use json::Json;
pub use junit::Junit;
pub use k6::K6;
pub use markdown::Markdown;
pub use progress::Progress;
pub use series::RenderSeries;
pub(crate) use series::latest;
pub use text::Text;

use slatest_engine::record::RunRecord;

/// A format.
pub trait Render {
    /// Writes a run in it.
    ///
    /// # Errors
    /// When `out` says no, or a file that the format needs can't be read.
    fn render(&self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()>;
}
