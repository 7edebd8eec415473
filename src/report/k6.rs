//! The summary that k6 writes with `--summary-export`, for tools that chart it (Testkube and others).

use std::io;

use serde_json::{Map, Value, json};

use super::Render;
use super::harmless::{harmless, harmless_json};
use slatest_core::model::{Nanos, Verdict};
use slatest_engine::record::{OperationFigures, RunRecord, TimeFigures};

/// k6's metrics by their names, in its units (milliseconds). `http_req_duration` is the response time from the planned
/// instant, of all operations of any protocol. In `thresholds` false is a threshold that held, as in k6; one that is
/// inconclusive or void did not.
#[derive(Clone, Copy, Debug)]
pub struct K6;

impl Render for K6 {
    fn render(&self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        let run = &*harmless(run);
        let total = &run.result.total;
        let secs = run.result.length.as_secs_f64().max(1e-9);
        let mut metrics = Map::new();
        add_operation(&mut metrics, "", total);
        metrics.insert("iterations".into(), counter(run.result.generator.fired, secs));
        metrics.insert("dropped_iterations".into(), counter(run.result.generator.dropped, secs));
        for operation in &run.result.operations {
            add_operation(&mut metrics, &format!("{{name:{}}}", operation.address), operation);
        }
        let mut checks = Map::new();
        let void = run.result.verdict == Verdict::Void;
        for one in &run.result.objectives {
            let metric = metric(&one.indicator);
            let name = if run.plan.operations.iter().any(|operation| operation.address == one.scope) {
                format!("{metric}{{name:{}}}", one.scope)
            } else {
                metric.to_owned()
            };
            let expression = format!("{} of {}: {} {}", one.name, one.scope, one.indicator, one.bound_text());
            let broken = void || one.verdict != Verdict::Pass;
            let Value::Object(entry) = metrics.entry(name).or_insert_with(|| json!({})) else { continue };
            if let Value::Object(thresholds) = entry.entry("thresholds").or_insert_with(|| json!({})) {
                thresholds.insert(expression, json!(broken));
            }
        }
        for finding in &run.result.findings {
            let name = format!("{}: {}", finding.scenario, finding.check);
            let (passes, fails) = (u64::from(finding.holds), u64::from(!finding.holds));
            let check = json!({ "name": name, "path": format!("::{name}"), "id": finding.check, "passes": passes, "fails": fails });
            checks.insert(name.clone(), check);
        }
        let summary = json!({
            "metrics": metrics,
            "root_group": { "name": "", "path": "", "id": "d41d8cd98f00b204e9800998ecf8427e", "groups": {}, "checks": checks },
        });
        writeln!(out, "{}", harmless_json(&serde_json::to_string_pretty(&summary)?))
    }
}

/// The metric of k6 that an indicator comes nearest to.
fn metric(indicator: &str) -> &str {
    // `p95 first_byte`: a quantile of something.
    let of = indicator.split_once(' ').map_or(indicator, |(_, of)| of);
    match of {
        "error_rate" => "http_req_failed",
        "throughput" => "http_reqs",
        "response_time" => "http_req_duration",
        "service_time" => "http_req_waiting",
        other => other,
    }
}

fn add_operation(metrics: &mut Map<String, Value>, tag: &str, operation: &OperationFigures) {
    let countable = operation.countable();
    let failures = operation.outcomes.failures().min(countable);
    let share = operation.error_share().unwrap_or(0.0);
    metrics.insert(format!("http_reqs{tag}"), json!({ "count": operation.count, "rate": operation.rate }));
    // k6 counts here what is true, and failed is true of a failure.
    metrics.insert(
        format!("http_req_failed{tag}"),
        json!({ "passes": failures, "fails": countable - failures, "value": share }),
    );
    for (name, times) in [
        ("http_req_duration", &operation.response),
        ("http_req_waiting", &operation.service),
        ("http_req_blocked", &operation.send_lag),
    ] {
        if let Some(times) = times {
            metrics.insert(format!("{name}{tag}"), trend(times));
        }
    }
}

fn counter(count: u64, secs: f64) -> Value {
    json!({ "count": count, "rate": count as f64 / secs })
}

fn trend(times: &TimeFigures) -> Value {
    let ms = |time: Nanos| time.0 as f64 / 1e6;
    json!({
        "avg": ms(times.mean),
        "med": ms(times.p50),
        "max": ms(times.max),
        "p(90)": ms(times.p90),
        "p(95)": ms(times.p95),
        "p(99)": ms(times.p99),
        "p(99.9)": ms(times.p999),
    })
}
