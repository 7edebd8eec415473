//! Finding a result by what a user calls it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{RECORD_FILE, SERIES_FILE, StoreError};

/// How many results a hint names.
const HINTS: usize = 5;

/// The folder of the result that `wanted` names: a folder with a record, the id of a run under
/// `base`, or `latest` (the run under `base` that started last).
///
/// # Errors
/// When there is none; says which there are.
pub fn locate(base: &Path, wanted: &str) -> Result<PathBuf, StoreError> {
    let as_given = Path::new(wanted);
    if as_given.join(RECORD_FILE).is_file() {
        return Ok(as_given.to_owned());
    }
    // Someone may have named the record itself.
    if as_given.file_name().is_some_and(|name| name == RECORD_FILE) && as_given.is_file() {
        return Ok(as_given.parent().unwrap_or(Path::new(".")).to_owned());
    }
    let ids = run_ids(base);
    let found = if wanted == "latest" { ids.last() } else { ids.iter().find(|id| *id == wanted) };
    if let Some(id) = found {
        return Ok(base.join(id));
    }
    let hint = if ids.is_empty() {
        format!(
            "there is no result under {} yet; name a run's folder, or look elsewhere with --results",
            base.display()
        )
    } else {
        let latest: Vec<&str> = ids.iter().rev().take(HINTS).map(String::as_str).collect();
        format!("the latest under {} are {}", base.display(), latest.join(", "))
    };
    Err(StoreError::NotFound { wanted: wanted.to_owned(), hint })
}

/// The folder of the series that `wanted` names: a folder with an account, the account itself, or the id of a series under
/// `base`. `latest` is a run, never a series.
pub fn locate_series(base: &Path, wanted: &str) -> Option<PathBuf> {
    let as_given = Path::new(wanted);
    if as_given.file_name().is_some_and(|name| name == SERIES_FILE) && as_given.is_file() {
        return Some(as_given.parent().unwrap_or(Path::new(".")).to_owned());
    }
    // An id is a name, not a way out of the folder.
    let is_name = Path::new(wanted).file_name().is_some_and(|name| name == wanted);
    let under = is_name.then(|| base.join(wanted));
    [Some(as_given.to_owned()), under].into_iter().flatten().find(|folder| folder.join(SERIES_FILE).is_file())
}

/// Ids of the runs under a folder, oldest first: they begin with the time.
pub fn run_ids(base: &Path) -> Vec<String> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    let mut ids: Vec<String> = entries
        .filter(|entry| entry.path().join(RECORD_FILE).is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    ids.sort();
    ids
}
