//! Who is let in, and with which words others are not.

use super::*;

struct Door {
    fleet: Fleet,
    now: Nanos,
    peers: Peer,
}

impl Door {
    fn new(agents: u64) -> Self {
        let plan = Arc::new(plan(20, 30.0, OnAgentLoss::Void));
        Self { fleet: Fleet::new(settings(&plan, agents), Nanos::ZERO), now: Nanos::ZERO, peers: 0 }
    }

    fn tell(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.fleet.handle(self.now, input, &mut out);
        out
    }

    fn knock_as(&mut self, hello: wire::Hello, certified: &str) -> (Peer, Vec<Output>) {
        self.peers += 1;
        let out = self.tell(Input::Hello { peer: self.peers, hello, certified: certified.into() });
        (self.peers, out)
    }

    fn knock(&mut self, agent: &str) -> (Peer, Vec<Output>) {
        self.knock_as(hello(agent), agent)
    }

    fn wait(&mut self, time: Nanos) -> Vec<Output> {
        let until = self.now + time;
        let mut all = Vec::new();
        while self.now < until {
            self.now += Nanos::from_millis(50);
            all.extend(self.tell(Input::Tick));
        }
        all
    }

    /// Answers every ping for a while.
    fn answer(&mut self, time: Nanos) -> Vec<Output> {
        let until = self.now + time;
        let mut all = Vec::new();
        while self.now < until {
            let out = self.wait(Nanos::from_millis(50));
            for output in &out {
                if let Output::Send { peer, message: ToAgent::Ping(ping) } = output {
                    let pong = wire::Pong { number: ping.number, sent_wall_ns: self.now.0, ..wire::Pong::default() };
                    all.extend(self.tell(Input::Message { peer: *peer, message: FromAgent::Pong(pong) }));
                }
            }
            all.extend(out);
        }
        all
    }

    /// A fleet of one that has started.
    fn started() -> (Self, Peer) {
        let mut door = Self::new(1);
        let (peer, _) = door.knock("a");
        door.tell(Input::Message { peer, message: FromAgent::Ready(wire::Ready {}) });
        let out = door.answer(Nanos::from_secs(2));
        assert!(out.iter().any(|o| matches!(o, Output::Send { message: ToAgent::Start(_), .. })));
        (door, peer)
    }
}

fn refusal(out: &[Output]) -> Option<String> {
    out.iter().find_map(|output| match output {
        Output::Refuse { refusal, .. } => Some(refusal.to_string()),
        _ => None,
    })
}

fn not_started(out: &[Output]) -> Option<String> {
    out.iter().find_map(|output| match output {
        Output::Ended(end) => end.not_started.clone(),
        _ => None,
    })
}

#[test]
fn another_version_another_name_and_another_run_are_refused() {
    let mut door = Door::new(2);
    let (_, out) = door.knock_as(wire::Hello { protocol: 9, ..hello("a") }, "a");
    assert!(refusal(&out).unwrap().contains("version 9 of the protocol"), "{out:?}");
    let (_, out) = door.knock_as(hello("a"), "b");
    assert!(refusal(&out).unwrap().contains("certificate is that of `b`"));
    for name in ["", "a/b", "ä", "a\nb"] {
        let (_, out) = door.knock(name);
        assert!(refusal(&out).unwrap().contains("1 to 128 letters"));
    }
    let (_, out) = door.knock_as(wire::Hello { run: "another".into(), ..hello("a") }, "a");
    assert!(refusal(&out).unwrap().contains("takes part in run `another`"));
    let (_, out) = door.knock_as(wire::Hello { run: RUN.into(), index: 2, ..hello("a") }, "a");
    assert!(refusal(&out).unwrap().contains("has no agent `a`"));
    assert_eq!(door.fleet.view().joined(), 0);
    assert_eq!(refusal(&door.knock("a").1), None);
}

#[test]
fn one_too_many_and_one_of_the_same_name_are_refused_and_the_run_goes_on() {
    let mut door = Door::new(2);
    let (first, _) = door.knock("a");
    let twin = wire::Hello { incarnation: vec![8; 16].into(), ..hello("a") };
    let (_, out) = door.knock_as(twin.clone(), "a");
    assert!(refusal(&out).unwrap().contains("an agent called `a` takes part already, from host `host-of-a`"));
    door.knock("b");
    let (_, out) = door.knock("c");
    assert!(refusal(&out).unwrap().contains("has its 2 agents already; start the coordinator with --agents 3"));
    assert_eq!(door.fleet.view().joined(), 2);
    // Whose connection is gone before the start makes room for another process of that name.
    door.tell(Input::Gone { peer: first, reason: "reset".into() });
    assert_eq!(refusal(&door.knock_as(twin, "a").1), None);
}

#[test]
fn the_same_agent_by_another_connection_takes_the_place_of_the_first() {
    let mut door = Door::new(2);
    let (first, _) = door.knock("a");
    let (second, out) = door.knock("a");
    let superseded = |o: &Output| matches!(o, Output::Refuse { peer, refusal: Refusal::Superseded } if *peer == first);
    assert!(out.iter().any(superseded));
    let welcomed = |o: &Output| matches!(o, Output::Send { peer, message: ToAgent::Welcome(_) } if *peer == second);
    assert!(out.iter().any(welcomed));
    // That the first one ends then means nothing.
    assert!(door.tell(Input::Gone { peer: first, reason: "closed".into() }).is_empty());
    assert_eq!(door.fleet.view().count(AgentState::Joined), 1);
}

#[test]
fn too_few_end_with_words() {
    let mut door = Door::new(3);
    door.knock("a");
    let out = door.answer(Nanos::from_secs(31));
    assert_eq!(not_started(&out).unwrap(), "1 of 3 agents joined within 30s");
    assert!(refusal(&door.knock("b").1).unwrap().contains("over"));
}

#[test]
fn who_never_gets_ready_is_named() {
    let mut door = Door::new(2);
    let (a, _) = door.knock("a");
    door.knock("b");
    door.tell(Input::Message { peer: a, message: FromAgent::Ready(wire::Ready {}) });
    let out = door.answer(Nanos::from_secs(31));
    assert_eq!(not_started(&out).unwrap(), "1 of 2 agents were ready within 30s (not ready: b)");
}

#[test]
fn one_that_can_not_get_ready_ends_the_run() {
    let mut door = Door::new(2);
    let (peer, _) = door.knock("a");
    door.knock("b");
    let message = FromAgent::NotReady(wire::NotReady { reason: "no route to host".into() });
    let out = door.tell(Input::Message { peer, message });
    assert_eq!(not_started(&out).unwrap(), "agent a is not ready: no route to host");
    let stops = out.iter().filter(|o| matches!(o, Output::Send { message: ToAgent::Stop(_), .. })).count();
    assert_eq!(stops, 2);
}

#[test]
fn a_silent_one_makes_room_before_the_start() {
    let mut door = Door::new(1);
    door.knock("a");
    let out = door.wait(Nanos::from_secs(11));
    assert!(matches!(
        out.iter().find(|o| matches!(o, Output::Refuse { .. })),
        Some(Output::Refuse { refusal: Refusal::Silent, .. })
    ));
    assert_eq!(door.fleet.view().joined(), 0);
    assert_eq!(refusal(&door.knock("b").1), None);
}

#[test]
fn late_joiners_are_refused() {
    let (mut door, _) = Door::started();
    let (_, out) = door.knock("b");
    assert!(refusal(&out).unwrap().contains("the run is under way"), "{out:?}");
    let (_, out) = door.knock_as(wire::Hello { incarnation: vec![8; 16].into(), ..hello("a") }, "a");
    assert!(refusal(&out).unwrap().contains("takes part already"));
}

#[test]
fn a_gap_is_named_and_everything_behind_it_is_sent_again() {
    let (mut door, peer) = Door::started();
    let interval = |number| {
        let window = wire::Window { index: number - 1, length_ns: 1_000_000_000, ..wire::Window::default() };
        FromAgent::Interval(wire::Interval { number, window: Some(window), cpu_share: 0.0 })
    };
    assert!(matches!(
        door.tell(Input::Message { peer, message: interval(1) })[..],
        [Output::Persist { agent: 0, .. }, ..]
    ));
    let out = door.tell(Input::Message { peer, message: interval(4) });
    assert_eq!(
        refusal(&out).unwrap(),
        "the agent sent interval 4 where 2 comes next; what is missing has to be sent again"
    );
    assert!(out.iter().any(|o| matches!(o, Output::News(FleetNews::Gap { from: 2, to: 3, .. }))));
    // Nothing of it counts, nor does anything else that comes that way.
    assert!(door.tell(Input::Message { peer, message: interval(2) }).is_empty());
    let again = wire::Hello { run: RUN.into(), last_interval: 4, ..hello("a") };
    let (peer, out) = door.knock_as(again, "a");
    assert!(out.iter().any(|o| matches!(o, Output::Send { message: ToAgent::Welcome(w), .. } if w.acknowledged == 0)));
    // What came before the gap is known.
    assert!(
        !door.tell(Input::Message { peer, message: interval(1) }).iter().any(|o| matches!(o, Output::Persist { .. }))
    );
    assert!(
        door.tell(Input::Message { peer, message: interval(2) }).iter().any(|o| matches!(o, Output::Persist { .. }))
    );
}

#[test]
fn what_can_not_be_understood_costs_its_sender_the_place() {
    let window = |length_ns, index| Some(wire::Window { index, length_ns, ..wire::Window::default() });
    for (what, window) in [
        ("an interval without a window", None),
        ("its windows are", window(5, 0)),
        ("lies in the future", window(1_000_000_000, 3_000)),
    ] {
        let (mut door, peer) = Door::started();
        let interval = wire::Interval { number: 1, window, cpu_share: f64::NAN };
        let out = door.tell(Input::Message { peer, message: FromAgent::Interval(interval) });
        assert!(refusal(&out).unwrap().contains(what), "{what}: {out:?}");
        assert!(!out.iter().any(|o| matches!(o, Output::Persist { .. })));
        assert!(out.iter().any(|o| matches!(o, Output::News(FleetNews::Lost { .. }))));
    }
}

#[test]
fn the_coordinators_own_pause_is_nobodys_loss() {
    let (mut door, _) = Door::started();
    // It was stopped for a minute, and everybody's words wait to be read.
    door.now += Nanos::from_secs(60);
    let out = door.tell(Input::Tick);
    assert!(!out.iter().any(|o| matches!(o, Output::News(FleetNews::Lost { .. }))), "{out:?}");
    let out = door.wait(Nanos::from_secs(12));
    assert!(out.iter().any(|o| matches!(o, Output::News(FleetNews::Lost { .. }))));
}

#[test]
fn wall_clocks_that_are_apart_are_told_once() {
    let mut door = Door::new(1);
    let (peer, _) = door.knock("a");
    let mut told = 0;
    for number in 1..4 {
        door.wait(Nanos::from_millis(200));
        let pong = wire::Pong { number, sent_wall_ns: 90_000_000_000, ..wire::Pong::default() };
        let out = door.tell(Input::Message { peer, message: FromAgent::Pong(pong) });
        told += out.iter().filter(|o| matches!(o, Output::News(FleetNews::ClocksApart { ahead: true, .. }))).count();
    }
    assert_eq!(told, 1);
}
