//! The real-time class, in a process of its own: what it sets holds for the whole process.

use std::process::{Command, Stdio};

/// This test's own program again, with one of its ignored tests.
fn again(name: &str) -> std::process::Output {
    Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", name, "--ignored", "--nocapture"])
        .stdin(Stdio::null())
        .output()
        .expect("it starts")
}

#[test]
fn workers_that_never_let_go_lose_the_class_and_the_machine_goes_on() {
    let output = again("spinning");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    if text.contains("SKIPPED") {
        eprintln!("{text}");
    }
}

#[test]
#[ignore = "run by the other one, in a process of its own"]
fn spinning() {
    use slatest_engine::load::{ask_for_realtime, take_realtime_back};
    if let Err(reason) = ask_for_realtime() {
        eprintln!("SKIPPED: {reason}");
        return;
    }
    // The kernel's own bound would end this process without a handler.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut heard = {
        let _inside = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(nix::libc::SIGXCPU)).expect("a handler")
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            while heard.recv().await.is_some() {
                take_realtime_back();
            }
        })
    });
    held::both_workers_spin();
}

mod held {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::future::{BoxFuture, LocalBoxFuture};
    use slatest_core::model::{Arrival, Clock, Completion, Nanos, OperationId, Verdict};
    use slatest_drivers::{ConnectError, Health, Operation, Session, SessionContext, Unreachable, Workload};
    use slatest_engine::load::{Engine, Scheduling, Stop, judge};
    use slatest_engine::profile::{
        ArrivalLaw, ExecutorPlan, Mix, MixItem, OperationPlan, Plan, PlanStep, ScenarioPlan, StagePlan,
    };

    struct Target(Vec<Operation>, Arc<AtomicBool>);
    struct User(Arc<dyn Clock>, Arc<AtomicBool>);

    impl Session for User {
        fn execute<'a>(&'a mut self, _: &'a Arrival) -> LocalBoxFuture<'a, Completion> {
            while !self.1.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            Box::pin(std::future::ready(Completion::ok(self.0.now(), self.0.now())))
        }
    }

    impl Workload for Target {
        fn operations(&self) -> &[Operation] {
            &self.0
        }

        fn health(&self) -> BoxFuture<'_, Result<Health, Unreachable>> {
            Box::pin(async { Ok(Health { detail: "scripted".into() }) })
        }

        fn connect<'a>(
            &'a self,
            context: &'a SessionContext,
        ) -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>> {
            Box::pin(
                async move { Ok(Box::new(User(Arc::clone(&context.clock), Arc::clone(&self.1))) as Box<dyn Session>) },
            )
        }
    }

    pub fn both_workers_spin() {
        let timeout = Nanos::from_secs(4);
        let (timings, ratios) = (vec![], vec![]);
        let operation = Operation { name: "a".into(), weight: 1.0, timeout, timings, ratios, ledger: false };
        let let_go = Arc::<AtomicBool>::default();
        let target = Arc::new(Target(vec![operation], Arc::clone(&let_go)));
        let stages = vec![StagePlan { duration: Nanos::from_millis(500), from: 100.0, to: 100.0 }];
        let plan = Arc::new(Plan {
            profile: "test".into(),
            description: None,
            seed: 42,
            window: Nanos::from_millis(100),
            graceful_stop: Nanos::from_millis(200),
            on_agent_loss: Default::default(),
            on_coordinator_loss: Default::default(),
            scenarios: vec![ScenarioPlan {
                name: "s".into(),
                workload: "w".into(),
                endpoint: "e".into(),
                driver: "scripted".into(),
                executor: ExecutorPlan::Arrivals { law: ArrivalLaw::Uniform, stages },
                mix: Mix::Weighted,
                start: Nanos::ZERO,
                warm_up: Nanos::ZERO,
                cool_down: Nanos::ZERO,
                max_in_flight: 10,
                sessions: None,
                places: slatest_core::schedule::Places::UNBOUNDED,
                first_operation: OperationId(0),
                items: vec![MixItem { weight: 1.0, steps: vec![PlanStep::Operation(0)], flow: None }],
            }],
            operations: vec![OperationPlan {
                scenario: 0,
                address: "s/a".into(),
                timeout,
                timings: vec![],
                ratios: vec![],
                thresholds: vec![],
                share: 1.0,
                ledger: false,
            }],
            objectives: vec![],
            drills: vec![],
            left_out: vec![],
        });
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        let engine = Engine::alone(Arc::clone(&plan), vec![target], workers, Stop::default());
        let facts = engine.run(&mut |_| {}).expect("it ends");
        let_go.store(true, Ordering::SeqCst);
        assert_eq!(facts.resources.scheduling, Scheduling::TakenBack);
        assert_eq!(facts.resources.workers_lost, workers as u64);
        let judged = judge(&plan, &facts);
        assert_eq!(judged.verdict, Verdict::Void);
        let said = judged.validity.iter().find(|check| check.name == "scheduling").expect("it is said");
        assert_eq!(said.measured, "real-time, taken back");
    }
}
