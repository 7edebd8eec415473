//! Orderings that real processes rarely show, in simulated time.

use std::time::Duration;

use slatest_cluster::agent::{AgentNews, Ending};
use slatest_cluster::fleet::{FleetEnd, FleetNews};
use slatest_core::measure::Window;
use slatest_engine::load::AgentFacts;
use slatest_engine::profile::{OnAgentLoss, OnCoordinatorLoss};

use crate::world::{RATE, World, agent_name};

fn simulation(seed: u64) -> turmoil::Sim<'static> {
    turmoil::Builder::new()
        .simulation_duration(Duration::from_secs(180))
        .tick_duration(Duration::from_millis(2))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(60))
        .tcp_capacity(4_096)
        .rng_seed(seed)
        .enable_random_order()
        .build()
}

/// Goes on until an instant of the simulation.
fn until(sim: &mut turmoil::Sim<'_>, secs: f64) {
    while sim.elapsed() < Duration::from_secs_f64(secs) {
        assert!(!sim.step().unwrap(), "all agents were gone after {:?}", sim.elapsed());
    }
}

/// Goes on until the load runs; the instant.
fn until_started(sim: &mut turmoil::Sim<'_>, world: &World) -> f64 {
    while world.ledgers.iter().any(|ledger| ledger.fired() == 0) {
        assert!(!sim.step().unwrap(), "all agents were gone after {:?}: {:?}", sim.elapsed(), world.kept().news);
    }
    sim.elapsed().as_secs_f64()
}

/// What the coordinator handed on is what the agents made, to the last bit of the histograms; and each
/// has ended as one that is done.
fn nothing_lost_nothing_twice(world: &World) {
    let made = world.made(|_| u64::MAX);
    let kept = world.kept();
    let (windows, counts) = (&kept.windows, |windows: &mut dyn Iterator<Item = &Window>| -> u64 {
        windows.flat_map(|w| w.judged.iter().chain(&w.unjudged)).map(|(_, t)| t.planned).sum()
    });
    let fired: u64 = world.ledgers.iter().map(|ledger| ledger.fired()).sum();
    assert_eq!(counts(&mut windows.values()), fired, "{:#?}", kept.news);
    assert_eq!(*windows, made);
    let end = kept.end.as_ref().expect("the run has ended");
    assert_eq!(end.not_started, None);
    assert_eq!(end.agents.len() as u64, world.agents);
    for (number, ledger) in (0..).zip(&world.ledgers) {
        // Only what it did not do at all is missing of it.
        let facts = facts_of(end, number);
        let before = facts.missing.iter().find(|(from, _)| *from <= ledger.last_fired());
        assert_eq!(before, None, "{facts:?}");
    }
    assert_eq!(kept.ends.len() as u64, world.agents);
}

/// Agents are numbered as they join, which is not how they are called.
fn facts_of(end: &FleetEnd, agent: u64) -> &AgentFacts {
    let found = end.agents.iter().find(|end| end.facts.name == agent_name(agent));
    &found.expect("it took part").facts
}

fn all_finished(world: &World) {
    for (name, end) in &world.kept().ends {
        assert!(matches!(end, Ok(end) if end.ending == Ending::Finished), "{name}: {end:?}");
    }
    // The union of all parts is the whole schedule.
    let fired: u64 = world.ledgers.iter().map(|ledger| ledger.fired()).sum();
    assert_eq!(fired as f64, RATE * world.length.as_secs_f64());
}

fn told(world: &World, agent: u64, wanted: impl Fn(&AgentNews) -> bool) -> Vec<Duration> {
    let kept = world.kept();
    let news = kept.agents.get(&agent_name(agent)).into_iter().flatten();
    news.filter(|(_, news)| wanted(news)).map(|(at, _)| *at).collect()
}

#[test]
fn delays_and_clocks_that_disagree_change_nothing() {
    for seed in 0..2 {
        let world = World::new(3, 8, OnAgentLoss::Void, OnCoordinatorLoss::Stop);
        let mut sim = simulation(seed);
        world.populate(&mut sim);
        sim.run().unwrap();
        nothing_lost_nothing_twice(&world);
        all_finished(&world);
        // Hours apart; told, and nothing else.
        let apart = |news: &FleetNews| matches!(news, FleetNews::ClocksApart { .. });
        assert!(world.kept().news.iter().any(|(_, news)| apart(news)));
    }
}

#[test]
fn a_partition_that_heals_within_four_seconds_costs_nothing() {
    // Where everything is dropped the connection is gone with it: here nothing is ever sent again, unlike by a
    // real TCP, so that only a new connection helps.
    for (seed, dropped, secs) in [(10, false, 3.0), (11, true, 1.5)] {
        let world = World::new(3, 14, OnAgentLoss::Void, OnCoordinatorLoss::Stop);
        let mut sim = simulation(seed);
        world.populate(&mut sim);
        let started = until_started(&mut sim, &world);
        until(&mut sim, started + 3.0);
        if dropped {
            sim.partition("coordinator", "agent-1");
        } else {
            sim.hold("coordinator", "agent-1");
        }
        until(&mut sim, started + 3.0 + secs);
        if dropped {
            sim.repair("coordinator", "agent-1");
        } else {
            sim.release("coordinator", "agent-1");
        }
        sim.run().unwrap();
        nothing_lost_nothing_twice(&world);
        all_finished(&world);
        assert!(told(&world, 1, |news| matches!(news, AgentNews::Unwatched { .. })).is_empty());
    }
}

#[test]
fn a_longer_partition_stops_the_agent_and_it_hands_over_later() {
    // Shorter than the coordinator's patience with an agent, and longer.
    for (seed, secs) in [(20, 7.0), (21, 13.0)] {
        let world = World::new(3, 30, OnAgentLoss::Void, OnCoordinatorLoss::Stop);
        let mut sim = simulation(seed);
        world.populate(&mut sim);
        let started = until_started(&mut sim, &world);
        until(&mut sim, started + 4.0);
        sim.hold("coordinator", "agent-2");
        until(&mut sim, started + 4.0 + secs);
        sim.release("coordinator", "agent-2");
        sim.run().unwrap();
        nothing_lost_nothing_twice(&world);
        let last = world.ledgers[2].last_fired().as_secs_f64();
        assert!(last > 6.0 && last < 4.0 + 5.0, "it went on until {last} s of the run");
        let lost =
            world.kept().news.iter().any(|(_, news)| matches!(news, FleetNews::Lost { name, .. } if name == "agent-2"));
        assert_eq!(lost, secs > 10.0);
        for agent in [0, 1] {
            assert!(world.ledgers[agent].last_fired().as_secs_f64() > 29.0);
        }
    }
}

#[test]
fn who_is_to_finish_goes_on_unwatched() {
    let world = World::new(2, 20, OnAgentLoss::Void, OnCoordinatorLoss::Finish);
    let mut sim = simulation(30);
    world.populate(&mut sim);
    let started = until_started(&mut sim, &world);
    until(&mut sim, started + 3.0);
    sim.hold("coordinator", "agent-1");
    until(&mut sim, started + 12.0);
    sim.release("coordinator", "agent-1");
    sim.run().unwrap();
    nothing_lost_nothing_twice(&world);
    let fired: u64 = world.ledgers.iter().map(|ledger| ledger.fired()).sum();
    assert_eq!(fired as f64, RATE * 20.0);
}

#[test]
fn a_coordinator_that_comes_back_in_time_collects_everything_and_the_load_goes_on() {
    for seed in [40, 41] {
        let world = World::new(3, 16, OnAgentLoss::Void, OnCoordinatorLoss::Stop);
        let mut sim = simulation(seed);
        world.populate(&mut sim);
        let started = until_started(&mut sim, &world);
        until(&mut sim, started + 4.3);
        sim.crash("coordinator");
        until(&mut sim, started + 5.5);
        sim.bounce("coordinator");
        sim.run().unwrap();
        nothing_lost_nothing_twice(&world);
        all_finished(&world);
    }
}

#[test]
fn a_coordinator_that_comes_back_late_collects_what_was_made_until_they_stopped() {
    let world = World::new(3, 40, OnAgentLoss::Void, OnCoordinatorLoss::Stop);
    let mut sim = simulation(50);
    world.populate(&mut sim);
    let started = until_started(&mut sim, &world);
    until(&mut sim, started + 4.3);
    sim.crash("coordinator");
    until(&mut sim, started + 30.0);
    for agent in 0..3 {
        let last = world.ledgers[agent].last_fired().as_secs_f64();
        assert!(last < 4.3 + 5.0, "agent {agent} went on until {last} s of the run");
    }
    sim.bounce("coordinator");
    sim.run().unwrap();
    nothing_lost_nothing_twice(&world);
}

#[test]
fn of_an_agent_that_is_killed_what_arrived_counts_and_others_take_over_the_rest() {
    let world = World::new(3, 30, OnAgentLoss::Redistribute, OnCoordinatorLoss::Stop);
    let mut sim = simulation(60);
    world.populate(&mut sim);
    let started = until_started(&mut sim, &world);
    until(&mut sim, started + 5.0);
    world.kill(&mut sim, 1);
    let killed = world.ledgers[1].fired();
    sim.run().unwrap();
    let kept = world.kept();
    let end = kept.end.as_ref().expect("the run has ended");
    let arrived = facts_of(end, 1).intervals;
    drop(kept);
    assert!(arrived >= 3);
    let made = world.made(|agent| if agent == 1 { arrived } else { u64::MAX });
    assert_eq!(world.kept().windows, made);
    // From some seconds after its loss on, the two others fire everything.
    let whole = RATE * 30.0;
    let others = (world.ledgers[0].fired() + world.ledgers[2].fired()) as f64;
    assert!(others > whole * 2.0 / 3.0 + RATE / 3.0 * 8.0, "{others}");
    assert!(others + killed as f64 <= whole, "{others} and {killed} of {whole}");
}
