//! With a fault that is told what to do, on simulated time; and one that is real, after a crash.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::journal;
use crate::steps::{HealBy, Healing, Injection};
use slatest_core::model::Clock;

/// Time as tokio's tests simulate it.
struct Simulated(tokio::time::Instant);

impl Clock for Simulated {
    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Works,
    Fails,
    Panics,
    Hangs,
}

impl Way {
    async fn go<T>(self, value: T) -> Result<T, FaultError> {
        match self {
            Self::Works => Ok(value),
            Self::Fails => Err(FaultError::failed("it", "as told")),
            Self::Panics => panic!("as told"),
            Self::Hangs => std::future::pending().await,
        }
    }
}

#[derive(Default)]
struct Puppet {
    plan: Way,
    inject: Way,
    heal: Way,
    broken: AtomicBool,
    heals: AtomicUsize,
}

impl Fault for Puppet {
    fn describe(&self) -> String {
        "breaks a flag".into()
    }
    fn remedy(&self) -> Option<String> {
        None
    }
    fn rights(&self) -> String {
        String::new()
    }
    fn plan(&self) -> BoxFuture<'_, Result<Undo, FaultError>> {
        Box::pin(self.plan.go(Undo::default()))
    }
    fn inject<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<Injected, FaultError>> {
        Box::pin(async {
            self.broken.store(true, Ordering::SeqCst);
            let now = Moment { wall: jiff::Timestamp::UNIX_EPOCH, run: Nanos::ZERO };
            self.inject.go(Injected { issued: now, acknowledged: now, reported: None, detail: String::new() }).await
        })
    }
    fn probe<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<Probe, FaultError>> {
        Box::pin(async { Ok(Probe::found(!self.broken.load(Ordering::SeqCst), "the flag")) })
    }
    fn heal<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<String, FaultError>> {
        Box::pin(async {
            self.heals.fetch_add(1, Ordering::SeqCst);
            self.heal.go(()).await?;
            self.broken.store(false, Ordering::SeqCst);
            Ok("the flag is mended".into())
        })
    }
}

struct Theatre {
    folder: tempfile::TempDir,
    puppet: Arc<Puppet>,
    drill: Drill,
    journal: SharedJournal,
    stopwatch: Stopwatch,
}

impl Theatre {
    fn new(puppet: Puppet, hold: Option<u64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let puppet = Arc::new(puppet);
        let drill = Drill {
            key: DrillKey { drill: "flag".into(), repeat: 1 },
            fault: Arc::clone(&puppet) as Arc<dyn Fault>,
            spec: serde_saphyr::from_str(
                "command: { inject: { program: 'true' }, heal: { program: touch, args: [mended] } }",
            )
            .unwrap(),
            folder: folder.path().to_owned(),
            hosts: vec!["127.0.0.1".into()],
            timing: Timing {
                steady_within: Nanos::from_secs(60),
                inject_within: Nanos::from_secs(10),
                hold: hold.map(Nanos::from_secs),
                watch: Nanos::from_secs(120),
                heal_within: Nanos::from_secs(30),
                verify_within: Nanos::from_secs(5),
                heal: HealBy::Auto,
            },
        };
        let journal = Arc::new(Mutex::new(Journal::open(folder.path()).unwrap()));
        let stopwatch = Stopwatch::new(Arc::new(Simulated(tokio::time::Instant::now())));
        Self { folder, puppet, drill, journal, stopwatch }
    }

    async fn run(&self, told: &[Signal]) -> Outcome {
        let (tell, signals) = mpsc::channel(8);
        for signal in told {
            tell.send(signal.clone()).await.unwrap();
        }
        let end = execute(&self.drill, &self.journal, &self.stopwatch, signals, |_| {}).await;
        drop(tell);
        end
    }

    fn lines(&self) -> Vec<(Step, Phase)> {
        journal::read(self.folder.path()).unwrap().entries.iter().map(|e| (e.step, e.phase)).collect()
    }

    fn sound(&self) -> bool {
        !self.puppet.broken.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_drill_that_goes_as_planned_is_in_the_journal_step_by_step() {
    let stage = Theatre::new(Puppet::default(), Some(20));
    let end = stage.run(&[Signal::Steady]).await;
    assert!(end.conclusion.as_planned() && stage.sound(), "{end:?}");
    let stages: Vec<(Stage, u64)> = end.marks.iter().map(|m| (m.stage, m.at.run.0 / 1_000_000_000)).collect();
    assert_eq!(
        stages,
        [
            (Stage::Waiting, 0),
            (Stage::Planning, 0),
            (Stage::Injecting, 0),
            (Stage::Holding, 0),
            (Stage::Healing, 20),
            (Stage::Watching, 20),
            (Stage::Verifying, 140),
            (Stage::Ended, 140),
        ]
    );
    use Phase::{AboutTo, Done};
    assert_eq!(
        stage.lines(),
        [
            (Step::Inject, AboutTo),
            (Step::Inject, Done),
            (Step::Heal, AboutTo),
            (Step::Heal, Done),
            (Step::Verify, Done)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_the_injection_it_is_healed() {
    for inject in [Way::Fails, Way::Panics, Way::Hangs] {
        let stage = Theatre::new(Puppet { inject, ..Puppet::default() }, None);
        let end = stage.run(&[Signal::Steady]).await;
        assert!(stage.sound(), "{inject:?}");
        assert_eq!(end.conclusion.injection, Injection::Unsure);
        assert!(stage.lines().contains(&(Step::Inject, Phase::Failed)), "{inject:?}");
        assert_eq!(end.conclusion.healing, Healing::Healed);
        assert!(!end.conclusion.as_planned() && !end.conclusion.wrong.is_empty());
        assert_eq!(stage.puppet.heals.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_heal_that_fails_panics_or_hangs_is_left_broken_and_stays_in_the_journal() {
    for heal in [Way::Fails, Way::Panics, Way::Hangs] {
        let stage = Theatre::new(Puppet { heal, ..Puppet::default() }, None);
        let end = stage.run(&[Signal::Steady, Signal::Stop("Ctrl-C".into())]).await;
        assert!(end.conclusion.left_broken(), "{heal:?}: {end:?}");
        assert!(stage.lines().contains(&(Step::Heal, Phase::Failed)), "{heal:?}");
        let left = journal::unhealed(&journal::read(stage.folder.path()).unwrap().entries);
        assert_eq!(left.len(), 1, "{heal:?}");
        assert_eq!(stage.puppet.heals.load(Ordering::SeqCst), 1, "its time is not spent twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_refused_breaks_nothing_and_heals_nothing() {
    for plan in [Way::Fails, Way::Panics, Way::Hangs] {
        let stage = Theatre::new(Puppet { plan, ..Puppet::default() }, None);
        let end = stage.run(&[Signal::Steady]).await;
        assert_eq!((end.conclusion.injection, stage.puppet.heals.load(Ordering::SeqCst)), (Injection::No, 0));
        assert_eq!(stage.lines(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_journal_nothing_is_broken() {
    let stage = Theatre::new(Puppet::default(), None);
    let full = std::fs::OpenOptions::new().append(true).open("/dev/full").unwrap();
    *stage.journal.lock().unwrap() = Journal::to(stage.folder.path().join("full"), full);
    let end = stage.run(&[Signal::Steady]).await;
    assert_eq!(end.conclusion.injection, Injection::No, "{end:?}");
    assert!(stage.sound() && end.conclusion.wrong[0].contains("journal"), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn signals_that_close_are_a_stop_and_no_steady_state_is_no_drill() {
    let stage = Theatre::new(Puppet::default(), Some(20));
    let (tell, signals) = mpsc::channel(8);
    tell.send(Signal::Steady).await.unwrap();
    drop(tell);
    let end = execute(&stage.drill, &stage.journal, &stage.stopwatch, signals, |_| {}).await;
    assert!(stage.sound() && end.conclusion.wrong[0].contains("the run has ended"), "{end:?}");
    let stage = Theatre::new(Puppet::default(), None);
    let end = stage.run(&[]).await;
    assert!(end.conclusion.wrong[0].contains("no steady state"), "{end:?}");
    assert_eq!(end.conclusion.injection, Injection::No);
}

#[tokio::test]
async fn an_executor_that_is_dropped_or_panics_heals_on_its_way_out() {
    for panics in [false, true] {
        let stage = Theatre::new(Puppet::default(), Some(3600));
        let (drill, journal, stopwatch) = (stage.drill.clone(), Arc::clone(&stage.journal), stage.stopwatch.clone());
        let (tell, signals) = mpsc::channel(8);
        tell.send(Signal::Steady).await.unwrap();
        let (held, mut holding) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            let told = |mark: Mark| {
                if mark.stage == Stage::Holding {
                    held.try_send(()).unwrap();
                    assert!(!panics, "as told");
                }
            };
            execute(&drill, &journal, &stopwatch, signals, told).await
        });
        holding.recv().await.unwrap();
        task.abort();
        assert!(task.await.is_err());
        assert!(stage.sound(), "panics: {panics}");
        assert_eq!(stage.lines().last(), Some(&(Step::Heal, Phase::Done)));
        drop(tell);
    }
}

#[tokio::test]
async fn after_a_crash_the_journal_heals() {
    let stage = Theatre::new(Puppet::default(), None);
    let ledger = Ledger::new(&stage.drill, &stage.journal);
    ledger.about_to_inject().unwrap();
    let mended = heal_unhealed(stage.folder.path(), &stage.stopwatch, Nanos::from_secs(30)).await.unwrap();
    assert_eq!(mended.len(), 1);
    assert!(mended[0].end.is_ok(), "{mended:?}");
    assert!(stage.folder.path().join("mended").exists());
    let again = heal_unhealed(stage.folder.path(), &stage.stopwatch, Nanos::from_secs(30)).await.unwrap();
    assert!(again.is_empty());
}
