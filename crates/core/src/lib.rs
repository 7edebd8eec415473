//! What every other crate stands on: plain values, files of users, measuring, schedules, targets, written records.
//!
//! | module | purpose |
//! |---|---|
//! | [`model`] | plain values: time, arrival, completion, outcome, verdict, problems |
//! | [`files`] | regular files of bounded size, read whole |
//! | [`intact`] | whether what is read is what was written: checksums of frames and lines |
//! | [`terminal`], [`text`] | the only door to standard output and standard error; texts from elsewhere made harmless |
//! | [`source`] | files of users, and where in them each value stands |
//! | [`measure`] | histograms, tallies, windows |
//! | [`schedule`] | planned arrivals, seeded |
//! | [`timer`] | waiting to some microseconds |
//! | [`target`] | endpoints, secrets, TLS, the guard |
//! | [`writes`] | the write ledger: every write that must not be lost, held against what a store has |

// A print that fails panics: `slatest_core::terminal` writes.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod files;
pub mod intact;
pub mod measure;
pub mod model;
pub mod schedule;
pub mod source;
pub mod target;
pub mod terminal;
pub mod text;
pub mod timer;
pub mod writes;
