//! Values that are sent under a name (headers): templates, or secrets by where they come from.

use std::borrow::Cow;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::{Data, RenderError, Template, Values};
use slatest_core::model::Problem;
use slatest_core::source::{Located, Source};
use slatest_core::target::{Text, check_sent};

/// The value of a header, compiled.
pub enum SentValue {
    /// Rendered for each execution.
    Template(Template),
    /// The same for all of them, and never shown.
    Secret(SecretString),
}

impl SentValue {
    /// Compiles what is sent as `name`; `key` is where it stands. Files of secrets start from the workload's folder.
    ///
    /// # Errors
    /// A template that can't be one; a credential that is written here; a secret that is not there, or is empty.
    pub fn compile(
        (source, data, captures): (&Source, &Data, &[String]),
        name: &str,
        written: &Located<Text>,
        key: &str,
    ) -> Result<Self, Problem> {
        match &written.value {
            Text::Plain(text) => {
                check_sent(name, text).map_err(|message| source.problem_at(written, key, message).veil())?;
                let text = Located { value: text.clone(), line: written.line, column: written.column };
                Template::compile(source, &text, key, data, captures).map(Self::Template)
            }
            Text::Secret(secret) => {
                let resolved = secret.resolve(&source.folder);
                resolved.map(Self::Secret).map_err(|message| source.problem_at(written, key, message))
            }
        }
    }

    /// The value for one execution.
    ///
    /// # Errors
    /// As a template's.
    pub fn render<'v>(&'v self, values: &Values<'_>) -> Result<Cow<'v, str>, RenderError> {
        match self {
            Self::Template(template) => template.render(values),
            Self::Secret(secret) => Ok(Cow::Borrowed(secret.expose_secret())),
        }
    }

    /// Whether it is one that is never shown.
    pub const fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    /// The text, when it is the same for all executions.
    pub fn as_static(&self) -> Option<&str> {
        match self {
            Self::Template(template) => template.as_static(),
            Self::Secret(secret) => Some(secret.expose_secret()),
        }
    }
}

impl fmt::Debug for SentValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template(template) => template.fmt(f),
            Self::Secret(_) => f.write_str("[secret]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::workload::ExecutionId;

    fn compiled(folder: &std::path::Path, name: &str, value: &str) -> Result<SentValue, Problem> {
        let source = Source::new("workloads/w.yaml", format!("headers: {value}\n"), folder);
        let file: BTreeMap<String, Located<Text>> = source.parse().expect("a header");
        let captures = ["token".to_owned()];
        SentValue::compile((&source, &Data::default(), &captures), name, &file["headers"], "settings.headers.x")
    }

    #[test]
    fn a_credential_that_is_written_down_is_refused_with_its_place_and_the_way_out() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, value) in [
            ("Authorization", "Bearer geheim"),
            ("cookie", "sid=geheim"),
            ("X-Api-Key", "geheim"),
            ("x-auth-token", "geheim"),
            ("Proxy-Authorization", "Basic geheim"),
            ("referer", "https://u:geheim@h.example/"),
        ] {
            let problem = compiled(folder.path(), name, &format!("\"{value}\"")).expect_err(name);
            let said = problem.to_string();
            assert!(problem.veiled, "its line is not quoted: {said}");
            for part in ["workloads/w.yaml:1", "settings.headers.x", "{ env: NAME }", "{ file: PATH }"] {
                assert!(said.contains(part), "{name}: {said}");
            }
            assert!(!said.contains("geheim"), "{said}");
        }
        for (name, value) in [("authorization", "Bearer {{ token }}"), ("x-trace", "on"), ("cookie", "")] {
            assert!(compiled(folder.path(), name, &format!("\"{value}\"")).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_secret_is_sent_as_it_is_and_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        // What looks like a template in it is none.
        std::fs::write(folder.path().join("key"), "ge{{ seq }}heim\n").expect("a file");
        let value = compiled(folder.path(), "authorization", "{ file: key }").expect("a secret");
        let (data, captured) = (Arc::<Data>::default(), BTreeMap::new());
        let values = Values { id: ExecutionId::sample(), data: &data, captured: &captured };
        assert_eq!(value.render(&values).expect("a text"), "ge{{ seq }}heim");
        assert_eq!(format!("{value:?}"), "[secret]");
    }

    #[test]
    fn a_secret_that_is_empty_or_not_there_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("empty"), " \n").expect("a file");
        for (value, says) in
            [("{ file: empty }", "is empty"), ("{ file: none }", "none"), ("{ env: SLATEST_NO_SUCH }", "not set")]
        {
            let said = compiled(folder.path(), "authorization", value).expect_err(value).to_string();
            assert!(said.contains(says) && said.contains("workloads/w.yaml:1"), "{said}");
        }
    }
}
