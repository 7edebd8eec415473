//! Objectives in the page: what was asked, what was measured, on what evidence, and why what did not pass did not.

use serde::Serialize;

use crate::report::course::Course;
use crate::report::phrases::{grouped, plain, severity};
use crate::report::why::{Why, why};
use slatest_core::model::Verdict;
use slatest_engine::record::RunRecord;
use slatest_stats::{JudgedObjective, Reading, at_least, at_most};

/// One judged objective.
#[derive(Serialize)]
pub(super) struct Objective {
    pub index: usize,
    pub verdict: &'static str,
    pub name: String,
    pub scope: String,
    pub must_hold: String,
    pub measured: String,
    pub interval: String,
    pub evidence: String,
    /// (question, answer).
    pub why: Vec<(&'static str, String)>,
    pub notes: Vec<String>,
    pub inference: Vec<(&'static str, String)>,
    pub has_chart: bool,
    #[serde(skip)]
    pub indicator: String,
    #[serde(skip)]
    pub bound: String,
    #[serde(skip)]
    pub known: Option<Why>,
}

impl Objective {
    /// What was measured against what was asked: `p95 response_time is 391 ms, must be < 250 ms`.
    pub fn sentence(&self) -> String {
        match self.measured.as_str() {
            "failed" => format!("so many failed that it has no {}; must be {}", self.indicator, self.bound),
            measured => format!("{} is {measured}, must be {}", self.indicator, self.bound),
        }
    }
}

/// Every objective, those that did not pass first, the worst of these first.
pub(super) fn objectives(run: &RunRecord, course: &Course) -> Vec<Objective> {
    let mut all: Vec<(usize, &JudgedObjective)> = run.result.objectives.iter().enumerate().collect();
    all.sort_by_key(|(_, judged)| severity(judged.verdict));
    all.into_iter().map(|(i, judged)| objective(run, course, i, judged)).collect()
}

fn objective(run: &RunRecord, course: &Course, index: usize, judged: &JudgedObjective) -> Objective {
    let track = course.tracks.get(index).and_then(Option::as_ref);
    let known = why(run, course, index);
    Objective {
        index,
        verdict: judged.verdict.name(),
        name: plain(&judged.name),
        scope: plain(&judged.scope),
        must_hold: format!("{} {}", plain(&judged.indicator), judged.bound_text()),
        measured: judged.measured_text(),
        interval: judged.interval_text(),
        evidence: format!("{} / {}", grouped(judged.bad), grouped(judged.samples)),
        why: known.as_ref().map(|why| why.answers.clone()).unwrap_or_default(),
        notes: judged.notes().iter().map(|note| plain(note)).collect(),
        inference: inference(judged, track.and_then(|track| track.share_limit)),
        has_chart: track.is_some_and(|track| track.values.iter().any(Option::is_some)),
        indicator: plain(&judged.indicator),
        bound: judged.bound_text(),
        known,
    }
}

/// How the verdict was come to, step by step.
fn inference(judged: &JudgedObjective, limit: Option<f64>) -> Vec<(&'static str, String)> {
    let mut steps = Vec::new();
    let (bad, n) = (judged.bad, judged.samples);
    let Some(limit) = limit else {
        steps.push((
            "Counts",
            format!("{} of {} ended well in the judged part", grouped(n.saturating_sub(bad)), grouped(n)),
        ));
        steps.push((
            "Test",
            "the rate that was measured is compared with the limit; beside it stand Poisson's bounds at 95 %".into(),
        ));
        return steps;
    };
    let share = |bad: f64, n: f64| if n > 0.0 { Reading::Share(bad / n).to_string() } else { "none".into() };
    steps.push((
        "Counts",
        format!(
            "{} of {} samples count against it: {}; it takes fewer than {}",
            grouped(bad),
            grouped(n),
            share(bad as f64, n as f64),
            Reading::Share(limit)
        ),
    ));
    let effective = judged.effective.map_or(n as f64, |effective| effective as f64);
    if let Some(deff) = judged.deff {
        steps.push((
            "Design effect",
            format!(
                "{deff:.2}: samples that are close in time are alike, so these {} say as much as {} independent ones",
                grouped(n),
                grouped(effective as u64)
            ),
        ));
    }
    steps.push((
        "Test",
        "exact binomial, one-sided at 5 % to either side; no estimate is compared with the limit".into(),
    ));
    if n > 0 && effective >= 1.0 {
        let weighed = bad as f64 / n as f64 * effective;
        let (many, few) = chances(weighed, effective, limit);
        steps.push((
            "p",
            format!(
                "were the true share at the limit, so many bad ones or more would come with p = {}, so few or fewer with \
                 p = {}",
                chance(many),
                chance(few)
            ),
        ));
    }
    if let Some(trend) = judged.trend {
        steps.push(("Trend", format!("Mann and Kendall's Z = {trend:.2}; beyond ± 2.58 it was not steady")));
    }
    if let Some(culprit) = judged.culprit {
        let found = if culprit { "shown to be at fault" } else { "not shown to be at fault by itself" };
        steps.push(("Among many", format!("{found} (Holm, 5 % for all operations of the objective together)")));
    }
    let verdict = match judged.verdict {
        Verdict::Pass => "pass: so few are hardly to be had at the limit",
        Verdict::Fail => "fail: so many are hardly to be had at the limit",
        Verdict::Inconclusive => "inconclusive: these samples say neither",
        Verdict::Void => "void: the generator or a firewall decides, not the target",
    };
    steps.push(("Verdict", verdict.into()));
    steps
}

/// P(X ≥ bad) and P(X ≤ bad) of a binomial with `n` trials at `p`, of counts that were weighed: as the verdict was come to.
fn chances(bad: f64, n: f64, p: f64) -> (f64, f64) {
    (at_least(n, p, bad), at_most(n, p, bad))
}

fn chance(p: f64) -> String {
    match p {
        p if p < 1e-6 => "0.000001 at most".into(),
        p if p < 0.001 => format!("{p:.6}"),
        p => format!("{p:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_those_of_the_binomial() {
        // Ten at one half: P(X ≥ 8) = 56/1024, P(X ≤ 8) = 1013/1024.
        let (many, few) = chances(8.0, 10.0, 0.5);
        assert!((many - 56.0 / 1024.0).abs() < 1e-12 && (few - 1013.0 / 1024.0).abs() < 1e-12, "{many} {few}");
        assert_eq!(chances(0.0, 10.0, 0.5).0, 1.0);
        assert_eq!(chances(10.0, 10.0, 0.5).1, 1.0);
    }

    /// At so many samples statrs 0.19's incomplete beta function is wrong by a fiftieth.
    #[test]
    fn chances_hold_for_as_many_samples_as_a_soak_has() {
        let n = 1_999_999.0;
        let (many, few) = chances(1_000_000.0, n, 0.5);
        assert!((many - 0.5).abs() < 1e-9 && (few - 0.5).abs() < 1e-3, "{many} {few}");
    }
}
