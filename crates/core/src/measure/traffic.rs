//! What went over the wire, summed: answers by status, and bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Traffic;

/// The statuses that are told apart; others are none of any protocol's, and are not counted.
const STATUSES: std::ops::RangeInclusive<u16> = 100..=599;

/// Answers by status, successes too, and bytes each way, of one operation over some time. Merging is exact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficSums {
    /// Last answers by status.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    statuses: BTreeMap<u16, u64>,
    /// Bytes that were sent: heads included, TLS not.
    #[serde(default)]
    pub sent: u64,
    /// Bytes that were received, likewise.
    #[serde(default)]
    pub received: u64,
}

impl TrafficSums {
    /// Adds what one execution had.
    pub fn add(&mut self, traffic: &Traffic) {
        if let Some(status) = traffic.status {
            self.add_status(status, 1);
        }
        self.sent = self.sent.saturating_add(traffic.sent);
        self.received = self.received.saturating_add(traffic.received);
    }

    /// Adds answers of a status.
    pub fn add_status(&mut self, status: u16, count: u64) {
        if STATUSES.contains(&status) {
            let sum = self.statuses.entry(status).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    /// Adds everything that another one holds.
    pub fn merge(&mut self, other: &Self) {
        for (&status, &count) in &other.statuses {
            self.add_status(status, count);
        }
        self.sent = self.sent.saturating_add(other.sent);
        self.received = self.received.saturating_add(other.received);
    }

    /// Answers by status, in their order.
    pub fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        self.statuses.iter().map(|(&status, &count)| (status, count))
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Every count in it.
    pub(super) fn counts(&self) -> impl Iterator<Item = u64> {
        self.statuses.values().copied().chain([self.sent, self.received])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_merge_whatever_came_first() {
        let one = |status, sent, received| {
            let mut sums = TrafficSums::default();
            sums.add(&Traffic { status, sent, received });
            sums
        };
        let parts = [one(Some(200), 10, 100), one(Some(503), 20, 0), one(None, 5, 0), one(Some(200), 1, 1)];
        let sum = |order: &[usize]| {
            let mut all = TrafficSums::default();
            order.iter().for_each(|&i| all.merge(&parts[i]));
            all
        };
        assert_eq!(sum(&[0, 1, 2, 3]), sum(&[3, 1, 0, 2]));
        let all = sum(&[0, 1, 2, 3]);
        assert_eq!(all.statuses().collect::<Vec<_>>(), [(200, 2), (503, 1)]);
        assert_eq!((all.sent, all.received), (36, 101));
    }

    #[test]
    fn what_is_no_status_takes_no_room() {
        let mut sums = TrafficSums::default();
        (0..u16::MAX).for_each(|status| sums.add_status(status, 1));
        assert_eq!(sums.statuses().count(), 500);
    }
}
