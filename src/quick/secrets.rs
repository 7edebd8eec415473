//! Credentials of the command line: kept in files of this user alone for as long as the run lasts, because files that
//! can be written down name secrets and never hold them.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::QuickError;

/// What is put for an argument that holds a credential.
const HIDDEN: &str = "[secret]";

/// Credentials of one command line.
#[derive(Debug)]
pub struct Secrets {
    place: Place,
    /// Arguments that hold one, as they were typed.
    typed: RefCell<Vec<SecretString>>,
}

/// Where credentials go.
#[derive(Debug)]
enum Place {
    /// Into files of a folder that goes when this does.
    Kept(TempDir),
    /// Nowhere: a saved file names a variable, and whoever runs it sets that.
    Named(RefCell<Vec<String>>),
}

impl Secrets {
    /// For a run.
    ///
    /// # Errors
    /// When there is no place for temporary files.
    pub fn kept() -> Result<Self, QuickError> {
        let folder = tempfile::Builder::new().prefix("slatest-").tempdir();
        let folder = folder
            .map_err(|error| QuickError::Secret(format!("no folder can be made to keep a credential in: {error}")))?;
        Ok(Self { place: Place::Kept(folder), typed: RefCell::default() })
    }

    /// For files that are saved.
    pub fn named() -> Self {
        Self { place: Place::Named(RefCell::default()), typed: RefCell::default() }
    }

    /// A command line as it may be written to results: arguments that hold a credential are left out.
    pub fn hide(&self, command: impl IntoIterator<Item = String>) -> Vec<String> {
        let typed = self.typed.borrow();
        let holds = |argument: &str| {
            // Also as `-Hname: value` and `--header=name: value`.
            typed.iter().any(|typed| {
                argument == typed.expose_secret()
                    || (argument.starts_with('-') && argument.ends_with(typed.expose_secret()))
            })
        };
        command.into_iter().map(|argument| if holds(&argument) { HIDDEN.to_owned() } else { argument }).collect()
    }

    /// The variables that whoever runs the saved files must set.
    pub fn variables(&self) -> Vec<String> {
        match &self.place {
            Place::Kept(_) => Vec::new(),
            Place::Named(names) => names.borrow().clone(),
        }
    }

    /// The section that stands for a credential. `variable` names it where files are saved, `typed` is the argument
    /// that holds it.
    ///
    /// # Errors
    /// When it can't be written to its file.
    pub(super) fn section(&self, variable: &str, value: &SecretString, typed: &str) -> Result<Value, QuickError> {
        self.typed.borrow_mut().push(typed.into());
        match &self.place {
            Place::Named(names) => {
                names.borrow_mut().push(variable.to_owned());
                Ok(json!({ "env": variable }))
            }
            Place::Kept(folder) => {
                let path = folder.path().join(variable);
                let mut options = OpenOptions::new();
                let file = options.write(true).create_new(true).mode(0o600).open(&path);
                file.and_then(|mut file| file.write_all(value.expose_secret().as_bytes())).map_err(|error| {
                    QuickError::Secret(format!("a credential can't be kept in {}: {error}", path.display()))
                })?;
                Ok(json!({ "file": path.display().to_string() }))
            }
        }
    }

    /// An address that holds a credential, or `env:NAME`, the variable that holds it. Also the address itself, whose
    /// hosts are to be allowed.
    ///
    /// # Errors
    /// A variable that is not set; as [`Secrets::section`].
    pub(super) fn address(&self, written: &str, variable: &str) -> Result<(Value, SecretString), QuickError> {
        if let Some(name) = written.strip_prefix("env:") {
            let value = std::env::var(name).map_err(|_| {
                QuickError::usage(format!("the environment variable {name} is not set (or is not text)"))
            })?;
            return Ok((json!({ "env": name }), value.into()));
        }
        let value = SecretString::from(written);
        Ok((self.section(variable, &value, written)?, value))
    }
}
