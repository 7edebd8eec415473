//! What the platform keeps, behind one trait: embedded SQLite or PostgreSQL.

mod record;
mod sql;

use futures_util::future::BoxFuture;

pub use record::{Handover, NewHandover, NewTask, NewVerification, Page, SyncState, Task, Verification};
pub use sql::{open_postgres, open_sqlite};

/// The most rows that one answer lists.
pub const LONGEST_PAGE: u32 = 500;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no, or nothing.
    #[error("the store failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The settings don't name a database.
    #[error("{0}")]
    Settings(String),
}

/// A store's answer.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The platform's records. `None` where there is no such record.
pub trait Store: Send + Sync {
    /// The newest tasks, of one assignee or all, at most `limit`.
    fn tasks<'a>(&'a self, assignee: Option<&'a str>, limit: u32) -> Answer<'a, Page<Task>>;
    /// One task.
    fn task<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Task>>;
    /// Creates a task.
    fn create_task(&self, new: NewTask) -> Answer<'_, Task>;
    /// Changes a task's status.
    fn set_task_status<'a>(&'a self, id: &'a str, status: &'a str) -> Answer<'a, Option<Task>>;
    /// Asks for a verification.
    fn create_verification(&self, new: NewVerification) -> Answer<'_, Verification>;
    /// One verification.
    fn verification<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Verification>>;
    /// Hands over.
    fn create_handover(&self, new: NewHandover) -> Answer<'_, Handover>;
    /// Acknowledges a handover; a second time keeps the first instant.
    fn acknowledge_handover<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Handover>>;
    /// The newest handovers, of one shift or all, at most `limit`.
    fn handovers<'a>(&'a self, shift: Option<&'a str>, limit: u32) -> Answer<'a, Page<Handover>>;
    /// What is known of a client's sync state; a client never seen is at version 0.
    fn sync_state<'a>(&'a self, client: &'a str) -> Answer<'a, SyncState>;
    /// Counts a client's operations.
    fn apply_operations<'a>(&'a self, client: &'a str, count: u32) -> Answer<'a, SyncState>;
}
