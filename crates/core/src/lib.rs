//! What every other crate stands on: plain values, files of users, measuring, schedules, targets, written records.
//!
//! | module | purpose |
//! |---|---|
//! | [`model`] | plain values: time, arrival, completion, outcome, verdict, problems |
//! | [`source`] | files of users, and where in them each value stands |
//! | [`measure`] | histograms, tallies, windows |
//! | [`schedule`] | planned arrivals, seeded |
//! | [`target`] | endpoints, secrets, TLS, the guard |
//! | [`writes`] | the write ledger: every write that must not be lost, held against what a store has |

pub mod measure;
pub mod model;
pub mod schedule;
pub mod source;
pub mod target;
pub mod text;
pub mod writes;
