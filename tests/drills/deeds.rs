//! What the target did, by its own word.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::known::DEEDS_FILE;

/// Something that the target did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// It came up.
    Listens {
        /// When.
        at: Timestamp,
    },
    /// It was told not to serve.
    Outage {
        /// From then.
        from: Timestamp,
        /// Until then, unless it is mended.
        until: Timestamp,
    },
    /// It was told to serve again.
    Mended {
        /// When.
        at: Timestamp,
    },
    /// It forgot a write.
    Forgot {
        /// Which.
        id: String,
        /// When it had acknowledged it.
        acknowledged: Timestamp,
    },
}

/// Everything that it did, in order.
pub fn read(folder: &Path) -> Vec<Deed> {
    let text = std::fs::read_to_string(folder.join(DEEDS_FILE)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a deed")).collect()
}
