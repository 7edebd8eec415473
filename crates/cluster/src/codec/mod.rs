//! Between what is measured and what travels. What arrives is checked whole before any of it is
//! used: a message that is torn, or made up, becomes an error in words.

mod end;

pub use end::{arrival_law, findings, resources, write_finding, write_resources};

use super::wire;
use slatest_core::measure::{
    ByLateness, ErrorKinds, FiredArrivals, Latencies, OperationShape, Tally, TrafficSums, Trouble, V2Error, Window,
};
use slatest_core::model::{Nanos, OUTCOMES, OperationId};

/// Most values that one histogram of a window may hold; thousands of days of such windows can be summed.
const VALUES_MAX: u64 = 1 << 40;
/// Most kinds of error that a window keeps of an operation, those counted together included.
const KINDS_MAX: usize = 33;

/// Why a message can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// A part that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Windows of another length than the plan's.
    #[error("its windows are {0} long; those of the plan are {1}")]
    Length(Nanos, Nanos),
    /// A part of another window than the one it is added to.
    #[error("it is part of window {0}, not of window {1}")]
    Index(u64, u64),
    /// An operation that the plan doesn't have.
    #[error("it names operation {0}; the plan has {1}, counted from 0")]
    Operation(u32, usize),
    /// Operations twice, or out of order.
    #[error("its operations are not in order")]
    Order,
    /// More or fewer counters than the plan asks for.
    #[error("operation {operation} has {found} {what}; the plan has {wanted}")]
    Shape {
        /// Of which operation.
        operation: u32,
        /// Of what there are too few or too many.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// Bytes that are no histogram.
    #[error("{what}: {source}")]
    Histogram {
        /// Which one.
        what: &'static str,
        /// What is wrong with it.
        source: V2Error,
    },
    /// Counts or times that nothing can have measured.
    #[error("it holds counts or times that can't have been measured")]
    Impossible,
    /// A text that is too long, or too many of something.
    #[error("{0}: more than is allowed")]
    TooMuch(&'static str),
}

/// Reads the windows of one run.
#[derive(Clone, Debug)]
pub struct Codec {
    shapes: Vec<OperationShape>,
    length: Nanos,
}

/// What is done about the histograms of a window that arrived, before it is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Histograms {
    /// Each is looked at.
    Look,
    /// That was done.
    Known,
}

/// A window that was checked, not yet added to anything: its counters, and its histograms as they came.
struct Checked<'a> {
    /// Without histograms.
    window: Window,
    from: &'a wire::Window,
}

impl Codec {
    /// For a plan's operations, in its order, and the length of its windows.
    pub const fn new(shapes: Vec<OperationShape>, length: Nanos) -> Self {
        Self { shapes, length }
    }

    /// A window that arrived.
    ///
    /// # Errors
    /// When it can't be a window of this run.
    pub fn read(&self, from: &wire::Window) -> Result<Window, CodecError> {
        let mut window = Window { index: from.index, length: self.length, ..Window::default() };
        self.add(&mut window, from)?;
        Ok(window)
    }

    /// Whether a window that arrived can be read; costs little.
    ///
    /// # Errors
    /// When it can't be a window of this run.
    pub fn check(&self, from: &wire::Window) -> Result<(), CodecError> {
        self.checked(from, Histograms::Look).map(|_| ())
    }

    /// Merges a window that arrived into another part of the same window: equal to reading it and
    /// merging, without a histogram in between.
    ///
    /// # Errors
    /// When it can't be a window of this run, or is another one; then nothing has been added.
    pub fn add(&self, into: &mut Window, from: &wire::Window) -> Result<(), CodecError> {
        self.merge(into, from, Histograms::Look)
    }

    /// The same for a window of which [`Codec::check`] said that it can be read: its histograms are not
    /// looked at twice.
    ///
    /// # Errors
    /// When it is another window; then nothing has been added.
    pub fn add_checked(&self, into: &mut Window, from: &wire::Window) -> Result<(), CodecError> {
        self.merge(into, from, Histograms::Known)
    }

    fn merge(&self, into: &mut Window, from: &wire::Window, histograms: Histograms) -> Result<(), CodecError> {
        let checked = self.checked(from, histograms)?;
        if (from.index, self.length) != (into.index, into.length) {
            return Err(CodecError::Index(from.index, into.index));
        }
        checked.add_to(into)
    }

    fn checked<'a>(&self, from: &'a wire::Window, histograms: Histograms) -> Result<Checked<'a>, CodecError> {
        if from.length_ns != self.length.0 {
            return Err(CodecError::Length(Nanos(from.length_ns), self.length));
        }
        if histograms == Histograms::Look {
            check_histogram("dispatch lag", &from.dispatch_lag)?;
        }
        let window = Window {
            index: from.index,
            length: self.length,
            judged: self.tallies(&from.judged, histograms)?,
            unjudged: self.tallies(&from.unjudged, histograms)?,
            in_flight: from.in_flight,
            in_flight_time: Nanos(from.in_flight_time_ns),
            stall: Nanos(from.stall_ns),
            spoiled: from.spoiled,
            arrivals: FiredArrivals {
                fired: from.fired,
                late: from.late.iter().map(|late| (late.planned_window, late.count)).collect(),
            },
            troubles: self.troubles(&from.troubles)?,
            ..Window::default()
        };
        if !window.is_possible() {
            return Err(CodecError::Impossible);
        }
        Ok(Checked { window, from })
    }

    fn tallies(
        &self,
        from: &[wire::OperationTally],
        histograms: Histograms,
    ) -> Result<Vec<(OperationId, Tally)>, CodecError> {
        if from.windows(2).any(|pair| pair[0].operation >= pair[1].operation) {
            return Err(CodecError::Order);
        }
        from.iter().map(|tally| self.tally(tally, histograms)).collect()
    }

    fn troubles(&self, from: &[wire::Trouble]) -> Result<Vec<(OperationId, Vec<Trouble>)>, CodecError> {
        let place = |trouble: &wire::Trouble| (trouble.operation, trouble.planned_window);
        if from.windows(2).any(|pair| place(&pair[0]) >= place(&pair[1])) {
            return Err(CodecError::Order);
        }
        let mut troubles: Vec<(OperationId, Vec<Trouble>)> = Vec::new();
        for came in from {
            let number = came.operation;
            let id = u16::try_from(number).ok().map(OperationId);
            let found = id.and_then(|id| Some((id, self.shapes.get(id.index())?)));
            let (id, shape) = found.ok_or(CodecError::Operation(number, self.shapes.len()))?;
            let (found, wanted) = (came.exceeded.len(), shape.thresholds.len());
            if found != 0 && found != wanted {
                let what = "counts of what went wrong";
                return Err(CodecError::Shape { operation: number, what, found, wanted });
            }
            if came.errors.len() > KINDS_MAX {
                return Err(CodecError::TooMuch("kinds of error"));
            }
            if came.errors.iter().any(|error| error.count > VALUES_MAX) {
                return Err(CodecError::Impossible);
            }
            let mut trouble = Trouble {
                window: came.planned_window,
                failed: came.failed,
                exceeded: came.exceeded.clone(),
                ..Trouble::default()
            };
            came.errors.iter().for_each(|error| trouble.errors.add(&error.kind, error.count));
            match troubles.last_mut() {
                Some((of, troubles)) if *of == id => troubles.push(trouble),
                _ => troubles.push((id, vec![trouble])),
            }
        }
        Ok(troubles)
    }

    /// Everything but its histograms, which are looked at unless they are known.
    fn tally(&self, from: &wire::OperationTally, histograms: Histograms) -> Result<(OperationId, Tally), CodecError> {
        let number = from.operation;
        let id = u16::try_from(number).ok().map(OperationId);
        let found = id.and_then(|id| Some((id, self.shapes.get(id.index())?)));
        let (id, shape) = found.ok_or(CodecError::Operation(number, self.shapes.len()))?;
        let same = |what, found: usize, wanted: usize| {
            if found == wanted { Ok(()) } else { Err(CodecError::Shape { operation: number, what, found, wanted }) }
        };
        same("outcomes", from.outcomes.len(), OUTCOMES.len())?;
        same("timings", from.timings.len(), shape.timings)?;
        same("counts of exceedances", from.exceeded.len(), shape.thresholds.len())?;
        same("counts of samples", from.observed.len(), shape.thresholds.len())?;
        if !from.by_lateness.is_empty() {
            same("counts of lateness", from.by_lateness.len(), shape.thresholds.len())?;
        }
        same("ratios", from.ratios.len(), shape.ratios)?;
        if from.errors.len() > KINDS_MAX {
            return Err(CodecError::TooMuch("kinds of error"));
        }
        if histograms == Histograms::Look {
            check_histogram("response times", &from.response)?;
            check_histogram("times until failure", &from.failed)?;
            check_histogram("service times", &from.service)?;
            check_histogram("send lag", &from.send_lag)?;
            from.timings.iter().try_for_each(|timing| check_histogram("a timing", timing))?;
        }
        let mut tally = Tally {
            planned: from.planned,
            retried: from.retried,
            unsent: from.unsent,
            exceeded: from.exceeded.clone(),
            observed: from.observed.clone(),
            by_lateness: from
                .by_lateness
                .iter()
                .map(|late| ByLateness { samples: late.samples, lateness_max: Nanos(late.lateness_max_ns) })
                .collect(),
            ratios: from.ratios.iter().map(|r| (r.good, r.total)).collect(),
            ..Tally::default()
        };
        for (count, came) in tally.outcomes.iter_mut().zip(&from.outcomes) {
            *count = *came;
        }
        for error in &from.errors {
            if error.count > VALUES_MAX {
                return Err(CodecError::Impossible);
            }
            tally.errors.add(&error.kind, error.count);
        }
        read_traffic(from, &mut tally.traffic)?;
        Ok((id, tally))
    }
}

/// Most statuses that a tally can hold: 100 to 599.
const STATUSES_MAX: usize = 500;

fn read_traffic(from: &wire::OperationTally, into: &mut TrafficSums) -> Result<(), CodecError> {
    if from.statuses.len() > STATUSES_MAX {
        return Err(CodecError::TooMuch("statuses"));
    }
    for status in &from.statuses {
        let number = u16::try_from(status.status).map_err(|_| CodecError::Impossible)?;
        into.add_status(number, status.count);
    }
    (into.sent, into.received) = (from.sent_bytes, from.received_bytes);
    Ok(())
}

impl Checked<'_> {
    fn add_to(self, into: &mut Window) -> Result<(), CodecError> {
        let Self { window, from } = self;
        into.merge(window);
        add_histogram("dispatch lag", &mut into.dispatch_lag, &from.dispatch_lag)?;
        add_histograms(&mut into.judged, &from.judged)?;
        add_histograms(&mut into.unjudged, &from.unjudged)
    }
}

/// The tallies are those that the counters have just been merged into, so that each is there.
fn add_histograms(into: &mut [(OperationId, Tally)], from: &[wire::OperationTally]) -> Result<(), CodecError> {
    let mut into = into.iter_mut();
    for tally in from {
        let Some((_, mine)) = into.find(|(id, _)| u32::from(id.0) == tally.operation) else {
            return Err(CodecError::Order);
        };
        add_histogram("response times", &mut mine.response, &tally.response)?;
        add_histogram("times until failure", &mut mine.failed, &tally.failed)?;
        add_histogram("service times", &mut mine.service, &tally.service)?;
        add_histogram("send lag", &mut mine.send_lag, &tally.send_lag)?;
        mine.timings.resize_with(mine.timings.len().max(tally.timings.len()), Latencies::default);
        for (mine, timing) in mine.timings.iter_mut().zip(&tally.timings) {
            add_histogram("a timing", mine, timing)?;
        }
    }
    Ok(())
}

fn check_histogram(what: &'static str, bytes: &[u8]) -> Result<(), CodecError> {
    let count = Latencies::count_v2(bytes).map_err(|source| CodecError::Histogram { what, source })?;
    if count <= VALUES_MAX { Ok(()) } else { Err(CodecError::Histogram { what, source: V2Error::Count }) }
}

fn add_histogram(what: &'static str, into: &mut Latencies, bytes: &[u8]) -> Result<(), CodecError> {
    into.add_v2(bytes).map_err(|source| CodecError::Histogram { what, source })
}

/// A window as it travels.
pub fn write(window: &Window) -> wire::Window {
    wire::Window {
        index: window.index,
        length_ns: window.length.0,
        judged: window.judged.iter().map(|(id, tally)| write_tally(*id, tally)).collect(),
        unjudged: window.unjudged.iter().map(|(id, tally)| write_tally(*id, tally)).collect(),
        in_flight: window.in_flight,
        in_flight_time_ns: window.in_flight_time.0,
        dispatch_lag: window.dispatch_lag.to_v2().into(),
        stall_ns: window.stall.0,
        spoiled: window.spoiled,
        fired: window.arrivals.fired,
        late: window
            .arrivals
            .late
            .iter()
            .map(|&(planned_window, count)| wire::LateArrivals { planned_window, count })
            .collect(),
        troubles: window
            .troubles
            .iter()
            .flat_map(|(id, troubles)| troubles.iter().map(|trouble| write_trouble(*id, trouble)))
            .collect(),
    }
}

fn write_tally(id: OperationId, tally: &Tally) -> wire::OperationTally {
    wire::OperationTally {
        operation: u32::from(id.0),
        planned: tally.planned,
        outcomes: tally.outcomes.to_vec(),
        response: tally.response.to_v2().into(),
        failed: tally.failed.to_v2().into(),
        service: tally.service.to_v2().into(),
        send_lag: tally.send_lag.to_v2().into(),
        timings: tally.timings.iter().map(|timing| timing.to_v2().into()).collect(),
        exceeded: tally.exceeded.clone(),
        observed: tally.observed.clone(),
        by_lateness: tally
            .by_lateness
            .iter()
            .map(|late| wire::ByLateness { samples: late.samples, lateness_max_ns: late.lateness_max.0 })
            .collect(),
        ratios: tally.ratios.iter().map(|&(good, total)| wire::Ratio { good, total }).collect(),
        errors: write_errors(&tally.errors),
        retried: tally.retried,
        unsent: tally.unsent,
        statuses: tally
            .traffic
            .statuses()
            .map(|(status, count)| wire::Status { status: u32::from(status), count })
            .collect(),
        sent_bytes: tally.traffic.sent,
        received_bytes: tally.traffic.received,
    }
}

fn write_trouble(id: OperationId, trouble: &Trouble) -> wire::Trouble {
    wire::Trouble {
        operation: u32::from(id.0),
        planned_window: trouble.window,
        failed: trouble.failed,
        exceeded: trouble.exceeded.clone(),
        errors: write_errors(&trouble.errors),
    }
}

fn write_errors(errors: &ErrorKinds) -> Vec<wire::ErrorKind> {
    errors.top().into_iter().map(|(kind, count)| wire::ErrorKind { kind: kind.to_owned(), count }).collect()
}

#[cfg(test)]
mod tests;
