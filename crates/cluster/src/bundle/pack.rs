//! The coordinator's side: everything that an agent needs to come to the same plan.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::path::InsidePath;
use super::{BYTES_MAX, FILES_MAX, digest};
use crate::wire;
use slatest_core::files::FileError;
use slatest_core::files::open_regular;
use slatest_core::model::{Nanos, Problem, Problems};
use slatest_core::source::{Located, Source};
use slatest_core::target::Secret;
use slatest_drivers::Endpoint;
use slatest_drivers::workload::DataSpec;
use slatest_engine::profile::{Library, Overrides, Plan, ProfileFile, Target};

/// What an assignment is made of.
#[derive(Clone, Copy)]
pub struct Packing<'a> {
    /// Where workloads are found.
    pub library: &'a Library,
    /// The working directory, from which paths count.
    pub working_directory: &'a Path,
    /// The profile.
    pub profile: &'a Source,
    /// The target.
    pub target: &'a Source,
    /// What the command line replaced.
    pub overrides: &'a Overrides,
    /// What they came to here.
    pub plan: &'a Plan,
    /// The run's name towards the target, without an agent's suffix.
    pub name: &'a str,
}

/// The feeds of a workload, whatever its driver.
#[derive(Deserialize)]
struct Feeds {
    #[serde(default)]
    data: BTreeMap<String, Located<DataSpec>>,
}

/// Packs everything that travels: profile, target, workloads, feeds, and the CA certificates of the
/// endpoints in use. Keys, client certificates and credentials stay: each agent has its own.
///
/// # Errors
/// Every file that can't travel, with its place and what to do about it.
pub fn pack(packing: Packing<'_>) -> Result<wire::Assignment, Problems> {
    let mut freight = Freight {
        working_directory: packing.working_directory,
        files: BTreeMap::new(),
        bytes: packing.profile.text.len() + packing.target.text.len(),
    };
    let mut problems = Problems::default();
    // By their place: a file may be called by its name and by its path.
    let mut workloads = BTreeMap::new();
    for source in problems.take(used_workloads(&packing)).unwrap_or_default() {
        if let Some(file) = problems.take(freight.workload(&source)) {
            workloads.insert(file.path.clone(), file);
        }
        problems.take(freight.feeds(&source));
    }
    problems.take(freight.target(&packing));
    if freight.files.len() + workloads.len() > FILES_MAX {
        let message = format!("{} files are too many to send to agents", freight.files.len() + workloads.len());
        problems.0.push(packing.profile.problem("", message));
    }
    if freight.bytes > BYTES_MAX {
        let message = format!(
            "the files of this run have {} MiB; at most {} MiB are sent to agents",
            freight.bytes.div_ceil(1024 * 1024),
            BYTES_MAX / 1024 / 1024
        );
        let problem = packing.profile.problem("", message);
        problems.0.push(problem.with_help("shorten the feeds, or let them be made up (`generate`, `keys`)"));
    }
    let plan = digest(packing.plan);
    problems.or(wire::Assignment {
        profile: Some(whole(packing.profile, "profile.yaml", packing.working_directory)),
        target: Some(whole(packing.target, "target.yaml", packing.working_directory)),
        workloads: workloads.into_values().collect(),
        files: freight.files.into_values().collect(),
        overrides: Some(overrides(packing.overrides, packing.plan.seed)),
        plan_digest: plan.whole.into(),
        name: packing.name.to_owned(),
        plan_parts: plan.parts.into_iter().map(|(name, d)| wire::PlanPart { name, digest: d.into() }).collect(),
    })
}

/// The workload files that the plan's scenarios are made of, each once.
fn used_workloads(packing: &Packing<'_>) -> Result<Vec<Source>, Problems> {
    let file: ProfileFile = packing.profile.parse()?;
    let mut named = BTreeSet::new();
    let mut sources = Vec::new();
    // Those that the target can't serve too: why they are left out is part of the plan.
    for spec in file.scenarios.values() {
        if named.insert(spec.workload.value.clone()) {
            sources.push(packing.library.workload(&spec.workload)?);
        }
    }
    Ok(sources)
}

/// A profile or target, whose own place matters only for the paths that it names.
fn whole(source: &Source, otherwise: &str, working_directory: &Path) -> wire::File {
    let place = location(source).and_then(|path| InsidePath::of(&path, working_directory));
    let path = place.map_or_else(|| otherwise.to_owned(), |place| place.to_string());
    wire::File { name: source.name.clone(), path, content: source.text.as_bytes().to_vec().into() }
}

/// Where a source lies, if it is a file: what is built in has no place.
fn location(source: &Source) -> Option<PathBuf> {
    let name = Path::new(&source.name);
    name.extension()?;
    let path = source.folder.join(name.file_name()?);
    (!source.name.starts_with("built-in ")).then_some(path)
}

fn overrides(overrides: &Overrides, seed: u64) -> wire::Overrides {
    let rate = |(scenario, rate): &(Option<String>, slatest_core::model::Rate)| wire::RateOverride {
        scenario: scenario.clone(),
        per_sec: rate.0,
    };
    wire::Overrides {
        rates: overrides.rates.iter().map(rate).collect(),
        duration_ns: overrides.duration.map(|span| Nanos(span.0.0).0),
        scale: overrides.scale,
        // Drawn once, here: every agent draws the same from it.
        seed,
    }
}

/// What is packed so far.
struct Freight<'a> {
    working_directory: &'a Path,
    files: BTreeMap<InsidePath, wire::File>,
    bytes: usize,
}

impl Freight<'_> {
    fn workload(&mut self, source: &Source) -> Result<wire::File, Problems> {
        self.bytes += source.text.len();
        let path = match (location(source), source.name.strip_prefix("built-in ")) {
            (_, Some(shelf)) => shelf.to_owned(),
            (Some(path), None) => {
                InsidePath::of(&path, self.working_directory).map(|p| p.to_string()).ok_or_else(|| outside(source))?
            }
            (None, None) => return Err(outside(source).into()),
        };
        Ok(wire::File { name: source.name.clone(), path, content: source.text.as_bytes().to_vec().into() })
    }

    fn feeds(&mut self, source: &Source) -> Result<(), Problems> {
        let feeds: Feeds = source.parse()?;
        let mut problems = Problems::default();
        for (name, spec) in &feeds.data {
            for (key, written) in [("csv", &spec.csv), ("jsonl", &spec.jsonl)] {
                let Some(written) = written else { continue };
                let place = |reason: String| source.problem_at(written, format!("data.{name}.{key}"), reason);
                problems.take(
                    self.add(&source.path(written), written)
                        .map_err(|(reason, help)| Problems::from(place(reason).with_help(help))),
                );
            }
        }
        problems.or(())
    }

    /// The CA certificates of the endpoints in use. What stays with each agent must have a place there.
    fn target(&mut self, packing: &Packing<'_>) -> Result<(), Problems> {
        let source = packing.target;
        let target: Target = source.parse()?;
        let used: BTreeSet<&str> = packing.plan.scenarios.iter().map(|s| s.endpoint.as_str()).collect();
        let mut problems = Problems::default();
        for (name, endpoint) in target.endpoints.iter().filter(|(name, _)| used.contains(name.as_str())) {
            let place =
                |key: &str, reason: String| source.problem_at(endpoint, format!("endpoints.{name}.{key}"), reason);
            // What is named by a place of the whole machine, outside of here, is looked for there by agents too.
            let everywhere = |ca: &&str| {
                Path::new(ca).is_absolute() && InsidePath::of(Path::new(ca), self.working_directory).is_none()
            };
            if let Some(ca) = endpoint.tls_files().ca.filter(|ca| !everywhere(ca)) {
                let added = self.add_certificates(&source.path(ca), ca);
                problems.take(added.map_err(|(reason, help)| Problems::from(place("ca", reason).with_help(help))));
            }
            for (key, written) in stays(endpoint) {
                let path = source.path(&written);
                if !Path::new(&written).is_absolute() && InsidePath::of(&path, self.working_directory).is_none() {
                    let reason =
                        format!("{written} lies outside of the working directory, and agents look for it in theirs");
                    problems.0.push(place(&key, reason).with_help("give it an absolute path, the same on every agent"));
                }
            }
        }
        problems.or(())
    }

    fn add_certificates(&mut self, path: &Path, written: &str) -> Result<(), (String, String)> {
        let inside = self.add(path, written)?;
        let file = self.files.get(&inside);
        if file.is_some_and(|file| file.content.windows(12).any(|part| part == b"PRIVATE KEY-")) {
            self.files.remove(&inside);
            let reason =
                format!("{written} holds a private key beside its certificates; keys are never sent to agents");
            return Err((reason, "put the CA certificates into a file of their own".into()));
        }
        Ok(())
    }

    /// Adds a file; where it lies.
    fn add(&mut self, path: &Path, written: &str) -> Result<InsidePath, (String, String)> {
        let inside = InsidePath::of(path, self.working_directory).ok_or_else(|| {
            let reason = format!("{written} lies outside of the working directory, and can't be sent to agents");
            (reason, "move it, start slatest in a folder above it, or (certificates) give it an absolute path, the same on every agent".to_owned())
        })?;
        if self.files.contains_key(&inside) {
            return Ok(inside);
        }
        let unreadable = |e: FileError| (format!("{written} {e}"), String::from("look at its path and rights"));
        let file = open_regular(path).map_err(|e| unreadable(e.into()))?;
        let mut content = Vec::new();
        // One more than fits: that it is too much is said of all files together.
        let room = BYTES_MAX.saturating_sub(self.bytes) + 1;
        file.take(room as u64).read_to_end(&mut content).map_err(|e| unreadable(e.into()))?;
        self.bytes += content.len();
        let file = wire::File { name: written.to_owned(), path: inside.to_string(), content: content.into() };
        self.files.insert(inside.clone(), file);
        Ok(inside)
    }
}

fn outside(source: &Source) -> Problem {
    let message = "lies outside of the working directory, and can't be sent to agents";
    source.problem("", message).with_help("start slatest in a folder above it, or copy it into workloads/")
}

/// What an endpoint names that never travels, by its key: client certificate and key, secrets that are
/// files, a database that is one.
pub(super) fn stays(endpoint: &Endpoint) -> Vec<(String, String)> {
    let tls = endpoint.tls_files();
    let identity = [("cert", tls.cert), ("key", tls.key)];
    let identity = identity.into_iter().filter_map(|(key, file)| Some((key.to_owned(), file?.to_owned())));
    let secrets = endpoint.secrets().into_iter().filter_map(|(key, part)| match part.secret {
        Secret::File(path) => Some((key, path.clone())),
        Secret::Env(_) => None,
    });
    let others = endpoint.local_files().into_iter().map(|(key, file)| (key, file.to_owned()));
    identity.chain(secrets).chain(others).collect()
}
