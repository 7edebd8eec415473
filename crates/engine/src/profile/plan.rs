//! The plan: a profile, its workloads and a target, resolved and checked. Plain data; a run's
//! record carries it whole.

use serde::{Deserialize, Serialize};

use super::drills::DrillPlan;
use super::file::{Mix, OnAgentLoss, OnCoordinatorLoss, RateCounts};
use slatest_core::measure::{Counter, Series, Threshold};
use slatest_core::model::{Nanos, OperationId};
use slatest_core::schedule::{ArrivalLaw, Places, StagePlan};

/// Everything that a run is going to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Name of the profile.
    pub profile: String,
    /// What the profile is for.
    pub description: Option<String>,
    /// Seed of every random choice.
    pub seed: u64,
    /// Length of a window of the timeline.
    pub window: Nanos,
    /// How long operations in flight may go on after the last arrival.
    pub graceful_stop: Nanos,
    /// What becomes of a run of many agents when one of them is lost.
    #[serde(default)]
    pub on_agent_loss: OnAgentLoss,
    /// What agents do when they hear nothing of their coordinator.
    #[serde(default)]
    pub on_coordinator_loss: OnCoordinatorLoss,
    /// What is driven. The run lasts until the last of them has ended.
    pub scenarios: Vec<ScenarioPlan>,
    /// Every operation of every scenario; an [`OperationId`] is an index into this.
    pub operations: Vec<OperationPlan>,
    /// What must hold.
    pub objectives: Vec<ObjectivePlan>,
    /// What is broken on purpose, one after another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drills: Vec<DrillPlan>,
    /// Scenarios of the profile that the target can't serve: (scenario, reason).
    pub left_out: Vec<(String, String)>,
}

/// A scenario, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioPlan {
    /// Its name.
    pub name: String,
    /// Name of its workload.
    pub workload: String,
    /// Name of its endpoint.
    pub endpoint: String,
    /// Name of its driver.
    pub driver: String,
    /// How arrivals are made.
    pub executor: ExecutorPlan,
    /// How the next operation is chosen.
    pub mix: Mix,
    /// When it starts.
    pub start: Nanos,
    /// Length of its first part that is never judged.
    pub warm_up: Nanos,
    /// Length of its last part that is never judged.
    pub cool_down: Nanos,
    /// Most operations under way at once.
    pub max_in_flight: u64,
    /// Users that are there before the start and take turns (open model).
    #[serde(alias = "sessions")]
    pub users: Option<u64>,
    /// What each user does before anything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub once: Vec<PlanStep>,
    /// What the profile's rate counts; the stages of [`ScenarioPlan::executor`] always count arrivals.
    #[serde(default, skip_serializing_if = "RateCounts::is_arrivals")]
    pub rate_counts: RateCounts,
    /// What is dealt to the workers of all agents: groups of sessions, users, operations under way or
    /// connections, whichever are fewest.
    #[serde(default, skip_serializing_if = "Places::is_unbounded")]
    pub places: Places,
    /// The first of its operations in [`Plan::operations`]; they follow one another in the order of
    /// the workload.
    pub first_operation: OperationId,
    /// What may be chosen, in order: operations of weight above 0, then flows.
    pub items: Vec<MixItem>,
}

/// One choice of a scenario's mix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MixItem {
    /// Its share.
    pub weight: f64,
    /// What is executed.
    pub steps: Vec<PlanStep>,
    /// Name of the flow, when it is one.
    pub flow: Option<String>,
}

/// One step of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanStep {
    /// Executes an operation, by its index in the workload.
    Operation(usize),
    /// Waits.
    Think(Nanos),
}

/// How arrivals are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutorPlan {
    /// Open model.
    Arrivals {
        /// Law of the gaps.
        law: ArrivalLaw,
        /// The rate over time.
        stages: Vec<StagePlan>,
    },
    /// Closed model.
    Users {
        /// Users over time.
        stages: Vec<StagePlan>,
        /// Pause of a user between executions.
        think: Nanos,
    },
}

impl Plan {
    /// When its last arrival can be.
    pub fn end(&self) -> Nanos {
        self.scenarios.iter().map(ScenarioPlan::end).max().unwrap_or_default()
    }

    /// The tightest limit that an objective puts on a response time.
    pub fn tightest_limit(&self) -> Option<Nanos> {
        let limits = self.operations.iter().flat_map(|o| &o.thresholds);
        limits.filter(|t| t.series == Series::ResponseTime).map(|t| t.limit).min()
    }

    /// A window in which the generator's machine stood still for so long is spoiled: half of the
    /// tightest limit, for what arrives in a stall is late by half of it on average and the target
    /// needs its own part; a tenth of the shortest timeout where nothing limits a response time.
    pub fn stall_limit(&self) -> Nanos {
        let floor = || self.shortest_timeout().map_or(Nanos::from_millis(100), |timeout| Nanos(timeout.0 / 10));
        self.tightest_limit().map_or_else(floor, |limit| Nanos(limit.0 / 2))
    }

    /// The shortest timeout of an operation: the floor of every check whose own bound the profile does not give.
    pub fn shortest_timeout(&self) -> Option<Nanos> {
        self.operations.iter().map(|o| o.timeout).filter(|timeout| *timeout > Nanos::ZERO).min()
    }
}

impl ExecutorPlan {
    /// The stages, whatever they count.
    pub fn stages(&self) -> &[StagePlan] {
        match self {
            Self::Arrivals { stages, .. } | Self::Users { stages, .. } => stages,
        }
    }

    /// How long it takes.
    pub fn duration(&self) -> Nanos {
        self.stages().iter().fold(Nanos::ZERO, |sum, s| sum + s.duration)
    }
}

impl ScenarioPlan {
    /// When its last arrival can be.
    pub fn end(&self) -> Nanos {
        self.start + self.executor.duration()
    }

    /// Requests of an arrival on average: all steps of the flows, by the weights of the mix.
    pub fn requests_per_arrival(&self) -> f64 {
        let weight = |item: &MixItem| if self.mix == Mix::Weighted { item.weight } else { 1.0 };
        let steps = |item: &MixItem| item.steps.iter().filter(|s| matches!(s, PlanStep::Operation(_))).count() as f64;
        let whole: f64 = self.items.iter().map(weight).sum();
        if whole > 0.0 { self.items.iter().map(|item| weight(item) * steps(item)).sum::<f64>() / whole } else { 1.0 }
    }

    /// Whether an operation that was meant to start at `intended` is judged.
    pub fn is_judged(&self, intended: Nanos) -> bool {
        intended >= self.start + self.warm_up && intended < self.end() - self.cool_down
    }

    /// Length of the part that is judged.
    pub fn judged_length(&self) -> Nanos {
        self.executor.duration() - self.warm_up - self.cool_down
    }
}

/// An operation, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationPlan {
    /// Index of its scenario.
    pub scenario: usize,
    /// Its address, `scenario/operation`.
    pub address: String,
    /// Longest wait for its answer.
    pub timeout: Nanos,
    /// Names of its timings.
    pub timings: Vec<String>,
    /// Names of its ratios.
    pub ratios: Vec<String>,
    /// Limits that some objective puts on it; each has a counter of its own.
    pub thresholds: Vec<Threshold>,
    /// Share of the scenario's arrivals that execute it (a flow that does so twice counts twice).
    pub share: f64,
    /// Whether its writes go to the ledger.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ledger: bool,
    /// Whether each user executes it once (or when what it earned ends), and no arrival does. Only objectives that name
    /// it cover it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
}

/// An objective, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectivePlan {
    /// Its name.
    pub name: String,
    /// As written.
    pub scope: String,
    /// Operations in scope; never empty.
    pub operations: Vec<OperationId>,
    /// Whether each is judged by itself.
    pub each: bool,
    /// What is compared, and with what.
    pub aim: Aim,
    /// Ends the run as soon as it is shown not to hold, but not before so much of the measured part
    /// has passed; `None` lets the run go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_after: Option<Nanos>,
}

/// An indicator with its bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// The quantile of a time is below a limit.
    Quantile {
        /// Name of the time, for people: `response_time`, `service_time` or a timing's name.
        of: String,
        /// Per operation in scope (same order): the index of its threshold.
        thresholds: Vec<usize>,
        /// The quantile, in (0, 1).
        quantile: f64,
        /// The limit.
        below: Nanos,
    },
    /// The share of failures is below a limit.
    ErrorRate {
        /// The limit, in (0, 1).
        below: f64,
    },
    /// A ratio is above a limit.
    Ratio {
        /// Its name.
        of: String,
        /// Per operation in scope (same order): the index of its ratio.
        ratios: Vec<usize>,
        /// The limit, in (0, 1).
        above: f64,
    },
    /// Successes per second are above a limit.
    Throughput {
        /// The limit, per second.
        above: f64,
    },
}

impl Aim {
    /// The share of bad samples (exceedances, failures, misses) that must not be reached; `None`
    /// where samples are not counted one by one.
    pub fn bad_share_limit(&self) -> Option<f64> {
        match self {
            Self::Quantile { quantile, .. } => Some(1.0 - quantile),
            Self::ErrorRate { below } => Some(*below),
            Self::Ratio { above, .. } => Some(1.0 - above),
            Self::Throughput { .. } => None,
        }
    }

    /// Where the operation at this place of the scope counts; `None` where nothing is counted.
    pub fn counter(&self, position: usize) -> Option<Counter> {
        match self {
            Self::Quantile { thresholds, .. } => thresholds.get(position).map(|&index| Counter::Threshold(index)),
            Self::ErrorRate { .. } => Some(Counter::Failures),
            Self::Ratio { ratios, .. } => ratios.get(position).map(|&index| Counter::Ratio(index)),
            Self::Throughput { .. } => None,
        }
    }
}
