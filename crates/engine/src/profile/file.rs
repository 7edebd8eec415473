//! The shape of a profile file (`profiles/*.yaml`).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::drills::{DrillSpec, RecoverySpec};
use slatest_core::model::{Nanos, Percent, Rate, Span};
use slatest_core::schedule::ArrivalLaw;
use slatest_core::source::Located;

/// A profile: scenarios, objectives and drills for one purpose.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileFile {
    /// Its name, as `--profile` takes it.
    pub name: Located<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Seed of every random choice; drawn afresh for each run when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Length of a window of the timeline. Default 1 s; from 100 ms to 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Located<Span>>,
    /// How long operations in flight may go on after the last arrival. Default 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful_stop: Option<Span>,
    /// What becomes of a run of many agents when one of them is lost. Default `void`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_agent_loss: Option<OnAgentLoss>,
    /// What agents do when they hear nothing of their coordinator. Default `stop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_coordinator_loss: Option<OnCoordinatorLoss>,
    /// Whether it may run on a target marked production (which must also be named on the command line).
    #[serde(default)]
    pub production: bool,
    /// What is driven, by name.
    pub scenarios: BTreeMap<String, Located<ScenarioSpec>>,
    /// What must hold.
    #[serde(default)]
    pub objectives: Vec<Located<ObjectiveSpec>>,
    /// What is broken on purpose.
    #[serde(default)]
    pub drills: Vec<Located<DrillSpec>>,
    /// What must hold after drills.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recovery: Vec<Located<RecoverySpec>>,
}

/// What becomes of a run of many agents when one of them is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnAgentLoss {
    /// Its share of the load is not sent any more, and the run is void.
    #[default]
    Void,
    /// The others take over its share.
    Redistribute,
}

/// What agents do when they hear nothing of their coordinator for 5 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnCoordinatorLoss {
    /// They stop sending: load never runs on unwatched.
    #[default]
    Stop,
    /// They go on to the end of the plan.
    Finish,
}

/// How arrivals are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExecutorKind {
    /// Open model at one rate.
    ConstantArrivalRate,
    /// Open model at a rate that moves from stage to stage.
    RampingArrivalRate,
    /// Closed model: a fixed number of virtual users, each starting again when it is done.
    ConstantVus,
    /// Closed model with a number of virtual users that moves from stage to stage.
    RampingVus,
}

/// How the next operation is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mix {
    /// At random by weight.
    #[default]
    Weighted,
    /// Each operation and flow in turn, whatever its weight.
    InTurn,
}

/// What a written rate counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RateCounts {
    /// Arrivals: the steps of a flow after its first come on top.
    #[default]
    Arrivals,
    /// Requests: fewer arrivals are planned, so that all steps of flows together come to the rate.
    Requests,
}

impl RateCounts {
    /// Whether it is the default.
    pub fn is_arrivals(&self) -> bool {
        *self == Self::Arrivals
    }
}

/// A target of a stage: a rate or a number of users.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum StageTarget {
    /// Arrivals per second, written `300/s`.
    Rate(Rate),
    /// Virtual users, written as a number.
    Users(u64),
}

/// One stage: a straight line from where the last one ended to `target`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageSpec {
    /// How long it takes.
    pub duration: Located<Span>,
    /// Where it ends.
    pub target: Located<StageTarget>,
}

/// A workload with an executor.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioSpec {
    /// Which workload, by name.
    pub workload: Located<String>,
    /// Endpoint of the target to use instead of the workload's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Located<String>>,
    /// How arrivals are made.
    pub executor: Located<ExecutorKind>,
    /// The law of the gaps (arrival-rate executors). Default `poisson`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Located<ArrivalLaw>>,
    /// How the next operation is chosen. Default `weighted`.
    #[serde(default)]
    pub mix: Mix,
    /// What `rate`, `start_rate` and the stages count: `arrivals` (default), or `requests` with all steps of flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_counts: Option<Located<RateCounts>>,
    /// `constant-arrival-rate`: how many, as `rate_counts` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Located<Rate>>,
    /// `ramping-arrival-rate`: the rate at the start. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_rate: Option<Located<Rate>>,
    /// `constant-vus`: how many users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vus: Option<Located<u64>>,
    /// `ramping-vus`: users at the start. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_vus: Option<Located<u64>>,
    /// Pause of a virtual user between executions. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think: Option<Span>,
    /// Constant executors: for how long. May be left out when another scenario says how long the
    /// run is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Located<Span>>,
    /// Ramping executors: the stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Located<Vec<StageSpec>>>,
    /// When it starts, from the start of the run. Default at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_after: Option<Span>,
    /// The first part of its time: sent, never judged. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<Located<Span>>,
    /// The last part of its time: sent, never judged. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cool_down: Option<Located<Span>>,
    /// Most operations under way at once; arrivals beyond are dropped. Default 1000, or as many as there are users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<Located<u64>>,
    /// How many users act, each with its own connection, cookies, captures and row of data. They are there before the
    /// start, and arrivals go to them in turn; `constant-vus` takes it in place of `vus`. Default: whoever is free, as
    /// many as needed. Also read as `sessions`.
    #[serde(default, alias = "sessions", skip_serializing_if = "Option::is_none")]
    pub users: Option<Located<u64>>,
}

/// What is compared with the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IndicatorKind {
    /// Done − intended. Needs `quantile` and `below` (a duration).
    ResponseTime,
    /// Done − sent. Needs `quantile` and `below` (a duration).
    ServiceTime,
    /// A part of the whole that the driver reports; needs `timing`, `quantile`, `below`.
    Timing,
    /// Failures / all. Needs `below` (a share).
    ErrorRate,
    /// A ratio that the driver reports, such as `hit_rate`; needs `ratio` and `above` (a share).
    Ratio,
    /// Completed as they should per second. Needs `above` (a rate).
    Throughput,
}

/// A bound: a duration, a share or a rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum BoundValue {
    /// `500ms`
    Duration(Span),
    /// `0.1%`
    Share(Percent),
    /// `300/s`
    Rate(Rate),
}

/// How an objective over several operations is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    /// Every operation in scope by itself.
    Operation,
}

/// Whether a run ends early once an objective is shown not to hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AbortOnFail {
    /// `true`: as soon as it is shown; `false`: never.
    Asked(bool),
    /// A duration: as soon as it is shown, but not before so much of the measured part has passed.
    After(Span),
}

impl AbortOnFail {
    /// The delay; `None` when it doesn't end a run.
    pub fn delay(self) -> Option<Nanos> {
        match self {
            Self::Asked(asked) => asked.then_some(Nanos::ZERO),
            Self::After(Span(delay)) => Some(delay),
        }
    }
}

/// An objective (an SLO): an indicator and its bound.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveSpec {
    /// Its name.
    pub name: Located<String>,
    /// Operations that it covers: a pattern over `scenario/operation`.
    pub scope: Located<String>,
    /// Judge every operation by itself; otherwise all in scope together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Each>,
    /// What is compared.
    pub indicator: Located<IndicatorKind>,
    /// Which timing, for `indicator: timing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<Located<String>>,
    /// Which ratio, for `indicator: ratio`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Located<String>>,
    /// Which quantile, in (0, 1), for the times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<Located<f64>>,
    /// It must be below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<Located<BoundValue>>,
    /// It must be above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<Located<BoundValue>>,
    /// End the run early once this is shown not to hold: `true`, or a duration to wait before the
    /// first look. Default: the run goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_on_fail: Option<Located<AbortOnFail>>,
}
