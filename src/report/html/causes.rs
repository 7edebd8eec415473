//! What broke, since when, and why, in a few lines: what somebody reads who has half a minute.

use serde::Serialize;

use super::objectives::Objective;
use crate::report::drills;
use crate::report::phrases::plain;
use crate::report::why::clock;
use slatest_core::model::{Nanos, Verdict};
use slatest_engine::record::RunRecord;

/// Most causes at the top.
const CAUSES_SHOWN: usize = 4;
/// Most objectives that are named of one cause.
const OBJECTIVES_NAMED: usize = 4;
/// The questions whose answers stand at the top, with how they are put there.
const QUESTIONS: [(&str, &str); 4] = [
    ("Which errors", "Errors"),
    ("Which operations", "Operations"),
    ("Which part of the time", "Time"),
    ("What else changed", "Then"),
];

/// One thing that broke.
#[derive(Serialize)]
pub(super) struct Cause {
    verdict: &'static str,
    what: String,
    since: Option<String>,
    /// (label, text); a label may be empty.
    points: Vec<(String, String)>,
    link: String,
}

/// What did not hold, and how much more there is: checks that void the run, objectives that broke together as one,
/// drills, findings.
pub(super) fn causes(run: &RunRecord, objectives: &[Objective]) -> (Vec<Cause>, usize) {
    let mut causes: Vec<Cause> = run.result.validity.iter().filter(|check| check.voids()).map(void).collect();
    for group in together(objectives) {
        causes.push(broken(run, &group));
    }
    for drill in run.result.drills.iter().filter(|drill| drill.verdict != Verdict::Pass) {
        let broken = drills::asked(drill).into_iter().filter(|(verdict, _)| *verdict != Verdict::Pass);
        causes.push(Cause {
            verdict: drill.verdict.name(),
            what: format!("Drill {}", plain(&drill.name)),
            since: Some(drills::story(drill)),
            points: broken.map(|(verdict, text)| (verdict.name().to_owned(), text)).take(6).collect(),
            link: "drills".into(),
        });
    }
    for finding in run.result.findings.iter().filter(|finding| !finding.holds) {
        causes.push(Cause {
            verdict: "fail",
            what: format!("{}: {} did not hold", plain(&finding.scenario), plain(&finding.check)),
            since: None,
            points: vec![(String::new(), plain(&finding.detail))],
            link: "findings".into(),
        });
    }
    let more = causes.len().saturating_sub(CAUSES_SHOWN);
    causes.truncate(CAUSES_SHOWN);
    (causes, more)
}

fn void(check: &slatest_stats::Check) -> Cause {
    Cause {
        verdict: "void",
        what: format!(
            "The run itself: {} {}; must be: {}",
            plain(&check.name),
            plain(&check.measured),
            plain(&check.bound)
        ),
        since: None,
        points: (!check.message.is_empty()).then(|| (String::new(), plain(&check.message))).into_iter().collect(),
        link: "generator".into(),
    }
}

/// Objectives that did not pass, those of one verdict that broke at the same time together.
fn together(objectives: &[Objective]) -> Vec<Vec<&Objective>> {
    let mut groups: Vec<Vec<&Objective>> = Vec::new();
    for one in objectives.iter().filter(|one| one.verdict != "pass") {
        let span = span(one);
        let same = |group: &&mut Vec<&Objective>| {
            let first = group[0];
            first.verdict == one.verdict
                && match (span, self::span(first)) {
                    (Some(mine), Some(other)) => overlap(mine, other),
                    (None, None) => first.name == one.name,
                    _ => false,
                }
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

fn span(one: &Objective) -> Option<(Nanos, Nanos)> {
    one.known.as_ref().and_then(|why| why.span)
}

/// Whether two parts of a run share more than half of the longer one.
fn overlap(one: (Nanos, Nanos), other: (Nanos, Nanos)) -> bool {
    let shared = one.1.min(other.1).0.saturating_sub(one.0.max(other.0).0);
    let longer = (one.1.0.saturating_sub(one.0.0)).max(other.1.0.saturating_sub(other.0.0));
    shared.saturating_mul(2) > longer
}

fn broken(run: &RunRecord, group: &[&Objective]) -> Cause {
    // The one with the widest scope knows most; of equal ones the first, which is the worst.
    let widest = group.iter().copied().find(|one| one.scope.ends_with('*')).unwrap_or(group[0]);
    let answer = |question| widest.known.as_ref().and_then(|why| why.answer(question));
    let what = match group {
        [one] => format!("{} of {}: {}", one.name, one.scope, one.sentence()),
        many => {
            let mut names: Vec<&str> = many.iter().map(|one| one.name.as_str()).collect();
            names.dedup();
            format!("{} objectives broke together: {}", many.len(), names.join(", "))
        }
    };
    let mut points = Vec::new();
    if group.len() > 1 {
        let named = group.iter().take(OBJECTIVES_NAMED);
        points.extend(named.map(|one| (one.name.clone(), format!("{}: {}", one.scope, one.sentence()))));
        let more = group.len().saturating_sub(OBJECTIVES_NAMED);
        if more > 0 {
            points.push((String::new(), format!("and {more} more objectives")));
        }
    }
    points.extend(
        QUESTIONS.iter().filter_map(|(question, label)| Some(((*label).to_owned(), answer(question)?.to_owned()))),
    );
    if let ([one], true) = (group, points.len() < 5) {
        points.extend(one.notes.first().map(|note| ("Note".to_owned(), note.clone())));
    }
    let since = match (span(widest), group.len()) {
        (Some((from, to)), 2..) => {
            let until = if to >= run.result.length { "to the end".to_owned() } else { format!("to {}", seconds(to)) };
            Some(format!("From {} {until} ({})", seconds(from), clock(run, from)))
        }
        _ => answer("Since when").map(str::to_owned),
    };
    Cause { verdict: group[0].verdict, what, since, points, link: format!("objective-{}", widest.index) }
}

fn seconds(at: Nanos) -> String {
    format!("{:.1} s", at.as_secs_f64())
}
