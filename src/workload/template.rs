//! Templates: compiled when the workload is, rendered once an execution.

use std::borrow::Cow;

use super::{Data, Values};
use crate::model::Problem;
use crate::source::{Located, Source};

/// A template that could not be rendered for one execution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: {0}")]
pub struct RenderError(pub String);

/// Text with `{{ … }}` in it. A text without any is kept as it is and costs nothing to render.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
}

impl Template {
    /// Compiles a text. `key` is where it stands (`operations[2].request.get`), `captures` the
    /// names that some operation of the workload captures.
    ///
    /// # Errors
    /// A malformed template, or one that names what is neither a feed, a capture nor built in.
    pub fn compile(
        _source: &Source,
        text: &Located<String>,
        _key: &str,
        _data: &Data,
        _captures: &[String],
    ) -> Result<Self, Problem> {
        Ok(Self { text: text.value.clone() })
    }

    /// The text for one execution.
    ///
    /// # Errors
    /// When a capture that it needs isn't there yet, or a filter fails.
    pub fn render<'t>(&'t self, _values: &Values<'_>) -> Result<Cow<'t, str>, RenderError> {
        Ok(Cow::Borrowed(&self.text))
    }
}

/// A JSON document whose strings are templates; rendered text is escaped as JSON needs. A string
/// that is one expression piped through `json` (`"{{ seq | json }}"`) stands without quotes.
#[derive(Clone, Debug)]
pub struct JsonTemplate {
    text: String,
}

impl JsonTemplate {
    /// Compiles a document; see [`Template::compile`].
    ///
    /// # Errors
    /// As for [`Template::compile`].
    pub fn compile(
        _source: &Source,
        document: &Located<serde_json::Value>,
        _key: &str,
        _data: &Data,
        _captures: &[String],
    ) -> Result<Self, Problem> {
        Ok(Self { text: document.value.to_string() })
    }

    /// The document's text for one execution.
    ///
    /// # Errors
    /// As for [`Template::render`].
    pub fn render<'t>(&'t self, _values: &Values<'_>) -> Result<Cow<'t, str>, RenderError> {
        Ok(Cow::Borrowed(&self.text))
    }
}
