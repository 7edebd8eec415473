//! Sums of a run as the figures that people read.

use serde::{Deserialize, Serialize};

use crate::load::{Resources, RunFacts, shapes, within_judged};
use crate::profile::Plan;
use slatest_core::measure::{Latencies, Tally};
use slatest_core::model::{Nanos, OperationId, Outcome};

/// How operations ended, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    /// Answered, and every check held.
    pub ok: u64,
    /// Answered with an error, or refused by a check.
    pub rejected: u64,
    /// No answer in time.
    pub timed_out: u64,
    /// No connection, or one that broke.
    pub disconnected: u64,
    /// Refused by a firewall.
    pub blocked: u64,
    /// Never sent.
    pub dropped: u64,
    /// Without an answer when the run ended.
    pub unknown: u64,
}

impl From<&Tally> for OutcomeCounts {
    fn from(tally: &Tally) -> Self {
        Self {
            ok: tally.outcome(Outcome::Ok),
            rejected: tally.outcome(Outcome::Rejected),
            timed_out: tally.outcome(Outcome::TimedOut),
            disconnected: tally.outcome(Outcome::Disconnected),
            blocked: tally.outcome(Outcome::Blocked),
            dropped: tally.outcome(Outcome::Dropped),
            unknown: tally.outcome(Outcome::Unknown),
        }
    }
}

impl OutcomeCounts {
    /// How many count against the target.
    pub const fn failures(&self) -> u64 {
        // A record that somebody changed may hold counts that no sum takes.
        let (failed, lost) =
            (self.rejected.saturating_add(self.timed_out), self.disconnected.saturating_add(self.unknown));
        failed.saturating_add(lost).saturating_add(self.dropped)
    }
}

/// Figures of a set of times, each in nanoseconds and as precise as the histogram (0.1 %).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeFigures {
    /// How many there are.
    pub samples: u64,
    /// Their mean.
    pub mean: Nanos,
    /// Half are at or below.
    pub p50: Nanos,
    /// 90 % are at or below.
    pub p90: Nanos,
    /// 95 % are at or below.
    pub p95: Nanos,
    /// 99 % are at or below.
    pub p99: Nanos,
    /// 99.9 % are at or below.
    pub p999: Nanos,
    /// The largest.
    pub max: Nanos,
}

impl TimeFigures {
    /// The figures of a histogram; `None` when it is empty.
    pub fn of(times: &Latencies) -> Option<Self> {
        let at = |quantile| times.quantile(quantile).ok();
        Some(Self {
            samples: times.count(),
            mean: times.mean(),
            p50: at(0.5)?,
            p90: at(0.9)?,
            p95: at(0.95)?,
            p99: at(0.99)?,
            p999: at(0.999)?,
            max: times.max(),
        })
    }
}

/// A timing that a driver reports, such as `connect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimingFigures {
    /// Its name.
    pub name: String,
    /// Its times; `None` when there were none.
    pub times: Option<TimeFigures>,
}

/// A ratio that a driver reports, such as `hit_rate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RatioFigures {
    /// Its name.
    pub name: String,
    /// How many were good.
    pub good: u64,
    /// Of how many.
    pub total: u64,
}

/// A kind of error with its count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// The kind.
    pub kind: String,
    /// How often.
    pub count: u64,
}

/// Answers of one status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusCount {
    /// The status.
    pub status: u16,
    /// How many.
    pub count: u64,
}

/// Figures of one operation (or of all together) in the judged part of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OperationFigures {
    /// `scenario/operation`, or `total`.
    pub address: String,
    /// How many were due.
    pub planned: u64,
    /// How many ended.
    pub count: u64,
    /// How many ended within the judged part, over its length; 0 where that is shorter than a window.
    pub rate: f64,
    /// How they ended.
    pub outcomes: OutcomeCounts,
    /// Response times (done − intended) of all that ended, well or not; dropped ones have none.
    pub response: Option<TimeFigures>,
    /// Service times (done − sent) of all that were sent.
    pub service: Option<TimeFigures>,
    /// Send lag (sent − intended) of all that were sent: what the generator and connecting added.
    pub send_lag: Option<TimeFigures>,
    /// Timings.
    pub timings: Vec<TimingFigures>,
    /// Ratios.
    pub ratios: Vec<RatioFigures>,
    /// Kinds of error, most frequent first.
    pub errors: Vec<ErrorCount>,
    /// How often a request was sent again because its kept connection had been closed by the server, or because the
    /// server said that it did nothing for it. The outcomes are those of the last time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retried_stale: u64,
    /// Answers by status, successes too, where the protocol has numbers for it; of requests that were sent again, the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<StatusCount>,
    /// Bytes that were sent, where the driver counts them: heads included, TLS not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_sent: u64,
    /// Bytes that were received, likewise.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_received: u64,
    /// How many were due in the warm-up and cool-down, which nothing above counts.
    pub unjudged_planned: u64,
    /// How these ended.
    pub unjudged: OutcomeCounts,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The generator's own figures, over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorFigures {
    /// Arrivals that the schedule holds up to the end of the run; 0 when not known.
    pub scheduled: u64,
    /// Arrivals of these that were fired.
    pub fired: u64,
    /// Operations that were due: arrivals and steps of flows.
    pub planned: u64,
    /// Operations that were sent.
    pub sent: u64,
    /// Operations that ended with an answer or a failure: all but dropped and unknown ones.
    pub completed: u64,
    /// Arrivals that found no session.
    pub dropped: u64,
    /// Without an answer at the end.
    pub in_flight: u64,
    /// Fired − intended: what the generator alone added.
    pub dispatch_lag: Option<TimeFigures>,
    /// Sent − intended: connecting included.
    pub send_lag: Option<TimeFigures>,
    /// Share of its processors that it used; `None` when not known.
    pub cpu_share: Option<f64>,
    /// What it used and suffered.
    pub resources: Resources,
}

/// Everything together: operations, their total, the generator.
pub(super) fn figures(plan: &Plan, facts: &RunFacts) -> (Vec<OperationFigures>, OperationFigures, GeneratorFigures) {
    let timeline = &facts.timeline;

    let mut operations = Vec::new();
    let (mut total, mut total_unjudged, mut total_rate) = (Tally::default(), Tally::default(), 0.0);
    for (i, operation) in plan.operations.iter().enumerate() {
        let (Some(judged), Some(unjudged)) = (timeline.judged.get(i), timeline.unjudged.get(i)) else { continue };
        let within = within_judged(plan, facts, OperationId(i as u16));
        let rate = within.map_or(0.0, |(flow, length)| flow.ended as f64 / length.as_secs_f64());
        operations.push(of_operation(
            &operation.address,
            judged,
            unjudged,
            rate,
            &operation.timings,
            &operation.ratios,
        ));
        // Timings, thresholds and ratios of different operations have nothing in common.
        let common = |tally: &Tally| Tally {
            timings: Vec::new(),
            ratios: Vec::new(),
            exceeded: Vec::new(),
            observed: Vec::new(),
            by_lateness: Vec::new(),
            ..tally.clone()
        };
        total.merge(&common(judged));
        total_unjudged.merge(&common(unjudged));
        total_rate += rate;
    }
    let total_figures = of_operation("total", &total, &total_unjudged, total_rate, &[], &[]);
    let mut whole = Tally::default();
    for i in 0..shapes(plan).len().min(timeline.judged.len()) {
        whole.merge(&timeline.whole(OperationId(i as u16)));
    }
    let resources = facts.resources.clone();
    let cpu_secs_max = resources.wall_secs * resources.cores;
    let generator = GeneratorFigures {
        scheduled: facts.scheduled,
        fired: facts.fired,
        planned: whole.planned,
        sent: whole.service.count(),
        completed: whole.completed() - whole.outcome(Outcome::Dropped) - whole.outcome(Outcome::Unknown),
        dropped: whole.outcome(Outcome::Dropped),
        in_flight: whole.outcome(Outcome::Unknown) + timeline.in_flight,
        dispatch_lag: TimeFigures::of(&timeline.dispatch_lag),
        send_lag: TimeFigures::of(&whole.send_lag),
        cpu_share: (cpu_secs_max > 0.0).then(|| rounded(resources.cpu_secs / cpu_secs_max)),
        resources,
    };
    (operations, total_figures, generator)
}

/// With six decimals: as many as say something, and they survive being written and read.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

impl OperationFigures {
    /// How many can be told ok from failed: what a firewall blocked says nothing of the target.
    pub const fn countable(&self) -> u64 {
        self.count.saturating_sub(self.outcomes.blocked)
    }

    /// The share of these that failed; `None` where there are none.
    pub fn error_share(&self) -> Option<f64> {
        let countable = self.countable();
        (countable > 0).then(|| self.outcomes.failures() as f64 / countable as f64)
    }
}

fn of_operation(
    address: &str,
    judged: &Tally,
    unjudged: &Tally,
    rate: f64,
    timings: &[String],
    ratios: &[String],
) -> OperationFigures {
    OperationFigures {
        address: address.to_owned(),
        planned: judged.planned,
        count: judged.completed(),
        rate: rounded(rate),
        outcomes: judged.into(),
        response: TimeFigures::of(&judged.all_responses()),
        service: TimeFigures::of(&judged.service),
        send_lag: TimeFigures::of(&judged.send_lag),
        timings: timings
            .iter()
            .zip(&judged.timings)
            .map(|(name, times)| TimingFigures { name: name.clone(), times: TimeFigures::of(times) })
            .collect(),
        ratios: ratios
            .iter()
            .zip(&judged.ratios)
            .map(|(name, &(good, total))| RatioFigures { name: name.clone(), good, total })
            .collect(),
        errors: judged
            .errors
            .top()
            .into_iter()
            .map(|(kind, count)| ErrorCount { kind: kind.to_owned(), count })
            .collect(),
        retried_stale: judged.retried,
        statuses: judged.traffic.statuses().map(|(status, count)| StatusCount { status, count }).collect(),
        bytes_sent: judged.traffic.sent,
        bytes_received: judged.traffic.received,
        unjudged_planned: unjudged.planned,
        unjudged: unjudged.into(),
    }
}
