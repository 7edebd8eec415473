//! A fleet with its agents, a network that loses connections, a disk that takes its time, and a coordinator
//! that may be killed: all in simulated time, all by one seed.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::agent::{Agent, Wire, schedule};
use super::*;
use crate::journal::Entry;
use slatest_core::measure::Timeline;

const STEP: Nanos = Nanos::from_millis(50);

/// What may go wrong. Chances are per step, of an agent where they are about agents.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Agents are killed.
    pub kill: f64,
    /// A connection ends, with what is on its way.
    pub cut: f64,
    /// An agent opens another connection while what it said by the first one is still on its way.
    pub race: f64,
    /// No word passes for 6 to 14 seconds.
    pub part: f64,
    /// The coordinator is killed and started again.
    pub crash: f64,
}

pub struct World {
    pub plan: Arc<Plan>,
    pub fleet: Fleet,
    pub agents: Vec<Agent>,
    pub now: Nanos,
    pub rng: ChaCha8Rng,
    faults: Faults,
    peers: Peer,
    /// Connections that their agent has left; what is on its way still comes.
    left: Vec<Wire>,
    parted: Vec<Nanos>,
    /// What is on disk.
    pub journal: Vec<Entry>,
    /// What is on its way there, with when it is.
    writing: Vec<(Nanos, Entry)>,
    /// What is on disk, and the fleet is to be told.
    stored: Vec<(u64, u64)>,
    /// Per agent, the last number that the fleet was told is stored.
    told: Vec<u64>,
    pub timeline: Timeline,
    last_window: Option<u64>,
    pub windows: u64,
    pub news: Vec<FleetNews>,
    pub ended: Option<FleetEnd>,
    pub crashes: u32,
}

impl World {
    pub fn new(plan: Plan, agents: u64, seed: u64, faults: Faults) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let plan = Arc::new(plan);
        Self {
            fleet: Fleet::new(settings(&plan, agents), Nanos::ZERO),
            agents: (0..agents).map(|k| Agent::new(k, rng.random_range(0..1 << 50))).collect(),
            now: Nanos::ZERO,
            rng,
            faults,
            peers: 0,
            left: Vec::new(),
            parted: vec![Nanos::ZERO; agents as usize],
            journal: Vec::new(),
            writing: Vec::new(),
            stored: Vec::new(),
            told: vec![0; agents as usize],
            timeline: Timeline::new(&shapes(&plan)),
            last_window: None,
            windows: 0,
            news: Vec::new(),
            ended: None,
            crashes: 0,
            plan,
        }
    }

    /// Until it is over: within the time that the plan, the waits and every patience add up to.
    pub fn run(&mut self) {
        let all = schedule(&self.plan);
        let longest = Nanos::from_secs(400);
        while self.ended.is_none() {
            assert!(self.now < longest, "it does not end; {:?}", self.fleet.view());
            self.step(&all);
        }
    }

    fn chance(&mut self, chance: f64) -> bool {
        self.rng.random::<f64>() < chance
    }

    pub fn step(&mut self, all: &[(u64, Nanos)]) {
        self.now += STEP;
        let running = self.agents.iter().any(|agent| agent.zero.is_some());
        if running && self.chance(self.faults.crash) && self.crashes < 2 {
            self.crash();
        }
        for k in 0..self.agents.len() {
            if self.agents[k].dead || self.agents[k].gone_home {
                continue;
            }
            if running && self.chance(self.faults.kill) {
                self.agents[k].dead = true;
                self.cut(k);
                continue;
            }
            if self.chance(self.faults.part) {
                self.parted[k] = self.now + Nanos::from_millis(self.rng.random_range(6_000..14_000));
            }
            if self.chance(self.faults.cut) {
                self.cut(k);
            } else if self.chance(self.faults.race)
                && let Some(wire) = self.agents[k].wire.take()
            {
                self.left.push(wire);
            }
            if self.agents[k].wire.is_none() && self.parted[k] <= self.now && self.chance(0.3) {
                self.peers += 1;
                self.agents[k].connect(self.peers);
            }
            self.carry(k);
            let (now, plan) = (self.now, Arc::clone(&self.plan));
            self.agents[k].live(now, &plan, all);
        }
        self.carry_left();
        self.write();
        self.tell(Input::Tick);
    }

    fn delay(&mut self) -> Nanos {
        Nanos::from_millis(self.rng.random_range(0..120))
    }

    /// Carries what is on its way between an agent and the fleet.
    fn carry(&mut self, k: usize) {
        if self.parted[k] > self.now {
            return;
        }
        let delay = self.delay();
        let now = self.now;
        let Some(wire) = &mut self.agents[k].wire else { return };
        let peer = wire.peer;
        if !std::mem::replace(&mut wire.hello_sent, true) {
            let hello = self.agents[k].hello();
            let certified = hello.agent.clone();
            self.tell(Input::Hello { peer, hello, certified });
        }
        let due = |at: &Nanos| *at + delay <= now;
        while let Some((_, message)) = self.wire_of(k, peer).and_then(|w| w.to_fleet.pop_front_if(|(at, _)| due(at))) {
            self.tell(Input::Message { peer, message });
        }
        while let Some((_, body)) = self.wire_of(k, peer).and_then(|w| w.to_agent.pop_front_if(|(at, _)| due(at))) {
            self.agents[k].hear(now, body);
        }
    }

    fn wire_of(&mut self, k: usize, peer: Peer) -> Option<&mut Wire> {
        self.agents[k].wire.as_mut().filter(|wire| wire.peer == peer)
    }

    /// What was said by connections that were left behind still comes, some of it.
    fn carry_left(&mut self) {
        for mut wire in std::mem::take(&mut self.left) {
            let peer = wire.peer;
            if !self.chance(0.3)
                && let Some((_, message)) = wire.to_fleet.pop_front()
            {
                self.tell(Input::Message { peer, message });
                self.left.push(wire);
            } else {
                self.tell(Input::Gone { peer, reason: "reset".into() });
            }
        }
    }

    pub fn cut(&mut self, k: usize) {
        if let Some(wire) = self.agents[k].wire.take() {
            self.tell(Input::Gone { peer: wire.peer, reason: "reset".into() });
        }
    }

    /// Brings to the disk what is due, and tells the fleet.
    fn write(&mut self) {
        let now = self.now;
        let due = self.writing.iter().take_while(|(at, _)| *at <= now).count();
        self.bring_to_disk(due);
        for (agent, through) in std::mem::take(&mut self.stored) {
            self.told[agent as usize] = through;
            self.tell(Input::Stored { agent, through });
        }
    }

    fn bring_to_disk(&mut self, entries: usize) {
        for (_, entry) in self.writing.drain(..entries) {
            match &entry {
                Entry::Interval { agent, interval } => self.stored.push((*agent, interval.number)),
                Entry::End { agent, finished } => self.stored.push((*agent, finished.last_interval + 1)),
                Entry::Note(_) => {}
            }
            self.journal.push(entry);
        }
    }

    /// The coordinator dies: what is not on disk is gone, every connection too. Another one reads the disk.
    fn crash(&mut self) {
        self.crashes += 1;
        self.writing.clear();
        for (agent, through) in std::mem::take(&mut self.stored) {
            self.told[agent as usize] = through;
        }
        self.left.clear();
        for agent in &mut self.agents {
            agent.wire = None;
        }
        self.now += Nanos::from_millis(self.rng.random_range(200..9_000));
        self.timeline = Timeline::new(&shapes(&self.plan));
        (self.last_window, self.windows) = (None, 0);
        // Another process, another clock.
        self.fleet = Fleet::new(settings(&self.plan, self.agents.len() as u64), self.now);
        for entry in self.journal.clone() {
            let mut out = Vec::new();
            self.fleet.replay(self.now, entry, &mut out);
            self.carry_out(out);
        }
        self.fleet.resume(self.now).expect("it had started");
    }

    pub fn tell(&mut self, input: Input) {
        if self.ended.is_some() {
            return;
        }
        let mut out = Vec::new();
        self.fleet.handle(self.now, input, &mut out);
        self.carry_out(out);
    }

    fn carry_out(&mut self, out: Vec<Output>) {
        for output in out {
            let written = self.now + Nanos::from_millis(self.rng.random_range(1..200));
            let written = self.writing.last().map_or(written, |(at, _)| written.max(*at));
            match output {
                Output::Send { peer, message } => self.send(peer, message),
                Output::Refuse { peer, refusal } => self.refused(peer, &refusal),
                Output::Persist { agent, interval } => {
                    self.writing.push((written, Entry::Interval { agent, interval }))
                }
                Output::PersistEnd { agent, finished } => self.writing.push((written, Entry::End { agent, finished })),
                Output::Note(note) => {
                    // It waits for everything before it, too.
                    self.bring_to_disk(self.writing.len());
                    self.journal.push(Entry::Note(note));
                }
                Output::Window { window } => {
                    if !window.late {
                        assert!(self.last_window.is_none_or(|last| window.index > last), "windows come in order");
                        self.last_window = Some(window.index);
                    }
                    self.windows += 1;
                    self.timeline.add(&window);
                }
                Output::News(news) => self.news.push(news),
                Output::Ended(end) => self.ended = Some(end),
            }
        }
    }

    fn send(&mut self, peer: Peer, message: ToAgent) {
        let now = self.now;
        let Some(k) = self.agents.iter().position(|agent| agent.wire.as_ref().is_some_and(|w| w.peer == peer)) else {
            return;
        };
        let agent = &mut self.agents[k];
        if let ToAgent::Ack(wire::Ack { through }) | ToAgent::Welcome(wire::Welcome { acknowledged: through, .. }) =
            &message
        {
            let told = if agent.run.is_empty() { 0 } else { self.told[agent.index as usize] };
            assert!(*through <= told, "only what is on disk is acknowledged");
            let first_kept = agent.outbox.front().map_or(agent.made, |interval| interval.number - 1);
            assert!(*through >= first_kept, "an acknowledgement never goes back");
        }
        if let Some(wire) = &mut agent.wire {
            wire.to_agent.push_back((now, message));
        }
    }

    fn refused(&mut self, peer: Peer, refusal: &Refusal) {
        let agent = self.agents.iter_mut().find(|agent| agent.wire.as_ref().is_some_and(|w| w.peer == peer));
        if let Some(agent) = agent {
            agent.wire = None;
            // Its place was given to another one before anything began: whoever reads that starts it again.
            if matches!(refusal, Refusal::Unknown { .. }) && agent.zero.is_none() {
                agent.restart(self.now);
                return;
            }
            let known =
                matches!(refusal, Refusal::Superseded | Refusal::OutOfStep { .. } | Refusal::Silent | Refusal::Over);
            assert!(known, "a faithful agent was refused: {refusal}");
        }
    }
}
