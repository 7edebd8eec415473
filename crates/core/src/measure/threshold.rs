//! Limits whose exceedances are counted exactly, because a bucket of a histogram may straddle them.

use serde::{Deserialize, Serialize};

use crate::model::Nanos;

/// Which of an operation's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Series {
    /// Done − intended.
    ResponseTime,
    /// Done − sent.
    ServiceTime,
    /// The timing of this index.
    Timing(u8),
}

/// A limit whose exceedances are counted exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Threshold {
    /// Of which time.
    pub series: Series,
    /// At or above this, it is an exceedance.
    pub limit: Nanos,
}
