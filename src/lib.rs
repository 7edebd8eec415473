//! slatest: load generation and SLA verification. This is the program; what it is made of stands in `crates/`.
//!
//! | module | purpose |
//! |---|---|
//! | [`commands`] | one file a verb, arguments and exit codes |
//! | [`report`] | one file a format, and the live progress |
//! | [`quick`] | a run of one URL or DSN, without a file |
//! | [`capacity`] | the highest rate that still passes |
//! | `selftest` | truths that are known beforehand, and whether they are measured |

// A print that fails panics: `slatest_core::terminal` writes.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod capacity;
pub mod commands;
pub mod quick;
pub mod report;
#[cfg(feature = "sandbox")]
pub mod selftest;
