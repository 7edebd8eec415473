//! Agents that are lost, slow, or cut off.

use nix::sys::signal::Signal;

use crate::field::{Field, check};
use crate::relay::{Mode, Relay};
use crate::scratch::wait_for;

#[test]
fn the_share_of_a_killed_agent_is_missed_and_the_run_is_void() {
    let field = Field::new(100, 14, "");
    let coordinator = field.coordinator(2, &[]);
    let stays = field.agent("stays", coordinator.address, &[]);
    let dies = field.agent("dies", coordinator.address, &[]);
    wait_for("ten windows", || field.scratch.windows() >= 10);
    dies.0.kill();
    let (code, said) = coordinator.process.end();
    assert_eq!(code, Some(97), "{said}");
    assert_eq!(stays.0.end().0, Some(0));
    let record = field.record();
    let agents = check(&record, "agents");
    assert_eq!((&agents["holds"], &agents["effect"]), (&false.into(), &"void".into()));
    assert!(agents["measured"].as_str().is_some_and(|text| text.contains("dies lost at")), "{agents}");
    // What it had measured by then counts.
    let listed = record["result"]["agents"].as_array().expect("agents");
    let dead = listed.iter().find(|agent| agent["name"] == "dies").expect("it is listed");
    assert!(dead["fired"].as_u64().is_some_and(|fired| fired > 0), "{dead}");
    assert!(dead["scheduled"].as_u64() > dead["fired"].as_u64(), "{dead}");
    assert_eq!(check(&record, "accounting")["holds"], true, "{said}");
}

#[test]
fn the_share_of_a_killed_agent_is_taken_over_where_the_profile_says_so() {
    let field = Field::new(100, 25, "on_agent_loss: redistribute\n");
    let coordinator = field.coordinator(3, &[]);
    let survivors = ["a", "b"].map(|name| field.agent(name, coordinator.address, &[]));
    let dies = field.agent("dies", coordinator.address, &[]);
    wait_for("five windows", || field.scratch.windows() >= 5);
    dies.0.kill();
    let (_, said) = coordinator.process.end();
    assert_eq!(survivors.map(|agent| agent.0.end().0), [Some(0), Some(0)]);
    let record = field.record();
    let agents = check(&record, "agents");
    assert_eq!((&agents["holds"], &agents["effect"]), (&false.into(), &"warn".into()), "{agents} {said}");
    let listed = record["result"]["agents"].as_array().expect("agents");
    let number = |agent: &serde_json::Value, key: &str| agent[key].as_u64().expect("a number");
    for agent in listed.iter().filter(|agent| agent["name"] != "dies") {
        // A third of 2,500, and half of what the dead one owed for the longer part of the run.
        assert!(number(agent, "fired") > 1_000, "{agent}");
        assert_eq!(number(agent, "scheduled"), number(agent, "fired"), "{agent}");
    }
    assert_eq!(check(&record, "accounting")["holds"], true, "{said}");
    assert_eq!(check(&record, "intervals")["holds"], true, "{said}");
}

#[test]
fn an_agent_that_stands_still_for_a_moment_is_late_and_not_lost() {
    let field = Field::new(100, 8, "");
    field.limit("10s");
    let coordinator = field.coordinator(2, &[]);
    let sound = field.agent("sound", coordinator.address, &[]);
    let slow = field.agent("slow", coordinator.address, &[]);
    wait_for("ten windows", || field.scratch.windows() >= 10);
    slow.0.signal(Signal::SIGSTOP);
    let before = field.scratch.windows();
    // Its windows are awaited, so the files stand still with it; the other one's requests go on.
    let requests = field.target.requests();
    wait_for("a second of the other one's requests", || field.target.requests() >= requests + 50);
    slow.0.signal(Signal::SIGCONT);
    wait_for("more windows", || field.scratch.windows() > before);
    let (code, said) = coordinator.process.end();
    assert_eq!(code, Some(97), "a generator that was late says nothing of the target: {said}");
    assert_eq!((sound.0.end().0, slow.0.end().0), (Some(0), Some(0)));
    let record = field.record();
    let lag = check(&record, "dispatch lag p99");
    assert!(lag["holds"] == false && lag["measured"].as_str().is_some_and(|text| text.contains("slow")), "{lag}");
    assert_eq!(check(&record, "agents")["holds"], true);
    assert_eq!(check(&record, "intervals")["holds"], true);
    assert_eq!(field.target.requests(), record["result"]["generator"]["sent"].as_u64().expect("sent"));
}

#[test]
fn a_short_partition_loses_nothing() {
    let field = Field::new(100, 8, "");
    let coordinator = field.coordinator(2, &[]);
    let relay = Relay::to(coordinator.address);
    let near = field.agent("near", coordinator.address, &[]);
    let far = field.agent("far", relay.address(), &[]);
    wait_for("five windows", || field.scratch.windows() >= 5);
    relay.set(Mode::Broken);
    let requests = field.target.requests();
    wait_for("a second of requests", || field.target.requests() >= requests + 100);
    relay.set(Mode::Pass);
    let (code, said) = coordinator.process.end();
    assert_eq!((near.0.end().0, far.0.end().0), (Some(0), Some(0)));
    let record = field.record();
    for name in ["agents", "intervals", "accounting", "arrivals achieved"] {
        assert_eq!(check(&record, name)["holds"], true, "{name}: {said}");
    }
    assert_eq!(
        field.target.requests(),
        record["result"]["generator"]["sent"].as_u64().expect("sent"),
        "{code:?} {said}"
    );
}

#[test]
fn who_is_cut_off_for_long_stops_by_itself_and_hands_over_what_it_measured() {
    let field = Field::new(100, 20, "");
    let coordinator = field.coordinator(2, &[]);
    let relay = Relay::to(coordinator.address);
    let near = field.agent("near", coordinator.address, &[]);
    let mut far = field.agent("far", relay.address(), &[]);
    wait_for("five windows", || field.scratch.windows() >= 5);
    relay.set(Mode::Silent);
    far.0.wait_for("no more load is sent");
    relay.set(Mode::Pass);
    let (code, said) = coordinator.process.end();
    assert_eq!(code, Some(97), "{said}");
    assert_eq!(near.0.end().0, Some(0));
    let (_, far_said) = far.0.end();
    let record = field.record();
    assert_eq!(check(&record, "agents")["effect"], "void", "{said}");
    assert_eq!(check(&record, "accounting")["holds"], true, "{said}");
    // All that it did until it stopped is there: every request that the target got was told.
    let sent = record["result"]["generator"]["sent"].as_u64().expect("sent");
    assert_eq!(field.target.requests(), sent, "{said}\n{far_said}");
}
