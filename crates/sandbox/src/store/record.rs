//! The records as the API shows them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A list and how many there are in all.
#[derive(Clone, Debug, Serialize)]
pub struct Page<T> {
    /// The rows, newest first.
    pub items: Vec<T>,
    /// How many match, listed or not.
    pub total: i64,
}

/// Something that a clinician is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// `task-…`
    pub id: String,
    /// What is to be done.
    pub title: String,
    /// Who is to do it.
    pub assignee: String,
    /// For whom.
    pub patient: String,
    /// `routine`, `high` or `urgent`.
    pub priority: String,
    /// `open`, `in-progress`, `done` or `cancelled`.
    pub status: String,
    /// What is to be known for it; nothing when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A task to create.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    /// What is to be done.
    pub title: String,
    /// Who is to do it.
    pub assignee: String,
    /// For whom.
    pub patient: String,
    /// `routine` when not said.
    #[serde(default)]
    pub priority: Option<String>,
    /// What is to be known for it.
    #[serde(default)]
    pub notes: Option<String>,
}

/// A check of a task against the medical record system.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// `verification-…`
    pub id: String,
    /// Whose record.
    pub patient: String,
    /// Which task.
    pub task: String,
    /// Which record system.
    pub system: String,
    /// `pending`, and some moments later `verified`.
    pub status: &'static str,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// A verification to ask for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewVerification {
    /// Whose record.
    pub patient: String,
    /// Which task.
    pub task: String,
    /// `epic` when not said.
    #[serde(default)]
    pub system: Option<String>,
}

/// One clinician's work passing to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Handover {
    /// `handover-…`
    pub id: String,
    /// Who hands over.
    pub from: String,
    /// Who takes over.
    pub to: String,
    /// Which task; none: all of them.
    pub task: Option<String>,
    /// `day` or `night`, by the hour (UTC) of its creation unless said.
    pub shift: String,
    /// `pending` or `acknowledged`.
    pub status: &'static str,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was acknowledged.
    pub acknowledged_at: Option<Timestamp>,
}

/// A handover to make.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewHandover {
    /// Who hands over.
    pub from: String,
    /// Who takes over.
    pub to: String,
    /// Which task.
    #[serde(default)]
    pub task: Option<String>,
    /// `day` or `night`.
    #[serde(default)]
    pub shift: Option<String>,
}

/// How far a client's operations have been taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SyncState {
    /// The client.
    pub client: String,
    /// Operations taken in so far.
    pub version: i64,
    /// When the last came; none where none came.
    pub updated_at: Option<Timestamp>,
}
