//! What a drill did, told again from the journal of steps that its run left: also of a run that was killed.

use jiff::Timestamp;

use super::super::Moment;
use super::super::execute::{Mark, Outcome};
use super::super::journal::{DrillKey, Entry, Phase, Step};
use super::super::steps::{Conclusion, Healing, Injection, Stage};
use slatest_core::model::Nanos;

/// What the record of a run tells beside the journal of its drills.
#[derive(Clone, Debug)]
pub struct Told {
    /// When the run's clock read zero.
    pub started: Timestamp,
    /// When the run ended; none of one that was killed.
    pub ended: Option<Timestamp>,
    /// Whether people are to heal it.
    pub by_hand: bool,
    /// Whether what the drill watched was restored.
    pub restored: bool,
    /// Whether the run ended while the drill was under way.
    pub interrupted: bool,
    /// Why it was not injected.
    pub not_started: Option<String>,
}

/// The end of a drill from its lines in the journal. Steps that leave no line (waiting, planning) begin and end
/// with those that do.
pub fn outcome_of(entries: &[Entry], key: &DrillKey, told: &Told) -> Outcome {
    let moment = |wall: Timestamp| {
        let since = wall.as_nanosecond() - told.started.as_nanosecond();
        Moment { wall, run: Nanos(u64::try_from(since).unwrap_or(0)) }
    };
    let mut marks = vec![Mark { stage: Stage::Waiting, at: moment(told.started) }];
    let mut enter = |stage: Stage, wall: Timestamp| marks.push(Mark { stage, at: moment(wall) });
    let mut conclusion = Conclusion {
        injection: Injection::No,
        restored: told.restored,
        healing: Healing::NotNeeded,
        wrong: Vec::new(),
    };
    let (mut injected, mut healed) = (None, None);
    let mut last = told.started;
    for entry in entries.iter().filter(|entry| entry.key() == *key) {
        last = entry.at;
        match (entry.step, entry.phase) {
            (Step::Inject, Phase::AboutTo) => {
                enter(Stage::Planning, entry.at);
                enter(Stage::Injecting, entry.at);
                conclusion.injection = Injection::Unsure;
                conclusion.healing = if told.by_hand { Healing::Manual } else { Healing::Failed };
            }
            (Step::Inject, Phase::Done) => {
                enter(Stage::Watching, entry.at);
                conclusion.injection = Injection::Yes;
                injected.clone_from(&entry.injected);
            }
            (Step::Heal, Phase::AboutTo) => enter(Stage::Healing, entry.at),
            (Step::Heal, Phase::Done) => {
                enter(Stage::Verifying, entry.at);
                conclusion.healing = Healing::Healed;
                healed = Some(entry.detail.clone());
            }
            (Step::Heal, Phase::Failed) => {
                enter(Stage::Verifying, entry.at);
                conclusion.healing = Healing::Failed;
            }
            (Step::Verify, Phase::Failed) if conclusion.healing == Healing::Healed => {
                conclusion.healing = Healing::Failed;
            }
            _ => {}
        }
        if entry.phase == Phase::Failed {
            conclusion.wrong.push(entry.detail.clone());
        }
    }
    conclusion.wrong.extend(told.not_started.clone());
    if told.interrupted {
        conclusion.wrong.push("stopped: the run ended while the drill was under way".into());
    }
    let end = if conclusion.injection == Injection::No { told.ended.unwrap_or(last) } else { last };
    enter(Stage::Ended, end.max(last));
    Outcome { conclusion, injected, healed, probe: None, marks }
}

#[cfg(test)]
mod tests {
    use super::super::{ChaosStatus, chaos_journal};
    use super::*;
    use crate::Injected;

    fn told(restored: bool) -> Told {
        Told { started: at(0), ended: Some(at(100)), by_hand: false, restored, interrupted: false, not_started: None }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::new(1_795_000_000 + secs, 0).unwrap()
    }

    fn key() -> DrillKey {
        DrillKey { drill: "flag".into(), repeat: 1 }
    }

    fn line(secs: i64, step: Step, phase: Phase) -> Entry {
        let mut entry = Entry::new(&key(), step, phase, "in words");
        entry.at = at(secs);
        if (step, phase) == (Step::Inject, Phase::Done) {
            let moment = Moment { wall: at(secs), run: Nanos::from_secs(20) };
            let detail = "killed 7 processes".into();
            entry.injected = Some(Injected { issued: moment, acknowledged: moment, reported: None, detail });
        }
        entry
    }

    fn journal(lines: &[Entry], told: &Told) -> super::super::ChaosJournal {
        let fault = serde_json::from_value(serde_json::json!({ "process": { "pid_file": "a", "signal": "kill" } }));
        chaos_journal("flag", &fault.unwrap(), &outcome_of(lines, &key(), told), "host")
    }

    #[test]
    fn a_journal_of_theirs_is_told_from_ours() {
        use Phase::{AboutTo, Done, Failed};
        let other = Entry { drill: "other".into(), ..line(1, Step::Inject, AboutTo) };
        let whole = [
            other,
            line(20, Step::Inject, AboutTo),
            line(22, Step::Inject, Done),
            line(60, Step::Heal, AboutTo),
            line(63, Step::Heal, Done),
            line(64, Step::Verify, Done),
        ];
        let good = journal(&whole, &told(true));
        assert_eq!((good.status, good.deviated, good.duration), (ChaosStatus::Completed, false, 64.0));
        assert_eq!((good.run[0].duration, good.run[0].output.as_str()), (2.0, Some("killed 7 processes")));
        assert_eq!((good.rollbacks[0].duration, good.rollbacks[0].status.as_str()), (3.0, "succeeded"));
        assert_eq!(journal(&whole, &told(false)).status, ChaosStatus::Failed);

        let mut unhealed = whole[..4].to_vec();
        unhealed.push(line(63, Step::Heal, Failed));
        let unhealed = journal(&unhealed, &told(true));
        assert_eq!(unhealed.rollbacks[0].status, "failed");

        let killed = journal(&whole[..2], &Told { interrupted: true, ended: None, ..told(false) });
        assert_eq!((killed.status, killed.run[0].status.as_str()), (ChaosStatus::Interrupted, "failed"));

        let never = Told { not_started: Some("no steady state".into()), ..told(false) };
        let never = journal(&[], &never);
        assert_eq!((never.status, never.run.len(), never.duration), (ChaosStatus::Failed, 0, 100.0));
    }
}
