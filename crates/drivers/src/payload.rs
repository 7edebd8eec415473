//! What a message says: a text, or a JSON document.

use std::borrow::Cow;

use super::Outline;
use crate::workload::{JsonTemplate, RenderError, Template, Values};
use slatest_core::model::Problems;
use slatest_core::source::{Located, Source};

/// A payload, compiled.
#[derive(Debug)]
pub(crate) enum Payload {
    /// A template.
    Text(Template),
    /// A JSON document whose strings are templates.
    Json(JsonTemplate),
}

impl Payload {
    /// From the two keys under `key` of which at most one may be written: `name` for a text, and
    /// `json`. `what` is what has it: `a record`.
    ///
    /// # Errors
    /// Every mistake, and both keys written.
    pub(crate) fn compile(
        (name, text): (&str, Option<&Located<String>>),
        json: Option<&Located<serde_json::Value>>,
        (key, what): (&str, &str),
        source: &Source,
        outline: &Outline,
    ) -> Result<Option<Self>, Problems> {
        let Outline { data, captures, .. } = outline;
        match (text, json) {
            (Some(_), Some(json)) => {
                let message = format!("{what} has a `{name}` or a `json`, not both");
                Err(source.problem_at(json, format!("{key}.json"), message).into())
            }
            (Some(text), None) => {
                Ok(Some(Self::Text(Template::compile(source, text, &format!("{key}.{name}"), data, captures)?)))
            }
            (None, Some(json)) => {
                Ok(Some(Self::Json(JsonTemplate::compile(source, json, &format!("{key}.json"), data, captures)?)))
            }
            (None, None) => Ok(None),
        }
    }

    /// Its text in one execution.
    ///
    /// # Errors
    /// What the template can't be given.
    pub(crate) fn render<'a>(&'a self, values: &Values<'_>) -> Result<Cow<'a, str>, RenderError> {
        match self {
            Self::Text(template) => template.render(values),
            Self::Json(template) => template.render(values),
        }
    }
}
