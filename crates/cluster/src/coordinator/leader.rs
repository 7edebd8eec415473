//! The loop that leads a run: what comes from agents, the disk, the user and the clock goes into the fleet's
//! mind; what that wants done is done.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::durable_acks::DurableAcks;
use super::facts::merge;
use super::{CoordinatorError, CoordinatorSetup, Told};
use crate::fleet::{Fleet, FleetEnd, FleetNews, Input, Output};
use crate::journal::{Entry, Journal, JournalError, JournalReader};
use crate::service::{Connections, Service};
use slatest_core::measure::{Timeline, Window};
use slatest_core::model::Nanos;
use slatest_engine::load::{AbortWatch, Abortion, Event, Phase, PhaseSchedule, RunFacts, Stop, shapes};
use slatest_engine::profile::Plan;

/// How often the fleet hears the clock.
const TICK: Duration = Duration::from_millis(50);
/// How often the fleet is shown.
const SHOW: Nanos = Nanos::from_millis(500);
/// Messages that are taken at once.
const AT_ONCE: usize = 64;

/// Leads one run.
pub struct Leader<'a> {
    plan: Arc<Plan>,
    connections: Connections,
    on: &'a mut dyn FnMut(Told),
    /// The zero of the coordinator's clock.
    origin: Instant,
    timeline: Timeline,
    abort: AbortWatch,
    aborted: Option<Abortion>,
    phases: PhaseSchedule,
    phase: Option<Phase>,
    opened: (u64, u64),
    shown: Nanos,
    /// How often the user's wish to stop was handed on: gracefully, then urgently.
    stops_told: u8,
    ended: Option<FleetEnd>,
    resumed: bool,
}

impl<'a> Leader<'a> {
    pub fn new(setup: &CoordinatorSetup, connections: Connections, on: &'a mut dyn FnMut(Told)) -> Self {
        let plan = Arc::clone(&setup.plan);
        Self {
            connections,
            on,
            origin: Instant::now(),
            timeline: Timeline::new(&shapes(&plan)),
            abort: AbortWatch::new(&plan),
            aborted: None,
            phases: PhaseSchedule::new(&plan),
            phase: None,
            opened: (0, 0),
            shown: Nanos::ZERO,
            stops_told: 0,
            ended: None,
            resumed: false,
            plan,
        }
    }

    /// The coordinator's clock: that of tokio, so that simulated time is time too.
    pub fn now(&self) -> Nanos {
        self.origin.elapsed().into()
    }

    /// Takes in the journal of an earlier process; the windows that it completes are told anew.
    pub fn remember(
        &mut self,
        mut fleet: Fleet,
        mut reader: JournalReader,
        setup: &CoordinatorSetup,
        acks: &Arc<DurableAcks>,
    ) -> Result<(Fleet, Journal), CoordinatorError> {
        self.resumed = true;
        let mut out = Vec::new();
        while let Some(entry) = reader.read()? {
            fleet.replay(self.now(), entry, &mut out);
            for output in out.drain(..) {
                // What was told and said then, was told and said.
                if let Output::Window { window } = output {
                    self.hand_on(window);
                }
            }
        }
        fleet.resume(self.now()).map_err(CoordinatorError::Resume)?;
        let (whole, torn) = reader.end();
        if let Some(torn) = torn {
            self.tell(Event::Notice(torn.to_string()));
        }
        self.tell(Event::Notice(format!(
            "the coordinator was started again: {} windows come from its journal",
            self.timeline.windows
        )));
        let told = Arc::clone(acks);
        let journal = Journal::go_on(&setup.folder, whole, move |stored| told.put(stored))?;
        Ok((fleet, journal))
    }

    /// Leads the fleet to its end.
    pub async fn follow(
        &mut self,
        mut fleet: Fleet,
        mut journal: Journal,
        service: &mut Service,
        acks: &DurableAcks,
        stop: &Stop,
    ) -> Result<FleetEnd, CoordinatorError> {
        if fleet.zero().is_none() {
            self.begin(Phase::Opening, Nanos::ZERO);
        }
        let mut ticker = tokio::time::interval(TICK);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut inputs = Vec::with_capacity(AT_ONCE);
        let mut due = VecDeque::new();
        loop {
            tokio::select! {
                taken = service.inputs.recv_many(&mut inputs, AT_ONCE) => {
                    if taken == 0 {
                        return Err(CoordinatorError::Service);
                    }
                    due.extend(inputs.drain(..));
                }
                Some(refused) = service.refusals.recv() => self.tell(Event::Notice(refused.to_string())),
                stored = acks.take() => {
                    due.extend(stored.into_iter().map(|s| Input::Stored { agent: s.agent, through: s.through }));
                }
                _ = ticker.tick() => {
                    due.extend(self.wish(stop));
                    due.push_back(Input::Tick);
                    self.look(&fleet);
                }
            }
            while let Some(input) = due.pop_front() {
                let mut out = Vec::new();
                fleet.handle(self.now(), input, &mut out);
                if let Err(error) = self.carry_out(out, &mut journal, &mut due) {
                    self.give_up(&mut fleet, &error);
                    return Err(error.into());
                }
            }
            if let Some(end) = self.ended.take() {
                journal.close()?;
                (self.on)(Told::Fleet(fleet.view()));
                return Ok(end);
            }
        }
    }

    /// What came of it.
    pub fn facts(mut self, end: FleetEnd, stop: &Stop) -> Result<RunFacts, CoordinatorError> {
        if let Some(reason) = end.not_started {
            return Err(CoordinatorError::NotStarted { reason, interrupted: end.stopped });
        }
        if self.resumed && end.stopped && !stop.is_asked() {
            // Somebody had asked for the end before this process began: the objectives, or the user.
            self.aborted = self.abort.look(&self.plan, &self.timeline, self.timeline.end);
        }
        let interrupted = end.stopped && self.aborted.is_none();
        let facts = merge(end.agents, self.timeline, self.aborted, interrupted || stop.is_asked());
        Ok(facts)
    }

    fn tell(&mut self, event: Event) {
        (self.on)(Told::Event(event));
    }

    fn begin(&mut self, phase: Phase, at: Nanos) {
        if self.phase != Some(phase) {
            self.phase = Some(phase);
            self.tell(Event::Phase(phase, at));
        }
    }

    /// What the user wants, where that is new.
    fn wish(&mut self, stop: &Stop) -> Option<Input> {
        let asked = u8::from(stop.is_asked()) + u8::from(stop.is_urgent());
        if asked <= self.stops_told {
            return None;
        }
        self.stops_told = asked;
        if self.phase == Some(Phase::Opening) {
            return Some(Input::Stop { urgent: asked > 1, reason: "interrupted before the load started".into() });
        }
        if asked == 1 {
            let words = "interrupted: waiting for what is under way (again to end at once)";
            self.tell(Event::Notice(words.into()));
        }
        Some(Input::Stop { urgent: asked > 1, reason: "the run was interrupted by its user".into() })
    }

    /// Tells how far the run is.
    fn look(&mut self, fleet: &Fleet) {
        let now = self.now();
        if let Some(zero) = fleet.zero() {
            let run = i128::from(now.0) - i128::from(zero);
            // Before the zero the sessions are open, and nothing is sent.
            if let Ok(run) = u64::try_from(run).map(Nanos) {
                let phase = self.phases.phase(run, self.stops_told > 0 || self.aborted.is_some());
                self.begin(phase, run);
            }
        }
        if now - self.shown >= SHOW {
            self.shown = now;
            let view = fleet.view();
            let opened = view.opened();
            if std::mem::replace(&mut self.opened, opened) != opened {
                self.tell(Event::Opened(opened.0, opened.1));
            }
            (self.on)(Told::Fleet(view));
        }
    }

    fn carry_out(
        &mut self,
        out: Vec<Output>,
        journal: &mut Journal,
        due: &mut VecDeque<Input>,
    ) -> Result<(), JournalError> {
        for output in out {
            match output {
                // One that is gone, or reads too slowly and is being closed, comes again or is lost.
                Output::Send { peer, message } => {
                    let _ = self.connections.send(peer, message);
                }
                Output::Refuse { peer, refusal } => self.connections.refuse(peer, &refusal),
                Output::Persist { agent, interval } => journal.write(Entry::Interval { agent, interval })?,
                Output::PersistEnd { agent, finished } => journal.write(Entry::End { agent, finished })?,
                Output::Note(note) => {
                    journal.write(Entry::Note(note))?;
                    journal.sync()?;
                }
                Output::Window { window } => {
                    self.hand_on(window);
                    due.extend(self.watch());
                }
                Output::News(news) => self.told(news),
                Output::Ended(end) => self.ended = Some(end),
            }
        }
        Ok(())
    }

    fn told(&mut self, news: FleetNews) {
        if news.is_notable() {
            self.tell(Event::Notice(news.to_string()));
        }
        (self.on)(Told::News(news));
    }

    fn hand_on(&mut self, window: Window) {
        self.timeline.add(&window);
        let at = window.start() + window.length;
        let planned_rate = self.phases.rate_at(at);
        self.tell(Event::Window { window: Arc::new(window), planned_rate, gauges: Vec::new() });
    }

    /// Ends the run where an objective with `abort_on_fail` is shown not to hold.
    fn watch(&mut self) -> Option<Input> {
        if self.aborted.is_some() || self.stops_told > 0 || self.timeline.end >= self.phases.end() {
            return None;
        }
        self.aborted = self.abort.look(&self.plan, &self.timeline, self.timeline.end);
        let words = self.aborted.as_ref()?.words(&self.plan);
        self.tell(Event::Notice(words.clone()));
        Some(Input::Stop { urgent: false, reason: words })
    }

    /// The disk takes nothing more: nobody must go on sending what can't be kept.
    fn give_up(&self, fleet: &mut Fleet, error: &JournalError) {
        let mut out = Vec::new();
        fleet.handle(
            self.now(),
            Input::Stop { urgent: true, reason: format!("the coordinator gave up: {error}") },
            &mut out,
        );
        for output in out {
            if let Output::Send { peer, message } = output {
                let _ = self.connections.send(peer, message);
            }
        }
    }
}
