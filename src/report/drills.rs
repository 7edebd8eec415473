//! What a run says of its drills, in words that several formats share.

use super::phrases::{grouped, plain};
use slatest_core::model::{Nanos, Verdict};
use slatest_stats::{ComponentRecovery, DrillEnd, Heal, JudgedDrill, Mark, picture};

/// Columns of a picture.
const PICTURE: usize = 80;
/// Most components whose figures are shown; all stand in the record.
pub(super) const COMPONENTS_SHOWN: usize = 12;

/// Heads of the figures' columns.
pub(super) const COLUMNS: [&str; 8] =
    ["component", "first error", "first success", "restored", "bounds", "bad", "unknown", "failed / operations"];

/// What the pictures' cells and marks mean.
pub(super) const LEGEND: &str = "▁ good · █ bad · · unknown; F fault, D detected, H healed, R restored";

/// One line of what happened: `fault primary-kill at 20.3 s (acknowledged after 80.0 ms) · ...`.
pub(super) fn story(drill: &JudgedDrill) -> String {
    let fault = plain(&drill.fault);
    let mut parts = vec![match (&drill.end, drill.issued) {
        (DrillEnd::NotStarted(reason), _) => format!("the fault {fault} was not injected: {}", plain(reason)),
        (DrillEnd::InjectFailed(reason), _) => format!("the fault {fault} could not be injected: {}", plain(reason)),
        (DrillEnd::Interrupted, None) => format!("the fault {fault} may have been injected"),
        (_, None) => format!("the fault {fault} was not injected"),
        (_, Some(issued)) => {
            let mut text = format!("fault {fault} at {issued}");
            if let Some(acknowledged) = drill.acknowledged {
                text.push_str(&format!(", acknowledged {} later", acknowledged - issued));
            }
            if let Some(reported) = drill.reported {
                text.push_str(&format!(", {reported} as the provider says"));
            }
            text
        }
    }];
    if drill.end == DrillEnd::Interrupted {
        parts.push("the run ended while it was under way".into());
    }
    if let Some((after, alert)) = &drill.detected {
        parts.push(format!("detected after {after} ({})", plain(alert)));
    } else if drill.issued.is_some() {
        parts.push("no alert was seen".into());
    }
    match (&drill.heal, drill.issued) {
        (Heal::Done(at), Some(issued)) => parts.push(format!("healed after {}", *at - issued)),
        (Heal::Done(at), None) => parts.push(format!("healed at {at}")),
        (Heal::Failed(reason), _) => parts.push(format!("NOT HEALED, the target is left broken: {}", plain(reason))),
        (Heal::Open(reason), _) => parts.push(format!("NOT HEALED, the target is left broken: {}", plain(reason))),
        (Heal::ByHand, _) => parts.push("left to people to heal".into()),
        (Heal::Nothing, _) => {}
    }
    parts.join(" · ")
}

/// One thing that an objective asks: its verdict, and what is said of it.
pub(super) fn asked(drill: &JudgedDrill) -> Vec<(Verdict, String)> {
    let each = drill.objectives.iter().flat_map(|objective| {
        objective.parts.iter().map(move |part| {
            let mut text = format!(
                "{} {}: {}: {}",
                plain(&objective.name),
                plain(&objective.scope),
                part.bound_text(),
                part.measured
            );
            if let Some(message) = &part.message {
                text.push_str("; ");
                text.push_str(&plain(message));
            }
            (part.verdict, text)
        })
    });
    each.collect()
}

/// The figures of one component, by [`COLUMNS`].
pub(super) fn row(component: &ComponentRecovery) -> [String; 8] {
    let impact = component.first_error.is_some();
    let time = |time: Option<Nanos>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
    let restored = match component.restored {
        Some(restored) => restored.after.to_string(),
        None if impact => format!("not in {}", component.watched),
        None => "nothing happened".into(),
    };
    let bounds = match component.restored {
        Some(restored) => format!("{} – {}", restored.lower, restored.upper),
        None if impact => format!("> {}", component.down_until),
        None => "-".into(),
    };
    let spells = if component.spells > 1 { format!(" in {} spells", component.spells) } else { String::new() };
    [
        plain(&component.name),
        time(component.first_error),
        time(component.first_success),
        restored,
        bounds,
        format!("{}{spells}", component.bad),
        component.unknown.to_string(),
        format!("{} / {}", grouped(component.failed), grouped(component.operations)),
    ]
}

/// The timeline of one component in two lines, and what a cell stands for: `1 s a cell`.
pub(super) fn timeline(drill: &JudgedDrill, component: &ComponentRecovery) -> [String; 3] {
    let mut marks = Vec::new();
    if let Some(issued) = drill.issued {
        marks.push(Mark { letter: 'F', at: issued });
        marks.extend(component.restored.map(|restored| Mark { letter: 'R', at: issued + restored.after }));
        marks.extend(drill.detected.as_ref().map(|(after, _)| Mark { letter: 'D', at: issued + *after }));
    }
    if let Heal::Done(at) = drill.heal {
        marks.push(Mark { letter: 'H', at });
    }
    let (above, cells, each) = picture(component, &marks, PICTURE);
    [above, cells, format!("{} a cell", Nanos(component.window.0.saturating_mul(each as u64)))]
}

/// What a good window keeps, once for those components that share it.
pub(super) fn good(drill: &JudgedDrill) -> Vec<String> {
    let shown = drill.components.iter().take(COMPONENTS_SHOWN);
    let mut all: Vec<String> = Vec::new();
    for component in shown {
        let fewest = component.fewest.map_or_else(String::new, |n| format!(", with {n} operations at least"));
        let text = format!("{}: good is {}{fewest}", plain(&component.name), component.good.join("; "));
        all.push(plain(&text));
    }
    all
}
