//! Writes that are forgotten: the target knows which, and exactly these are reported.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::deeds::Deed;
use crate::machine::measured;
use crate::outages::profile;
use crate::stage::Stage;
use crate::told::{Told, nanos};

/// How far the two may be apart in when a write was acknowledged: one stamps what it sends, the other what it got.
const ON_THE_WAY: SignedDuration = SignedDuration::from_secs(1);

/// Breaks it by this order, under load that writes and reads.
fn drill(stage: &Stage, order: &str) -> Told {
    stage.scratch.write(
        "workloads/plain.yaml",
        "name: plain\ndriver: http\nendpoint: api\noperations:\n  \
         - { name: keep, weight: 2, timeout: 5s, request: { put: '/writes/{{ write_id }}' }, ledger: { get: '/writes/{{ write_id }}' } }\n  \
         - { name: ask, timeout: 5s, request: { get: /serve } }\n",
    );
    let faults = format!(
        "  forgets:\n    http: {{ inject: {{ post: '{}' }}, heal: {{ post: '{}' }} }}",
        stage.order(order),
        stage.order("mend=true"),
    );
    stage.target("staging", true, &faults, "");
    profile(
        stage,
        "200ms",
        10,
        "  - { name: forgets, at: 4s, inject: { fault: forgets }, hold: 1500ms, watch: 5s, restored_after: 8, scope: 'api/*' }",
        "  - { name: keeps, drill: forgets, rpo: 1s, lost_writes: 0 }",
    );
    stage.drill()
}

/// What was found of the one scenario's writes.
fn findings(told: &Told) -> &Value {
    let drill = told.drill("forgets");
    let found = &drill["ledger"][0]["found"]["read"];
    assert!(found.is_object(), "nothing was read back: {drill}");
    found
}

fn count(found: &Value, key: &str) -> u64 {
    let value = if found[key].is_object() { &found[key]["count"] } else { &found[key] };
    value.as_u64().unwrap_or_else(|| panic!("{key}: {found}"))
}

/// What only a store that does more than to forget can do.
fn nothing_else(found: &Value) {
    for key in ["unreadable", "wrong_value", "duplicates", "never_written", "rejected_found"] {
        assert_eq!(count(found, key), 0, "{key}: {found}");
    }
    // Of what was refused in the outage nobody knows; it is not there, and none of it is lost.
    assert!(count(found, "unknown") > 0, "{found}");
    assert_eq!(found["unknown_writes"]["not_found"], found["unknown"], "{found}");
}

#[test]
fn exactly_what_the_store_forgot_is_lost() {
    measured(|| {
        let stage = Stage::new();
        // Everything that was acknowledged between 2 s and 1 s before the fault, long after the answers arrived.
        let told = drill(&stage, "forget_from=2000&forget_until=1000&outage=60000");
        let forgotten: BTreeMap<String, Timestamp> = stage
            .deeds()
            .into_iter()
            .filter_map(|deed| match deed {
                Deed::Forgot { id, acknowledged } => Some((id, acknowledged)),
                _ => None,
            })
            .collect();
        assert!(forgotten.len() > 20, "{} writes were forgotten: {}", forgotten.len(), told.text);
        let found = findings(&told);
        assert_eq!(count(found, "lost"), forgotten.len() as u64, "{found}");
        assert_eq!(count(found, "lost_after_fault"), 0, "{found}");
        nothing_else(found);

        // Each by its name, with when it was acknowledged.
        let (issued, fault) = (told.issued("forgets"), nanos(&told.drill("forgets")["issued"]));
        let lost = found["lost"]["named"].as_array().expect("a list");
        let lost: BTreeMap<String, Timestamp> = lost
            .iter()
            .map(|one| {
                let id = one["id"].as_str().expect("an id").to_owned();
                (id, issued + (nanos(&one["acknowledged"]) - fault))
            })
            .collect();
        assert!(lost.keys().eq(forgotten.keys()), "{lost:?}\n{forgotten:?}");
        let slip = told.seen().slip;
        for (id, said) in &lost {
            let differ = said.duration_since(forgotten[id]);
            assert!(differ >= -slip && differ < ON_THE_WAY + slip, "{id}: {said} and not {}", forgotten[id]);
        }
        let point = nanos(&found["recovery_point"]);
        let truth = issued.duration_since(*forgotten.values().min().expect("some"));
        assert!(point <= truth + slip && point > truth - ON_THE_WAY - slip, "{point:#}, not {truth:#}");
        eprintln!("{} lost of {}; recovery point {point:#}, truth {truth:#}", lost.len(), found["acknowledged"]);
        told.judged("forgets", "fail");
        told.ended(99);
    });
}

#[test]
fn a_store_that_forgets_nothing_has_lost_nothing() {
    measured(|| {
        let stage = Stage::new();
        let told = drill(&stage, "outage=60000");
        let found = findings(&told);
        assert!(count(found, "acknowledged") > 200, "{found}");
        assert_eq!((count(found, "lost"), count(found, "lost_after_fault")), (0, 0), "{found}");
        assert!(nanos(&found["recovery_point"]).is_zero(), "{found}");
        nothing_else(found);
        told.judged("forgets", "pass");
        told.ended(0);
    });
}
