//! A run while it goes, whoever makes its load: written as it goes, and in the end judged.

use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::Observer;
use crate::load::{Event, RunFacts, judge};
use crate::profile::Plan;
use crate::record::{RunRecord, RunWriter, StoreError};
use slatest_core::model::Nanos;
use slatest_stats::Heal;

/// What came of a run.
#[derive(Debug)]
pub struct RunOutcome {
    /// Its record, with the verdict: also where it could not be written.
    pub record: RunRecord,
    /// Why not all of it is in its folder.
    pub unsaved: Option<StoreError>,
}

/// A run that is being written.
#[derive(Debug)]
pub struct Recording {
    plan: Arc<Plan>,
    writer: RunWriter,
    /// Why the run could not be written to the end. The load goes on: what is measured is still judged.
    lost: Option<StoreError>,
}

impl Recording {
    /// Of a run that begins.
    pub const fn new(plan: Arc<Plan>, writer: RunWriter) -> Self {
        Self { plan, writer, lost: None }
    }

    /// Where it is written.
    pub fn folder(&self) -> &Path {
        self.writer.folder()
    }

    /// Something happened: it is kept, and handed on.
    pub fn take(&mut self, event: &Event, observer: &mut dyn Observer) {
        match event {
            Event::Window { window, .. } if self.lost.is_none() => self.lost = self.writer.window(window).err(),
            Event::Notice(notice) => self.writer.notice(notice.clone()),
            _ => {}
        }
        observer.event(event);
    }

    /// Something that the record keeps.
    pub fn note(&mut self, message: String) {
        self.writer.notice(message);
    }

    /// The load begins: the run's clock reads `at` now.
    pub fn start_was(&mut self, at: Nanos) {
        if self.lost.is_none() {
            let zero = Timestamp::now() - at.as_duration();
            self.lost = self.writer.starts(zero).err();
        }
    }

    /// Nothing was run: nothing is kept of it.
    ///
    /// # Errors
    /// When its folder can't be removed.
    pub fn discard(self) -> io::Result<()> {
        std::fs::remove_dir_all(self.writer.folder())
    }

    /// Judges it, and writes the record. A record that can't be written is still judged.
    pub fn conclude(self, facts: &RunFacts, observer: &mut dyn Observer) -> RunOutcome {
        observer.ends();
        for drill in &facts.drills {
            if let (Heal::Failed(reason), Some(plan)) = (&drill.heal, self.plan.drills.get(drill.drill)) {
                observer.left_broken(&plan.name, reason, self.writer.folder());
            }
        }
        let judged = judge(&self.plan, facts);
        let (record, written) = self.writer.finish_anyway(facts, judged, Timestamp::now());
        // What failed first is the cause.
        let beside = observer.recorded(&record);
        RunOutcome { record, unsaved: self.lost.or(written.err()).or(beside.err()) }
    }
}
