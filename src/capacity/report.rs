//! What a search for a capacity found: kept as JSON, shown as a table.

use std::io;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::search::{Ceiling, End, Limits, StepVerdict};
use slatest_core::model::{Nanos, Rate};
use slatest_engine::record::{Machine, TargetRecord};
use slatest_stats::Reading;

/// Version of the format of `capacity.json`.
pub const VERSION: u32 = 1;
/// Widest bar of the chart.
const BAR: f64 = 24.0;

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Planned arrivals per second.
    pub rate: f64,
    /// 1, or 2 where the first told nothing.
    pub attempt: u8,
    /// How long it was judged, in nanoseconds.
    pub length: Nanos,
    /// Operations judged.
    pub samples: u64,
    /// Successes per second.
    pub achieved: f64,
    /// Share of failures.
    pub error_rate: f64,
    /// Quantiles of the response times, failures included; none without any.
    pub p50: Option<Nanos>,
    /// See `p50`.
    pub p95: Option<Nanos>,
    /// See `p50`.
    pub p99: Option<Nanos>,
    /// What it showed.
    #[serde(alias = "seen")]
    pub verdict: StepVerdict,
    /// Why it did not pass; empty where it did.
    #[serde(alias = "words")]
    pub message: String,
}

/// The whole search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapacityReport {
    /// Version of the format: [`VERSION`].
    pub version: u32,
    /// `<UTC time>-<profile>-capacity-<short id>`, also the name of its folder.
    pub id: String,
    /// Version of slatest.
    pub slatest: String,
    /// When it started.
    pub started: Timestamp,
    /// When it ended; none while it is under way.
    pub ended: Option<Timestamp>,
    /// The command line.
    pub command: Vec<String>,
    /// Name of the profile.
    pub profile: String,
    /// Name of the scenario.
    pub scenario: String,
    /// The objectives that had to pass, in words.
    pub objectives: Vec<String>,
    /// Seed of every random choice.
    pub seed: u64,
    /// Where it was sent.
    pub target: TargetRecord,
    /// The machine that generated the load.
    pub machine: Machine,
    /// Where was searched.
    pub limits: Limits,
    /// Every step, in the order in which it was made.
    pub steps: Vec<Step>,
    /// What was found.
    pub end: End,
    /// Why it ended before it was done; none where it was.
    pub ended_early: Option<String>,
}

impl CapacityReport {
    /// What was found, in one sentence.
    pub fn sentence(&self) -> String {
        let End { passes, fails, ceiling } = self.end;
        let at = |rate: Option<f64>| rate.map_or_else(|| "no rate".to_owned(), rate_text);
        let reason = |rate: f64| {
            let step = self.steps.iter().rev().find(|step| step.rate == rate);
            step.map(|step| step.message.as_str())
                .filter(|message| !message.is_empty())
                .map_or_else(String::new, |message| format!(": {message}"))
        };
        let found = match (passes, fails, ceiling) {
            (None, None, _) => "nothing was measured".into(),
            (None, Some(fails), Ceiling::Generator) => {
                format!(
                    "is not known: the generator gave out at {} already (--from begins lower){}",
                    rate_text(fails),
                    reason(fails)
                )
            }
            (None, Some(fails), _) => format!("passes at no rate, not at {} either{}", rate_text(fails), reason(fails)),
            (Some(passes), None, _) if self.ended_early.is_some() => format!("passes at {}", rate_text(passes)),
            (Some(passes), None, _) => {
                format!("passes at {}, and higher may not be tried", rate_text(passes))
            }
            (Some(_), Some(fails), Ceiling::Generator) => {
                format!(
                    "passes at {}; the generator gave out first, at {}{}",
                    at(passes),
                    rate_text(fails),
                    reason(fails)
                )
            }
            (Some(_), Some(fails), Ceiling::Undecided) => {
                format!("passes at {}; at {} it can't be told{}", at(passes), rate_text(fails), reason(fails))
            }
            (Some(_), Some(fails), _) => {
                format!("passes at {}, not at {}{}", at(passes), rate_text(fails), reason(fails))
            }
        };
        match &self.ended_early {
            Some(reason) => format!("{found}; ended early: {reason}"),
            None => found,
        }
    }

    /// As text for people: the knee, and the curve of rate against response time and errors.
    ///
    /// # Errors
    /// When `out` can't be written.
    pub fn render(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "CAPACITY  {} {}", self.scenario, self.sentence())?;
        writeln!(out, "{} on {} · seed {} · {}", self.profile, self.target.name, self.seed, self.id)?;
        writeln!(out, "must pass: {}\n", self.objectives.join("; "))?;
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["rate", "", "answered", "p50", "p95", "p99", "errors", "judged", "p99 (square root)"]);
        for column in [0, 2, 3, 4, 5, 6, 7] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut steps: Vec<&Step> = self.steps.iter().collect();
        steps.sort_by(|a, b| a.rate.total_cmp(&b.rate).then(a.attempt.cmp(&b.attempt)));
        let highest = steps.iter().filter_map(|step| step.p99).max().unwrap_or_default();
        let time = |time: Option<Nanos>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        for step in steps {
            table.add_row([
                rate_text(step.rate),
                seen_text(step.verdict).to_owned(),
                rate_text(step.achieved),
                time(step.p50),
                time(step.p95),
                time(step.p99),
                Reading::share(step.error_rate).to_string(),
                step.samples.to_string(),
                bar(step.p99.unwrap_or_default(), highest),
            ]);
        }
        for line in table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A bar as long as the square root of a value: the curve spans decades, and zero stays zero.
fn bar(value: Nanos, highest: Nanos) -> String {
    if highest == Nanos::ZERO {
        return String::new();
    }
    "█".repeat((BAR * (value.as_secs_f64() / highest.as_secs_f64()).sqrt()).round() as usize)
}

fn rate_text(rate: f64) -> String {
    let digits = if rate < 100.0 { 10.0 } else { 1.0 };
    Rate((rate * digits).round() / digits).to_string()
}

const fn seen_text(verdict: StepVerdict) -> &'static str {
    match verdict {
        StepVerdict::Pass => "pass",
        StepVerdict::Fail => "fail",
        StepVerdict::Inconclusive => "inconclusive",
        StepVerdict::Void => "void",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slatest_core::target::Environment;

    fn step(rate: f64, p99: u64, verdict: StepVerdict, message: &str) -> Step {
        Step {
            rate,
            attempt: 1,
            length: Nanos::from_secs(10),
            samples: (rate * 10.0) as u64,
            achieved: rate.min(500.0),
            error_rate: if verdict == StepVerdict::Fail { 0.12 } else { 0.0 },
            p50: Some(Nanos::from_millis(p99 / 4)),
            p95: Some(Nanos::from_millis(p99 / 2)),
            p99: Some(Nanos::from_millis(p99)),
            verdict,
            message: message.into(),
        }
    }

    fn report() -> CapacityReport {
        CapacityReport {
            version: VERSION,
            id: "20261120T010000Z-peak-capacity-5a1e57".into(),
            slatest: "0.1.0".into(),
            started: "2026-11-20T01:00:00Z".parse().unwrap(),
            ended: None,
            command: vec!["slatest".into(), "capacity".into()],
            profile: "peak".into(),
            scenario: "api".into(),
            objectives: vec!["p95 response_time < 500 ms of api/*".into()],
            seed: 7,
            target: TargetRecord {
                name: "sandbox".into(),
                environment: Environment::Sandbox,
                definition: serde_json::Value::Null,
            },
            machine: Machine::default(),
            limits: Limits { from: 300.0, most: 1e6 },
            steps: vec![
                step(300.0, 4, StepVerdict::Pass, ""),
                step(600.0, 1_000, StepVerdict::Fail, "errors 12% of 6,000"),
                step(424.26, 12, StepVerdict::Pass, ""),
            ],
            end: End { passes: Some(424.26), fails: Some(600.0), ceiling: Ceiling::Objectives },
            ended_early: None,
        }
    }

    /// `verdict` was `seen` once, and `message` was `words`.
    #[test]
    fn what_was_written_with_the_words_of_before_is_read() {
        let before = serde_json::to_string(&report()).unwrap();
        let before = before.replace("\"message\":", "\"words\":").replace("\"verdict\":", "\"seen\":");
        assert!(before.contains("\"words\":") && before.contains("\"seen\":"));
        assert_eq!(serde_json::from_str::<CapacityReport>(&before).unwrap(), report());
    }

    #[test]
    fn the_curve_as_it_is_shown() {
        let mut out = Vec::new();
        report().render(&mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }

    #[test]
    fn the_sentence_tells_the_generator_from_the_target() {
        let sentence =
            |passes, fails, ceiling| CapacityReport { end: End { passes, fails, ceiling }, ..report() }.sentence();
        assert_eq!(
            sentence(Some(300.0), Some(600.0), Ceiling::Objectives),
            "passes at 300/s, not at 600/s: errors 12% of 6,000"
        );
        assert!(
            sentence(Some(300.0), Some(600.0), Ceiling::Generator).contains("the generator gave out first, at 600/s")
        );
        assert!(sentence(None, Some(0.5), Ceiling::Objectives).contains("at no rate"));
        assert!(sentence(Some(300.0), None, Ceiling::Limit).contains("higher may not be tried"));
    }
}
