//! From a scenario to its compiled workload: the workload file, its driver, its endpoint.

use std::sync::Arc;

use serde::Deserialize;

use super::draft::Draft;
use super::file::ScenarioSpec;
use super::library::{Library, Shelf};
use crate::profile::Target;
use slatest_core::model::{Place, Problem, Problems, suggest};
use slatest_core::source::{Located, Source};
use slatest_core::target::Guard;
use slatest_drivers::workload::WorkloadHead;
use slatest_drivers::{CompileContext, Driver, Workload, drivers, protocol};

/// A scenario that the target can't serve.
#[derive(Clone, Debug)]
pub(super) struct LeftOut {
    pub(super) scenario: String,
    pub(super) reason: String,
    /// Names of its operations, to tell which objectives go with it.
    pub(super) operations: Vec<String>,
    /// Objectives that go with it.
    pub(super) objectives: Vec<String>,
}

impl LeftOut {
    /// The reason, with what goes with it.
    pub(super) fn told(self) -> (String, String) {
        let reason = match self.objectives.as_slice() {
            [] => self.reason,
            [one] => format!("{}; the objective {one} goes with it", self.reason),
            many => format!("{}; the objectives {} go with it", self.reason, many.join(", ")),
        };
        (self.scenario, reason)
    }
}

/// What workloads are compiled against.
pub(super) struct ResolveContext<'a> {
    pub(super) library: &'a Library,
    pub(super) profile: &'a Source,
    pub(super) target_source: &'a Source,
    pub(super) target: &'a Target,
    pub(super) guard: &'a Guard,
    pub(super) seed: u64,
    pub(super) run: &'a str,
}

/// A scenario whose workload was found and whose endpoint is fit for it.
pub(super) struct Binding<'a> {
    source: Source,
    /// Name of the workload, as it calls itself.
    pub(super) workload: String,
    pub(super) driver: &'static dyn Driver,
    pub(super) endpoint: &'a str,
}

/// What became of a scenario.
pub(super) enum Casting<'a> {
    Binding(Binding<'a>),
    LeftOut(LeftOut),
}

/// The names in a workload file, whatever its driver.
#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    operations: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl<'a> ResolveContext<'a> {
    /// Finds the workload, the driver and the endpoint of a scenario.
    ///
    /// # Errors
    /// An unknown workload or driver; an endpoint that isn't there or is of the wrong kind.
    pub(super) fn cast(&self, name: &str, spec: &'a ScenarioSpec) -> Result<Casting<'a>, Problems> {
        let source = self.library.find(Shelf::Workloads, &spec.workload).map_err(|problem| {
            // A file that is not known, or can't be read, is named wrongly in the profile.
            let message = match problem.place.file.as_str() {
                "" => problem.message,
                file => format!("`{file}` {}", problem.message),
            };
            let at = self.profile.problem_at(&spec.workload, format!("scenarios.{name}.workload"), message);
            Problem { help: problem.help, ..at }
        })?;
        let head = source.parse::<WorkloadHead>()?;
        let protocol = protocol(&head.driver).ok_or_else(|| unknown_driver(&source, &head.driver))?;
        let driver = protocol.driver.ok_or_else(|| not_compiled(&source, &head.driver))?;
        let (written_in, written, key) = match &spec.endpoint {
            Some(endpoint) => (self.profile, endpoint, format!("scenarios.{name}.endpoint")),
            None => (&source, &head.endpoint, "endpoint".to_owned()),
        };
        let endpoints = &self.target.endpoints;
        let Some((endpoint_name, endpoint)) = endpoints.get_key_value(written.as_str()) else {
            if let Some(reason) = self.target.absent.get(written.as_str()) {
                let names = source.parse::<Names>().map(|names| names.operations).unwrap_or_default();
                return Ok(Casting::LeftOut(LeftOut {
                    scenario: name.to_owned(),
                    reason: format!("the target `{}` has no `{written}`: {reason}", self.target.name),
                    operations: names.into_iter().map(|named| named.name).collect(),
                    objectives: Vec::new(),
                }));
            }
            let message = format!(
                "the scenario `{name}` needs the endpoint `{written}`, which the target `{}` ({}) doesn't have",
                self.target.name, self.target_source.name
            );
            let help = suggest(written, endpoints.keys().map(String::as_str));
            return Err(written_in.problem_at(written, key, message).with_help(help).into());
        };
        let kinds = protocol.endpoint_kinds;
        if !kinds.contains(&endpoint.kind()) {
            let message = format!(
                "the driver `{}` of the workload `{}` can't use an endpoint that starts with `{}`",
                driver.name(),
                head.name,
                endpoint.kind()
            );
            let key = format!("endpoints.{endpoint_name}");
            let help = format!("it takes one that starts with {}", kinds.join(" or "));
            return Err(self.target_source.problem_at(endpoint, key, message).with_help(help).into());
        }
        let workload = head.name.value;
        Ok(Casting::Binding(Binding { source, workload, driver, endpoint: endpoint_name }))
    }

    /// Compiles the workload of a scenario; a scaled number of users is rounded up to whole
    /// groups first.
    ///
    /// # Errors
    /// Every mistake in the workload file.
    pub(super) fn compile(&self, cast: &Binding<'_>, draft: &mut Draft) -> Result<Arc<dyn Workload>, Problems> {
        let Some(endpoint) = self.target.endpoints.get(cast.endpoint) else { return Err(Problems::default()) };
        let compile = |sessions: Option<u64>| {
            cast.driver.compile(&CompileContext {
                source: &cast.source,
                endpoint,
                endpoint_name: cast.endpoint,
                target: self.target_source,
                target_folder: &self.target_source.folder,
                guard: self.guard,
                scenario: &draft.name,
                sessions,
                seed: self.seed,
                run: self.run,
            })
        };
        if draft.scaled && draft.users.is_some() {
            let group = compile(None)?.session_group().max(1);
            draft.users = draft.users.map(|users| users.div_ceil(group).saturating_mul(group));
            return compile(draft.users);
        }
        compile(draft.users)
    }
}

fn unknown_driver(source: &Source, written: &Located<String>) -> Problem {
    let message = format!("there is no driver `{written}`");
    source.problem_at(written, "driver", message).with_help(suggest(written, drivers().map(Driver::name)))
}

fn not_compiled(source: &Source, written: &Located<String>) -> Problem {
    let message = format!("the driver `{written}` was not compiled into this binary");
    source.problem_at(written, "driver", message).with_help(format!("build it with `--features {written}`"))
}

/// The place of an endpoint's key in the target file.
pub(super) fn endpoint_place<T>(source: &Source, endpoint: &Located<T>, name: &str, key: &str) -> Place {
    source.problem_at(endpoint, format!("endpoints.{name}.{key}"), "").place
}
