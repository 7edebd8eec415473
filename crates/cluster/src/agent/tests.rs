//! An agent against a coordinator that does what a test says, in simulated time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::*;
use crate::wire::{self, from_agent, to_agent};
use crate::{PROTOCOL, codec};
use slatest_core::measure::Window;
use slatest_core::model::Nanos;
use slatest_engine::load::Stop;
use slatest_engine::profile::{OnCoordinatorLoss, Plan};

/// Where a coordinator takes conversations, in memory.
struct Switchboard(mpsc::Sender<Conversation>);

impl Dial for Switchboard {
    fn dial(&self, heard: Outgoing) -> BoxFuture<'static, Result<Incoming, ConnectionError>> {
        let calls = self.0.clone();
        async move {
            let (say, said) = mpsc::channel(64);
            let conversation = Conversation { heard, say };
            calls.try_send(conversation).map_err(|_| ConnectionError::Lost("nobody is there".into()))?;
            let said = stream::unfold(said, |mut said| async { said.recv().await.map(|word| (word, said)) });
            Ok(said.boxed())
        }
        .boxed()
    }
}

/// One connection, from the coordinator's side.
struct Conversation {
    heard: Outgoing,
    say: mpsc::Sender<Result<wire::ToAgent, ConnectionError>>,
}

impl Conversation {
    async fn say(&self, body: to_agent::Body) {
        let _ = self.say.send(Ok(wire::ToAgent { body: Some(body) })).await;
    }

    /// The agent's next word; time stands still while there is one.
    async fn next(&mut self) -> from_agent::Body {
        let word = timeout(Duration::from_secs(60), self.heard.next()).await.expect("a word within a minute");
        word.and_then(|word| word.body).expect("the agent is there")
    }

    async fn hello(&mut self) -> wire::Hello {
        match self.next().await {
            from_agent::Body::Hello(hello) => hello,
            other => panic!("{other:?} before Hello"),
        }
    }

    async fn welcome(&self, acknowledged: u64, assigned: bool) {
        let assignment = assigned.then(wire::Assignment::default);
        let welcome = wire::Welcome { run: "r1".into(), index: 1, of: 3, acknowledged, assignment };
        self.say(to_agent::Body::Welcome(welcome)).await;
    }

    /// Up to Ready.
    async fn join(&mut self) -> wire::Hello {
        let hello = self.hello().await;
        self.welcome(0, true).await;
        while !matches!(self.next().await, from_agent::Body::Ready(_)) {}
        hello
    }

    /// Starts the load at a reading of the agent's clock.
    async fn start(&self, at: Nanos) {
        self.say(to_agent::Body::Start(wire::Start { agent_clock_ns: at.0 })).await;
    }

    async fn ping(&self) {
        self.say(to_agent::Body::Ping(wire::Ping { number: 1, coordinator_clock_ns: 5 })).await;
    }
}

/// Takes intervals in, each once, in order.
#[derive(Default)]
struct Desk {
    has: u64,
    windows: BTreeMap<u64, wire::Window>,
    finished: Option<wire::Finished>,
}

impl Desk {
    fn take_in(&mut self, word: from_agent::Body) {
        match word {
            from_agent::Body::Interval(interval) => {
                assert_eq!(interval.number, self.has + 1, "out of order");
                self.has = interval.number;
                let window = interval.window.expect("a window");
                assert!(self.windows.insert(window.index, window).is_none(), "a window twice");
            }
            from_agent::Body::Finished(finished) => {
                assert_eq!(finished.last_interval, self.has, "finished before everything came");
                self.finished = Some(finished);
            }
            from_agent::Body::Pong(_) | from_agent::Body::Notice(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }

    /// Hears the agent for so long, as a coordinator does that is there.
    async fn hear(&mut self, conversation: &mut Conversation, length: Duration, acknowledge: bool) {
        let until = tokio::time::Instant::now() + length;
        let mut pings = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                _ = pings.tick() => conversation.ping().await,
                word = conversation.heard.next() => {
                    let Some(body) = word.and_then(|word| word.body) else { return };
                    self.take_in(body);
                    if acknowledge {
                        conversation.say(to_agent::Body::Ack(wire::Ack { through: self.has })).await;
                    }
                }
            }
            if self.finished.is_some() {
                return;
            }
        }
    }

    fn equals(&self, ledger: &Ledger) {
        let made: BTreeMap<u64, wire::Window> = ledger.windows().iter().map(|(i, w)| (*i, codec::write(w))).collect();
        assert_eq!(self.windows, made);
        assert!(ledger.windows().values().map(Window::start).max() > Some(Nanos::ZERO), "nothing was made");
    }
}

fn plan(policy: OnCoordinatorLoss) -> Arc<Plan> {
    let plan: Plan = serde_json::from_str(include_str!("../../../../tests/data/plan.json")).unwrap();
    Arc::new(Plan { on_coordinator_loss: policy, window: Nanos::from_secs(1), ..plan })
}

struct Bench {
    calls: mpsc::Receiver<Conversation>,
    settings: AgentSettings,
    deps: Option<AgentDeps>,
    ledger: Ledger,
    clock: AgentClock,
    stop: Stop,
}

fn bench(policy: OnCoordinatorLoss, secs: u64) -> Bench {
    let (calls_to, calls) = mpsc::channel(8);
    let ledger = Ledger::default();
    let clock = AgentClock::disagreeing(Nanos::from_secs(5_000), 3_600_000_000_000);
    let generator = SimulatedGenerator {
        plan: plan(policy),
        seed: 7,
        rate: 60.0,
        length: Nanos::from_secs(secs),
        ledger: ledger.clone(),
    };
    let settings = AgentSettings {
        coordinator: "memory".into(),
        name: "a1".into(),
        credentials: Credentials::Token("none".into()),
        state: None,
        patience: PATIENCE,
        workers: 1,
        working_directory: ".".into(),
    };
    let deps = AgentDeps {
        dial: Arc::new(Switchboard(calls_to)),
        generator: Box::new(generator),
        clock,
        seed: 3,
        machine: wire::Machine::default(),
    };
    Bench { calls, settings, deps: Some(deps), ledger, clock, stop: Stop::default() }
}

impl Bench {
    /// Starts the agent.
    fn agent(&mut self) -> tokio::task::JoinHandle<Result<AgentEnd, AgentError>> {
        let (settings, stop) = (self.settings.clone(), self.stop.clone());
        let deps = self.deps.take().expect("started once");
        tokio::spawn(async move { live(settings, deps, stop, &mut |_| {}).await })
    }

    async fn call(&mut self) -> Conversation {
        timeout(Duration::from_secs(60), self.calls.recv()).await.expect("a call within a minute").expect("an agent")
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_life() {
    let mut bench = bench(OnCoordinatorLoss::Stop, 6);
    let agent = bench.agent();
    let mut call = bench.call().await;
    let hello = call.join().await;
    assert_eq!((hello.protocol, hello.agent.as_str(), hello.run.as_str()), (PROTOCOL, "a1", ""));
    assert_eq!(hello.incarnation.len(), 16);
    call.ping().await;
    let from_agent::Body::Pong(pong) = call.next().await else { panic!("no pong") };
    assert_eq!((pong.number, pong.coordinator_clock_ns), (1, 5));
    let now = bench.clock.now().0;
    assert!(pong.received_agent_clock_ns <= pong.sent_agent_clock_ns && now - pong.sent_agent_clock_ns < 1_000_000_000);
    call.start(bench.clock.now() + Nanos::from_secs(2)).await;
    let mut desk = Desk::default();
    desk.hear(&mut call, Duration::from_secs(20), true).await;
    desk.equals(&bench.ledger);
    // One of three at 60/s for 6 s.
    assert_eq!(bench.ledger.fired(), 120);
    assert_eq!(desk.finished.as_ref().map(|f| (f.fired, f.early.as_str())), Some((120, "")));
    call.say(to_agent::Body::Farewell(wire::Farewell {})).await;
    let end = agent.await.unwrap().unwrap();
    assert_eq!((end.run.as_deref(), end.intervals, end.ending), (Some("r1"), desk.has, Ending::Finished));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_acknowledged_comes_again_after_each_break() {
    let mut bench = bench(OnCoordinatorLoss::Stop, 12);
    let agent = bench.agent();
    let mut call = bench.call().await;
    let first = call.join().await;
    call.start(bench.clock.now()).await;
    let mut desk = Desk::default();
    for round in 0..3 {
        // What came in this round is acknowledged by the welcome of the next, or not at all.
        let before = desk.has;
        desk.hear(&mut call, Duration::from_millis(2_500), round == 0).await;
        if round == 1 {
            // The coordinator loses what it had not acknowledged.
            desk.windows.retain(|index, _| *index < before);
            desk.has = before;
        }
        drop(call);
        call = bench.call().await;
        let hello = call.hello().await;
        assert_eq!((hello.run.as_str(), hello.index, &hello.incarnation), ("r1", 1, &first.incarnation));
        assert!(hello.last_interval >= desk.has);
        call.welcome(desk.has, false).await;
        // Said again for who may have missed it; once is enough.
        call.start(bench.clock.now() + Nanos::from_secs(100)).await;
    }
    desk.hear(&mut call, Duration::from_secs(20), true).await;
    desk.equals(&bench.ledger);
    assert_eq!(bench.ledger.fired(), 240);
    drop(call);
    // The last word comes again, too.
    let mut call = bench.call().await;
    assert_eq!(call.hello().await.last_interval, desk.has);
    call.welcome(desk.has, false).await;
    assert!(matches!(call.next().await, from_agent::Body::Finished(_)));
    call.say(to_agent::Body::Farewell(wire::Farewell {})).await;
    assert_eq!(agent.await.unwrap().unwrap().ending, Ending::Finished);
}

#[tokio::test(start_paused = true)]
async fn unwatched_it_stops_within_five_seconds_unless_it_is_to_finish() {
    for (policy, fired_for) in [(OnCoordinatorLoss::Stop, 5.0), (OnCoordinatorLoss::Finish, 20.0)] {
        let mut bench = bench(policy, 20);
        let agent = bench.agent();
        let mut call = bench.call().await;
        call.join().await;
        let start = bench.clock.now();
        call.start(start).await;
        // The connection stays open, and nothing comes: a partition.
        sleep(Duration::from_secs(30)).await;
        drop(call);
        let last = bench.ledger.last_fired().as_secs_f64();
        assert!(last <= fired_for && last > fired_for - 1.5, "{policy:?}: {last}");
        let mut desk = Desk::default();
        // Older tries have given up by now.
        let (mut call, hello) = loop {
            let mut call = bench.call().await;
            if let Ok(Some(word)) = timeout(Duration::from_millis(10), call.heard.next()).await
                && let Some(from_agent::Body::Hello(hello)) = word.body
                && !call.say.is_closed()
            {
                break (call, hello);
            }
        };
        assert!(hello.last_interval > 0);
        call.welcome(0, false).await;
        desk.hear(&mut call, Duration::from_secs(20), true).await;
        desk.equals(&bench.ledger);
        let early = desk.finished.map(|f| f.early).unwrap_or_default();
        assert_eq!(early.contains("nothing was heard"), policy == OnCoordinatorLoss::Stop, "{early}");
        call.say(to_agent::Body::Farewell(wire::Farewell {})).await;
        agent.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_coordinator_has_not_got_is_kept_and_handed_over_by_the_next_process() {
    let state = tempfile::tempdir().unwrap();
    let mut first = bench(OnCoordinatorLoss::Stop, 20);
    first.settings.state = Some(state.path().to_owned());
    first.settings.patience = Duration::from_secs(60);
    let agent = first.agent();
    let mut call = first.call().await;
    let hello = call.join().await;
    call.start(first.clock.now()).await;
    let mut desk = Desk::default();
    desk.hear(&mut call, Duration::from_millis(3_500), true).await;
    drop(call);
    let ledger = first.ledger.clone();
    drop(first.calls);
    let error = agent.await.unwrap().unwrap_err();
    let words = error.to_string();
    assert!(matches!(error, AgentError::Lost { .. }) && words.contains("--state"), "{words}");
    let mut second = bench(OnCoordinatorLoss::Stop, 20);
    second.settings.state = Some(state.path().to_owned());
    let agent = second.agent();
    let mut call = second.call().await;
    let again = call.hello().await;
    assert_eq!((again.run.as_str(), again.index, &again.incarnation), ("r1", 1, &hello.incarnation));
    call.welcome(desk.has, false).await;
    desk.hear(&mut call, Duration::from_secs(2), true).await;
    desk.equals(&ledger);
    call.say(to_agent::Body::Farewell(wire::Farewell {})).await;
    assert_eq!(agent.await.unwrap().unwrap().ending, Ending::HandedOver);
    assert_eq!(second.ledger.fired(), 0);
    assert_eq!(std::fs::read_dir(state.path().join("a1")).unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_share_is_taken_over_once_however_often_it_is_ordered() {
    let mut bench = bench(OnCoordinatorLoss::Stop, 10);
    let agent = bench.agent();
    let mut call = bench.call().await;
    call.join().await;
    call.start(bench.clock.now()).await;
    let order = |part, parts| wire::Takeover { number: 4, from_run_ns: 5_000_000_000, index: 2, of: 3, part, parts };
    for order in [order(2, 2), order(0, 0), order(1, 2), order(1, 2)] {
        call.say(to_agent::Body::Takeover(order)).await;
    }
    let mut desk = Desk::default();
    desk.hear(&mut call, Duration::from_secs(20), true).await;
    desk.equals(&bench.ledger);
    // Its own third for 10 s, and half of another for 5.
    assert_eq!(bench.ledger.fired(), 200 + 50);
    call.say(to_agent::Body::Stop(wire::Stop { urgent: false, reason: "over".into() })).await;
    call.say(to_agent::Body::Farewell(wire::Farewell {})).await;
    assert_eq!(agent.await.unwrap().unwrap().ending, Ending::Finished);
}

#[tokio::test(start_paused = true)]
async fn it_goes_when_it_is_not_wanted_or_not_able() {
    // Refused for good.
    let mut one = bench(OnCoordinatorLoss::Stop, 5);
    let agent = one.agent();
    let call = one.call().await;
    call.say.send(Err(ConnectionError::Refused("the run has its 3 agents already".into()))).await.unwrap();
    let error = agent.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("its 3 agents already"), "{error}");

    // Ended by the coordinator before the start, and by its own user.
    let mut three = bench(OnCoordinatorLoss::Stop, 5);
    let agent = three.agent();
    let mut call = three.call().await;
    call.join().await;
    call.say(to_agent::Body::Stop(wire::Stop { urgent: false, reason: "an agent is not ready".into() })).await;
    assert_eq!(agent.await.unwrap().unwrap().ending, Ending::Early("an agent is not ready".into()));
    let mut four = bench(OnCoordinatorLoss::Stop, 5);
    let agent = four.agent();
    let mut call = four.call().await;
    call.join().await;
    four.stop.ask();
    assert_eq!(agent.await.unwrap().unwrap().ending, Ending::Interrupted);

    // Never reached.
    let mut five = bench(OnCoordinatorLoss::Stop, 5);
    five.settings.patience = Duration::from_secs(7);
    let agent = five.agent();
    drop(five.calls);
    let error = agent.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("could not be reached for 7s: nobody is there"), "{error}");
    let mut six = bench(OnCoordinatorLoss::Stop, 5);
    six.settings.name = "../a".into();
    assert!(matches!(six.agent().await.unwrap(), Err(AgentError::Settings(_))));
}

// Not in simulated time: the engine has a thread of its own.
#[tokio::test]
async fn an_assignment_that_it_can_not_take_on_is_said_to_the_coordinator() {
    let mut bench = self::bench(OnCoordinatorLoss::Stop, 5);
    bench.deps.as_mut().unwrap().generator = Box::new(EngineGenerator);
    let agent = bench.agent();
    let mut call = bench.call().await;
    call.hello().await;
    call.welcome(0, true).await;
    let from_agent::Body::NotReady(said) = call.next().await else { panic!("no word") };
    assert!(said.reason.contains("no profile"), "{}", said.reason);
    let error = agent.await.unwrap().unwrap_err();
    assert!(matches!(&error, AgentError::NotReady(f) if f.kind == FailureKind::Assignment), "{error}");
}

#[tokio::test(start_paused = true)]
async fn its_own_user_ends_it_and_what_it_made_is_handed_over() {
    let mut bench = bench(OnCoordinatorLoss::Stop, 20);
    let agent = bench.agent();
    let mut call = bench.call().await;
    call.join().await;
    call.start(bench.clock.now()).await;
    let mut desk = Desk::default();
    desk.hear(&mut call, Duration::from_millis(3_500), true).await;
    bench.stop.ask();
    desk.hear(&mut call, Duration::from_secs(20), true).await;
    desk.equals(&bench.ledger);
    assert_eq!(desk.finished.map(|f| f.early).as_deref(), Some("its own user ended it"));
    assert_eq!(agent.await.unwrap().unwrap().ending, Ending::Interrupted);
}
