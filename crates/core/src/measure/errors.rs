//! Kinds of error, counted, within bounds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Most kinds that are told apart; what comes after them is counted together.
const KINDS_MAX: usize = 32;
/// Longest name of a kind, in bytes.
const KIND_BYTES_MAX: usize = 160;
/// The name under which the kinds beyond the bound are counted.
const OTHERS: &str = "(other kinds)";

/// How often each kind of error was seen. Bounded, so that a target that answers with a different
/// text each time can't fill the memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorKinds(BTreeMap<String, u64>);

impl ErrorKinds {
    /// Counts `count` errors of a kind.
    pub fn add(&mut self, kind: &str, count: u64) {
        self.add_within(kind, count, KINDS_MAX);
    }

    /// The same, with at most so many kinds told apart.
    pub(super) fn add_within(&mut self, kind: &str, count: u64, kinds_max: usize) {
        let end = kind.floor_char_boundary(KIND_BYTES_MAX);
        let kind = &kind[..end];
        if let Some(n) = self.0.get_mut(kind) {
            *n += count;
        } else if kind != OTHERS && self.0.len() - usize::from(self.0.contains_key(OTHERS)) < kinds_max {
            self.0.insert(kind.to_owned(), count);
        } else {
            *self.0.entry(OTHERS.to_owned()).or_default() += count;
        }
    }

    /// Adds everything that another one holds.
    pub fn merge(&mut self, other: &Self) {
        for (kind, &count) in &other.0 {
            self.add(kind, count);
        }
    }

    /// The kinds, most frequent first.
    pub fn top(&self) -> Vec<(&str, u64)> {
        let mut kinds: Vec<(&str, u64)> = self.0.iter().map(|(kind, &n)| (kind.as_str(), n)).collect();
        kinds.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        kinds
    }

    /// How often each was seen.
    pub(super) fn counts(&self) -> impl Iterator<Item = u64> {
        self.0.values().copied()
    }

    /// Whether none was seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_bounded_and_none_is_lost() {
        let mut kinds = ErrorKinds::default();
        for i in 0..100 {
            kinds.add(&format!("kind {i}"), 1);
        }
        assert_eq!(kinds.top().iter().map(|k| k.1).sum::<u64>(), 100);
        assert_eq!(kinds.top().len(), KINDS_MAX + 1);
        assert_eq!(kinds.top()[0], (OTHERS, 68));
        let mut copy = ErrorKinds::default();
        copy.merge(&kinds);
        assert_eq!(copy, kinds, "what is counted together takes no place of a kind");
    }
}
