//! An agent's life: dial, say hello, get ready, make load, hand over what was measured, say goodbye; and
//! dial again whenever the connection is gone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::connection::{Connection, ConnectionError, Dial, Heard, connect, never};
use super::generator::{Generator, Made};
use super::interval::parts;
use super::news::{AgentEnd, AgentError, AgentNews};
use super::outbox::{DISK_MAX, MEMORY_MAX, Membership, Outbox};
use super::part::{Next, Part};
use super::state::State;
use super::{AgentClock, AgentSettings, Backoff, Deadman, SILENCE_MAX};
use crate::PROTOCOL;
use crate::wire::{self, to_agent};
use slatest_core::model::Nanos;
use slatest_engine::load::Stop;
use slatest_engine::profile::OnCoordinatorLoss;

/// How often an agent looks at its clock and at its user's wish to stop.
const TICK: Duration = Duration::from_millis(50);
/// After such a silence a second connection is tried beside the first: what a network swallowed is sent
/// again by TCP only after ever longer waits, and the load stops when they take too long.
const SUSPECT: Nanos = Nanos::from_secs(2);

/// What surrounds an agent: where it dials, what makes its load, its clock.
pub struct AgentDeps {
    /// Where it dials.
    pub dial: Arc<dyn Dial>,
    /// What makes its load.
    pub generator: Box<dyn Generator>,
    /// Its clock.
    pub clock: AgentClock,
    /// Seed of the jitter of its waits, and of what tells its process from others.
    pub seed: u64,
    /// What it says of its machine.
    pub machine: wire::Machine,
}

/// Lives it.
///
/// # Errors
/// When the coordinator doesn't want it or can't be reached, when it can't get ready, when it can't keep
/// what it must.
pub async fn live(
    settings: AgentSettings,
    deps: AgentDeps,
    stop: Stop,
    on_news: &mut (dyn FnMut(AgentNews) + Send),
) -> Result<AgentEnd, AgentError> {
    let state = State::find(&settings)?;
    let left_behind = Outbox::reopen(&state.folder, MEMORY_MAX, DISK_MAX)?;
    let now = deps.clock.now();
    let mut agent_loop = AgentLoop {
        incarnation: incarnation(deps.seed),
        backoff: Backoff::new(deps.seed),
        heard: Heard::default(),
        deadman: Deadman::new(now),
        line: None,
        connected_at: now,
        suspecting: false,
        dialing: never(),
        welcomed: false,
        outbox: None,
        handing_over: false,
        part: Part::default(),
        generator: Some(deps.generator),
        dial: deps.dial,
        clock: deps.clock,
        machine: deps.machine,
        last_trouble: String::from("it was not dialled"),
        stopped: false,
        last_said: None,
        told_unreached: false,
        settings,
        state,
        stop,
        on_news,
    };
    agent_loop.heard.now(now);
    if let Some(outbox) = left_behind {
        agent_loop.take_up(outbox)?;
    }
    agent_loop.dial_after(Duration::ZERO);
    let end = agent_loop.attend().await;
    agent_loop.close(end)
}

/// Drawn from a seed, so that a test can repeat it.
fn incarnation(seed: u64) -> Bytes {
    use rand::{RngExt as _, SeedableRng as _};
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    random.random::<[u8; 16]>().to_vec().into()
}

pub(super) struct AgentLoop<'a> {
    pub(super) settings: AgentSettings,
    pub(super) dial: Arc<dyn Dial>,
    pub(super) generator: Option<Box<dyn Generator>>,
    pub(super) clock: AgentClock,
    pub(super) machine: wire::Machine,
    pub(super) incarnation: Bytes,
    pub(super) backoff: Backoff,
    pub(super) heard: Heard,
    pub(super) deadman: Deadman,
    pub(super) line: Option<Connection>,
    pub(super) connected_at: Nanos,
    /// Whether it dials although there is a connection, because that is silent.
    pub(super) suspecting: bool,
    pub(super) dialing: BoxFuture<'static, Result<Connection, ConnectionError>>,
    pub(super) welcomed: bool,
    pub(super) outbox: Option<Outbox>,
    /// Whether it only hands over what an earlier process left behind.
    pub(super) handing_over: bool,
    pub(super) part: Part,
    pub(super) state: State,
    /// Why the connection was lost, the last time.
    pub(super) last_trouble: String,
    /// Whether the coordinator has ended the run.
    pub(super) stopped: bool,
    /// When it had said everything that there was to say.
    pub(super) last_said: Option<Nanos>,
    pub(super) told_unreached: bool,
    pub(super) stop: Stop,
    pub(super) on_news: &'a mut (dyn FnMut(AgentNews) + Send),
}

/// What the loop woke up for.
#[expect(clippy::large_enum_variant, reason = "there is one, for one turn of the loop")]
enum Woken {
    Word(Option<Result<to_agent::Body, ConnectionError>>),
    Dialled(Result<Connection, ConnectionError>),
    Made(Option<Made>),
    Room(Option<mpsc::OwnedPermit<wire::FromAgent>>),
    Tick,
}

impl AgentLoop<'_> {
    async fn attend(&mut self) -> Result<AgentEnd, AgentError> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = self.next();
            let room = self.line.as_ref().filter(|_| next.is_some()).map(|line| line.outgoing.clone());
            let woken = tokio::select! {
                biased;
                word = async { match &mut self.line { Some(line) => line.words.recv().await, None => std::future::pending().await } } => Woken::Word(word),
                dialled = &mut self.dialing => Woken::Dialled(dialled),
                room = async { match room { Some(room) => room.reserve_owned().await.ok(), None => std::future::pending().await } } => Woken::Room(room),
                made = async { match &mut self.part.made { Some(made) => made.recv().await, None => std::future::pending().await } } => Woken::Made(made),
                _ = tick.tick() => Woken::Tick,
            };
            match woken {
                Woken::Word(Some(Ok(body))) => {
                    if let Some(end) = self.take_in(body)? {
                        return Ok(end);
                    }
                }
                Woken::Word(Some(Err(error))) => self.lose(error)?,
                Woken::Word(None) => self.lose(ConnectionError::Lost("the connection ended".into()))?,
                Woken::Dialled(Ok(line)) => self.connected(line)?,
                Woken::Dialled(Err(ConnectionError::Lost(_))) if self.line.is_some() => {
                    // The first connection may still come back.
                    let wait = self.backoff.wait();
                    self.dial_after(wait);
                }
                Woken::Dialled(Err(error)) => self.lose(error)?,
                Woken::Made(made) => self.made(made)?,
                Woken::Room(permit) => self.say(next, permit)?,
                Woken::Tick => self.look()?,
            }
            if let Some(end) = self.leave() {
                return end;
            }
        }
    }

    fn tell(&mut self, news: AgentNews) {
        (self.on_news)(news);
    }

    fn hello(&self) -> wire::Hello {
        let member = self.outbox.as_ref().map(|outbox| (outbox.membership(), outbox.made()));
        wire::Hello {
            protocol: PROTOCOL,
            slatest: env!("CARGO_PKG_VERSION").into(),
            agent: self.settings.name.clone(),
            incarnation: self.incarnation.clone(),
            machine: Some(self.machine.clone()),
            run: member.map(|(member, _)| member.run.clone()).unwrap_or_default(),
            index: member.map(|(member, _)| member.index).unwrap_or_default(),
            last_interval: member.map(|(_, made)| made).unwrap_or_default(),
            workers: u32::try_from(self.settings.workers).unwrap_or(u32::MAX),
        }
    }

    fn dial_after(&mut self, wait: Duration) {
        let (dial, hello, clock, heard) = (Arc::clone(&self.dial), self.hello(), self.clock, self.heard.clone());
        let within = self.backoff.answer_within();
        self.dialing = async move {
            sleep(wait).await;
            timeout(within, connect(dial, hello, clock, heard))
                .await
                .unwrap_or_else(|_| Err(ConnectionError::Lost(format!("no answer within {} s", within.as_secs()))))
        }
        .boxed();
    }

    fn connected(&mut self, line: Connection) -> Result<(), AgentError> {
        (self.dialing, self.suspecting) = (never(), false);
        // Where there still is another, this one takes its place.
        if let (Some(_), Some(outbox)) = (self.line.replace(line), &mut self.outbox) {
            outbox.disconnected()?;
        }
        self.welcomed = false;
        self.connected_at = self.clock.now();
        Ok(())
    }

    /// The connection is gone, or none came about.
    fn lose(&mut self, error: ConnectionError) -> Result<(), AgentError> {
        let was_welcome = std::mem::take(&mut self.welcomed);
        self.line = None;
        (self.dialing, self.suspecting) = (never(), false);
        if let Some(outbox) = &mut self.outbox {
            outbox.disconnected()?;
        }
        match error {
            ConnectionError::Refused(reason) => {
                self.part.halt(false, "the coordinator refused it");
                return Err(AgentError::Refused { reason, kept: self.kept() });
            }
            ConnectionError::Lost(reason) => {
                if was_welcome {
                    self.tell(AgentNews::Disconnected { reason: reason.clone() });
                } else if !self.told_unreached {
                    // Once; that it goes on trying has been said.
                    self.told_unreached = true;
                    let address = self.settings.coordinator.clone();
                    self.tell(AgentNews::Unreached { address, reason: reason.clone() });
                }
                self.last_trouble = reason;
            }
        }
        let wait = self.backoff.wait();
        self.dial_after(wait);
        Ok(())
    }

    /// What the coordinator said.
    fn take_in(&mut self, body: to_agent::Body) -> Result<Option<AgentEnd>, AgentError> {
        match body {
            to_agent::Body::Welcome(welcome) => self.join(welcome)?,
            to_agent::Body::Farewell(_) => {
                let intervals = self.outbox.as_ref().map(|outbox| (outbox.made(), outbox.waiting()));
                if let Some((_, waiting @ 1..)) = intervals {
                    let words = format!("the coordinator says goodbye without the last {waiting} intervals");
                    self.tell(AgentNews::Notice(words));
                }
                self.part.halt(true, "the coordinator said goodbye");
                return Ok(Some(self.end(self.ending())));
            }
            // Answered by who reads the connection.
            to_agent::Body::Ping(_) => {}
            // Before the welcome nothing else is meant for this agent.
            _ if !self.welcomed => {}
            to_agent::Body::Start(start) => {
                let at = Nanos(start.agent_clock_ns);
                if self.part.start_at(self.clock.instant_at(at)) {
                    let now = self.clock.now();
                    self.deadman = Deadman::new(now);
                    self.tell(AgentNews::Starting { in_: at - now });
                }
            }
            to_agent::Body::Ack(ack) => {
                if let Some(outbox) = &mut self.outbox {
                    outbox.acknowledge(ack.through)?;
                }
            }
            to_agent::Body::Stop(stop) => {
                if !self.stopped {
                    self.tell(AgentNews::Stopping(stop.reason.clone()));
                }
                self.stopped = true;
                self.part.halt(stop.urgent, &stop.reason);
            }
            to_agent::Body::Takeover(order) => match self.part.take_over(&order) {
                Ok(true) => {
                    self.tell(AgentNews::TakingOver { from: order.index, at: Nanos(order.from_run_ns) });
                }
                Ok(false) => {}
                Err(words) => self.tell(AgentNews::Notice(words)),
            },
        }
        Ok(None)
    }

    fn join(&mut self, welcome: wire::Welcome) -> Result<(), AgentError> {
        let again = self.told_unreached || self.outbox.is_some();
        (self.welcomed, self.told_unreached) = (true, false);
        self.last_said = None;
        self.backoff.reset();
        self.part.reconnected();
        let other_run = |ours: &str| AgentError::Refused {
            reason: format!("it leads run {}, and this agent takes part in run {ours}", welcome.run),
            kept: None,
        };
        if let Some(outbox) = &mut self.outbox {
            if outbox.membership().run != welcome.run {
                let refused = other_run(&outbox.membership().run);
                outbox.disconnected()?;
                return Err(match refused {
                    AgentError::Refused { reason, .. } => AgentError::Refused { reason, kept: self.kept() },
                    other => other,
                });
            }
            outbox.reconnected(welcome.acknowledged)?;
            let waiting = outbox.waiting();
            if again {
                self.tell(AgentNews::Back { waiting });
            }
            return Ok(());
        }
        let (index, of) = (welcome.index, welcome.of);
        let Some(assignment) = welcome.assignment.filter(|_| of >= 1 && index < of && !welcome.run.is_empty()) else {
            let reason = "its welcome says neither which run this is nor what to do: is it the same version?".into();
            return Err(AgentError::Refused { reason, kept: None });
        };
        let membership = Membership {
            run: welcome.run.clone(),
            agent: self.settings.name.clone(),
            index,
            of,
            incarnation: self.incarnation.clone(),
        };
        self.outbox = Some(Outbox::new(&self.state.folder, membership, MEMORY_MAX, DISK_MAX));
        self.tell(AgentNews::Joined { run: welcome.run, index, of });
        let Some(generator) = self.generator.take() else { return Ok(()) };
        self.part
            .begin(generator, assignment, (index, of), self.settings.workers, &self.settings.working_directory)
            .map_err(AgentError::Machine)
    }

    /// What the generator said.
    fn made(&mut self, made: Option<Made>) -> Result<(), AgentError> {
        match made {
            Some(Made::Planned(policy)) => self.part.on_coordinator_loss = policy,
            Some(Made::Opened(opened, wanted)) => {
                self.part.opened(opened, wanted);
                self.tell(AgentNews::Opened { opened, wanted });
            }
            Some(Made::Ready) => {
                self.part.ready = true;
                self.tell(AgentNews::Ready);
            }
            Some(Made::Window { window, cpu_share }) => self.keep(window, cpu_share),
            Some(Made::Notice(words)) => {
                self.part.notice(words.clone());
                self.tell(AgentNews::Notice(words));
            }
            Some(Made::Finished(finished)) => {
                self.part.finish(*finished);
                let waiting = self.outbox.as_ref().map(Outbox::waiting).unwrap_or_default();
                self.tell(AgentNews::Done { waiting });
            }
            Some(Made::Failed(failure)) => self.part.fail(failure),
            None => self.part.fail(super::generator::Failure {
                kind: super::generator::FailureKind::Broken,
                reason: "what makes the load ended without a word (see the panic above)".into(),
            }),
        }
        Ok(())
    }

    /// Keeps a window until it is acknowledged. Where it can't be kept the load ends: what is not
    /// measured must not be sent.
    fn keep(&mut self, window: wire::Window, cpu_share: f64) {
        let Some(outbox) = &mut self.outbox else { return };
        let index = window.index;
        let kept = parts(window).into_iter().try_for_each(|window| {
            outbox.push(wire::Interval { number: 0, window: Some(window), cpu_share }).map(drop)
        });
        if let Err(error) = kept {
            let words = format!("window {index} is lost: {error}");
            if !self.part.is_halted() {
                self.tell(AgentNews::Notice(words.clone()));
            }
            self.part.halt(false, &words);
            self.part.notice(words);
        }
    }

    /// Whether there is something to say, and what.
    fn next(&self) -> Option<Next> {
        if !self.welcomed {
            return None;
        }
        self.part.next(self.outbox.as_ref().is_some_and(Outbox::has_next))
    }

    fn say(
        &mut self,
        next: Option<Next>,
        permit: Option<mpsc::OwnedPermit<wire::FromAgent>>,
    ) -> Result<(), AgentError> {
        let (Some(next), Some(permit)) = (next, permit) else {
            return self.lose(ConnectionError::Lost("the connection takes no more messages".into()));
        };
        let made = self.outbox.as_ref().map(Outbox::made).unwrap_or_default();
        let body = match (next, &mut self.outbox) {
            (Next::Interval, Some(outbox)) => outbox.take_next()?.map(wire::from_agent::Body::Interval),
            _ => self.part.say(next, made),
        };
        if let Some(body) = body {
            permit.send(wire::FromAgent { body: Some(body) });
        }
        Ok(())
    }

    /// Looks at the clock and at the user's wish.
    fn look(&mut self) -> Result<(), AgentError> {
        let now = self.clock.now();
        if self.stop.is_asked() {
            self.part.halt(self.stop.is_urgent(), "its own user ended it");
        }
        let last = self.heard.last();
        self.deadman.heard(last);
        let under_way = self.part.started && self.part.is_under_way();
        if under_way && self.part.on_coordinator_loss == OnCoordinatorLoss::Stop && self.deadman.springs(now) {
            let silence = self.deadman.silence(now);
            if !self.part.is_halted() {
                self.tell(AgentNews::Unwatched { silence });
            }
            self.part.halt(false, &format!("nothing was heard of the coordinator for {silence}"));
        }
        let silence = now - last.max(self.connected_at);
        if self.line.is_some() && silence >= SILENCE_MAX {
            self.lose(ConnectionError::Lost(format!("nothing was heard for {SILENCE_MAX}")))?;
        } else if self.line.is_some() && silence >= SUSPECT && !self.suspecting {
            self.suspecting = true;
            self.dial_after(Duration::ZERO);
        } else if self.suspecting && silence < SUSPECT {
            (self.dialing, self.suspecting) = (never(), false);
        }
        Ok(())
    }

    /// Goes on with what an earlier process left behind.
    fn take_up(&mut self, outbox: Outbox) -> Result<(), AgentError> {
        if outbox.is_empty() {
            return Ok(outbox.discard()?);
        }
        let (run, intervals) = (outbox.membership().run.clone(), outbox.waiting());
        // To the coordinator it is the same process as before.
        self.incarnation = outbox.membership().incarnation.clone();
        (self.outbox, self.handing_over) = (Some(outbox), true);
        self.tell(AgentNews::LeftBehind { run, intervals });
        Ok(())
    }
}
