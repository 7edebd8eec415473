//! A program as it is written.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Mistake;
use slatest_core::model::Span;
use slatest_core::source::CREDENTIAL_WRITTEN;
use slatest_core::target::cluster_values::Variable;
use slatest_core::target::{Text, holds_credential};

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
    pub(crate) fn mistakes(&self, at: &str, folder: &Path, found: &mut Vec<Mistake>) {
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
