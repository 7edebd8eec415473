//! Calls of the `aws` program, in its options and its JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::FaultError;
use super::super::program::{Program, Runner};
use super::AwsSpec;
use slatest_core::target::Text;

/// The program that calls AWS when nothing else is said.
const PROGRAM: &str = "aws";
/// What the program reads of its surroundings: no pager, no questions, no second try.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("AWS_PAGER", ""),
    ("AWS_CLI_AUTO_PROMPT", "off"),
    ("AWS_MAX_ATTEMPTS", "1"),
    ("AWS_EC2_METADATA_SERVICE_NUM_ATTEMPTS", "2"),
];

/// The program, as it is called for one target.
pub(super) struct Aws {
    spec: AwsSpec,
    folder: PathBuf,
}

/// Something that AWS says happened.
#[derive(Debug, Deserialize)]
pub(super) struct Happened {
    /// When: text, or seconds since 1970 as some services say it.
    pub at: Value,
    /// What.
    pub said: String,
}

impl Happened {
    /// When it was.
    pub fn when(&self) -> Option<Timestamp> {
        match &self.at {
            Value::String(text) => text.parse().ok(),
            Value::Number(secs) => Timestamp::from_microsecond((secs.as_f64()? * 1e6).round() as i64).ok(),
            _ => None,
        }
    }
}

/// The first that happened, at the earliest five seconds before `since`: clocks differ.
pub(super) fn first_after(all: Vec<Happened>, since: Timestamp) -> Option<Happened> {
    let from = since.as_second().saturating_sub(5);
    let late = all.into_iter().filter(|event| event.when().is_some_and(|when| when.as_second() >= from));
    late.min_by_key(Happened::when)
}

impl Aws {
    /// `folder` is where a relative path of the program starts.
    pub fn new(spec: &AwsSpec, folder: &Path) -> Self {
        Self { spec: spec.clone(), folder: folder.to_owned() }
    }

    /// Asks something, and gives what `query` (JMESPath) makes of the answer.
    ///
    /// # Errors
    /// In the program's words.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        service: &str,
        operation: &str,
        options: &[(&str, &str)],
        query: &str,
    ) -> Result<T, FaultError> {
        let text = self.call(service, operation, options, &[], query).await?;
        let doing = format!("reading what `aws {service} {operation}` says");
        match serde_json::from_str::<Option<T>>(&text) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(FaultError::Refused(format!("`aws {service} {operation}` finds nothing of that name"))),
            Err(e) => Err(FaultError::failed(doing, e)),
        }
    }

    /// Does something, and gives what it says in words.
    ///
    /// # Errors
    /// In the program's words.
    pub async fn act(
        &self,
        service: &str,
        operation: &str,
        options: &[(&str, &str)],
        more: &[&str],
        query: &str,
    ) -> Result<String, FaultError> {
        let said = self.call(service, operation, options, more, query).await?;
        Ok(format!("{operation}: {}", said.trim().trim_matches('"')))
    }

    async fn call(
        &self,
        service: &str,
        operation: &str,
        options: &[(&str, &str)],
        more: &[&str],
        query: &str,
    ) -> Result<String, FaultError> {
        // Joined by `=`, so that no value is taken for an option.
        let mut args = vec![service.to_owned(), operation.to_owned()];
        args.extend(options.iter().map(|(name, value)| format!("--{name}={value}")));
        args.extend(more.iter().map(|word| (*word).to_owned()));
        args.push(format!("--region={}", self.spec.region));
        args.push("--output=json".into());
        args.push(format!("--query={query}"));
        args.extend(self.spec.profile.iter().map(|profile| format!("--profile={profile}")));
        args.extend(self.spec.endpoint_url.iter().map(|url| format!("--endpoint-url={url}")));
        let mut env = BTreeMap::new();
        for (name, value) in ENVIRONMENT {
            let name = name.parse().map_err(FaultError::Panicked)?;
            env.insert(name, Text::Plain((*value).to_owned()));
        }
        let program = self.spec.program.clone().unwrap_or_else(|| PROGRAM.to_owned());
        let program = Program { program, args, env, folder: None, timeout: self.spec.timeout };
        let ended = Runner::new(&program, &self.folder).keeping(&["AWS_", "HTTPS_PROXY", "NO_PROXY"]).run().await?;
        if ended.success {
            Ok(ended.output)
        } else {
            Err(FaultError::failed(format!("`aws {service} {operation}`"), ended.said()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_every_form_and_the_first_counts() {
        let at = |at: Value| Happened { at, said: String::new() };
        let text = at("2026-11-21T10:00:05.250Z".into()).when().unwrap();
        assert_eq!(at("2026-11-21T11:00:05.250+01:00".into()).when(), Some(text));
        assert_eq!(at(serde_json::json!(1_795_255_205.25)).when(), Some(text));
        assert_eq!(at("soon".into()).when(), None);
        let since = "2026-11-21T10:00:00Z".parse().unwrap();
        let all = ["2026-11-21T10:00:09Z", "2026-11-21T09:00:00Z", "2026-11-21T09:59:58Z", "soon"];
        let first = first_after(all.iter().map(|text| at((*text).into())).collect(), since).unwrap();
        assert_eq!(first.at, "2026-11-21T09:59:58Z");
    }
}
