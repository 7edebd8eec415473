//! An agent as the fleet sees one, in simulated time: it fires what it owns of the schedule, keeps what is not
//! acknowledged, and says everything again to whoever it meets next.

use std::collections::VecDeque;

use super::super::shortfall::taken;
use super::*;
use crate::codec;
use slatest_core::measure::Recorder;
use slatest_core::model::{Completion, OperationId};
use slatest_core::schedule::{ArrivalSchedule, Stripe};
use slatest_engine::profile::ExecutorPlan;

/// Silence of the coordinator after which it stops.
const DEAD_MAN: Nanos = Nanos::from_secs(4);

/// A connection as it is simulated: first in, first out, in both directions.
#[derive(Debug, Default)]
pub struct Wire {
    pub peer: Peer,
    pub hello_sent: bool,
    pub to_fleet: VecDeque<(Nanos, FromAgent)>,
    pub to_agent: VecDeque<(Nanos, ToAgent)>,
}

#[derive(Debug)]
pub struct Agent {
    pub name: String,
    /// Its clock reads so much more than that of the world.
    pub offset: u64,
    pub incarnation: [u8; 16],
    pub wire: Option<Wire>,
    pub dead: bool,
    pub gone_home: bool,
    pub run: String,
    pub index: u64,
    of: u64,
    pub zero: Option<Nanos>,
    owned: Vec<(Nanos, Stripe)>,
    orders_seen: u64,
    stopped: Option<(Nanos, String)>,
    heard: Nanos,
    ready_sent: bool,
    /// The arrival that is next, of the whole schedule.
    next_arrival: usize,
    next_window: u64,
    pub outbox: VecDeque<wire::Interval>,
    pub made: u64,
    pub fired: Vec<u64>,
    scheduled: u64,
    finished: Option<wire::Finished>,
}

impl Agent {
    pub fn new(number: u64, offset: u64) -> Self {
        Self {
            name: format!("agent-{number}"),
            offset,
            incarnation: [number as u8, 0].repeat(8).try_into().expect("sixteen bytes"),
            wire: None,
            dead: false,
            gone_home: false,
            run: String::new(),
            index: 0,
            of: 0,
            zero: None,
            owned: Vec::new(),
            orders_seen: 0,
            stopped: None,
            heard: Nanos::ZERO,
            ready_sent: false,
            next_arrival: 0,
            next_window: 0,
            outbox: VecDeque::new(),
            made: 0,
            fired: Vec::new(),
            scheduled: 0,
            finished: None,
        }
    }

    /// The same as another process.
    pub fn restart(&mut self, now: Nanos) {
        let number = self.incarnation[0];
        let generation = self.incarnation[1].wrapping_add(1);
        let incarnation = [number, generation].repeat(8).try_into().expect("sixteen bytes");
        let name = self.name.clone();
        *self = Self { name, incarnation, heard: now, ..Self::new(0, self.offset) };
    }

    pub fn hello(&self) -> wire::Hello {
        wire::Hello {
            incarnation: self.incarnation.to_vec().into(),
            run: self.run.clone(),
            index: self.index,
            last_interval: self.made,
            ..hello(&self.name)
        }
    }

    pub fn connect(&mut self, peer: Peer) {
        self.wire = Some(Wire { peer, ..Wire::default() });
    }

    fn say(&mut self, now: Nanos, body: FromAgent) {
        if let Some(wire) = &mut self.wire {
            wire.to_fleet.push_back((now, body));
        }
    }

    pub fn hear(&mut self, now: Nanos, body: ToAgent) {
        self.heard = now;
        match body {
            ToAgent::Welcome(welcome) => {
                if self.run.is_empty() {
                    assert!(welcome.assignment.is_some(), "whoever comes first is told what to do");
                    (self.run, self.index, self.of) = (welcome.run, welcome.index, welcome.of);
                    self.owned = vec![(Nanos::ZERO, Stripe { index: self.index, of: self.of })];
                }
                assert_eq!((self.index, self.of), (welcome.index, welcome.of));
                self.forget(welcome.acknowledged);
                if self.zero.is_none() {
                    self.say(now, FromAgent::Ready(wire::Ready {}));
                    self.ready_sent = true;
                }
                for interval in self.outbox.clone() {
                    self.say(now, FromAgent::Interval(interval));
                }
                if let Some(finished) = self.finished.clone() {
                    self.say(now, FromAgent::Finished(finished));
                }
            }
            ToAgent::Ping(ping) => {
                let clock = now.0 + self.offset;
                let pong = wire::Pong {
                    number: ping.number,
                    coordinator_clock_ns: ping.coordinator_clock_ns,
                    received_agent_clock_ns: clock,
                    sent_agent_clock_ns: clock,
                    sent_wall_ns: now.0,
                };
                self.say(now, FromAgent::Pong(pong));
            }
            ToAgent::Start(start) => {
                let zero = Nanos(start.agent_clock_ns.saturating_sub(self.offset));
                assert!(self.zero.is_none_or(|before| before == zero), "there is one start");
                self.zero = Some(zero);
            }
            ToAgent::Ack(ack) => self.forget(ack.through),
            ToAgent::Stop(stop) => {
                self.stopped.get_or_insert((now, stop.reason));
            }
            ToAgent::Takeover(order) => {
                if order.number > self.orders_seen {
                    self.orders_seen = order.number;
                    self.owned.push((Nanos(order.from_run_ns), taken(&order).expect("a stripe")));
                }
            }
            ToAgent::Farewell(_) => {
                assert!(self.outbox.is_empty() && self.finished.is_some(), "it goes with everything handed over");
                self.gone_home = true;
            }
        }
    }

    fn forget(&mut self, through: u64) {
        assert!(through <= self.made, "what was not made can't have arrived");
        while self.outbox.pop_front_if(|interval| interval.number <= through).is_some() {}
    }

    /// Fires what is due and closes the windows that are over.
    pub fn live(&mut self, now: Nanos, plan: &Plan, all: &[(u64, Nanos)]) {
        let Some(zero) = self.zero.filter(|zero| now >= *zero && self.finished.is_none() && !self.dead) else { return };
        let run = now - zero;
        if now - self.heard > DEAD_MAN && plan.on_coordinator_loss == OnCoordinatorLoss::Stop {
            self.stopped.get_or_insert((now, "no word from the coordinator".into()));
        }
        let stopped = self.stopped.as_ref().map(|(at, _)| *at - zero);
        let over = all.last().is_none_or(|(_, at)| *at < run);
        let end = stopped.map_or(run, |at| at.min(run));
        while Nanos::from_secs(self.next_window + 1) <= end {
            self.close_window(plan, all, Nanos::from_secs(self.next_window + 1));
        }
        if stopped.is_some() || (over && plan.scenarios[0].end() <= run) {
            self.close_window(plan, all, end);
            let reason = self.stopped.as_ref().map(|(_, reason)| reason.clone());
            let finished = wire::Finished {
                last_interval: self.made,
                scheduled: self.scheduled,
                fired: self.fired.len() as u64,
                length_run_ns: end.0,
                early: reason.unwrap_or_default(),
                ..wire::Finished::default()
            };
            self.finished = Some(finished.clone());
            self.say(now, FromAgent::Finished(finished));
        }
    }

    fn close_window(&mut self, plan: &Plan, all: &[(u64, Nanos)], until: Nanos) {
        let mut recorder = Recorder::new(shapes(plan), plan.window);
        while let Some(&(seq, at)) = all.get(self.next_arrival).filter(|(_, at)| *at < until) {
            self.next_arrival += 1;
            if self.owned.iter().any(|(from, stripe)| at >= *from && stripe.owns(seq)) {
                self.scheduled += 1;
                self.fired.push(seq);
                let operation = OperationId((seq % 2) as u16);
                recorder.fired(operation, true, at, at + Nanos(seq * 10));
                let done = at + Nanos(1_000_000 + seq * seq * 100);
                recorder.ended(operation, true, at, &Completion::ok(at, done).with_ratio(0, (seq % 7) as u32, 7));
            }
        }
        let mut window = recorder.close_window();
        window.index = self.next_window;
        self.next_window += 1;
        self.made += 1;
        let interval = wire::Interval { number: self.made, window: Some(codec::write(&window)), cpu_share: 0.5 };
        self.outbox.push_back(interval.clone());
        self.say(until, FromAgent::Interval(interval));
    }
}

/// The whole schedule of the plan's scenario.
pub fn schedule(plan: &Plan) -> Vec<(u64, Nanos)> {
    let scenario = &plan.scenarios[0];
    let ExecutorPlan::Arrivals { law, stages } = &scenario.executor else { panic!("an open model") };
    ArrivalSchedule::new(stages, *law, plan.seed, &scenario.name).collect()
}
