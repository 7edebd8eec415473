//! A fault that programs make and mend.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::holds_credential;
use super::{Mistake, Text};
use crate::model::Span;
use crate::source::CREDENTIAL_WRITTEN;
use crate::target::cluster_values::Variable;

/// Runs programs: one that breaks, one that mends, one that looks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandSpec {
    /// Makes ready what breaking it needs, as holding back replication before a primary is lost. The fault's
    /// instant comes after it, when `inject` is run; `heal` undoes both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<Program>,
    /// Breaks it. Exit code 0 says that it is broken.
    pub inject: Program,
    /// Mends it; run whatever happened, so it must do no harm where nothing is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heal: Option<Program>,
    /// Looks: exit code 0 says that it is sound, any other that it is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Program>,
}

/// A program with its arguments. No shell reads them: who wants one names it, with `-c`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its name, looked for in PATH; or its path, relative ones from the folder of this file.
    pub program: String,
    /// Its arguments, each as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Its environment variables, beside PATH, HOME and LANG: it gets no others. `{ env: NAME }` hands one on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<Variable, Text>,
    /// Folder in which it runs, relative to that of this file; that folder itself when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Longest it may take; then it is ended with everything that it started. Default 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

impl Program {
    /// What is wrong with it, by the key within it.
    pub(super) fn mistakes(&self, at: &str, folder: &Path, found: &mut Vec<Mistake>) {
        if self.program.trim().is_empty() {
            found.push((format!("{at}.program"), "names no program".into()));
        }
        if std::iter::once(&self.program).chain(&self.args).any(|word| word.contains('\0')) {
            found.push((format!("{at}.args"), "a word of a command line can't hold a zero byte".into()));
        }
        for (i, _) in self.args.iter().enumerate().filter(|(_, word)| holds_credential(word)) {
            let way_out = "every user of the machine sees arguments; hand it over in `env`, as { env: NAME }";
            found.push((format!("{at}.args[{i}]"), format!("{CREDENTIAL_WRITTEN}: {way_out}")));
        }
        for (name, text) in &self.env {
            found.extend(text.mistake(name.as_str(), folder).map(|why| (format!("{at}.env.{name}"), why)));
        }
    }
}

impl CommandSpec {
    pub(super) fn mistakes(&self, folder: &Path, found: &mut Vec<Mistake>) {
        self.inject.mistakes("inject", folder, found);
        for (at, program) in [("prepare", &self.prepare), ("heal", &self.heal), ("probe", &self.probe)] {
            if let Some(program) = program {
                program.mistakes(at, folder, found);
            }
        }
    }
}
