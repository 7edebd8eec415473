//! What the journal's thread leaves for the fleet: how far each agent's intervals are on disk.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::journal::Stored;

/// Per agent, the last number that is on disk and that the fleet has not been told of. Never longer than
/// there are agents, so that whoever puts something never waits.
#[derive(Debug, Default)]
pub struct DurableAcks {
    stored: Mutex<BTreeMap<u64, u64>>,
    filled: Notify,
}

impl DurableAcks {
    /// Leaves something.
    pub fn put(&self, stored: Vec<Stored>) {
        let mut all = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        for Stored { agent, through } in stored {
            let last = all.entry(agent).or_default();
            *last = through.max(*last);
        }
        drop(all);
        self.filled.notify_one();
    }

    /// Waits until there is something, and takes it.
    pub async fn take(&self) -> Vec<Stored> {
        loop {
            let all = std::mem::take(&mut *self.stored.lock().unwrap_or_else(PoisonError::into_inner));
            if !all.is_empty() {
                return all.into_iter().map(|(agent, through)| Stored { agent, through }).collect();
            }
            self.filled.notified().await;
        }
    }
}
