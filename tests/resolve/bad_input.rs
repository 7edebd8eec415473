//! Every mistake names its file, its line and its key, before anything is sent.

use crate::desk::Desk;

#[derive(Clone, Copy)]
enum In {
    Profile,
    Workload,
    Target,
}

/// (title, which file, what is replaced, by what)
const CASES: &[(&str, In, &str, &str)] = &[
    ("unknown key", In::Profile, "duration: 10s", "duraton: 10s"),
    ("unknown key of a workload", In::Workload, "weight: 3", "wieght: 3"),
    ("unknown key of a driver's section", In::Workload, "topic: task-events", "topik: task-events"),
    ("unknown key of a target", In::Target, "environment:", "enviroment:"),
    ("missing key", In::Profile, "    executor: constant-arrival-rate\n", ""),
    ("not YAML", In::Profile, "scenarios:", "scenarios: ]"),
    ("unknown unit of a duration", In::Profile, "10s", "10 parsecs"),
    ("unknown unit of a rate", In::Profile, "10/s", "10/fortnight"),
    ("rate without a unit", In::Profile, "10/s", "10"),
    ("rate of zero", In::Profile, "10/s", "0/s"),
    ("rate below zero", In::Profile, "10/s", "-5/s"),
    ("rate beyond reason", In::Profile, "10/s", "1000000000/s"),
    ("duration of zero", In::Profile, "10s", "0s"),
    ("duration below zero", In::Profile, "10s", "-10s"),
    ("duration beyond reason", In::Profile, "10s", "100years"),
    ("quantile of one", In::Profile, "0.95", "1"),
    ("quantile of zero", In::Profile, "0.95", "0"),
    ("quantile in percent", In::Profile, "0.95", "95"),
    ("scope that matches nothing", In::Profile, "events/*", "event/*"),
    ("scope that is no pattern", In::Profile, "events/*", "events/["),
    ("unknown executor", In::Profile, "constant-arrival-rate", "constant-arival-rate"),
    ("unknown workload", In::Profile, "workload: w", "workload: emr-apy"),
    ("workload by a path that isn't there", In::Profile, "workload: w", "workload: ./nowhere.yaml"),
    ("unknown driver", In::Workload, "driver: kafka", "driver: kafak"),
    ("workload without its endpoint", In::Workload, "endpoint: bus", "endpoint: buss"),
    ("endpoint of the wrong kind", In::Target, "{ kafka: [\"127.0.0.1:9\"] }", "{ http: \"http://127.0.0.1:9\" }"),
    ("endpoint of no kind", In::Target, "{ kafka:", "{ carrier-pigeon:"),
    ("template that is malformed", In::Workload, "{{ seq }}", "{{ seq"),
    ("template with an unknown filter", In::Workload, "{{ seq }}", "{{ seq | shout }}"),
    ("template with an unknown name", In::Workload, "{{ fake.sentence }}", "{{ fake.sentense }}"),
    ("template that fails", In::Workload, "{{ seq }}", "{{ seq / 0 }}"),
    ("missing feed", In::Workload, "{{ seq }}", "{{ clinicians.id }}"),
    ("feed whose file is missing", In::Workload, "operations:", "data: { wards: { csv: wards.csv } }\noperations:"),
    (
        "missing environment variable",
        In::Target,
        "[\"127.0.0.1:9\"]",
        "[\"127.0.0.1:9\"], security: sasl_plaintext, mechanism: PLAIN, username: u, password: { env: SLATEST_NOT_SET }",
    ),
    (
        "missing secret file",
        In::Target,
        "[\"127.0.0.1:9\"]",
        "[\"127.0.0.1:9\"], security: sasl_plaintext, mechanism: PLAIN, username: u, password: { file: no/such/file }",
    ),
    ("secret in the file", In::Target, "[\"127.0.0.1:9\"]", "[\"127.0.0.1:9\"], password: hunter2"),
    ("host that is not allowed", In::Target, "hosts: [127.0.0.1]", "hosts: [\"*.staging.example\"]"),
    ("no host allowed", In::Target, "hosts: [127.0.0.1]", "hosts: []"),
    ("rate above what the target allows", In::Target, "hosts: [127.0.0.1]", "hosts: [127.0.0.1], max_rate: 5/s"),
    ("users in an executor with a rate", In::Profile, "rate: 10/s", "rate: 10/s\n    vus: 5"),
    ("stages in a constant executor", In::Profile, "rate: 10/s", "rate: 10/s\n    stages: []"),
    ("rate in an executor with users", In::Profile, "constant-arrival-rate", "constant-vus"),
    ("constant rate without a rate", In::Profile, "    rate: 10/s\n", ""),
    (
        "stages of rates in an executor with users",
        In::Profile,
        "constant-arrival-rate\n    rate: 10/s\n    duration: 10s",
        "ramping-vus\n    stages: [{ duration: 5s, target: 10 }, { duration: 5s, target: 30/s }]",
    ),
    (
        "stages of users in an executor with a rate",
        In::Profile,
        "constant-arrival-rate\n    rate: 10/s\n    duration: 10s",
        "ramping-arrival-rate\n    stages: [{ duration: 5s, target: 10 }]",
    ),
    (
        "a rate of its own beside stages",
        In::Profile,
        "constant-arrival-rate\n    rate: 10/s\n    duration: 10s",
        "ramping-arrival-rate\n    rate: 10/s\n    stages: [{ duration: 5s, target: 10/s }]",
    ),
    (
        "no stages",
        In::Profile,
        "constant-arrival-rate\n    rate: 10/s\n    duration: 10s",
        "ramping-arrival-rate\n    stages: []",
    ),
    (
        "stages that never leave zero",
        In::Profile,
        "constant-arrival-rate\n    rate: 10/s\n    duration: 10s",
        "ramping-arrival-rate\n    stages: [{ duration: 5s, target: 0/s }]",
    ),
    ("a stage without length", In::Profile, "rate: 10/s", "stages: [{ duration: 0s, target: 5/s }]"),
    ("thinking in an open model", In::Profile, "rate: 10/s", "rate: 10/s\n    think: 2s"),
    ("warm-up as long as the scenario", In::Profile, "rate: 10/s", "rate: 10/s\n    warm_up: 10s"),
    ("cool-down that leaves nothing", In::Profile, "rate: 10/s", "rate: 10/s\n    warm_up: 5s\n    cool_down: 5s"),
    ("no length at all", In::Profile, "    duration: 10s\n", ""),
    ("no session", In::Profile, "rate: 10/s", "rate: 10/s\n    sessions: 0"),
    ("no user", In::Profile, "rate: 10/s", "rate: 10/s\n    users: 0"),
    ("users under both of their names", In::Profile, "rate: 10/s", "rate: 10/s\n    users: 5\n    sessions: 5"),
    (
        "two numbers of users in a closed model",
        In::Profile,
        "constant-arrival-rate\n    rate: 10/s",
        "constant-vus\n    vus: 5\n    users: 6",
    ),
    (
        "a number of users where stages say it",
        In::Profile,
        "constant-arrival-rate\n    rate: 10/s",
        "ramping-vus\n    stages: [{ duration: 5s, target: 5 }]\n    users: 5",
    ),
    ("a rate that counts nothing known", In::Profile, "rate: 10/s", "rate: 10/s\n    rate_counts: steps"),
    (
        "what a rate counts without a rate",
        In::Profile,
        "constant-arrival-rate\n    rate: 10/s",
        "constant-vus\n    vus: 5\n    rate_counts: requests",
    ),
    ("a first act of a driver without", In::Workload, "operations:", "once: task\noperations:"),
    ("nothing in flight", In::Profile, "rate: 10/s", "rate: 10/s\n    max_in_flight: 0"),
    ("window too short", In::Profile, "name: p\n", "name: p\nwindow: 10ms\n"),
    ("a scenario without a name", In::Profile, "  events:", "  \"\":"),
    ("a drill of unknown keys", In::Profile, "objectives:", "drills:\n  - { kill: primary }\nobjectives:"),
    ("latency without a bound", In::Profile, ", below: 500ms", ""),
    ("latency with a share as bound", In::Profile, "below: 500ms", "below: 5%"),
    ("latency with a bound without unit", In::Profile, "below: 500ms", "below: 500"),
    ("latency with the wrong side", In::Profile, "below: 500ms", "above: 500ms"),
    (
        "errors with a quantile",
        In::Profile,
        "response_time, quantile: 0.95, below: 500ms",
        "error_rate, quantile: 0.95, below: 1%",
    ),
    ("errors of zero", In::Profile, "response_time, quantile: 0.95, below: 500ms", "error_rate, below: 0%"),
    (
        "a ratio nobody reports",
        In::Profile,
        "response_time, quantile: 0.95, below: 500ms",
        "ratio, ratio: hit_rate, above: 70%",
    ),
    ("a timing nobody reports", In::Profile, "response_time,", "timing, timing: pool_wait,"),
    ("unknown indicator", In::Profile, "response_time", "respons_time"),
    (
        "an objective twice",
        In::Profile,
        "objectives:\n",
        "objectives:\n  - { name: o, scope: \"*\", indicator: error_rate, below: 1% }\n",
    ),
    (
        "flow that goes round in a circle",
        In::Workload,
        "operations:",
        "flows:\n  - { name: day, steps: [task, night] }\n  - { name: night, steps: [day] }\noperations:",
    ),
    ("flow of nothing known", In::Workload, "operations:", "flows: [{ name: day, steps: [tsk] }]\noperations:"),
    ("an operation twice", In::Workload, "name: handover", "name: task"),
    ("a weight below zero", In::Workload, "weight: 3", "weight: -3"),
];

#[test]
fn every_mistake_is_said_where_it_stands() {
    let mut said = String::new();
    for &(title, file, from, to) in CASES {
        let mut desk = Desk::new();
        let text = match file {
            In::Profile => &mut desk.profile,
            In::Workload => &mut desk.workload,
            In::Target => &mut desk.target,
        };
        assert!(text.contains(from), "{title}: nothing to replace");
        *text = text.replacen(from, to, 1);
        let complaint = desk.complaint();
        assert!(!complaint.contains("hunter2"), "{title}: {complaint}");
        said.push_str(&format!("# {title}\n{complaint}\n\n"));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn every_mistake_in_a_file_is_said_at_once() {
    let mut desk = Desk::new();
    desk.profile = desk.profile.replace("10/s", "0/s").replace("0.95", "2");
    desk.workload = desk.workload.replace("{{ seq }}", "{{ sek }}").replace("fake.sentence", "fake.sentense");
    insta::assert_snapshot!(desk.complaint());
}
