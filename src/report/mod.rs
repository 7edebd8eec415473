//! Reports: one file per format, each from the record of a run alone.

mod agents;
mod drills;
mod harmless;
mod hlog;
mod json;
mod junit;
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

use std::io;

pub use hlog::Hlog;
pub use json::Json;
pub use junit::Junit;
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
