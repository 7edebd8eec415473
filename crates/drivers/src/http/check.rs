//! What must hold of an answer, compiled.

use http::header::HeaderName;
use http::response::Parts;
use regex::{Regex, bytes};
use serde_json::Value;

use super::file::{Check, Expect};
use crate::failure::Failure;
use crate::workload::JsonPath;
use slatest_core::model::Problems;
use slatest_core::source::{Located, Source};

/// The checks of one operation.
#[derive(Debug)]
pub(super) struct Checks {
    statuses: Vec<(u16, u16)>,
    headers: Vec<(HeaderName, HeaderRule)>,
    body: Vec<(&'static str, bytes::Regex)>,
    json: Vec<(JsonPath, Expected)>,
    /// Whether the answer must be a refusal by what stands in front of the endpoint.
    pub(super) blocked: bool,
}

#[derive(Debug)]
enum HeaderRule {
    Present,
    Absent,
    Matches(Regex),
}

#[derive(Debug)]
enum Expected {
    Present,
    Absent,
    Value(Value),
}

impl Checks {
    /// Compiles the `check` section of an operation; `key` is where it stands.
    pub(super) fn compile(source: &Source, check: Option<&Located<Check>>, key: &str) -> Result<Self, Problems> {
        let (headers, body, json) = (Vec::new(), Vec::new(), Vec::new());
        let mut checks = Self { statuses: vec![(200, 399)], headers, body, json, blocked: false };
        let Some(check) = check else { return Ok(checks) };
        let mut problems = Problems::default();
        checks.blocked = check.expect.as_ref().is_some_and(|expect| expect.value == Expect::Blocked);
        if checks.blocked {
            // The signature says which.
            checks.statuses = vec![(100, 599)];
        }
        if let Some(status) = &check.status {
            checks.statuses.clone_from(&status.0);
        }
        for (name, rule) in &check.headers {
            let key = format!("{key}.headers.{name}");
            let Ok(name) = name.parse() else {
                let message = format!("`{name}` can't be the name of a header");
                problems.0.push(source.problem_at(rule, key, message));
                continue;
            };
            let rule = match rule.as_str() {
                "present" => HeaderRule::Present,
                "absent" => HeaderRule::Absent,
                pattern => match Regex::new(pattern) {
                    Ok(regex) => HeaderRule::Matches(regex),
                    Err(error) => {
                        problems.0.push(source.problem_at(rule, key, wrong_pattern(&error)));
                        continue;
                    }
                },
            };
            checks.headers.push((name, rule));
        }
        let body = check.body.as_ref();
        if let Some(text) = body.and_then(|b| b.contains.as_ref()) {
            match bytes::Regex::new(&regex::escape(text)) {
                Ok(regex) => checks.body.push(("check: body contains", regex)),
                Err(error) => {
                    problems.0.push(source.problem_at(text, format!("{key}.body.contains"), wrong_pattern(&error)));
                }
            }
        }
        if let Some(pattern) = body.and_then(|b| b.matches.as_ref()) {
            match bytes::Regex::new(pattern) {
                Ok(regex) => checks.body.push(("check: body matches", regex)),
                Err(error) => {
                    problems.0.push(source.problem_at(pattern, format!("{key}.body.matches"), wrong_pattern(&error)));
                }
            }
        }
        for (path, expected) in &check.json {
            match JsonPath::compile(path) {
                Ok(path) => checks.json.push((path, Expected::of(&expected.value))),
                Err(error) => problems.0.push(source.problem_at(expected, format!("{key}.json"), error)),
            }
        }
        problems.or(checks)
    }

    /// Whether the body is looked at.
    pub(super) fn needs_body(&self) -> bool {
        !self.body.is_empty() || self.needs_json()
    }

    /// Whether the body is looked at as JSON.
    pub(super) fn needs_json(&self) -> bool {
        !self.json.is_empty()
    }

    /// Holds the status and the headers against the checks.
    pub(super) fn head(&self, head: &Parts) -> Result<(), Failure> {
        let status = head.status.as_u16();
        if !self.statuses.iter().any(|(first, last)| (first..=last).contains(&&status)) {
            return Err(Failure::rejected(format!("status {status}")));
        }
        for (name, rule) in &self.headers {
            let mut values = head.headers.get_all(name).iter();
            let holds = match rule {
                HeaderRule::Present => values.next().is_some(),
                HeaderRule::Absent => values.next().is_none(),
                HeaderRule::Matches(regex) => values.any(|v| v.to_str().is_ok_and(|v| regex.is_match(v))),
            };
            if !holds {
                return Err(Failure::rejected(format!("check: header {name}")));
            }
        }
        Ok(())
    }

    /// Holds the body against the checks.
    pub(super) fn body(&self, body: &[u8], document: Option<&Value>) -> Result<(), Failure> {
        for (kind, regex) in &self.body {
            if !regex.is_match(body) {
                return Err(Failure::rejected(*kind));
            }
        }
        for (path, expected) in &self.json {
            let found = document.and_then(|d| path.first(d));
            let holds = match expected {
                Expected::Present => found.is_some(),
                Expected::Absent => found.is_none(),
                Expected::Value(value) => found.is_some_and(|f| same(f, value)),
            };
            if !holds {
                return Err(Failure::rejected(format!("check: {}", path.written())));
            }
        }
        Ok(())
    }
}

impl Expected {
    fn of(written: &Value) -> Self {
        match written.as_str() {
            Some("present") => Self::Present,
            Some("absent") => Self::Absent,
            _ => Self::Value(written.clone()),
        }
    }
}

/// Whether two JSON values mean the same: `1` and `1.0` do.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, x)| y.get(k).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

pub(super) fn wrong_pattern(error: &regex::Error) -> String {
    // The last line of its message says what; the lines before draw where.
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    format!("not a regular expression: {}", last.trim_start_matches("error: "))
}
