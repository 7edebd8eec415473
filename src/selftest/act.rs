//! One plan, played through the real engine.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cases::workloads;
use slatest_core::measure::Tally;
use slatest_core::model::{Nanos, Problems};
use slatest_core::source::Source;
use slatest_engine::load::{EngineError, Judged, RunFacts, Stop};
use slatest_engine::profile::{Library, Overrides, Plan, resolve};
use slatest_engine::run::{Measured, Silent, measure};

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The plan was not understood: a defect of slatest.
    #[error("the self-test's own plan is not understood: {0}")]
    Plan(Problems),
    /// Its files can't be written.
    #[error("{path}: {error}")]
    Files {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It could not be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A plan as its user would write it.
#[derive(Clone, Debug)]
pub struct Act {
    /// Its name.
    pub name: &'static str,
    /// How long it sends.
    pub length: Nanos,
    profile: String,
}

/// What came of it.
#[derive(Debug)]
pub struct Played {
    /// What was done.
    pub plan: Plan,
    /// What was measured.
    pub facts: RunFacts,
    /// What any run would say of it.
    pub judged: Judged,
}

impl Act {
    pub(super) const fn new(name: &'static str, profile: String, length: Nanos) -> Self {
        Self { name, length, profile }
    }

    /// Plays it against `target`, with its files under `folder`. Blocks.
    ///
    /// # Errors
    /// When there is nothing to say of it.
    pub fn play(&self, folder: &Path, target: &Source, workers: usize, stop: Stop) -> Result<Played, ActError> {
        write_workloads(folder)?;
        let profile = Source::new(format!("self-test {}", self.name), self.profile.as_str(), folder);
        let library = Library::new(folder);
        let resolved = resolve(&library, &profile, target, &Overrides::default(), "slatest-selftest");
        let resolved = resolved.map_err(ActError::Plan)?;
        let plan = Arc::new(resolved.plan);
        let Measured { facts, judged } = measure(&plan, resolved.workloads, workers, stop, &mut Silent)?;
        Ok(Played { plan: Arc::unwrap_or_clone(plan), facts, judged })
    }
}

/// Writes the workload of each probe where a library finds it.
pub(super) fn write_workloads(folder: &Path) -> Result<(), ActError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| ActError::Files { path, error }
    };
    let shelf = folder.join("workloads");
    std::fs::create_dir_all(&shelf).map_err(failed(&shelf))?;
    for (name, text) in workloads() {
        let path = shelf.join(name);
        std::fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(())
}

impl Played {
    /// What was judged of the one operation of a scenario.
    pub(super) fn tally(&self, scenario: &str) -> Option<&Tally> {
        let address = format!("{scenario}/ask");
        let index = self.plan.operations.iter().position(|operation| operation.address == address)?;
        self.facts.timeline.judged.get(index)
    }

    /// Why nothing can be said of the target by this run, when that is so.
    pub(super) fn void(&self) -> Option<String> {
        let broken: Vec<String> = self
            .judged
            .validity
            .iter()
            .filter(|check| check.voids())
            .map(|check| format!("{}: {}, must be {}", check.name, check.measured, check.bound))
            .collect();
        (!broken.is_empty()).then(|| broken.join("; "))
    }

    /// What the machine suffered, when it did.
    pub(super) fn stalls(&self) -> Option<String> {
        let resources = &self.facts.resources;
        (resources.stall_total > Nanos::ZERO)
            .then(|| format!("the machine stood still for {}, {} in all", resources.stall_max, resources.stall_total))
    }
}

#[cfg(test)]
mod tests {
    use super::super::cases::{Size, freezes, laws, throttled_profile};
    use super::*;

    #[test]
    fn the_plans_are_understood() {
        let folder = tempfile::tempdir().unwrap();
        write_workloads(folder.path()).unwrap();
        let target = Source::new(
            "target",
            "name: sandbox\nenvironment: sandbox\nallow: { hosts: ['127.0.0.1'] }\nendpoints: { api: { http: 'http://127.0.0.1:9' } }\n",
            ".",
        );
        let library = Library::new(folder.path());
        let throttled = Act::new("throttled", throttled_profile(), Nanos::ZERO);
        for size in [Size::FULL, Size::SHORT] {
            for act in [laws(size), freezes(size), throttled.clone()] {
                let profile = Source::new(act.name, act.profile.as_str(), folder.path());
                let resolved = resolve(&library, &profile, &target, &Overrides::default(), "r");
                assert!(resolved.is_ok(), "{}: {:?}", act.name, resolved.err());
            }
        }
    }
}
