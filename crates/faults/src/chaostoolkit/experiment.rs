//! An experiment as Chaos Toolkit writes it. Keys that are not known are its extensions', and no mistakes.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An experiment.
#[derive(Clone, Debug, Deserialize)]
pub struct Experiment {
    /// What it is called.
    pub title: String,
    /// What must hold before and after.
    #[serde(default, rename = "steady-state-hypothesis")]
    pub hypothesis: Option<Hypothesis>,
    /// What is done.
    #[serde(default)]
    pub method: Vec<Activity>,
    /// What undoes it.
    #[serde(default)]
    pub rollbacks: Vec<Activity>,
    /// Values that are substituted.
    #[serde(default)]
    pub configuration: Value,
    /// Secrets that are substituted.
    #[serde(default)]
    pub secrets: Value,
    /// What watches each step.
    #[serde(default)]
    pub controls: Value,
}

/// What must hold.
#[derive(Clone, Debug, Deserialize)]
pub struct Hypothesis {
    /// What it is called.
    #[serde(default)]
    pub title: String,
    /// How it is seen.
    #[serde(default)]
    pub probes: Vec<Activity>,
}

/// An action or a probe.
#[derive(Clone, Debug, Deserialize)]
pub struct Activity {
    /// `action` or `probe`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// What it is called.
    pub name: String,
    /// What does it.
    #[serde(default)]
    pub provider: Provider,
    /// What a probe must give.
    #[serde(default)]
    pub tolerance: Value,
    /// How long is waited around it.
    #[serde(default)]
    pub pauses: Option<Pauses>,
    /// Whether it is not waited for.
    #[serde(default)]
    pub background: bool,
}

/// How long is waited around an activity, in seconds.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Pauses {
    /// Before it.
    #[serde(default)]
    pub before: Option<f64>,
    /// After it.
    #[serde(default)]
    pub after: Option<f64>,
}

/// What does something.
#[derive(Clone, Debug)]
pub enum Provider {
    /// A program.
    Process {
        /// Its path.
        path: String,
        /// Its arguments.
        arguments: Arguments,
        /// Longest that it may take, in seconds.
        timeout: Option<f64>,
        /// Its environment.
        env: BTreeMap<String, String>,
    },
    /// A call.
    Http {
        /// Where to.
        url: String,
        /// Its method.
        method: String,
        /// Its headers.
        headers: BTreeMap<String, String>,
        /// Its body.
        arguments: Value,
        /// Longest that it may take, in seconds.
        timeout: Option<f64>,
    },
    /// One of its extensions: Python functions, mostly.
    Other {
        /// Its type.
        kind: String,
    },
}

impl Default for Provider {
    fn default() -> Self {
        Self::Other { kind: "none".into() }
    }
}

/// Arguments of a program: text, a list, or options by their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments(Value);

impl Arguments {
    /// The words of the command line.
    ///
    /// # Errors
    /// In words, where a shell would be needed to tell.
    pub fn words(&self) -> Result<Vec<String>, String> {
        let word = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
            _ => Err("an argument of it is neither text nor a number".to_owned()),
        };
        match &self.0 {
            Value::Null => Ok(Vec::new()),
            Value::String(text)
                if text.contains(['\'', '"', '\\', '$', '`', '|', ';', '&', '<', '>', '*', '(', '~']) =>
            {
                Err("its arguments are one text that a shell would have to read; write them as a list".into())
            }
            Value::String(text) => Ok(text.split_whitespace().map(str::to_owned).collect()),
            Value::Array(all) => all.iter().map(word).collect(),
            // As Chaos Toolkit does it: the name, then the value, unless that is empty.
            Value::Object(map) => {
                let mut words = Vec::new();
                for (name, value) in map {
                    words.push(name.clone());
                    if !value.is_null() && value != "" {
                        words.push(word(value)?);
                    }
                }
                Ok(words)
            }
            Value::Bool(_) | Value::Number(_) => Err("its arguments are neither text nor a list".into()),
        }
    }
}

/// A provider as it is written, whatever its type.
#[derive(Deserialize)]
struct Written {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    #[serde(default)]
    env: BTreeMap<String, Value>,
    #[serde(default)]
    arguments: Value,
    #[serde(default)]
    timeout: Value,
}

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let text = |(name, value): (String, Value)| match value {
            Value::String(text) => (name, text),
            value => (name, value.to_string()),
        };
        // For connecting and for reading: the whole may take both.
        let timeout = match &written.timeout {
            Value::Array(both) => Some(both.iter().filter_map(Value::as_f64).sum()),
            one => one.as_f64(),
        };
        Ok(match written.kind.as_str() {
            "process" => Self::Process {
                path: written.path,
                arguments: Arguments(written.arguments),
                timeout,
                env: written.env.into_iter().map(text).collect(),
            },
            "http" => Self::Http {
                url: written.url,
                method: written.method.unwrap_or_else(|| "GET".into()),
                headers: written.headers.into_iter().map(text).collect(),
                arguments: written.arguments,
                timeout,
            },
            _ => Self::Other { kind: written.kind },
        })
    }
}
