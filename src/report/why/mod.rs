//! Why an objective did not pass, as far as a run can say: since when, which operations, which kinds of error, which part
//! of the time, and what else changed then. It says what came together, never what caused what.

mod changes;
mod errors;
mod parts;
#[cfg(test)]
mod tests;

use super::course::{Course, Track};
use slatest_core::model::{Nanos, OperationId, Verdict};
use slatest_engine::record::RunRecord;
use slatest_stats::{BadStretch, JudgedObjective, Reading, worst_stretch};

/// What is known of one objective that did not pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Why {
    /// When it was broken; `None` where no part of the run stands out.
    pub span: Option<(Nanos, Nanos)>,
    /// The parts of the answer, each with its question: (`Since when`, ...).
    pub answers: Vec<(&'static str, String)>,
}

impl Why {
    /// The answer to one question.
    pub fn answer(&self, question: &str) -> Option<&str> {
        self.answers.iter().find(|(asked, _)| *asked == question).map(|(_, answer)| answer.as_str())
    }
}

/// Why the objective of this place did not pass; `None` where it passed.
pub(super) fn why(run: &RunRecord, course: &Course, place: usize) -> Option<Why> {
    let judged = run.result.objectives.get(place).filter(|one| one.verdict != Verdict::Pass)?;
    let track = course.tracks.get(place).and_then(Option::as_ref);
    let stretch = judged.stretch.or_else(|| track.and_then(|track| from_track(course, track)));
    let scope = track.map_or_else(|| scope(run, judged), |track| track.operations.clone());
    let end = run.result.length;
    let span = match stretch {
        Some(stretch) => Some((stretch.from, stretch.to.unwrap_or(end))),
        // Throughput has no samples of its own to count.
        None => incident(run, &scope),
    };
    let mut answers = Vec::new();
    let mut answer = |question, text: Option<String>| answers.extend(text.map(|text| (question, text)));
    answer("Since when", Some(since(run, judged, stretch, span)));
    let (from, to) = span.unwrap_or((Nanos::ZERO, end));
    answer("Which operations", errors::operations(run, course, judged, &scope, from, to));
    answer("Which errors", errors::kinds(run, course, &scope, from, to));
    answer("Which part of the time", span.and_then(|span| parts::part(run, course, judged, &scope, span)));
    answer("What else changed", span.map(|span| changes::changes(run, course, span)));
    Some(Why { span, answers })
}

/// The stretch of bad samples in the course of a run whose record does not name it.
fn from_track(course: &Course, track: &Track) -> Option<BadStretch> {
    let found = worst_stretch(&track.batches)?;
    let last = track.batches.iter().rposition(|batch| batch.n > 0)?;
    Some(BadStretch {
        from: course.start(found.first),
        to: (found.end <= last).then(|| course.start(found.end)),
        window: course.slot,
        bad: found.within.bad,
        samples: found.within.n,
        bad_elsewhere: found.elsewhere.bad,
        samples_elsewhere: found.elsewhere.n,
    })
}

/// The operations that a judged objective is about, by their addresses.
fn scope(run: &RunRecord, judged: &JudgedObjective) -> Vec<OperationId> {
    let operations = run.plan.operations.iter().enumerate();
    let named = operations.filter(|(_, operation)| operation.address == judged.scope);
    named.map(|(i, _)| OperationId(i as u16)).collect()
}

/// The first incident of a scenario that has an operation in scope.
fn incident(run: &RunRecord, scope: &[OperationId]) -> Option<(Nanos, Nanos)> {
    let scenario = |id: &OperationId| {
        let operation = run.plan.operations.get(id.index())?;
        run.plan.scenarios.get(operation.scenario).map(|scenario| scenario.name.as_str())
    };
    let met =
        run.result.incidents.iter().find(|one| scope.iter().filter_map(scenario).any(|name| name == one.scenario));
    met.map(|one| (one.began, one.ended.unwrap_or(run.result.length)))
}

fn since(
    run: &RunRecord,
    judged: &JudgedObjective,
    stretch: Option<BadStretch>,
    span: Option<(Nanos, Nanos)>,
) -> String {
    if judged.samples == 0 {
        return "nothing in its scope ended in the judged part of the run".into();
    }
    match (stretch, span) {
        (Some(stretch), _) => {
            let clock = clock(run, stretch.from);
            format!("{} (± {}; {clock})", stretch.message(), stretch.window)
        }
        (None, Some((from, to))) => format!("in the incident from {from} to {to}"),
        (None, None) if judged.bad == 0 => "nothing counts against it: there is too little to tell".into(),
        (None, None) => {
            let share = Reading::Share(judged.bad as f64 / judged.samples as f64);
            format!("all along: {share} are bad, and no part of the run stands out")
        }
    }
}

/// An instant of the run by the clock on the wall: `01:00:48 UTC`.
pub(super) fn clock(run: &RunRecord, at: Nanos) -> String {
    let instant = run.started.checked_add(at.as_duration()).unwrap_or(run.started);
    format!("{} UTC", instant.strftime("%H:%M:%S"))
}
