//! The HdrHistogram interval log (version 2 histograms) beside the record.

use std::io::{self, Write};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError, Tag};
use jiff::Timestamp;

use crate::profile::Plan;
use slatest_core::measure::{Latencies, Window};
use slatest_core::model::OperationId;

/// Values are nanoseconds; the readable maximum of each line is in milliseconds.
const MAX_DIVISOR: f64 = 1e6;
/// Prefix of the tags of what is not judged (warm-up and cool-down).
const UNJUDGED: &str = "unjudged:";
/// What a reader of the log should know.
const COMMENT: &str = "[Histogram log format version 1.3]\n\
slatest: response times (done - intended) in nanoseconds of all operations that ended in the interval, failed ones \
with their time until failure, dropped ones (never sent) not at all.\n\
Tag=scenario/operation: the judged part; its sum over all lines has the quantiles that run.json and the report show. \
Tag=unjudged:scenario/operation: warm-up and cool-down. No tag: all judged operations together.";

/// Writes the head of a log.
pub(super) fn write_head(out: &mut Vec<u8>, started: Timestamp) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    IntervalLogWriterBuilder::new()
        .add_comment(COMMENT)
        .with_start_time(started.into())
        .with_base_time(started.into())
        .with_max_value_divisor(MAX_DIVISOR)
        .begin_log_with(out, &mut serializer)?;
    Ok(())
}

/// Appends a window: a line per operation in it and one of all that is judged.
pub(super) fn write_window(out: &mut Vec<u8>, plan: &Plan, window: &Window) -> io::Result<()> {
    let mut lines = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .with_max_value_divisor(MAX_DIVISOR)
        .begin_log_with(&mut lines, &mut serializer)?;
    let (start, length) = (window.start().as_duration(), window.length.as_duration());
    let mut line = |times: &Latencies, tag: Option<&str>| match log.write_histogram(
        times.inner(),
        start,
        length,
        tag.and_then(Tag::new),
    ) {
        Ok(()) => Ok(()),
        Err(IntervalLogWriterError::IoError(e)) => Err(e),
        Err(e @ IntervalLogWriterError::SerializeError(_)) => Err(io::Error::other(e.to_string())),
    };
    let mut total = Latencies::default();
    for (prefix, tallies) in [("", &window.judged), (UNJUDGED, &window.unjudged)] {
        for (operation, tally) in tallies {
            let times = tally.all_responses();
            if times.is_empty() {
                continue;
            }
            line(&times, Some(&tag(plan, *operation, prefix)))?;
            if prefix.is_empty() {
                total.merge(&times);
            }
        }
    }
    line(&total, None)?;
    // The builder says its divisor again at each beginning; once, in the head, is enough.
    for text in lines.split_inclusive(|&b| b == b'\n').filter(|l| !l.starts_with(b"#")) {
        out.write_all(text)?;
    }
    Ok(())
}

/// An operation's address as a tag, in which a few characters are not allowed.
fn tag(plan: &Plan, operation: OperationId, prefix: &str) -> String {
    let address = plan.operations.get(operation.index()).map_or("unknown", |o| o.address.as_str());
    let allowed = |c: char| if c == ',' || c.is_whitespace() || c.is_control() { '_' } else { c };
    format!("{prefix}{}", address.chars().map(allowed).collect::<String>())
}
