//! From a profile to a verdict.
//!
//! | module | purpose |
//! |---|---|
//! | [`profile`] | YAML to a checked plan |
//! | [`load`] | workers, pacer, sessions, the conductor, the judge |
//! | [`record`] | the record of a run, written as the run goes |
//! | [`run`] | the application: from files and wishes to a record, whoever asks and whoever watches |

// A print that fails panics: `slatest_core::terminal` writes.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod load;
pub mod profile;
pub mod record;
pub mod run;
