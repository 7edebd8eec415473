//! Many machines make the run that one would have made.

use nix::sys::signal::Signal;

use crate::field::{Field, check, ended, is_written};

/// Counters of every operation, as the record has them.
fn counted(record: &serde_json::Value) -> Vec<(String, u64, u64)> {
    let operations = record["result"]["operations"].as_array().expect("operations");
    let number = |value: &serde_json::Value| value.as_u64().expect("a number");
    operations
        .iter()
        .map(|o| (o["address"].as_str().expect("an address").to_owned(), number(&o["planned"]), number(&o["count"])))
        .collect()
}

#[test]
fn a_coordinator_and_its_agents_make_the_run_of_one_machine() {
    let alone = Field::new(200, 3, "");
    let (code, said) = ended(&alone.scratch.run(&["run", "--profile", "p", "--target", "counted", "--quiet"]));
    assert_eq!(code, Some(0), "{said}");

    let field = Field::new(200, 3, "");
    let coordinator = field.coordinator(3, &[]);
    let agents = ["one", "two", "three"].map(|name| field.agent(name, coordinator.address, &[]));
    let (code, said) = coordinator.process.end();
    assert_eq!(code, Some(0), "{said}");
    for agent in agents {
        let (code, said) = agent.0.end();
        assert_eq!(code, Some(0), "{said}");
    }
    let record = field.record();
    assert_eq!(counted(&record), counted(&alone.record()), "the same operations, as often");
    assert_eq!(field.target.requests(), record["result"]["generator"]["sent"].as_u64().expect("sent"));
    assert_eq!(record["seed"], 11);

    let listed = record["result"]["agents"].as_array().expect("agents");
    let names: Vec<&str> = listed.iter().map(|a| a["name"].as_str().expect("a name")).collect();
    assert_eq!(listed.len(), 3);
    assert!(["one", "two", "three"].iter().all(|name| names.contains(name)), "{names:?}");
    let fired: u64 = listed.iter().map(|a| a["fired"].as_u64().expect("fired")).sum();
    assert_eq!(Some(fired), record["result"]["generator"]["fired"].as_u64());
    assert_eq!(check(&record, "agents")["holds"], true);
    assert_eq!(check(&record, "intervals")["holds"], true);

    let output = field.scratch.run(&["report", "latest", "--verbose"]);
    let (code, said) = ended(&output);
    assert!(code == Some(0) && said.contains("Agents") && said.contains("clock known to"), "{said}");
}

#[test]
fn agents_of_this_machine_need_nothing_else() {
    let field = Field::new(100, 2, "");
    let arguments = ["run", "--profile", "p", "--target", "counted", "--local-agents", "2", "--quiet"];
    let (code, said) = ended(&field.scratch.run(&arguments));
    assert_eq!(code, Some(0), "{said}");
    let record = field.record();
    assert_eq!(record["result"]["agents"].as_array().map(Vec::len), Some(2));
    assert_eq!(field.target.requests(), record["result"]["generator"]["sent"].as_u64().expect("sent"));
}

#[test]
fn no_token_is_ever_written_into_a_result_or_said() {
    let field = Field::new(50, 1, "");
    let coordinator = field.coordinator(1, &[]);
    let token = std::fs::read_to_string(field.scratch.path().join("token")).expect("the token");
    let secret = token.trim().split('.').nth(1).expect("its secret part").to_owned();
    let agent = field.agent("one", coordinator.address, &[]);
    let (_, coordinator_said) = coordinator.process.end();
    let (_, agent_said) = agent.0.end();
    assert!(!coordinator_said.contains(&secret) && !agent_said.contains(&secret));
    assert!(!is_written(&secret, &field.scratch.path().join("results")));
}

#[test]
fn ctrl_c_ends_all_of_them_with_a_full_report() {
    let field = Field::new(100, 120, "");
    let coordinator = field.coordinator(2, &[]);
    let agents = ["one", "two"].map(|name| field.agent(name, coordinator.address, &[]));
    crate::scratch::wait_for("three windows", || field.scratch.windows() >= 3);
    coordinator.process.signal(Signal::SIGINT);
    let (code, said) = coordinator.process.end();
    assert_eq!(code, Some(105), "{said}");
    for agent in agents {
        agent.0.end();
    }
    let record = field.record();
    assert_eq!(record["status"], "interrupted");
    assert_eq!(field.target.requests(), record["result"]["generator"]["sent"].as_u64().expect("sent"));
}

#[test]
fn who_comes_late_is_told_so_and_the_run_goes_on() {
    let field = Field::new(100, 4, "");
    let coordinator = field.coordinator(1, &[]);
    let agent = field.agent("one", coordinator.address, &[]);
    crate::scratch::wait_for("a window", || field.scratch.windows() >= 1);
    let (code, said) = field.agent("late", coordinator.address, &[]).0.end();
    assert!(code == Some(3) && said.contains("refused"), "{code:?} {said}");
    let (code, said) = coordinator.process.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("late"), "it is told at the coordinator too: {said}");
    assert_eq!(agent.0.end().0, Some(0));
}
