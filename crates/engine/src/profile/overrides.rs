//! Figures of a profile that the command line replaces.

use super::draft::{Draft, Load};
use super::executor::check_limits;
use slatest_core::model::{Nanos, Place, Problem, Problems, Rate, Span, suggest};

/// Figures that replace those of a profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Peak rates, for a scenario by name or for every scenario that has a rate; its stages are
    /// scaled in proportion.
    pub rates: Vec<(Option<String>, Rate)>,
    /// How long the whole run lasts; starts, stages, warm-ups and cool-downs are stretched in proportion.
    pub duration: Option<Span>,
    /// Multiplies rates, users and sessions.
    pub scale: Option<f64>,
    /// Seed of every random choice.
    pub seed: Option<u64>,
}

/// A problem with a flag of the command line.
fn flag(name: &str, message: impl Into<String>) -> Problem {
    Problem::new(Place { key: name.to_owned(), ..Place::default() }, message)
}

impl Overrides {
    /// Replaces rates, then scales.
    ///
    /// # Errors
    /// A scenario that isn't there or has no rate; a figure of zero.
    pub(super) fn apply_loads(&self, drafts: &mut [Draft]) -> Result<(), Problems> {
        let mut problems = Problems::default();
        for (scenario, rate) in &self.rates {
            if let Err(problem) = replace_rate(drafts, scenario.as_deref(), *rate) {
                problems.0.push(problem);
            }
        }
        match self.scale {
            Some(scale) if scale.is_finite() && scale > 0.0 => drafts.iter_mut().for_each(|draft| draft.scale(scale)),
            Some(scale) => problems.0.push(flag("--scale", format!("a scale must lie above 0, not {scale}"))),
            None => {}
        }
        problems.or(())
    }

    /// The flags that change figures of scenarios, as they were said.
    fn flags(&self) -> String {
        let said = [
            ("--rate", !self.rates.is_empty()),
            ("--scale", self.scale.is_some()),
            ("--duration", self.duration.is_some()),
        ];
        said.iter().filter(|(_, said)| *said).map(|(flag, _)| *flag).collect::<Vec<_>>().join(" ")
    }

    /// Holds what came of them against the limits that a file has.
    ///
    /// # Errors
    /// Every figure beyond them.
    pub(super) fn check(&self, drafts: &[Draft]) -> Result<(), Problems> {
        let flags = self.flags();
        let mut problems = Problems::default();
        if !flags.is_empty() {
            for draft in drafts {
                problems.take(check_limits(draft, &flags));
            }
        }
        problems.or(())
    }

    /// Stretches everything so that the whole lasts as long as asked.
    pub(super) fn apply_duration(&self, drafts: &mut [Draft]) {
        let whole = drafts.iter().map(Draft::end).max().unwrap_or_default();
        if let Some(Span(wanted)) = self.duration
            && whole > Nanos::ZERO
        {
            let factor = wanted.as_secs_f64() / whole.as_secs_f64();
            drafts.iter_mut().for_each(|draft| draft.stretch(factor));
        }
    }
}

fn replace_rate(drafts: &mut [Draft], scenario: Option<&str>, Rate(rate): Rate) -> Result<(), Problem> {
    if rate <= 0.0 {
        return Err(flag("--rate", "a rate must be above zero"));
    }
    if let Some(name) = scenario
        && !drafts.iter().any(|draft| draft.name == name)
    {
        let message = format!("there is no scenario `{name}`");
        return Err(flag("--rate", message).with_help(suggest(name, drafts.iter().map(|draft| draft.name.as_str()))));
    }
    let wanted = drafts.iter_mut().filter(|draft| scenario.is_none_or(|name| draft.name == name));
    let mut found = false;
    for draft in wanted.filter(|draft| matches!(draft.load, Load::Arrivals(_))) {
        found = true;
        let peak = draft.peak();
        draft.multiply(rate / peak);
    }
    if found {
        return Ok(());
    }
    Err(flag(
        "--rate",
        match scenario {
            Some(name) => format!("the scenario `{name}` has users, not a rate"),
            None => "no scenario of this profile has a rate".into(),
        },
    ))
}
