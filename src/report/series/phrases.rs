//! What a series says, in words that its formats share.

use crate::report::phrases::{grouped, plain};
use slatest_core::model::{Nanos, Verdict};
use slatest_engine::record::{
    ComponentSummary, DrillRepeat, DrillSummary, EndedEarly, LossSummary, ObjectiveSummary, Repeat, Series,
};
use slatest_stats::{DrillEnd, Heal, Repeats, percent};

/// Most repeats that a report shows, the latest; all stand in `series.json`.
pub(super) const REPEATS_SHOWN: usize = 100;
/// Most components of which it shows how their times lie.
pub(super) const COMPONENTS_SHOWN: usize = crate::report::drills::COMPONENTS_SHOWN;

/// Heads of the columns of a drill's repeats; the second is the bar.
pub(super) const COLUMNS: [&str; 8] = ["repeat", "", "", "recovery", "bounds", "detected", "bad", "lost"];
/// Heads of the columns of a drill's components.
pub(super) const COMPONENT_COLUMNS: [&str; 7] =
    ["component", "outages", "min", "median (bounds)", "p90 (bounds)", "max", "bad, most"];

/// What the verdict of the whole rests on.
pub(super) fn explanation(series: &Series) -> String {
    let count = |verdict| series.repeats.iter().filter(|repeat| repeat.verdict == verdict).count();
    let made = series.repeats.len();
    let mut parts = Vec::new();
    for (verdict, message) in [
        (Verdict::Fail, "failed"),
        (Verdict::Void, "void"),
        (Verdict::Inconclusive, "inconclusive"),
        (Verdict::Pass, "passed"),
    ] {
        if count(verdict) > 0 {
            parts.push(format!("{} of {made} repeats {message}", count(verdict)));
        }
    }
    if made == 0 {
        parts.push("no repeat was made".into());
    }
    let missing = series.planned.saturating_sub(made as u64);
    match (&series.ended_early, &series.ended) {
        (Some(EndedEarly::LeftBroken(reason)), _) => parts.push(format!("THE TARGET IS NOT SOUND: {}", plain(reason))),
        (Some(EndedEarly::NotRun(reason)), _) => parts.push(format!("the next could not be run: {}", plain(reason))),
        (Some(EndedEarly::Interrupted), _) => parts.push("interrupted".into()),
        (None, None) => parts.push("it did not come to its end (it was killed, or is still under way)".into()),
        (None, Some(_)) => {}
    }
    if missing > 0 {
        parts.push(format!("{missing} of {} were not made, so it can't pass", series.planned));
    }
    parts.join("; ")
}

/// What should be done about the repeat of a series that was killed, while it was under way.
pub(super) fn under_way(series: &Series) -> Option<String> {
    let repeat = series.under_way.as_ref()?;
    Some(format!(
        "repeat {} (run {}, seed {}) did not come to its end: the journal `drills.jsonl` in its folder says what it broke, \
         and whether it was healed",
        repeat.number, repeat.run, repeat.seed
    ))
}

/// What an objective asks.
pub(super) fn asks(objective: &ObjectiveSummary) -> String {
    plain(&format!("{} {}: {}", objective.name, objective.scope, objective.asks.join("; ")))
}

/// How many held it, and how many say nothing, and why.
pub(super) fn counts(goes: &Repeats) -> String {
    let mut parts = vec![format!("{} held", goes.passes), format!("{} did not", goes.fails)];
    for (count, message) in [
        (goes.untold, "can't be told (counts as not held)"),
        (goes.nothing_failed, "without a failure (not counted)"),
        (goes.void, "void (not counted)"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {message}"));
        }
    }
    parts.join(" · ")
}

/// What is said of an objective, a line each: the counts, the confidence, the times, and what is wrong with these.
pub(super) fn objective(objective: &ObjectiveSummary) -> Vec<String> {
    let mut lines = vec![counts(&objective.goes), objective.goes.message()];
    if let Some(recovery) = &objective.recovery {
        let covered = percent(recovery.covered);
        lines.push(format!("recovery time: {recovery}"));
        if let Some(within) = recovery.all_within {
            lines.push(format!(
                "with 95 % confidence at least {covered} % of failures are over within {within}, the largest upper bound"
            ));
        }
    }
    if let Some(z) = objective.trend {
        let message = if z > 0.0 { "longer" } else { "shorter" };
        lines.push(format!(
            "the recovery times get {message} from repeat to repeat (Mann–Kendall Z {z:.1}): what is said of all of them holds for no one of them"
        ));
    }
    lines
}

/// What is said of a drill besides.
pub(super) fn notes(drill: &DrillSummary) -> Vec<String> {
    let mut lines = Vec::new();
    match &drill.detection {
        Some(detection) => {
            let missed = if drill.undetected > 0 {
                format!("; no alert was seen of {} faults", drill.undetected)
            } else {
                String::new()
            };
            lines.push(format!("time until an alert: {detection}{missed}"));
        }
        None if drill.injected > 0 => lines.push("no alert was seen of any fault".into()),
        None => lines.push("no fault was injected".into()),
    }
    lines.extend(drill.losses.as_ref().map(losses));
    lines
}

fn losses(losses: &LossSummary) -> String {
    let unread = match losses.unread {
        0 => String::new(),
        times => format!("; stores could not be read back {times} times"),
    };
    format!(
        "writes of {} repeats: {} acknowledged, {} could not be asked for, {} lost from before a fault (worst recovery point {}), {} from after one, {} unknown{unread}",
        losses.goes,
        grouped(losses.acknowledged),
        grouped(losses.unreadable),
        grouped(losses.lost_before),
        losses.recovery_point_most,
        grouped(losses.lost_after),
        grouped(losses.unknown),
    )
}

/// The components whose repeats are shown one by one: the scopes of a drill's objectives; without any, the first that was
/// watched, which is the drill's own scope. Each with its recovery time objective.
pub(super) fn shown_components(drill: &DrillSummary) -> Vec<(&str, Option<Nanos>)> {
    let mut shown: Vec<(&str, Option<Nanos>)> = Vec::new();
    for objective in &drill.objectives {
        match shown.iter_mut().find(|(name, _)| *name == objective.scope) {
            Some((_, rto)) => *rto = rto.or(objective.rto),
            None => shown.push((&objective.scope, objective.rto)),
        }
    }
    if shown.is_empty() {
        shown.extend(drill.components.first().map(|component| (component.name.as_str(), None)));
    }
    shown
}

/// The figures of one repeat of a drill and component, by [`COLUMNS`], the bar left out; and its verdict.
pub(super) fn row(repeat: &Repeat, drill: &DrillRepeat, component: &str) -> (Verdict, [String; 8]) {
    let verdict = if repeat.verdict == Verdict::Void { Verdict::Void } else { drill.verdict };
    let figures = drill.component(component);
    let outage = figures.and_then(|one| one.outage);
    let (time, bounds) = match outage {
        Some(outage) => match (outage.time, outage.upper) {
            (Some(time), Some(upper)) => (time.to_string(), format!("{} – {upper}", outage.lower)),
            _ => ("not restored".into(), format!("> {}", outage.lower)),
        },
        None if !drill.injected => ("not injected".into(), "-".into()),
        None => ("nothing happened".into(), "-".into()),
    };
    let detected = drill.detected.as_ref().map_or_else(|| "-".into(), |(after, _)| after.to_string());
    let lost = drill.losses.map_or_else(
        || "-".into(),
        |losses| {
            if losses.unread + losses.unreadable > 0 {
                format!("≥ {}", losses.lost())
            } else {
                grouped(losses.lost())
            }
        },
    );
    let bad = figures.map_or_else(|| "-".into(), |one| one.bad.to_string());
    (verdict, [repeat.number.to_string(), verdict.name().into(), String::new(), time, bounds, detected, bad, lost])
}

/// The figures of a component, by [`COMPONENT_COLUMNS`].
pub(super) fn component_row(component: &ComponentSummary) -> [String; 7] {
    let name = plain(&component.name);
    let bad = component.bad_most.to_string();
    let Some(recovery) = &component.recovery else {
        return [name, "0".into(), "-".into(), "-".into(), "-".into(), "-".into(), bad];
    };
    let end = |time: Option<Nanos>| time.map_or_else(|| "never".to_owned(), |time| time.to_string());
    let outages = match component.never {
        0 => recovery.goes.to_string(),
        never => format!("{} ({never} never over)", recovery.goes),
    };
    [name, outages, end(recovery.min), recovery.median.to_string(), recovery.p90.to_string(), end(recovery.max), bad]
}

/// The latest repeat on one line: `pass · primary-loss sql/*: 12.0 s (11.0 s – 13.0 s)`.
pub(crate) fn latest(series: &Series) -> String {
    let Some(repeat) = series.repeats.last() else { return "nothing".into() };
    let mut parts = vec![repeat.verdict.name().to_owned()];
    for summary in &series.drills {
        let Some(drill) = repeat.drills.iter().find(|drill| drill.name == summary.name) else { continue };
        for (component, _) in shown_components(summary) {
            let (_, [.., time, bounds, _, _, _]) = row(repeat, drill, component);
            parts.push(plain(&format!("{} {component}: {time} ({bounds})", summary.name)));
        }
    }
    parts.join(" · ")
}

/// The repeats that did not pass, and why; and those whose heal failed, whatever else they say.
pub(super) fn did_not_pass(series: &Series) -> Vec<(Verdict, String)> {
    let each = series.repeats.iter().filter(|repeat| repeat.verdict != Verdict::Pass).map(|repeat| {
        let mut text = format!("repeat {} ({}): {}", repeat.number, repeat.run, plain(&repeat.message));
        for drill in &repeat.drills {
            let reason = match (&drill.heal, &drill.end) {
                (Heal::Failed(reason), _) => format!("{} WAS NOT HEALED: {reason}", drill.name),
                (_, DrillEnd::NotStarted(reason)) => format!("{} was not injected: {reason}", drill.name),
                (_, DrillEnd::InjectFailed(reason)) => format!("{} could not be injected: {reason}", drill.name),
                (_, DrillEnd::Interrupted) => format!("{} was broken off", drill.name),
                (_, DrillEnd::Watched) => continue,
            };
            text = format!("{text}; {}", plain(&reason));
        }
        let parts = repeat.drills.iter().flat_map(|drill| &drill.objectives).flat_map(|objective| {
            objective.parts.iter().filter(|part| part.verdict != Verdict::Pass).map(move |part| (objective, part))
        });
        for (objective, part) in parts {
            let reason = part.message.as_ref().map_or_else(String::new, |message| format!(", {message}"));
            let said = format!("{}: {}: {}{reason}", objective.name, part.bound_text(), part.measured);
            text = format!("{text}; {}", plain(&said));
        }
        (repeat.verdict, text)
    });
    each.collect()
}
