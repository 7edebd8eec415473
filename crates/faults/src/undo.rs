//! What healing needs to know, found out before anything is broken and kept in the journal.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FaultError;

/// What an injector found out while it planned: process ids, replica counts, names of nodes. No secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Undo(Value);

impl Undo {
    /// From what an injector knows.
    ///
    /// # Errors
    /// When it can't be written as JSON.
    pub fn of(known: &impl Serialize) -> Result<Self, FaultError> {
        serde_json::to_value(known).map(Self).map_err(|e| FaultError::Undo(e.to_string()))
    }

    /// What the injector knew.
    ///
    /// # Errors
    /// When it is not what this injector writes.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, FaultError> {
        T::deserialize(&self.0).map_err(|e| FaultError::Undo(e.to_string()))
    }
}
