//! A check of the run itself, and what follows when it does not hold.

use serde::{Deserialize, Serialize};

/// What a check that does not hold does to the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The run says nothing about the target.
    Void,
    /// It is shown.
    Warn,
}

/// One check of the run itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// What was found.
    pub measured: String,
    /// What it must be.
    pub bound: String,
    /// Whether it is.
    pub holds: bool,
    /// What follows when it is not.
    pub effect: Effect,
    /// What that means, for the person who reads it; empty where it holds.
    #[serde(alias = "words")]
    pub message: String,
}

impl Check {
    /// Whether it makes the run void.
    pub fn voids(&self) -> bool {
        !self.holds && self.effect == Effect::Void
    }

    /// A check that holds unless there are words for how it is `broken`.
    pub(super) fn new<W: Into<String>>(
        name: &str,
        effect: Effect,
        measured: String,
        bound: String,
        broken: Option<W>,
    ) -> Self {
        let broken: Option<String> = broken.map(Into::into);
        let holds = broken.is_none();
        Self { name: name.into(), measured, bound, holds, effect, message: broken.unwrap_or_default() }
    }

    /// The target did not keep up with a scenario: no fault of the run, and to be said with its checks.
    pub fn falling_behind(scenario: &str, message: String) -> Self {
        let bound = "under way does not grow without bound".into();
        Self::new("keeps up", Effect::Warn, scenario.to_owned(), bound, Some(message))
    }

    /// One that holds.
    pub(super) fn sound(name: &str, measured: String, bound: String) -> Self {
        Self::new(name, Effect::Void, measured, bound, None::<String>)
    }
}
