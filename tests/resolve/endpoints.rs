//! What a target file may not hold, and what of it is never shown.

use crate::desk::Desk;

#[test]
fn a_credential_in_an_address_is_refused_and_not_repeated() {
    let mut desk = Desk::new();
    desk.workload =
        "name: w\ndriver: websocket\nendpoint: bus\noperations:\n  - { name: edit, request: { edit: hello } }\n".into();
    desk.target = desk.target.replace("{ kafka: [\"127.0.0.1:9\"] }", "{ websocket: \"ws://u:hunter2@127.0.0.1:9\" }");
    let complaint = desk.complaint();
    assert!(complaint.starts_with("targets/t.yaml:5:"), "{complaint}");
    assert!(complaint.contains("`endpoints.bus.websocket`") && !complaint.contains("hunter2"), "{complaint}");
}

#[test]
fn a_target_is_written_down_without_its_secrets() {
    let mut desk = Desk::new();
    std::fs::write(desk.folder().join("password"), "hunter2\n").unwrap();
    desk.target = desk.target.replace(
        "[\"127.0.0.1:9\"]",
        "[\"127.0.0.1:9\"], security: sasl_plaintext, mechanism: PLAIN, username: u, password: { file: password }",
    );
    let resolved = desk.resolve().unwrap_or_else(|problems| panic!("{problems}"));
    let written = serde_json::to_string(&resolved.target).unwrap();
    assert!(written.contains(r#""password":{"file":"password"}"#), "{written}");
    assert!(!written.contains("hunter2"), "{written}");
}

#[test]
fn a_scenario_on_an_absent_endpoint_is_left_out_with_its_objectives() {
    let mut desk = Desk::with_profile(
        "\
name: p
scenarios:
  events: { workload: w, executor: constant-arrival-rate, rate: 10/s, duration: 10s }
  queue: { workload: w, endpoint: queue, executor: constant-arrival-rate, rate: 10/s, duration: 10s }
objectives:
  - { name: all, scope: \"*\", indicator: error_rate, below: 1% }
  - { name: of-queue, scope: \"queue/task\", indicator: error_rate, below: 1% }
",
    );
    desk.target.push_str("absent: { queue: no broker can be embedded }\n");
    let plan = desk.plan();
    assert_eq!(plan.scenarios.len(), 1);
    assert_eq!(plan.objectives.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["all"]);
    let reason = "the target `t` has no `queue`: no broker can be embedded; the objective of-queue goes with it";
    assert_eq!(plan.left_out, [("queue".to_owned(), reason.to_owned())]);

    desk.profile = desk.profile.replace("  events: {", "  events: { endpoint: queue,");
    let complaint = desk.complaint();
    assert!(complaint.contains("nothing is left to run") && complaint.contains("embedded"), "{complaint}");
}
