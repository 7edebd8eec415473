//! The Yjs sync endpoint: the standard y-websocket protocol over documents in memory.
//!
//! A connection is one task with one place in its document's ring: no queue of its own. What
//! falls out of the ring before a slow connection read it is made good by sending it the whole
//! state, which a CRDT takes in without harm.

mod document;
mod endpoint;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use document::Document;
pub use endpoint::{Sync, connect};

/// Documents held at once; beyond it, one that nobody follows is forgotten for a new one.
const MOST_DOCUMENTS: usize = 20_000;

/// The documents by name.
#[derive(Default)]
pub struct Documents {
    by_name: Mutex<HashMap<String, Arc<Document>>>,
}

impl Documents {
    /// The document of that name, new where there is none; `None` when all places are taken by
    /// documents that someone follows.
    pub fn open(&self, name: &str) -> Option<Arc<Document>> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(document) = by_name.get(name) {
            return Some(document.clone());
        }
        if by_name.len() >= MOST_DOCUMENTS {
            let idle = by_name.iter().find(|(_, document)| Arc::strong_count(document) == 1);
            let idle = idle.map(|(name, _)| name.clone())?;
            by_name.remove(&idle);
        }
        let document = Arc::new(Document::new());
        by_name.insert(name.to_owned(), document.clone());
        Some(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_document() {
        let documents = Documents::default();
        let (a, b) = (documents.open("a").unwrap(), documents.open("a").unwrap());
        assert!(Arc::ptr_eq(&a, &b));
        assert!(!Arc::ptr_eq(&a, &documents.open("b").unwrap()));
    }

    #[test]
    fn idle_documents_make_room_and_followed_ones_stay() {
        let documents = Documents::default();
        let kept = documents.open("kept").unwrap();
        for i in 0..MOST_DOCUMENTS + 10 {
            documents.open(&i.to_string()).unwrap();
        }
        assert!(documents.by_name.lock().unwrap().len() <= MOST_DOCUMENTS);
        assert!(Arc::ptr_eq(&kept, &documents.open("kept").unwrap()));
    }
}
