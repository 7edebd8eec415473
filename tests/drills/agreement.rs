//! What the program says, held against what the observer saw.

use jiff::Timestamp;

use crate::observer::{Between, Outage, Seen};
use crate::told::{Recovery, Told};

/// How far an instant lies outside of a span.
fn distance(at: Timestamp, (from, until): Between) -> jiff::SignedDuration {
    if at < from {
        from.duration_since(at)
    } else if at > until {
        at.duration_since(until)
    } else {
        jiff::SignedDuration::ZERO
    }
}

/// The outage that the observer saw between a drill's fault and the end of its watch, or the instant before.
pub fn observed(told: &Told, drill: &str, until: Timestamp) -> Outage {
    let seen = told.seen();
    let until = until.min(told.issued(drill) + told.watched(drill));
    assert!(seen.count() > 100, "the observer asked {} times only", seen.count());
    let outage = seen.outage(told.issued(drill) - crate::stage::PATIENCE, until);
    outage.unwrap_or_else(|| panic!("the observer saw no outage: {}", told.text))
}

/// Asserts that the bounds of a recovery hold the instant that the observer saw.
pub fn holds(recovery: &Recovery, outage: &Outage) -> Between {
    let back = outage.back.unwrap_or_else(|| panic!("the observer saw no end of it: {outage:?}"));
    let message = || format!("\nslatest: {recovery:#?}\nobserver: {outage:#?}");
    assert!(recovery.lower <= recovery.restored && recovery.restored <= recovery.upper, "{}", message());
    assert!(recovery.lower <= back.1, "it came back before the lower bound{}", message());
    assert!(recovery.upper >= back.0, "it came back after the upper bound{}", message());
    back
}

/// Asserts that the recovery time of a component agrees with what the observer saw, within one window; and so do the
/// first error and the length of the outage. Where this machine stood still, or windows held too little, bounds are
/// wider: then they need only hold the truth.
pub fn agrees(told: &Told, drill: &str, component: &str) -> Recovery {
    agrees_until(told, drill, component, Timestamp::MAX)
}

/// The same, where something else was broken from an instant on.
pub fn agrees_until(told: &Told, drill: &str, component: &str, until: Timestamp) -> Recovery {
    let outage = observed(told, drill, until);
    let recovery = told.recovery(drill, component);
    let recovery = recovery.unwrap_or_else(|| panic!("it was not restored: {}\n{}", told.drill(drill), told.text));
    let back = holds(&recovery, &outage);
    eprintln!(
        "{drill}, {component}: fault to recovery {:#} ({:#} – {:#}), observed {:#} – {:#}; {}",
        recovery.restored.duration_since(recovery.issued),
        recovery.lower.duration_since(recovery.issued),
        recovery.upper.duration_since(recovery.issued),
        back.0.duration_since(recovery.issued),
        back.1.duration_since(recovery.issued),
        recovery.timeline,
    );
    if disturbed(told.seen(), &recovery) {
        eprintln!("the machine was disturbed: only the bounds are held against the observer");
        return recovery;
    }
    let message = || format!("\nslatest: {recovery:#?}\nobserver: {outage:#?}");
    let window = recovery.window;
    assert!(distance(recovery.restored, back) <= window, "recovery differs by more than a window{}", message());
    let stopped = outage.stopped;
    assert!(distance(recovery.first_error, stopped) <= window, "the first error is another one{}", message());
    // From the one end to the other, each known to a window.
    let (least, most) = (back.0.duration_since(stopped.1), back.1.duration_since(stopped.0));
    assert!(
        recovery.bad >= least - window * 2 && recovery.bad <= most + window * 2,
        "bad for another time{}",
        message()
    );
    recovery
}

/// Whether the machine did something, between the fault and a while after, that neither of the two can help.
fn disturbed(seen: &Seen, recovery: &Recovery) -> bool {
    recovery.gaps || seen.stood_still(recovery.issued, recovery.upper + recovery.window)
}
