//! Who watches a run.

use std::path::Path;

use super::RunError;
use crate::load::Event;
use crate::profile::Plan;
use crate::record::{RunRecord, Series, StoreError};

/// A run that begins.
#[derive(Clone, Copy, Debug)]
pub struct RunStart<'a> {
    /// Its id, also the name of its folder.
    pub id: &'a str,
    /// Where it is written.
    pub folder: &'a Path,
    /// What is done.
    pub plan: &'a Plan,
    /// Name of the target.
    pub target: &'a str,
}

/// Who is told what a run does, as it does it. Every method may be left out. It is called on the thread that runs: what
/// blocks here blocks the run's windows, never its load.
pub trait Observer {
    /// Something that a person should know and that stands in no record; one line.
    fn notice(&mut self, _message: &str) {}
    /// Everything is checked and every endpoint answered. From here on something is written, sent or broken: an end is
    /// an orderly one.
    fn reached(&mut self) {}
    /// A run begins.
    fn starts(&mut self, _run: RunStart<'_>) {}
    /// Something happened.
    fn event(&mut self, _event: &Event) {}
    /// Nothing more happens in this run.
    fn ends(&mut self) {}
    /// The record of a run is in its folder. What other tools read is written beside it, now.
    ///
    /// # Errors
    /// What could not be written: the run is not saved whole then.
    fn recorded(&mut self, _run: &RunRecord) -> Result<(), StoreError> {
        Ok(())
    }
    /// A drill could not mend what it broke. Told whatever becomes of the record.
    fn left_broken(&mut self, _drill: &str, _reason: &str, _folder: &Path) {}
}

/// Who watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}

/// What is new in a series.
#[derive(Debug)]
pub enum SeriesNews<'a> {
    /// Its account was begun in this folder.
    Opened(&'a Path),
    /// The next repeat begins, with this seed.
    RepeatBegins {
        /// Which, from 1.
        number: u64,
        /// Its seed.
        seed: u64,
    },
    /// A repeat came to its end and stands in the account.
    RepeatEnded {
        /// Which, from 1.
        number: u64,
    },
    /// A repeat came to its end, and its results could not be saved.
    NotSaved(&'a str),
    /// There was no repeat.
    NotRun(&'a RunError),
    /// It was ended while the target was not yet as it was before: what is still wrong.
    NotYetSound(&'a str),
}

/// Who watches a series: also every run of it.
pub trait SeriesObserver: Observer {
    /// Something happened to the series.
    fn series(&mut self, series: &Series, news: SeriesNews<'_>);
    /// What a run's verdict rests on, in one sentence; the account keeps it.
    fn explain(&self, run: &RunRecord) -> String;
}
