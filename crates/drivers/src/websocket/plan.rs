//! A workload, compiled: what all of its sessions share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::budget::Budget;
use super::connection::Gauges;
use super::dial::Dialer;
use super::document::Document;
use super::exchange::Call;
use super::sync::Insert;
use crate::identity::Identity;
use crate::workload::{Data, Template};
use crate::{Flow, Operation};

/// No wait is longer, so that no sum of instant and wait can overflow.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// What all sessions of a workload share.
pub(super) struct Shared {
    pub(super) operations: Vec<Operation>,
    pub(super) flows: Vec<Flow>,
    pub(super) mode: Mode,
    pub(super) data: Arc<Data>,
    pub(super) identity: Identity,
    pub(super) endpoint: String,
    pub(super) path: Template,
    pub(super) dialer: Arc<Dialer>,
    pub(super) ping: Duration,
    pub(super) pong_timeout: Duration,
    pub(super) gauges: Arc<Gauges>,
}

/// What the sessions do.
pub(super) enum Mode {
    /// They are replicas of documents.
    Sync(Sync),
    /// They ask and are answered; by operation.
    Exchange(Vec<Arc<Call>>),
}

/// The documents of a workload.
pub(super) struct Sync {
    /// What each operation inserts.
    pub(super) inserts: Vec<Insert>,
    pub(super) replicas: u64,
    /// Size in bytes that texts are kept at.
    pub(super) limit: usize,
    /// What all documents may take together.
    pub(super) budget: Arc<Budget>,
    pub(super) name: Template,
    pub(super) documents: Mutex<BTreeMap<u64, Arc<Document>>>,
}

impl Mode {
    pub(super) fn insert(&self, operation: usize) -> Option<&Insert> {
        match self {
            Self::Sync(sync) => sync.inserts.get(operation),
            Self::Exchange(_) => None,
        }
    }

    pub(super) fn call(&self, operation: usize) -> Option<&Arc<Call>> {
        match self {
            Self::Sync(_) => None,
            Self::Exchange(calls) => calls.get(operation),
        }
    }
}

impl Sync {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Document>>> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn document(&self, number: u64, seed: u64) -> Arc<Document> {
        let new = || Arc::new(Document::new(seed, self.limit, Some(Arc::clone(&self.budget))));
        Arc::clone(self.lock().entry(number).or_insert_with(new))
    }

    /// Every document that some session opened, by number.
    pub(super) fn all(&self) -> Vec<(u64, Arc<Document>)> {
        self.lock().iter().map(|(number, document)| (*number, Arc::clone(document))).collect()
    }
}
