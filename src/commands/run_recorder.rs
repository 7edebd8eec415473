//! A run while it goes, whoever makes its load: written, shown, and in the end judged and told.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::Exit;
use super::report_files::Telling;
use crate::report::phrases::plain;
use crate::report::{Junit, Progress, Render as _};
use slatest_core::model::Nanos;
use slatest_core::say;
use slatest_engine::load::{Event, RunFacts, judge};
use slatest_engine::profile::Plan;
use slatest_engine::record::{RunRecord, RunWriter, Status, StoreError};
use slatest_stats::Heal;

/// What is written and shown of a run.
pub struct RunRecorder {
    plan: Arc<Plan>,
    writer: RunWriter,
    progress: Progress,
    /// Why the run could not be written to the end.
    lost: Option<StoreError>,
    telling: Telling,
}

impl RunRecorder {
    /// Of a run that begins.
    pub fn new(plan: Arc<Plan>, writer: RunWriter, telling: &Telling) -> Self {
        let progress = Progress::new(&plan, telling.quiet);
        Self { plan, writer, progress, lost: None, telling: telling.clone() }
    }

    /// Where it is written.
    pub fn folder(&self) -> &Path {
        self.writer.folder()
    }

    /// Something happened.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Window { window, .. } if self.lost.is_none() => self.lost = self.writer.window(window).err(),
            Event::Notice(notice) => self.writer.notice(notice.clone()),
            _ => {}
        }
        self.progress.show(event);
    }

    /// Something for those who watch, which needs not stand in the record.
    pub fn say(&mut self, message: String) {
        self.progress.show(&Event::Notice(message));
    }

    /// Something that the record keeps.
    pub fn note(&mut self, message: String) {
        self.writer.notice(message);
    }

    /// Who makes the load, on one line.
    pub fn show_fleet(&mut self, message: String) {
        self.progress.show_fleet(message);
    }

    /// The load begins: the run's clock reads `at` now.
    pub fn start_was(&mut self, at: Nanos) {
        if self.lost.is_none() {
            let zero = Timestamp::now() - at.as_duration();
            self.lost = self.writer.starts(zero).err();
        }
    }

    /// Nothing was run: nothing is kept of it.
    pub fn discard(self) {
        self.progress.finish();
        let folder = self.writer.folder();
        if let Err(error) = std::fs::remove_dir_all(folder) {
            say!("slatest: warning: {}: could not be removed: {error}", folder.display());
        }
    }

    /// Nothing more happens.
    pub fn quieten(&self) {
        self.progress.finish();
    }

    /// Whoever asked for quiet, and whatever becomes of the record: this must be heard.
    fn say_what_is_left_broken(&self, facts: &RunFacts) {
        for drill in &facts.drills {
            if let (Heal::Failed(reason), Some(plan)) = (&drill.heal, self.plan.drills.get(drill.drill)) {
                let (name, run) = (plain(&plan.name), self.folder().display());
                say!("slatest: HEALING FAILED: the drill `{name}` has left something broken: {}", plain(reason));
                say!("slatest: see to it by hand, or ask again: slatest drill heal {run}");
            }
        }
    }

    /// Judges it, writes the record, and shows the summary.
    pub fn conclude(self, facts: &RunFacts) -> Exit {
        tell(&self.record(facts))
    }

    /// Judges it, and writes the record and what other tools read. A record that can't be written is still judged.
    pub fn record(self, facts: &RunFacts) -> Ended {
        self.progress.finish();
        self.say_what_is_left_broken(facts);
        let judged = judge(&self.plan, facts);
        let (record, written) = self.writer.finish_anyway(facts, judged, Timestamp::now());
        let junit = write_junit(&record.folder, |file| Junit.render(&record, file));
        // What failed first is the cause.
        let first = self.lost.or(written.err()).map(|error| error.to_string());
        Ended { unsaved: first.or(junit.err().map(|not| not.reason)), record, telling: self.telling }
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Ended {
    /// Its record.
    pub record: RunRecord,
    /// Why not all of it is in its folder.
    pub unsaved: Option<String>,
    /// How it is told.
    pub telling: Telling,
}

/// Why there is no record of a run, and with which exit code that ends.
#[derive(Debug)]
pub struct NotRun {
    /// The code.
    pub exit: Exit,
    /// Why, in words.
    pub reason: String,
}

impl NotRun {
    /// For this reason.
    pub fn new(exit: Exit, reason: impl ToString) -> Self {
        Self { exit, reason: reason.to_string() }
    }

    /// Says it, and gives the code.
    pub fn say(&self) -> Exit {
        say!("slatest: {}", self.reason);
        self.exit
    }
}

/// Writes `junit.xml` into a folder of results.
///
/// # Errors
/// When the file system says no.
pub fn write_junit(folder: &Path, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), NotRun> {
    let path = folder.join("junit.xml");
    File::create(&path)
        .and_then(|mut file| fill(&mut file))
        .map_err(|error| NotRun::new(Exit::Unexpected, format!("{} could not be written: {error}", path.display())))
}

/// Writes the reports that were asked for, shows the summary, and gives the exit code.
pub fn tell(ended: &Ended) -> Exit {
    let written = ended.telling.write(&ended.record);
    ended.telling.show(&ended.record);
    let mut exit = exit_of(&ended.record);
    if let Err(reason) = written {
        say!("slatest: NOT ALL REPORTS ARE WRITTEN: {reason}");
        exit = exit.unsaved();
    }
    let Some(reason) = &ended.unsaved else { return exit };
    say!("slatest: THE RESULTS ARE NOT SAVED: {reason}");
    say!("slatest: the verdict above is of the whole run, and stands nowhere else");
    exit.unsaved()
}

fn exit_of(record: &RunRecord) -> Exit {
    // What a drill left broken is worse than a run that nobody wanted to end, and true whatever else can't be told.
    let left_broken = record.result.drills.iter().any(|drill| matches!(drill.heal, Heal::Failed(_)));
    match record.status {
        _ if left_broken => Exit::Failed,
        Status::Interrupted => Exit::Interrupted,
        _ => record.result.verdict.into(),
    }
}
