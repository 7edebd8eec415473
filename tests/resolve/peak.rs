//! The profiles that ship resolve against a target that has everything.

use slatest::profile::{Library, Overrides, Plan, Shelf, peak_rate, resolve};
use slatest::source::Source;

const EVERYTHING: &str = "\
name: everything
environment: sandbox
allow: { hosts: [127.0.0.1] }
endpoints:
  api: { http: \"http://127.0.0.1:9\" }
  sync: { websocket: \"ws://127.0.0.1:9/sync\" }
  events: { kafka: [\"127.0.0.1:9\"] }
  database: { sqlite: nowhere.db }
  cache: { redis: [\"redis://127.0.0.1:9\"] }
absent:
  queue: this target has no AMQP broker
";

fn plan(profile: &str) -> Plan {
    let library = Library::new(tempfile::tempdir().unwrap().path());
    let target = Source::new("targets/everything.yaml", EVERYTHING, "");
    let profile = library.profile(profile).unwrap();
    let overrides = Overrides { seed: Some(1), ..Overrides::default() };
    match resolve(&library, &profile, &target, &overrides, "run-1") {
        Ok(resolved) => resolved.plan,
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn the_plan_of_peak() {
    insta::assert_json_snapshot!(plan("peak"));
}

#[test]
fn every_profile_that_ships_resolves() {
    for name in Library::new("/nonexistent").names(Shelf::Profiles) {
        let plan = plan(&name);
        assert!(!plan.objectives.is_empty() && peak_rate(&plan.scenarios) > 0.0, "{name}");
    }
}
