//! From a profile to a verdict.
//!
//! | module | purpose |
//! |---|---|
//! | [`profile`] | YAML to a checked plan |
//! | [`load`] | workers, pacer, sessions, the conductor, the judge |
//! | [`record`] | the record of a run, written as the run goes |

pub mod load;
pub mod profile;
pub mod record;
