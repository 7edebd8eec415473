//! The run so far, as metrics. Names and labels are those of docs/metrics.md.

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::live::{LiveMetrics, Objective, Operation, Run};
use crate::native::Sparse;
use slatest_core::measure::{EventKind, Latencies};
use slatest_core::model::{OUTCOMES, Verdict};
use slatest_engine::load::Phase;

/// Upper bounds of the classic buckets, in seconds: three to a decade, and the limits that the platforms promise.
const CLASSIC_SECS: [f64; 22] = [
    0.0005,
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.03,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.3,
    0.5,
    0.75,
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    60.0,
    f64::INFINITY,
];
/// Most kinds of error of one operation; the rest is `other`.
const KINDS_MAX: usize = 20;
const VERDICTS: [Verdict; 4] = [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive, Verdict::Void];

/// Encodes the run so far whenever somebody scrapes it.
#[derive(Debug)]
pub(crate) struct RunCollector(pub(crate) Arc<LiveMetrics>);

/// One of an operation's times.
type TimesOf = fn(&Operation) -> &Latencies;

/// A metric of each `T`: its name, what it is, and where it stands.
type Metric<T, V> = (&'static str, &'static str, fn(&T) -> V);

/// Labels of one sample.
type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for RunCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let run = self.0.run();
        let Some(run) = run.as_ref() else { return Ok(()) };
        let mut out = Out { encoder: &mut encoder, run };
        out.operations()?;
        out.load()?;
        out.objectives()?;
        out.states()
    }
}

/// Where one scrape goes.
struct Out<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
    run: &'a Run,
}

impl Out<'_, '_> {
    /// What every sample of a run has.
    fn of_run(run: &Run) -> Labels<'_> {
        vec![("profile", &run.profile), ("target", &run.target)]
    }

    fn of_operation<'a>(run: &'a Run, operation: &'a Operation) -> Labels<'a> {
        let mut labels = Self::of_run(run);
        labels.extend([("scenario", operation.scenario.as_str()), ("operation", &operation.operation)]);
        labels
    }

    fn of_objective<'a>(run: &'a Run, objective: &'a Objective) -> Labels<'a> {
        let mut labels = Self::of_run(run);
        labels.push(("objective", &objective.asked.name));
        labels
    }

    fn operations(&mut self) -> Result<(), Error> {
        let times: [(&str, &str, TimesOf); 3] = [
            ("slatest_response_time", "From the planned instant until the end, whatever the end was", |o| &o.response),
            ("slatest_service_time", "From the instant of sending until the end", |o| &o.service),
            ("slatest_send_lag", "From the planned instant until the instant of sending", |o| &o.send_lag),
        ];
        let run = self.run;
        for (name, help, of) in times {
            let mut metric = self.encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
            for operation in &run.operations {
                histogram(&mut metric, &Self::of_operation(run, operation), of(operation))?;
            }
        }
        let mut metric = self.encoder.encode_descriptor(
            "slatest_operations",
            "Operations that ended, by how they ended",
            None,
            MetricType::Counter,
        )?;
        for operation in &run.operations {
            for outcome in OUTCOMES {
                let mut labels = Self::of_operation(run, operation);
                labels.push(("outcome", outcome.name()));
                let count = operation.outcomes.get(outcome.index()).copied().unwrap_or_default();
                counter(&mut metric, &labels, count)?;
            }
        }
        let mut metric = self.encoder.encode_descriptor(
            "slatest_errors",
            "Operations that did not end well, by kind; the rarest kinds are `other`",
            None,
            MetricType::Counter,
        )?;
        for operation in &run.operations {
            let kinds = operation.errors.top();
            for (kind, count) in kinds.iter().take(KINDS_MAX) {
                let mut labels = Self::of_operation(run, operation);
                labels.push(("kind", kind));
                counter(&mut metric, &labels, *count)?;
            }
            if kinds.len() > KINDS_MAX {
                let mut labels = Self::of_operation(run, operation);
                labels.push(("kind", "other"));
                counter(&mut metric, &labels, kinds.iter().skip(KINDS_MAX).map(|(_, count)| count).sum())?;
            }
        }
        let counts: [Metric<Operation, u64>; 3] = [
            ("slatest_retried", "Requests that were sent again because the kept connection was stale", |o| o.retried),
            ("slatest_sent_bytes", "Bytes sent, where the driver counts them", |o| o.traffic.sent),
            ("slatest_received_bytes", "Bytes received, where the driver counts them", |o| o.traffic.received),
        ];
        for (name, help, of) in counts {
            let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for operation in &run.operations {
                counter(&mut metric, &Self::of_operation(run, operation), of(operation))?;
            }
        }
        Ok(())
    }

    fn load(&mut self) -> Result<(), Error> {
        let run = self.run;
        let labels = Self::of_run(run);
        let figures = [
            ("slatest_planned_rate", "Arrivals per second that are planned now, over all scenarios", run.planned_rate),
            ("slatest_in_flight", "Operations under way", run.in_flight as f64),
            ("slatest_stall_seconds", "Time for which the generator's machine stood still", run.stall_secs),
        ];
        for (name, help, value) in figures {
            let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            gauge(&mut metric, &labels, value)?;
        }
        let mut metric = self.encoder.encode_descriptor(
            "slatest_dispatch_lag",
            "From the planned instant until an arrival was fired: the generator's own lateness",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        histogram(&mut metric, &labels, &run.dispatch_lag)?;
        if !run.gauges.is_empty() {
            let mut metric = self.encoder.encode_descriptor(
                "slatest_driver",
                "What a driver says of itself: queued records, consumer lag, open connections",
                None,
                MetricType::Gauge,
            )?;
            for (name, value) in &run.gauges {
                let (scenario, figure) = name.split_once('/').unwrap_or(("", name));
                let mut labels = labels.clone();
                labels.extend([("scenario", scenario), ("figure", figure)]);
                gauge(&mut metric, &labels, *value)?;
            }
        }
        if !run.agents.is_empty() {
            let mut metric =
                self.encoder.encode_descriptor("slatest_agents", "Agents by state", None, MetricType::Gauge)?;
            for (state, count) in &run.agents {
                let mut labels = labels.clone();
                labels.push(("state", state));
                gauge(&mut metric, &labels, *count as f64)?;
            }
        }
        Ok(())
    }

    fn objectives(&mut self) -> Result<(), Error> {
        let run = self.run;
        let counts: [Metric<Objective, u64>; 2] = [
            ("slatest_objective_bad", "What counts against an objective, judged or not yet", |o| o.bad),
            ("slatest_objective_samples", "What that is out of", |o| o.samples),
        ];
        for (name, help, of) in counts {
            let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for objective in &run.objectives {
                counter(&mut metric, &Self::of_objective(run, objective), of(objective))?;
            }
        }
        let mut metric = self.encoder.encode_descriptor(
            "slatest_objective_allowed_ratio",
            "The share of bad samples that an objective allows",
            None,
            MetricType::Gauge,
        )?;
        for objective in &run.objectives {
            gauge(&mut metric, &Self::of_objective(run, objective), objective.asked.allowed)?;
        }
        let mut metric = self.encoder.encode_descriptor(
            "slatest_objective_state",
            "1 for the verdict of an objective, 0 for the others; all 0 until the run is judged",
            None,
            MetricType::Gauge,
        )?;
        for objective in &run.objectives {
            for verdict in VERDICTS {
                let mut labels = Self::of_objective(run, objective);
                labels.push(("verdict", verdict.name()));
                gauge(&mut metric, &labels, f64::from(u8::from(objective.verdict == Some(verdict))))?;
            }
        }
        Ok(())
    }

    fn states(&mut self) -> Result<(), Error> {
        let run = self.run;
        let base = Self::of_run(run);
        let one_of = |metric: &mut MetricEncoder<'_>, key: &'static str, all: &[&str], now: Option<&str>| {
            all.iter().try_for_each(|state| {
                let mut labels = base.clone();
                labels.push((key, state));
                gauge(metric, &labels, f64::from(u8::from(now == Some(state))))
            })
        };
        let mut metric =
            self.encoder.encode_descriptor("slatest_phase", "1 for the run's phase", None, MetricType::Gauge)?;
        one_of(&mut metric, "phase", &PHASES, Some(phase_name(run.phase)))?;
        let mut metric = self.encoder.encode_descriptor(
            "slatest_verdict",
            "1 for the run's verdict, 0 for the others; all 0 until it is judged",
            None,
            MetricType::Gauge,
        )?;
        one_of(&mut metric, "verdict", &VERDICTS.map(Verdict::name), run.verdict.map(Verdict::name))?;
        if !run.drills.is_empty() {
            let mut metric = self.encoder.encode_descriptor(
                "slatest_drill_state",
                "1 for the last thing that happened to a drill",
                None,
                MetricType::Gauge,
            )?;
            for (drill, now) in &run.drills {
                for kind in EVENTS {
                    let mut labels = base.clone();
                    labels.extend([("drill", drill.as_str()), ("state", event_name(kind))]);
                    gauge(&mut metric, &labels, f64::from(u8::from(*now == kind)))?;
                }
            }
        }
        let mut labels = base;
        labels.extend([("run", run.id.as_str()), ("version", env!("CARGO_PKG_VERSION"))]);
        let mut metric = self.encoder.encode_descriptor("slatest_run", "Which run this is", None, MetricType::Info)?;
        metric.encode_info(&labels)
    }
}

fn counter(metric: &mut MetricEncoder<'_>, labels: &Labels<'_>, value: u64) -> Result<(), Error> {
    metric.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn gauge(metric: &mut MetricEncoder<'_>, labels: &Labels<'_>, value: f64) -> Result<(), Error> {
    metric.encode_family(labels)?.encode_gauge(&value)
}

/// Classic buckets and a native histogram: who scrapes takes one.
fn histogram(metric: &mut MetricEncoder<'_>, labels: &Labels<'_>, latencies: &Latencies) -> Result<(), Error> {
    let counts = latencies.inner();
    let mut classic = CLASSIC_SECS.map(|bound| (bound, 0));
    let mut sum = 0.0;
    for step in counts.iter_recorded() {
        let secs = counts.median_equivalent(step.value_iterated_to()) as f64 / 1e9;
        sum += secs * step.count_at_value() as f64;
        if let Some((_, count)) = classic.iter_mut().find(|(bound, _)| secs <= *bound) {
            *count += step.count_at_value();
        }
    }
    let native = Sparse::of(latencies);
    metric.encode_family(labels)?.encode_histogram_with_native::<NoLabelSet>(
        sum,
        latencies.count(),
        &classic,
        None,
        native.native(),
    )
}

const PHASES: [&str; 5] = ["opening", "warm_up", "measuring", "draining", "settling"];

const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Opening => "opening",
        Phase::WarmUp => "warm_up",
        Phase::Measuring => "measuring",
        Phase::Draining => "draining",
        Phase::Settling => "settling",
    }
}

const EVENTS: [EventKind; 6] = [
    EventKind::FaultIssued,
    EventKind::FaultAcknowledged,
    EventKind::Detected,
    EventKind::HealIssued,
    EventKind::Healed,
    EventKind::WatchEnded,
];

const fn event_name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::FaultIssued => "fault_issued",
        EventKind::FaultAcknowledged => "fault_acknowledged",
        EventKind::Detected => "detected",
        EventKind::HealIssued => "heal_issued",
        EventKind::Healed => "healed",
        EventKind::WatchEnded => "watch_ended",
    }
}
