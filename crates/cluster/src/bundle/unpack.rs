//! The agent's side: from what travelled to a plan that is the coordinator's.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use super::pack::stays;
use super::path::InsidePath;
use super::{BYTES_MAX, FILES_MAX, PlanDigest, digest};
use crate::wire;
use slatest_core::model::{Nanos, Problems, Rate, Span};
use slatest_core::source::Source;
use slatest_engine::profile::{Library, Overrides, Resolved, Target, resolve};

/// Why an assignment can't be taken on.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is none that a coordinator of this version makes.
    #[error("the coordinator sent an assignment that is refused: {0}")]
    Malformed(String),
    /// Its files can't be written here.
    #[error("the files of the run can't be written to {folder}: {error}")]
    Folder {
        /// Where.
        folder: String,
        /// Why.
        error: std::io::Error,
    },
    /// Something that never travels is not here.
    #[error("{missing}: such files are never sent, so each agent needs its own ({problems})")]
    Missing {
        /// What, and where it is looked for.
        missing: String,
        /// What can't be resolved without it.
        problems: Problems,
    },
    /// What it says is wrong here, and was not at the coordinator.
    #[error("what the coordinator could resolve can't be resolved on this machine: {0}")]
    Invalid(Problems),
    /// It comes to another plan.
    #[error(
        "this agent's plan is not the coordinator's ({0}): the same version of slatest, built with the same features, \
         must run on all machines"
    )]
    Differs(String),
}

/// A run that an agent can take part in.
pub struct Unpacked {
    /// The plan with its workloads.
    pub resolved: Resolved,
    /// Where its files lie, as long as this lives.
    pub folder: TempDir,
}

/// Writes the files into a fresh folder and resolves them for agent `index`. What never travels (client
/// keys, secrets that are files, a database that is one) is looked for in `working_directory`, at the
/// same relative path. Blocks.
///
/// # Errors
/// When the assignment is malformed, something is missing here, or the plan is not the coordinator's.
pub fn unpack(assignment: &wire::Assignment, index: u64, working_directory: &Path) -> Result<Unpacked, UnpackError> {
    let malformed = UnpackError::Malformed;
    let (Some(profile), Some(target)) = (&assignment.profile, &assignment.target) else {
        return Err(malformed("it has no profile or no target".into()));
    };
    let files = || assignment.workloads.iter().chain(&assignment.files);
    let bytes: usize = files().chain([profile, target]).map(|file| file.content.len()).sum();
    if bytes > BYTES_MAX || files().count() > FILES_MAX {
        return Err(malformed(format!("{} files with {bytes} bytes are too many", files().count())));
    }
    let unwritable = |folder: &Path| {
        let folder = folder.display().to_string();
        move |error| UnpackError::Folder { folder, error }
    };
    let temporary = std::env::temp_dir();
    let folder =
        tempfile::Builder::new().prefix("slatest-agent-").tempdir_in(&temporary).map_err(unwritable(&temporary))?;
    // By its real name, or what is a link on the way would be taken for one of ours.
    let root = folder.path().canonicalize().map_err(unwritable(folder.path()))?;
    let mut written = BTreeSet::new();
    for file in files() {
        let path = InsidePath::received(&file.path).map_err(malformed)?;
        if !written.insert(path.clone()) {
            return Err(malformed(format!("it has two files {path}")));
        }
        write(&root, &path, &file.content).map_err(unwritable(&root))?;
    }
    let profile = source(profile, &root)?;
    let target = source(target, &root)?;
    let missing = bring(&target, &root, working_directory, &written)?;
    let (overrides, name) = (overrides(assignment)?, &assignment.name);
    let library = Library::new(&root);
    let run = format!("{name}-a{index}");
    let resolved = resolve(&library, &profile, &target, &overrides, &run).map_err(|problems| {
        if missing.is_empty() {
            UnpackError::Invalid(problems)
        } else {
            UnpackError::Missing { missing: missing.join("; "), problems }
        }
    })?;
    let theirs = PlanDigest {
        whole: assignment.plan_digest.to_vec(),
        parts: assignment.plan_parts.iter().map(|part| (part.name.clone(), part.digest.to_vec())).collect(),
    };
    match digest(&resolved.plan).difference(&theirs) {
        None => Ok(Unpacked { resolved, folder }),
        Some(where_) => Err(UnpackError::Differs(where_)),
    }
}

/// A profile or a target: its text, and the folder that the paths in it start from.
fn source(file: &wire::File, root: &Path) -> Result<Source, UnpackError> {
    let path = InsidePath::received(&file.path).map_err(UnpackError::Malformed)?;
    let text =
        std::str::from_utf8(&file.content).map_err(|_| UnpackError::Malformed(format!("{path} is not UTF-8")))?;
    let whole = path.under(root);
    let name: String = file.name.chars().filter(|c| !c.is_control()).take(200).collect();
    let folder = whole.parent().unwrap_or(root);
    std::fs::create_dir_all(folder)
        .map_err(|error| UnpackError::Folder { folder: folder.display().to_string(), error })?;
    Ok(Source::new(name, text, folder))
}

/// A new file, in folders of its own: never one that is there, and never through a link.
fn write(root: &Path, path: &InsidePath, content: &[u8]) -> std::io::Result<()> {
    let whole = path.under(root);
    if let Some(folder) = whole.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(whole)?.write_all(content)
}

/// Makes what never travels be found from the folder of the run as it is from the working directory;
/// what is not there, in words.
fn bring(
    target: &Source,
    root: &Path,
    working_directory: &Path,
    written: &BTreeSet<InsidePath>,
) -> Result<Vec<String>, UnpackError> {
    let parsed: Target = target.parse().map_err(UnpackError::Invalid)?;
    let here = working_directory.canonicalize().unwrap_or_else(|_| working_directory.to_owned());
    let (mut brought, mut missing) = (BTreeSet::new(), Vec::new());
    for (name, endpoint) in &parsed.endpoints {
        for (key, path) in stays(endpoint) {
            // An absolute one is the same file for both.
            if Path::new(&path).is_absolute() {
                continue;
            }
            let Some(inside) = InsidePath::of(&target.path(&path), root) else {
                let words = format!("`endpoints.{name}.{key}`: {path} leads out of the working directory");
                return Err(UnpackError::Malformed(words));
            };
            if written.contains(&inside) {
                let words = format!("it brings {inside}, which is `endpoints.{name}.{key}` and never travels");
                return Err(UnpackError::Malformed(words));
            }
            let original = inside.under(&here);
            if !brought.insert(inside.clone()) {
                continue;
            }
            if !original.exists() {
                missing.push(format!("`endpoints.{name}.{key}` needs {}, which is not there", original.display()));
                continue;
            }
            let link = inside.under(root);
            let linked = link.parent().map_or(Ok(()), std::fs::create_dir_all);
            linked
                .and_then(|()| std::os::unix::fs::symlink(&original, &link))
                .map_err(|error| UnpackError::Folder { folder: root.display().to_string(), error })?;
        }
    }
    Ok(missing)
}

fn overrides(assignment: &wire::Assignment) -> Result<Overrides, UnpackError> {
    let Some(given) = &assignment.overrides else {
        return Err(UnpackError::Malformed("it has no seed".into()));
    };
    let rates = given.rates.iter().map(|rate| {
        if rate.per_sec.is_finite() && rate.per_sec > 0.0 {
            Ok((rate.scenario.clone(), Rate(rate.per_sec)))
        } else {
            Err(UnpackError::Malformed(format!("{} is no rate", rate.per_sec)))
        }
    });
    Ok(Overrides {
        rates: rates.collect::<Result<_, _>>()?,
        duration: given.duration_ns.map(|ns| Span(Nanos(ns))),
        scale: given.scale,
        seed: Some(given.seed),
    })
}
