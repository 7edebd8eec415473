//! What is wrong with something that a user wrote.

use std::fmt;

use serde::Serialize;

/// Where in a file: the file as the user named it, the line and column (from 1), and the byte
/// range in the text for a report that underlines it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file as the user would name it, e.g. `profiles/peak.yaml`.
    pub file: String,
    /// Line from 1; 0 when unknown.
    pub line: usize,
    /// Column from 1; 0 when unknown.
    pub column: usize,
    /// The path of keys, e.g. `scenarios.api.stages[1].target`; empty when unknown.
    pub key: String,
}

/// One mistake of a user: what, where, and a way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether what stands there may be a credential: the place is said, its text never shown.
    pub veiled: bool,
}

impl Problem {
    /// A problem at a place.
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), help: None, veiled: false }
    }

    /// Adds the way out.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Keeps the text at its place from being shown.
    #[must_use]
    pub const fn veil(mut self) -> Self {
        self.veiled = true;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        if !place.file.is_empty() {
            write!(f, "{}", place.file)?;
            if place.line > 0 {
                write!(f, ":{}:{}", place.line, place.column.max(1))?;
            }
            write!(f, ": ")?;
        }
        if !place.key.is_empty() {
            write!(f, "`{}`: ", place.key)?;
        }
        write!(f, "{}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}

/// Every mistake that was found, so that a user mends them in one go.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// `value` where nothing was found, else the problems.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    /// Adds the problems of a failed step and goes on; `None` where it failed.
    pub fn take<T>(&mut self, step: Result<T, Self>) -> Option<T> {
        match step {
            Ok(value) => Some(value),
            Err(more) => {
                self.0.extend(more.0);
                None
            }
        }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
