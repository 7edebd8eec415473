//! The shape of a profile's drills and recovery objectives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use slatest_core::model::Span;
use slatest_core::source::Located;
use slatest_faults::InjectSpec;
use slatest_faults::steps::HealBy;

/// A planned fault, and how its consequences are watched. One drill follows another.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrillSpec {
    /// Its name.
    pub name: Located<String>,
    /// When the fault is injected, from the start of the run. This or `after_steady`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Located<Span>>,
    /// It is injected after so many windows in a row in which every objective holds. This or `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_steady: Option<Located<u64>>,
    /// With `after_steady`: how long that may take before the drill is given up. Default three times these
    /// windows, at least 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady_within: Option<Located<Span>>,
    /// What is broken: `fault: NAME` of the target's `faults`, or an injector with its settings.
    pub inject: Located<InjectSpec>,
    /// How long the fault lasts before it is healed. Default: until nothing is watched any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Located<Span>>,
    /// Who heals it. Default `auto`.
    #[serde(default, skip_serializing_if = "HealBy::is_auto")]
    pub heal: HealBy,
    /// How long is watched, from the fault on.
    pub watch: Located<Span>,
    /// How many good windows in a row are a recovery. Default 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_after: Option<Located<u64>>,
    /// Operations that are expected to feel it: a pattern over `scenario/operation`.
    pub scope: Located<String>,
}

/// A recovery objective: what must hold after a drill's fault.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoverySpec {
    /// Its name.
    pub name: Located<String>,
    /// Name of the drill.
    pub drill: Located<String>,
    /// Operations that it covers: a pattern over `scenario/operation`. Default: the drill's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Located<String>>,
    /// Recovery time objective: they serve again sooner than this after the fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<Located<Span>>,
    /// Recovery point objective: no acknowledged write older than this, counted back from the fault, is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Located<Span>>,
    /// Most acknowledged writes that may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_writes: Option<Located<u64>>,
}
