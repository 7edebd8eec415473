//! The journal of Chaos Toolkit (`journal.json`), for the tools that read it.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::execute::Outcome;
use super::super::steps::{Healing, Injection, Stage};
use crate::FaultSpec;

/// A journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChaosJournal {
    /// Version of its format that this fits.
    #[serde(rename = "chaoslib-version")]
    pub chaoslib_version: String,
    /// What ran it.
    pub platform: String,
    /// Where it ran.
    pub node: String,
    /// The experiment.
    pub experiment: Value,
    /// When it began, UTC.
    pub start: String,
    /// How it ended.
    pub status: ChaosStatus,
    /// Whether the steady state did not come back.
    pub deviated: bool,
    /// The steady state.
    pub steady_states: ChaosStates,
    /// What was done.
    pub run: Vec<ChaosRun>,
    /// What undid it.
    pub rollbacks: Vec<ChaosRun>,
    /// When it ended, UTC.
    pub end: String,
    /// How long it took, in seconds.
    pub duration: f64,
}

/// How an experiment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChaosStatus {
    /// To its end.
    Completed,
    /// The steady state was not there to begin with, or did not come back.
    Failed,
    /// An activity failed.
    Aborted,
    /// Somebody ended it.
    Interrupted,
}

/// The steady state before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChaosStates {
    /// Before the method.
    pub before: Option<Value>,
    /// After it.
    pub after: Option<Value>,
    /// Beside it.
    pub during: Vec<Value>,
}

/// One activity as it ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChaosRun {
    /// The activity.
    pub activity: Value,
    /// What it gave.
    pub output: Value,
    /// `succeeded` or `failed`.
    pub status: String,
    /// When it began, UTC.
    pub start: String,
    /// When it ended, UTC.
    pub end: String,
    /// How long it took, in seconds.
    pub duration: f64,
}

/// The journal of a drill that ran on `node`: restored is what they call a steady state that is met again.
pub fn chaos_journal(name: &str, fault: &FaultSpec, outcome: &Outcome, node: &str) -> ChaosJournal {
    let entered = |stage: Stage| outcome.marks.iter().find(|mark| mark.stage == stage).map(|mark| mark.at);
    let left = |stage: Stage| {
        let at = outcome.marks.iter().position(|mark| mark.stage == stage)?;
        outcome.marks.get(at + 1).map(|mark| mark.at)
    };
    let conclusion = &outcome.conclusion;
    let spec = serde_json::to_value(fault).unwrap_or(Value::Null);
    let ran = |kind: &str, stage: Stage, succeeded: bool, output: Value| {
        let (from, to) = (entered(stage)?, left(stage)?);
        let provider = json!({ "type": "slatest", "fault": spec });
        Some(ChaosRun {
            activity: json!({ "type": "action", "name": format!("{kind} {name}"), "provider": provider }),
            output,
            status: if succeeded { "succeeded" } else { "failed" }.into(),
            start: utc(from.wall),
            end: utc(to.wall),
            duration: to.run.since(from.run).as_secs_f64(),
        })
    };
    let injected = outcome.injected.as_ref().map_or(Value::Null, |injected| json!(injected.detail));
    let healed = conclusion.healing == Healing::Healed;
    let began = conclusion.injection != Injection::No;
    let steady = |met: bool| Some(json!({ "steady_state_met": met, "probes": [] }));
    let stopped = conclusion.wrong.iter().any(|reason| reason.starts_with("stopped"));
    let status = match conclusion.injection {
        _ if stopped => ChaosStatus::Interrupted,
        Injection::No if entered(Stage::Planning).is_none() => ChaosStatus::Failed,
        Injection::No | Injection::Unsure => ChaosStatus::Aborted,
        Injection::Yes if conclusion.restored => ChaosStatus::Completed,
        Injection::Yes => ChaosStatus::Failed,
    };
    let (start, end) = (outcome.marks.first(), outcome.marks.last());
    let wall = |mark: Option<&super::super::execute::Mark>| mark.map(|mark| utc(mark.at.wall)).unwrap_or_default();
    ChaosJournal {
        chaoslib_version: "1.43.0".into(),
        platform: format!("slatest-{}", env!("CARGO_PKG_VERSION")),
        node: node.to_owned(),
        experiment: json!({ "title": name, "description": "", "method": [], "rollbacks": [] }),
        start: wall(start),
        status,
        deviated: began && !conclusion.restored,
        steady_states: ChaosStates {
            before: steady(entered(Stage::Planning).is_some()),
            after: if began { steady(conclusion.restored) } else { None },
            during: Vec::new(),
        },
        run: ran("inject", Stage::Injecting, conclusion.injection == Injection::Yes, injected).into_iter().collect(),
        rollbacks: ran("heal", Stage::Healing, healed, json!(outcome.healed)).into_iter().collect(),
        end: wall(end),
        duration: match (start, end) {
            (Some(start), Some(end)) => end.at.run.since(start.at.run).as_secs_f64(),
            _ => 0.0,
        },
    }
}

/// As Chaos Toolkit writes instants: UTC, microseconds, no zone.
fn utc(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}
