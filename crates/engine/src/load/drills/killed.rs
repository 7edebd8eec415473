//! What is known of the drills of a run that was killed: its journal says what was done, its windows what followed.

use jiff::Timestamp;

use super::controller::LEAD;
use super::{BEYOND, DrillFacts, DrillWatch};
use crate::profile::{DrillPlan, Plan};
use slatest_core::measure::Window;
use slatest_core::model::Nanos;
use slatest_faults::journal::{Entry, Phase, Step};
use slatest_faults::steps::HealBy;
use slatest_faults::{Injected, Moment};
use slatest_stats::{DrillEnd, Heal, LedgerOf};

/// One drill, as far as the journal tells.
struct Killed {
    index: usize,
    /// An instant on both clocks.
    known: Moment,
    /// When it was about to be injected.
    about: Timestamp,
    injected: Option<Injected>,
    /// Why the injector failed.
    failed: Option<String>,
    heal: Heal,
    /// Its last line.
    last: Timestamp,
    watch: DrillWatch,
}

impl Killed {
    /// From the lines of one drill; `None` where it was never about to be injected.
    fn of(plan: &Plan, (index, drill): (usize, &DrillPlan), lines: &[&Entry], started: Timestamp) -> Option<Self> {
        let about = lines.iter().find(|line| (line.step, line.phase) == (Step::Inject, Phase::AboutTo))?.at;
        let injected = lines.iter().find_map(|line| line.injected.clone());
        let last_of = |step, phase| lines.iter().rfind(|line| (line.step, line.phase) == (step, phase));
        let known = injected.as_ref().map_or(Moment { wall: started, run: Nanos::ZERO }, |injected| injected.issued);
        let heal = match (last_of(Step::Heal, Phase::Done), last_of(Step::Heal, Phase::Failed), drill.heal) {
            (Some(done), ..) => Heal::Done(on_run_clock(known, done.at)),
            (None, Some(failed), _) => Heal::Failed(failed.detail.clone()),
            (None, None, HealBy::Manual) => Heal::ByHand,
            (None, None, HealBy::Auto) => {
                Heal::Open("its journal knows of no healing; the run was killed, or is under way still".into())
            }
        };
        Some(Self {
            index,
            known,
            about,
            failed: last_of(Step::Inject, Phase::Failed).map(|line| line.detail.clone()),
            injected,
            heal,
            last: lines.last().map_or(about, |line| line.at),
            watch: DrillWatch::new(plan, drill, 0),
        })
    }

    fn issued(&self) -> Option<Nanos> {
        self.injected.as_ref().map(|injected| injected.issued.run)
    }

    fn facts(self, plan: &Plan, end: Nanos) -> Option<DrillFacts> {
        let drill = plan.drills.get(self.index)?;
        let issued = self.issued();
        // What is meant to start in the last windows may be under way still.
        let seen = end - Nanos(plan.window.0.saturating_mul(BEYOND));
        let over = issued.map(|issued| issued + drill.watch);
        let done = match (self.failed, over) {
            (Some(reason), _) => DrillEnd::InjectFailed(reason),
            (None, Some(over)) if over <= seen => DrillEnd::Watched,
            (None, _) => DrillEnd::Interrupted,
        };
        let from = on_run_clock(self.known, self.about) - LEAD;
        Some(DrillFacts {
            drill: self.index,
            end: done,
            issued,
            acknowledged: self.injected.as_ref().map(|injected| injected.acknowledged.run),
            reported: self.injected.as_ref().and_then(|injected| Some(injected.reported.as_ref()?.run)),
            detected: None,
            heal: self.heal,
            watched_until: over.map_or(seen, |over| over.min(seen)),
            clock_bound: Nanos::ZERO,
            cells: self.watch.into_cells(),
            ledgers: unread(plan),
            exclusion: Some((from, on_run_clock(self.known, self.last).max(over.unwrap_or_default()).min(end))),
        })
    }
}

/// The drills of a run that was killed, which take in its windows once more.
#[derive(Default)]
pub struct KilledDrills(Vec<Killed>);

impl KilledDrills {
    /// From the lines of the run's journal. `started`: the wall clock at the zero of the run's.
    pub fn of(plan: &Plan, entries: &[Entry], started: Timestamp) -> Self {
        let drills = plan.drills.iter().enumerate().filter_map(|(index, drill)| {
            let lines: Vec<&Entry> = entries.iter().filter(|entry| entry.drill == drill.name).collect();
            Killed::of(plan, (index, drill), &lines, started)
        });
        Self(drills.collect())
    }

    /// A window of the run, in order.
    pub fn window(&mut self, window: &Window) {
        for drill in &mut self.0 {
            if let Some(issued) = drill.issued()
                && window.start() + window.length > issued
            {
                drill.watch.fault(issued);
            }
            drill.watch.window(window);
        }
    }

    /// What is known of them. `end`: when the last window ended.
    pub fn into_facts(self, plan: &Plan, end: Nanos) -> Vec<DrillFacts> {
        self.0.into_iter().filter_map(|drill| drill.facts(plan, end)).collect()
    }
}

/// The ledgers that the run kept and nobody held a store against.
fn unread(plan: &Plan) -> Vec<LedgerOf> {
    let kept = plan.scenarios.iter().enumerate().filter(|(index, _)| {
        let mut operations = plan.operations.iter().filter(|operation| operation.scenario == *index);
        operations.any(|operation| operation.ledger)
    });
    let reason = || Err("the run ended before it was read back".to_owned());
    kept.map(|(_, scenario)| LedgerOf { scenario: scenario.name.clone(), check: reason() }).collect()
}

/// An instant of the wall clock on the run's; the wall clock may have been set in between, for which there is no cure.
fn on_run_clock(known: Moment, at: Timestamp) -> Nanos {
    let since = at.duration_since(known.wall);
    let length = Nanos::from(since.unsigned_abs());
    if since.is_negative() { known.run - length } else { known.run + length }
}
