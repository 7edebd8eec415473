//! JSON documents whose strings are templates.

use std::borrow::Cow;

use serde_json::Value;

use super::expression::{Names, Unknown};
use super::template::{Template, bounded};
use super::{Data, RenderError, Values};
use slatest_core::model::Problem;
use slatest_core::source::{Located, Source};

/// A JSON document whose strings are templates; rendered text is escaped as JSON needs. A string
/// that is one expression piped through `json` (`"{{ seq | json }}"`) stands without quotes.
#[derive(Clone, Debug)]
pub struct JsonTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    /// JSON as it is.
    Text(String),
    /// A string, rendered, escaped and quoted.
    Quoted(Template),
    /// Rendered to JSON by itself.
    Bare(Template),
}

impl JsonTemplate {
    /// Compiles a document; see [`Template::compile`].
    ///
    /// # Errors
    /// As for [`Template::compile`].
    pub fn compile(
        source: &Source,
        document: &Located<Value>,
        key: &str,
        data: &Data,
        captures: &[String],
    ) -> Result<Self, Problem> {
        let mut compiling = Compiling { names: &Names { data, captures }, parts: Vec::new(), literal: String::new() };
        compiling.value(document, key).map_err(|(key, unknown)| {
            let problem = source.problem_at(document, key, unknown.message);
            match unknown.help {
                Some(help) => problem.with_help(help),
                None => problem,
            }
        })?;
        compiling.flush();
        Ok(Self { parts: compiling.parts })
    }

    /// The document's text for one execution.
    ///
    /// # Errors
    /// As for [`Template::render`].
    pub fn render<'t>(&'t self, values: &Values<'_>) -> Result<Cow<'t, str>, RenderError> {
        if let [Part::Text(text)] = self.parts.as_slice() {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Quoted(template) => quote(&template.render(values)?, &mut out),
                Part::Bare(template) => out.push_str(&template.render(values)?),
            }
            bounded(out.len())?;
        }
        Ok(Cow::Owned(out))
    }
}

struct Compiling<'a> {
    names: &'a Names<'a>,
    parts: Vec<Part>,
    literal: String,
}

impl Compiling<'_> {
    fn value(&mut self, value: &Value, key: &str) -> Result<(), (String, Unknown)> {
        match value {
            Value::String(text) => self.string(text, key),
            Value::Array(values) => {
                self.literal.push('[');
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        self.literal.push(',');
                    }
                    self.value(value, &format!("{key}[{i}]"))?;
                }
                self.literal.push(']');
                Ok(())
            }
            Value::Object(fields) => {
                self.literal.push('{');
                for (i, (name, value)) in fields.iter().enumerate() {
                    if i > 0 {
                        self.literal.push(',');
                    }
                    self.string(name, key)?;
                    self.literal.push(':');
                    self.value(value, &format!("{key}.{name}"))?;
                }
                self.literal.push('}');
                Ok(())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.literal.push_str(&value.to_string());
                Ok(())
            }
        }
    }

    fn string(&mut self, text: &str, key: &str) -> Result<(), (String, Unknown)> {
        let template = Template::read(text, key, self.names).map_err(|unknown| (key.to_owned(), unknown))?;
        match template.as_static() {
            Some(text) => quote(text, &mut self.literal),
            None => {
                self.flush();
                self.parts.push(if is_bare(text) { Part::Bare(template) } else { Part::Quoted(template) });
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.parts.push(Part::Text(std::mem::take(&mut self.literal)));
        }
    }
}

/// Whether a text is one expression whose last filter is `json`.
fn is_bare(text: &str) -> bool {
    let inside = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    inside.is_some_and(|inside| {
        let last = inside.trim_end_matches('-').rsplit_once('|').is_some_and(|(_, filter)| filter.trim() == "json");
        last && !inside.contains("{{") && !inside.contains("}}")
    })
}

/// Writes a text as a JSON string.
fn quote(text: &str, out: &mut String) {
    // A string always serialises.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
