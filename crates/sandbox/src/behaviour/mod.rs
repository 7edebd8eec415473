//! Misbehaviour on demand: latency, errors, blocks and stalls, for one operation or all of them.

mod fault;
mod latency;
mod live;
mod pause;
mod queue;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use slatest_core::model::{Percent, Rate};

pub use fault::{ErrorRate, Stall};
pub use latency::Latency;
pub use live::{Behaviours, Ending};

/// Every operation that can be told to misbehave. `redis` is the RESP server, `sync` the Yjs
/// endpoint (its handshake fails or is blocked; each message is delayed or held), `echo` the
/// request/response WebSocket. The probes stand last: the order is the stream of each one's draws.
pub const OPERATIONS: &[&str] = &[
    "health",
    "login",
    "me",
    "list-tasks",
    "create-task",
    "get-task",
    "update-task",
    "create-verification",
    "get-verification",
    "get-patient",
    "create-handover",
    "acknowledge-handover",
    "list-handovers",
    "get-sync-state",
    "post-sync-operations",
    "sync",
    "echo",
    "redis",
    "probe-1",
    "probe-2",
    "probe-3",
    "probe-4",
    "probe-5",
    "probe-6",
    "probe-7",
    "probe-8",
];

/// Operations that do nothing but misbehave, at `/probe/1` and so on.
pub const PROBES: &[&str] = &["probe-1", "probe-2", "probe-3", "probe-4", "probe-5", "probe-6", "probe-7", "probe-8"];

/// The name that means every operation.
pub const EVERY: &str = "*";

/// How one operation misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationBehaviour {
    /// Time added to each answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Share answered by an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorRate>,
    /// Share blocked as a web application firewall would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Percent>,
    /// Freeze of all answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall: Option<Stall>,
    /// Requests per second that it serves at most, one after the other, each for as long; who would
    /// wait for more than a second is answered 503. Said of `*`, it is one server for all that don't
    /// have their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Rate>,
}

impl OperationBehaviour {
    /// This one, with the gaps filled from `general`.
    const fn or(self, general: Self) -> Self {
        const fn first<T: Copy>(own: Option<T>, other: Option<T>) -> Option<T> {
            if own.is_some() { own } else { other }
        }
        Self {
            latency: first(self.latency, general.latency),
            error: first(self.error, general.error),
            block: first(self.block, general.block),
            stall: first(self.stall, general.stall),
            capacity: first(self.capacity, general.capacity),
        }
    }
}

/// How the whole platform misbehaves. What an operation doesn't say of itself, `*` says for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// Seed of every draw: the same seed and order of requests gives the same answers.
    #[serde(default)]
    pub seed: u64,
    /// By operation, or `*`.
    #[serde(default)]
    pub operations: BTreeMap<String, OperationBehaviour>,
}

impl Behaviour {
    /// Refuses names that no operation has.
    ///
    /// # Errors
    /// The unknown name and the known ones.
    pub fn check(&self) -> Result<(), String> {
        for (name, says) in &self.operations {
            if says.capacity.is_some_and(|Rate(rate)| rate <= 0.0) {
                return Err(format!("`{name}`: a capacity must be above zero"));
            }
            if name != EVERY && !OPERATIONS.contains(&name.as_str()) {
                return Err(format!("unknown operation `{name}`; known are * and {}", OPERATIONS.join(", ")));
            }
        }
        Ok(())
    }

    /// Changes what is said of `operation`.
    pub fn set(&mut self, operation: &str, change: impl FnOnce(&mut OperationBehaviour)) {
        change(self.operations.entry(operation.to_owned()).or_default());
    }

    fn of(&self, operation: &str) -> OperationBehaviour {
        let get = |name: &str| self.operations.get(name).copied().unwrap_or_default();
        get(operation).or(get(EVERY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_wins_over_the_general_rule_field_by_field() {
        let behaviour: Behaviour = serde_json::from_str(
            r#"{"operations":{"*":{"latency":"constant:5ms","error":"1%"},"get-task":{"error":"2%:500"}}}"#,
        )
        .unwrap();
        let own = behaviour.of("get-task");
        assert_eq!(own.error.unwrap().status, 500);
        assert_eq!(own.latency, Some("constant:5ms".parse().unwrap()));
    }

    #[test]
    fn unknown_names_and_keys_are_refused() {
        let unknown: Behaviour = serde_json::from_str(r#"{"operations":{"get-tusk":{}}}"#).unwrap();
        assert!(unknown.check().unwrap_err().contains("get-tusk"));
        assert!(serde_json::from_str::<Behaviour>(r#"{"operations":{"*":{"latncy":"constant:5ms"}}}"#).is_err());
    }
}
