//! Rows of tables of times.

use crate::report::phrases::{grouped, plain};
use slatest_engine::record::{OperationFigures, TimeFigures};

/// What an operation's times are, a row each: name, samples, mean, p50, p90, p95, p99, p99.9, max.
pub(super) fn table_of_times(figures: &OperationFigures) -> Vec<[String; 9]> {
    let own = [
        ("response time (done − planned)", figures.response.as_ref()),
        ("service time (done − sent)", figures.service.as_ref()),
        ("send lag (sent − planned)", figures.send_lag.as_ref()),
    ];
    let timings = figures.timings.iter().map(|timing| (timing.name.as_str(), timing.times.as_ref()));
    own.into_iter().chain(timings).filter_map(|(name, times)| Some(row(name, times?))).collect()
}

fn row(name: &str, times: &TimeFigures) -> [String; 9] {
    let of =
        [times.mean, times.p50, times.p90, times.p95, times.p99, times.p999, times.max].map(|time| time.to_string());
    let [mean, p50, p90, p95, p99, p999, max] = of;
    [plain(name), grouped(times.samples), mean, p50, p90, p95, p99, p999, max]
}
