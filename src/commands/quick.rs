//! `slatest http`, `ws`, `kafka`, `sql`, `redis`, `amqp`: a verdict on one URL or DSN, without a file.

use std::path::{Path, PathBuf};

use super::Exit;
use super::init::write_and_tell;
use super::prepare::Found;
use super::run::{RunArgs, run_found};
use crate::quick::{Files, LoadArgs, QuickError, Request, Secrets};
use slatest_core::say;

/// Runs it, or saves it.
pub fn run(load: &LoadArgs, request: impl FnOnce(&Secrets) -> Result<Request, QuickError>) -> Exit {
    let done = match &load.save {
        Some(folder) => save(load, folder, request),
        None => try_run(load, request),
    };
    done.unwrap_or_else(|error| {
        say!("slatest: {error}");
        match error {
            QuickError::Usage(_) => Exit::Usage,
            QuickError::NotAllowed { .. } => Exit::Refused,
            QuickError::Secret(_) => Exit::Unexpected,
        }
    })
}

fn try_run(load: &LoadArgs, request: impl FnOnce(&Secrets) -> Result<Request, QuickError>) -> Result<Exit, QuickError> {
    let secrets = Secrets::kept()?;
    let files = Files::new(&request(&secrets)?, load)?;
    let here = std::env::current_dir().unwrap_or_default();
    let args = RunArgs::quick(files.name, load, secrets.hide(std::env::args()));
    // The credentials stay where they are until the run is over.
    let exit = run_found(&args, Found::put(files.library(&here), files.name, &args.plan));
    drop(secrets);
    Ok(exit)
}

fn save(
    load: &LoadArgs,
    folder: &Path,
    request: impl FnOnce(&Secrets) -> Result<Request, QuickError>,
) -> Result<Exit, QuickError> {
    let secrets = Secrets::named();
    let files = Files::new(&request(&secrets)?, load)?;
    let each: Vec<(PathBuf, String)> = files
        .each()
        .into_iter()
        .map(|(shelf, text)| (Path::new(shelf.folder()).join(format!("{}.yaml", files.name)), text.to_owned()))
        .collect();
    let exit = write_and_tell(folder, &each, false, "save into another folder, or remove them");
    if exit == Exit::Pass {
        say!(
            "slatest: run it: cd {} && slatest run --profile {name} --target {name}",
            folder.display(),
            name = files.name
        );
        for variable in secrets.variables() {
            say!("slatest: the credential is not in the files: set the environment variable {variable} before the run");
        }
    }
    Ok(exit)
}
