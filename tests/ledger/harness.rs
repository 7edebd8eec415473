//! A short run with a ledger, and what is read back after it.

use std::collections::BTreeSet;
use std::sync::Arc;

use slatest_core::model::{LedgerEntry, Nanos, Outcome, WriteOutcome};
use slatest_core::schedule::Stripe;
use slatest_core::source::Source;
use slatest_core::writes::{Ledger, LedgerCheck, LedgerWriter, Losses, Record};
use slatest_drivers::{ReadBackError, check_ledger};
use slatest_engine::load::{Engine, Stop};
use slatest_engine::profile::{Library, Overrides, Resolved, resolve};

/// Longest that a store may be silent when it is read back.
pub const PATIENCE: Nanos = Nanos::from_secs(20);

/// A run that is over.
pub struct Played {
    resolved: Resolved,
    plan: Arc<slatest_engine::profile::Plan>,
    /// Its ledger.
    pub ledger: Ledger,
    /// How many arrivals it had.
    pub fired: u64,
    folder: tempfile::TempDir,
}

/// Sends some hundred operations of the one scenario `s`, and keeps their ledger.
pub fn play(workload: &str, endpoint_name: &str, endpoint: &str) -> Played {
    play_until(workload, endpoint_name, endpoint, "10s")
}

/// The same; `stop` is how long the end waits for what is under way.
pub fn play_until(workload: &str, endpoint_name: &str, endpoint: &str, stop: &str) -> Played {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("workloads")).expect("a folder");
    std::fs::write(folder.path().join("workloads/w.yaml"), workload).expect("a file");
    let profile = format!(
        "name: p\nwindow: 200ms\ngraceful_stop: {stop}\nscenarios:\n  \
         s: {{ workload: w, executor: constant-arrival-rate, rate: 150/s, duration: 2s }}\n"
    );
    let target = format!(
        "name: t\nenvironment: sandbox\nallow: {{ hosts: [\"127.0.0.1\", \"localhost\"] }}\nendpoints:\n  \
         {endpoint_name}: {endpoint}\n"
    );
    let run = format!("ledger-{}", uuid::Uuid::new_v4().simple());
    let profile = Source::new("profiles/p.yaml", profile, folder.path());
    let target = Source::new("targets/t.yaml", target, folder.path());
    let library = Library::new(folder.path());
    let mut resolved = resolve(&library, &profile, &target, &Overrides::default(), &run)
        .unwrap_or_else(|problems| panic!("it doesn't resolve: {problems}"));
    let at = folder.path().join("ledger");
    let begun = jiff::Timestamp::now().as_nanosecond().try_into().expect("this century");
    let writer = LedgerWriter::begin(&at, &run, begun).expect("a ledger");
    let plan = Arc::new(resolved.plan.clone());
    let engine = Engine {
        plan: Arc::clone(&plan),
        workloads: resolved.workloads.clone(),
        workers: 2,
        stop: Stop::default(),
        share: Stripe::WHOLE,
        ledger: Some(writer.sink()),
        drills: None,
        orders: None,
    };
    let facts = engine.run(&mut |_| {}).expect("it runs");
    resolved.plan.description = None;
    let end = writer.finish();
    assert_eq!(end.flaw(), None);
    // One that found no session, or none that could be opened, is no write.
    let tallies = facts.timeline.judged.iter().chain(&facts.timeline.unjudged);
    let ok: u64 = tallies.map(|tally| tally.outcome(Outcome::Ok)).sum();
    assert!(end.written >= ok && end.written > 0, "{} records of {ok} operations that were ok", end.written);
    let ledger = Ledger::open(&at).expect("a ledger");
    Played { resolved, plan, ledger, fired: facts.fired, folder }
}

impl Played {
    /// What its writes are, in the order of their numbers.
    pub fn writes(&self) -> Vec<LedgerEntry> {
        let mut writes: Vec<_> = self
            .ledger
            .records()
            .filter_map(|record| match record.expect("a whole ledger") {
                Record::Write(entry) => Some(entry),
                Record::Seen { .. } => None,
            })
            .collect();
        writes.sort_by_key(|write| write.id);
        writes
    }

    /// Its acknowledged writes; all of them must be.
    pub fn acknowledged(&self) -> Vec<LedgerEntry> {
        let writes = self.writes();
        assert!(writes.len() > 100, "{} writes", writes.len());
        let not: Vec<_> = writes.iter().filter(|write| write.outcome != WriteOutcome::Acknowledged).collect();
        assert!(not.is_empty(), "not acknowledged: {not:?}");
        writes
    }

    /// Reads the store back.
    pub fn read_back(&self, fault: Option<Nanos>) -> Result<LedgerCheck, ReadBackError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let scenario = &self.plan.scenarios[0];
        let place = (scenario.name.as_str(), scenario.first_operation);
        let workload = &*self.resolved.workloads[0];
        let scratch = self.folder.path();
        runtime.block_on(check_ledger(workload, &self.ledger, place, fault, scratch, PATIENCE))
    }

    /// Reads the store back, which must be possible.
    pub fn check(&self, fault: Option<Nanos>) -> LedgerCheck {
        self.read_back(fault).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Numbers of the arrivals that are named as lost.
pub fn seqs(losses: &Losses) -> BTreeSet<u64> {
    losses.named.iter().map(|loss| loss.id.seq()).collect()
}

/// Each seventh of some writes: what tests take away.
pub fn some(writes: &[LedgerEntry]) -> Vec<&LedgerEntry> {
    writes.iter().step_by(7).collect()
}

/// Numbers of the arrivals of some writes.
pub fn numbers(writes: &[&LedgerEntry]) -> BTreeSet<u64> {
    writes.iter().map(|write| write.id.seq()).collect()
}

/// A fault in the middle of a run: after the acknowledgement of half of the writes.
pub fn middle(writes: &[LedgerEntry]) -> Nanos {
    let mut done: Vec<_> = writes.iter().map(|write| write.done).collect();
    done.sort_unstable();
    done[done.len() / 2]
}

/// What is lost on either side of a fault is what was taken, and the recovery point reaches to the oldest of it.
pub fn exactly(check: &LedgerCheck, taken: &[&LedgerEntry], fault: Nanos) {
    let (before, after): (Vec<_>, Vec<_>) = taken.iter().copied().partition(|write| write.done < fault);
    assert_eq!(seqs(&check.lost), numbers(&before));
    assert_eq!(seqs(&check.lost_after_fault), numbers(&after));
    assert_eq!(check.lost_count(), taken.len() as u64);
    let oldest = before.iter().map(|write| write.done).min();
    assert_eq!(check.recovery_point, oldest.map_or(Nanos::ZERO, |oldest| fault.since(oldest)));
}
