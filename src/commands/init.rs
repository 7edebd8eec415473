//! `slatest init`: the built-in files, to be changed.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Exit;
use super::schema::{FOLDER, schemas};
use slatest_core::say;
use slatest_core::terminal::print_all;
use slatest_engine::profile::Shelf;

/// Arguments of `slatest init`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest init                  into the working directory
  slatest init load-tests       into the folder load-tests, made if it is not there
  slatest init --force          also over files of these names that were changed

It writes profiles/, workloads/, targets/ and schema/. Files in the working directory come before those
built in, by name: change profiles/peak.yaml, and `slatest run --profile peak` runs yours. Remove what you
don't change.")]
pub struct InitArgs {
    /// Where to write
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Overwrites files that are there and differ
    #[arg(long)]
    force: bool,
}

/// What stands where a file would be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Same,
    Different,
}

/// Runs it.
pub fn run(args: &InitArgs) -> Exit {
    write_and_tell(&args.folder, &files(), args.force, "move them away, or overwrite them with --force")
}

/// Writes files into a folder and says what became of each. Says what is wrong by itself; `help` is what to do when
/// there are others of these names.
pub(super) fn write_and_tell(folder: &Path, files: &[(PathBuf, String)], force: bool, help: &str) -> Exit {
    match write(folder, files, force) {
        Ok(Written::All(text)) => {
            print_all(&text);
            Exit::Pass
        }
        Ok(Written::Refused(files)) => {
            say!("slatest: nothing was written, because these files are there and differ:");
            for file in &files {
                say!("  {}", file.display());
            }
            say!("slatest: {help}");
            Exit::Usage
        }
        Err((file, error)) => {
            say!("slatest: {}: {error}", file.display());
            Exit::Unexpected
        }
    }
}

#[derive(Debug)]
enum Written {
    /// What was done, for people.
    All(String),
    /// Nothing, because of these files.
    Refused(Vec<PathBuf>),
}

/// Writes files, given as (path, text), into a folder: all of them, or none where one is there that differs.
///
/// # Errors
/// The file that can't be written, with the reason.
fn write(folder: &Path, files: &[(PathBuf, String)], force: bool) -> Result<Written, (PathBuf, io::Error)> {
    let mut states = Vec::with_capacity(files.len());
    for (path, text) in files {
        let path = folder.join(path);
        states.push(found(&path, text).map_err(|error| (path, error))?);
    }
    if !force && states.contains(&Found::Different) {
        let different = files.iter().zip(&states).filter(|(_, state)| **state == Found::Different);
        return Ok(Written::Refused(different.map(|((path, _), _)| folder.join(path)).collect()));
    }
    let mut told = String::new();
    for ((path, text), state) in files.iter().zip(&states) {
        let path = folder.join(path);
        let word = match state {
            Found::Same => "unchanged",
            Found::Nothing => "wrote",
            Found::Different => "overwrote",
        };
        if *state != Found::Same {
            let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            made.and_then(|()| std::fs::write(&path, text)).map_err(|error| (path.clone(), error))?;
        }
        let _ = writeln!(told, "{word:<9}  {}", path.display());
    }
    Ok(Written::All(told))
}

/// Everything that is built in: (path, text), in order.
fn files() -> Vec<(PathBuf, String)> {
    let mut files: Vec<(PathBuf, String)> = Shelf::ALL
        .into_iter()
        .flat_map(|shelf| {
            shelf.built_in().map(move |(file, text)| (Path::new(shelf.folder()).join(file), text.to_owned()))
        })
        .collect();
    files.sort();
    files.extend(schemas().into_iter().map(|(file, text)| (Path::new(FOLDER).join(file), text)));
    files
}

fn found(path: &Path, text: &str) -> io::Result<Found> {
    match std::fs::read(path) {
        Ok(there) if there == text.as_bytes() => Ok(Found::Same),
        Ok(_) => Ok(Found::Different),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(folder: &Path, force: bool) -> String {
        match write(folder, &files(), force) {
            Ok(Written::All(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_changed_is_overwritten_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("made");
        let first = told(&at, false);
        assert!(first.lines().all(|line| line.starts_with("wrote ")), "{first}");
        for file in ["profiles/peak.yaml", "schema/profile.json", "targets/staging.yaml", "workloads/emr-api.yaml"] {
            assert!(first.contains(file), "{file} in {first}");
        }
        assert!(told(&at, false).lines().all(|line| line.starts_with("unchanged ")));

        let peak = at.join("profiles/peak.yaml");
        let gone = at.join("workloads/emr-api.yaml");
        std::fs::write(&peak, "name: mine").unwrap();
        std::fs::remove_file(&gone).unwrap();
        match write(&at, &files(), false).unwrap() {
            Written::Refused(files) => assert_eq!(files, std::slice::from_ref(&peak)),
            Written::All(text) => panic!("{text}"),
        }
        assert_eq!(std::fs::read_to_string(&peak).unwrap(), "name: mine");
        assert!(!gone.exists(), "a refusal writes nothing at all");

        let forced = told(&at, true);
        assert_eq!(forced.lines().filter(|line| line.starts_with("overwrote")).count(), 1);
        assert!(std::fs::read_to_string(&peak).unwrap().contains("300/s"));
        assert!(gone.exists());
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("profiles"), "a file, not a folder").unwrap();
        let (file, _) = write(folder.path(), &files(), true).unwrap_err();
        assert!(file.starts_with(folder.path().join("profiles")), "{}", file.display());
    }
}
