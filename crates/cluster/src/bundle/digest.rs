//! Whether two machines came to the same plan.

use ring::digest::{SHA256, digest as sha256};
use serde_json::Value;

use slatest_engine::profile::Plan;

/// SHA-256 of a plan, and of each of its parts by name: so that a difference can be named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanDigest {
    /// Of the whole.
    pub whole: Vec<u8>,
    /// Of each part: a key of the plan, or a scenario, an operation or an objective by name.
    pub parts: Vec<(String, Vec<u8>)>,
}

/// The digest of a plan.
pub fn digest(plan: &Plan) -> PlanDigest {
    let of = |bytes: &[u8]| sha256(&SHA256, bytes).as_ref().to_vec();
    // A plan is plain data with keys of text, which always has a JSON form.
    let whole = serde_json::to_vec(plan).unwrap_or_default();
    let value: Value = serde_json::from_slice(&whole).unwrap_or_default();
    let mut parts = Vec::new();
    for (key, part) in value.as_object().into_iter().flatten() {
        let named = part.as_array().into_iter().flatten().filter_map(|item| {
            let name = item.get("name").or_else(|| item.get("address"))?.as_str()?;
            Some((format!("{} `{name}`", singular(key)), of(item.to_string().as_bytes())))
        });
        let before = parts.len();
        parts.extend(named);
        if parts.len() == before {
            parts.push((format!("`{key}`"), of(part.to_string().as_bytes())));
        }
    }
    PlanDigest { whole: of(&whole), parts }
}

fn singular(key: &str) -> &str {
    match key {
        "scenarios" => "the scenario",
        "operations" => "the operation",
        "objectives" => "the objective",
        other => other,
    }
}

impl PlanDigest {
    /// Where the plan of somebody else differs from this one, in words; `None` when it does not.
    pub fn difference(&self, theirs: &Self) -> Option<String> {
        if self.whole == theirs.whole {
            return None;
        }
        let has = |digest: &Self, name: &str| digest.parts.iter().find(|(other, _)| other == name).cloned();
        let mut words = Vec::new();
        for (name, here) in &self.parts {
            match has(theirs, name) {
                None => words.push(format!("{name} is only in the plan of this agent")),
                Some((_, there)) if there != *here => words.push(format!("{name} differs")),
                Some(_) => {}
            }
        }
        let missing = theirs.parts.iter().filter(|(name, _)| has(self, name).is_none());
        words.extend(missing.map(|(name, _)| format!("{name} is only in the plan of the coordinator")));
        words.truncate(5);
        Some(if words.is_empty() { "where is not known".into() } else { words.join(", ") })
    }
}
