//! What is allowed at a target, and the check that every host passes before it is contacted.

use std::num::NonZeroU64;

use globset::{Glob, GlobSet, GlobSetBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Rate;

/// What a target allows.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Host names or patterns (`*.staging.example.internal`) that may be contacted; nothing else is.
    pub hosts: Vec<String>,
    /// Most requests per second, over all scenarios of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<Rate>,
    /// Most users, over all scenarios of a run that say how many act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_users: Option<NonZeroU64>,
    /// Whether drills may break things here.
    #[serde(default)]
    pub drills: bool,
}

/// The hosts that may be contacted, compiled.
#[derive(Clone, Debug)]
pub struct Guard {
    hosts: GlobSet,
    written: Vec<String>,
}

impl Guard {
    /// Compiles the allow list.
    ///
    /// # Errors
    /// In words, when a pattern is malformed or the list is empty.
    pub fn new(allow: &Allow) -> Result<Self, String> {
        if allow.hosts.is_empty() {
            return Err("no host is allowed: name at least one under allow.hosts".into());
        }
        let mut set = GlobSetBuilder::new();
        for host in &allow.hosts {
            let glob =
                Glob::new(&host.to_ascii_lowercase()).map_err(|e| format!("`{host}` is no host pattern: {e}"))?;
            set.add(glob);
        }
        let hosts = set.build().map_err(|e| format!("the allowed hosts can't be used: {e}"))?;
        Ok(Self { hosts, written: allow.hosts.clone() })
    }

    /// Whether `host` (a name or an address, no port) may be contacted.
    ///
    /// # Errors
    /// In words, naming the host and the list.
    pub fn check(&self, host: &str) -> Result<(), String> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if self.hosts.is_match(&bare) {
            Ok(())
        } else {
            Err(format!(
                "host `{host}` is not on the target's allow list ({}); if load may go there, name it: `allow: {{ hosts: [{host}] }}`",
                self.written.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_hosts_pass() {
        let allow = Allow {
            hosts: vec!["*.staging.example".into(), "127.0.0.1".into()],
            max_rate: None,
            max_users: None,
            drills: false,
        };
        let guard = Guard::new(&allow).unwrap();
        assert!(guard.check("API.staging.example").is_ok());
        assert!(guard.check("127.0.0.1").is_ok());
        for host in ["staging.example", "api.staging.example.evil.test", "127.0.0.11", ""] {
            assert!(guard.check(host).is_err(), "{host}");
        }
        assert!(Guard::new(&Allow { hosts: vec![], max_rate: None, max_users: None, drills: false }).is_err());
    }
}
