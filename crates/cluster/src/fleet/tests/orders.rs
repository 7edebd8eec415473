//! Whatever happens in whatever order: every interval counts exactly once, what is acknowledged is on disk,
//! the books add up, and it comes to an end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::agent::schedule;
use super::world::{Faults, World};
use super::*;
use crate::codec::Codec;
use crate::journal::Entry;
use slatest_core::measure::Timeline;

const SECS: u64 = 25;

fn play(agents: u64, seed: u64, policy: OnAgentLoss, faults: Faults) -> World {
    let mut world = World::new(plan(SECS, 30.0, policy), agents, seed, faults);
    world.run();
    world
}

/// What is true of every end.
fn holds(world: &World) {
    let end = world.ended.as_ref().unwrap();
    let all = schedule(&world.plan);
    // Exactly once: the numbers of each agent on disk are 1, 2, 3 and so on.
    let mut numbers: BTreeMap<u64, u64> = BTreeMap::new();
    let codec = Codec::new(shapes(&world.plan), world.plan.window);
    let mut expected = Timeline::new(&shapes(&world.plan));
    for entry in &world.journal {
        if let Entry::Interval { agent, interval } = entry {
            let last = numbers.entry(*agent).or_default();
            assert_eq!(interval.number, *last + 1);
            *last = interval.number;
            expected.add(&codec.read(interval.window.as_ref().unwrap()).unwrap());
        }
    }
    // What was handed on is the sum of what arrived, to the last bit.
    assert_eq!(world.timeline.judged, expected.judged);
    assert_eq!(world.timeline.unjudged, expected.unjudged);
    assert_eq!(world.timeline.dispatch_lag, expected.dispatch_lag);
    if let Some(reason) = &end.not_started {
        assert_eq!(world.crashes, 0, "{reason}");
        return;
    }
    let mut fired = BTreeSet::new();
    for agent in &world.agents {
        for seq in &agent.fired {
            assert!(fired.insert(*seq), "arrival {seq} was fired twice");
        }
    }
    let facts: Vec<_> = end.agents.iter().map(|agent| &agent.facts).collect();
    assert_eq!(facts.len(), world.agents.len());
    for (agent, facts) in world.agents.iter().map(|a| (a, facts.iter().find(|f| f.name == a.name).unwrap())) {
        assert_eq!(facts.intervals, numbers.get(&facts.index).copied().unwrap_or(0));
        assert!(facts.fired <= facts.scheduled);
        if facts.lost_at.is_none() {
            assert_eq!((facts.intervals, facts.fired), (agent.made, agent.fired.len() as u64), "all of it arrived");
        }
    }
    // What is owed is counted: no arrival of the schedule belongs to nobody, none to two.
    let told: Vec<_> =
        facts.iter().map(|f| (f.index, f.scheduled, f.fired, f.lost_at, f.taken_over, &f.missing, &f.early)).collect();
    assert_eq!(facts.iter().map(|f| f.scheduled).sum::<u64>(), all.len() as u64, "{told:#?}");
    if facts.iter().all(|facts| facts.lost_at.is_none() && facts.early.is_empty()) {
        assert_eq!(fired.len(), all.len(), "the union is the one-machine schedule");
        assert!(facts.iter().all(|facts| facts.missing.is_empty()));
    }
}

#[test]
fn without_faults_the_union_is_the_one_machine_schedule() {
    let world = play(4, 3, OnAgentLoss::Void, Faults::default());
    holds(&world);
    let end = world.ended.unwrap();
    assert!(end.agents.iter().all(|agent| agent.facts.early.is_empty() && agent.facts.lost_at.is_none()));
    assert_eq!(world.windows, world.timeline.windows, "nothing was late");
    let offsets: Vec<_> = world.agents.iter().map(|agent| agent.offset).collect();
    for agent in &end.agents {
        let number = world.agents.iter().position(|a| a.name == agent.facts.name).unwrap();
        let off = offsets[number].abs_diff(agent.facts.clock_offset_ns.unsigned_abs());
        assert!(off <= agent.facts.clock_bound.0, "{off} against {}", agent.facts.clock_bound);
    }
}

#[test]
fn a_killed_agent_owes_what_it_did_not_send() {
    let mut world = World::new(plan(SECS, 30.0, OnAgentLoss::Void), 3, 5, Faults::default());
    let all = schedule(&world.plan);
    while world.agents[1].made < 5 {
        world.step(&all);
    }
    world.agents[1].dead = true;
    world.cut(1);
    world.run();
    holds(&world);
    let end = world.ended.unwrap();
    let lost = end.agents.iter().find(|agent| agent.facts.name == "agent-1").unwrap();
    assert!(lost.facts.lost_at.is_some() && !lost.facts.taken_over);
    assert!(lost.facts.scheduled > lost.facts.fired);
    assert_eq!(lost.facts.missing, [(Nanos::from_secs(lost.facts.intervals), Nanos::from_secs(SECS))]);
}

/// Two worlds that were found by chance.
#[test]
fn partitions_that_healed_in_a_way_that_was_not_foreseen() {
    for (agents, seed, part, policy) in [
        (2, 6_549_621_141_988_667_028, 0.003_550_245_484_705_395, OnAgentLoss::Void),
        (5, 17_120_174_148_099_176_967, 0.002_468_182_890_043_531_3, OnAgentLoss::Redistribute),
    ] {
        holds(&play(agents, seed, policy, Faults { part, cut: 0.005, ..Faults::default() }));
    }
}

#[test]
fn the_others_take_over_what_a_killed_agent_owes() {
    let mut world = World::new(plan(40, 30.0, OnAgentLoss::Redistribute), 3, 5, Faults::default());
    let all = schedule(&world.plan);
    while world.agents[1].made < 5 {
        world.step(&all);
    }
    world.agents[1].dead = true;
    world.cut(1);
    world.run();
    holds(&world);
    let lost_at = world.ended.as_ref().unwrap().agents.iter().find_map(|agent| agent.facts.lost_at).unwrap();
    let from = lost_at + Nanos::from_secs(2);
    let fired: BTreeSet<u64> = world.agents.iter().flat_map(|agent| agent.fired.iter().copied()).collect();
    // From then on everything is sent again.
    let owed: Vec<_> = all.iter().filter(|(seq, at)| *at >= from && !fired.contains(seq)).collect();
    assert!(owed.is_empty(), "{owed:?}");
    assert!(all.iter().any(|(seq, at)| *at < from && !fired.contains(seq)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn connections_that_end_and_race(agents in 1..6_u64, seed: u64, cut in 0.0..0.05_f64, race in 0.0..0.05_f64) {
        holds(&play(agents, seed, OnAgentLoss::Void, Faults { cut, race, ..Faults::default() }));
    }

    #[test]
    fn partitions_that_heal(agents in 1..6_u64, seed: u64, part in 0.0..0.004_f64, redistribute: bool) {
        let policy = if redistribute { OnAgentLoss::Redistribute } else { OnAgentLoss::Void };
        holds(&play(agents, seed, policy, Faults { part, cut: 0.005, ..Faults::default() }));
    }

    #[test]
    fn agents_that_are_killed(agents in 1..6_u64, seed: u64, kill in 0.0..0.002_f64, redistribute: bool) {
        let policy = if redistribute { OnAgentLoss::Redistribute } else { OnAgentLoss::Void };
        holds(&play(agents, seed, policy, Faults { kill, cut: 0.01, race: 0.01, ..Faults::default() }));
    }

    #[test]
    fn a_coordinator_that_is_killed(agents in 1..6_u64, seed: u64, kill in 0.0..0.001_f64, redistribute: bool) {
        let policy = if redistribute { OnAgentLoss::Redistribute } else { OnAgentLoss::Void };
        holds(&play(agents, seed, policy, Faults { crash: 0.003, kill, cut: 0.01, race: 0.01, part: 0.0005 }));
    }

    #[test]
    fn users_who_stop(agents in 1..5_u64, seed: u64, after in 0..600_u32, again: bool, kill in 0.0..0.001_f64) {
        let mut world = World::new(plan(SECS, 30.0, OnAgentLoss::Void), agents, seed, Faults { kill, ..Faults::default() });
        let all = schedule(&world.plan);
        for _ in 0..after {
            if world.ended.is_none() {
                world.step(&all);
            }
        }
        world.tell(Input::Stop { urgent: false, reason: "interrupted".into() });
        if again {
            world.tell(Input::Stop { urgent: true, reason: "interrupted again".into() });
        }
        let asked = world.now;
        world.run();
        prop_assert!(world.now - asked < Nanos::from_secs(60 + 45), "{}", world.now - asked);
    }
}
