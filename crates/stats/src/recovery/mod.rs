//! Recovery after a fault: how long a component did not serve, from windows of operations by the
//! instant at which users asked, with bounds that hold the truth.
//!
//! A window is **bad** when more of its operations failed (or were late) than what was promised
//! leaves room for, **good** when it holds enough operations to have shown an outage and shows none,
//! and **unknown** otherwise; see [`Rule`]. A component is restored at the start of the first row of
//! N good windows after the fault did something; see [`recovery`].

mod bounds;
mod component;
mod judged;
mod ledger;
mod losses;
mod picture;
mod rows;
mod rule;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use bounds::{ComponentRecovery, Restored, Watched, recovery};
pub use component::{CELLS_MAX, Cells, Component, Promise};
pub use judged::{Asked, DrillEnd, Heal, JudgedDrill, JudgedPart, JudgedRecovery, judge_rto};
pub use ledger::{Flaw, JudgedLedger, LedgerFindings, LedgerFound, LossRate, LostWrite, LostWrites, judge_ledger};
pub use losses::{LedgerOf, Losses, judge_losses};
pub use picture::{Mark, picture};
pub(super) use rows::Row;
pub use rule::{Rule, WindowState, fewest_operations};
pub(crate) use rule::{breaks, is_shown_above};
