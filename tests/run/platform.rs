//! The whole platform at once: the smoke profile over every protocol, on the embedded sandbox and on
//! the real servers.

use serde_json::Value;

use super::scratch::{Scratch, printed};

/// Runs `smoke` and asserts that every operation was executed and answered as it should be, and that
/// what is checked at the end held. Whether it was in time is not asserted: other tests compete for
/// the machine.
fn smoke(target: &str, scenarios: &[&str]) {
    let scratch = Scratch::new();
    let output = scratch.run(&["run", "--profile", "smoke", "--target", target, "--quiet", "--seed", "3"]);
    let text = printed(&output);
    assert!(matches!(output.status.code(), Some(0 | 97 | 98 | 99)), "{:?}: {text}", output.status);
    let record = scratch.record();
    let result = &record["result"];
    let operations = result["operations"].as_array().expect("operations");
    for scenario in scenarios {
        let prefix = format!("{scenario}/");
        let own = operations.iter().filter(|o| o["address"].as_str().is_some_and(|a| a.starts_with(&prefix)));
        let mut seen = 0;
        for operation in own {
            seen += 1;
            let outcomes = &operation["outcomes"];
            assert!(outcomes["ok"].as_u64().unwrap_or(0) >= 1, "{operation}");
            assert_eq!(outcomes["ok"], operation["count"], "{operation}");
        }
        assert!(seen > 0, "no operation of {scenario} in {text}");
    }
    for finding in result["findings"].as_array().expect("findings") {
        assert_eq!(finding["holds"], true, "{finding}");
    }
    let ledger = result["validity"].as_array().and_then(|all| all.iter().find(|c| c["name"] == "accounting"));
    assert_eq!(ledger.map(|c| &c["holds"]), Some(&Value::Bool(true)), "{text}");
}

#[test]
fn smoke_covers_the_sandbox() {
    smoke("sandbox", &["api", "sync", "events", "database", "cache"]);
}

#[test]
fn smoke_covers_the_real_servers() {
    let folder = std::env::var("SLATEST_STACK_DIR").unwrap_or_else(|_| "/tmp/slatest-stack".into());
    let facts = std::fs::read_to_string(format!("{folder}/stack.json"))
        .unwrap_or_else(|e| panic!("{folder}/stack.json: {e}; bring the stack up with `tests/stack/stack up`"));
    let facts: Value = serde_json::from_str(&facts).expect("JSON");
    let target = facts["target"].as_str().expect("the stack's target file");
    smoke(target, &["api", "sync", "events", "database", "cache", "queue"]);
}
