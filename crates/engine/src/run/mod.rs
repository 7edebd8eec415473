//! The application: from what a user wrote and wants to the record of a run. It knows no command line and no terminal:
//! who asks gives plain options, who watches is an [`Observer`], and everything that can go wrong is a [`RunError`].
//!
//! | function | purpose |
//! |---|---|
//! | [`single`] | a profile against a target, once, to its record |
//! | [`series`] | a profile with drills, again and again |
//! | [`measure`] | a plan without a record, for who keeps an account of their own |
//!
//! Runs that agents make are led by `slatest_cluster::lead`, with the same [`Selection`], [`Recording`] and errors.

mod error;
mod measure;
mod observer;
mod recording;
mod refusal;
mod selection;
mod series;
mod single;
mod writes;

pub use error::RunError;
pub use measure::{Measured, measure};
pub use observer::{Observer, RunStart, SeriesNews, SeriesObserver, Silent};
pub use recording::{Recording, RunOutcome};
pub use refusal::Refusal;
pub use selection::{Permissions, Selection, alerts, put_up_proxies, run_name};
pub use series::{SeriesOutcome, series};
pub use single::{RunOptions, single};
