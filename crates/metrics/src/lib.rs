//! What Prometheus sees of a run while it goes.
//!
//! | module | purpose |
//! |---|---|
//! | `live` | the run so far, from the windows that closed |
//! | `native` | a histogram of ours as one of Prometheus' native histograms |
//! | `collector` | the run so far, as metrics |
//! | `server` | where they are scraped |
//!
//! Nothing of it is on the path of a request: a scrape reads sums of windows that closed already.

// A print that fails panics: `slatest_core::terminal` writes.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod collector;
mod live;
mod native;
mod server;
#[cfg(test)]
mod tests;

pub use live::LiveMetrics;
pub use server::{MetricsServer, ServeError, TOKEN_VARIABLE};
