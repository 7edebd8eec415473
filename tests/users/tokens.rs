//! Tokens are renewed before they end, and once after the target doesn't know them any more.

use serde_json::Value;

use super::balancer::{Balancer, Manner};
use super::scratch::{Scratch, printed};

const WORKLOAD: &str = "
name: w
driver: http
endpoint: api
settings: { headers: { authorization: 'Bearer {{ token }}' } }
once: ONCE
data: { people: { generate: people, count: 1000, per: user } }
operations:
  - name: login
    weight: 0
    request: { post: /api/v1/auth/login, json: { user: '{{ people.id }}' } }
    check: { status: 200 }
    capture: { token: $.token, CAPTURE }
  - { name: me, weight: 3, request: { get: /api/v1/me }, check: { status: 200 } }
  - { name: list, weight: 0, request: { get: /api/v1/tasks }, check: { status: 200 } }
flows:
  - { name: day, weight: 1, steps: [me, list] }
";

fn run(manner: Manner, once: &str, capture: &str, duration: &str) -> (Balancer, Value) {
    let balancer = Balancer::start(manner);
    let scratch = Scratch::new();
    scratch.write("targets/lb.yaml", &balancer.target());
    scratch.write("workloads/w.yaml", &WORKLOAD.replace("ONCE", once).replace(", CAPTURE", capture));
    let profile = format!(
        "name: p\nscenarios:\n  api: {{ workload: w, executor: constant-arrival-rate, arrivals: uniform, rate: 100/s, duration: {duration}, users: 20 }}\n\
         objectives: [{{ name: errors, scope: 'api/*', indicator: error_rate, below: 1% }}]\n"
    );
    scratch.write("profiles/p.yaml", &profile);
    let output = scratch.run(&["run", "--profile", "p", "--target", "lb", "--quiet", "--seed", "5"]);
    assert!(matches!(output.status.code(), Some(0 | 97..=99)), "{}", printed(&output));
    let record = scratch.record();
    (balancer, record)
}

/// The figures of an operation, from the record.
fn operation<'a>(record: &'a Value, address: &str) -> &'a Value {
    let operations = record["result"]["operations"].as_array().expect("figures by operation");
    operations.iter().find(|o| o["address"] == address).unwrap_or_else(|| panic!("{record:#}"))
}

#[test]
fn a_token_is_renewed_before_its_end() {
    // A token of 30 s is renewed after 27; nobody waits that long here, so the file says less than is true.
    let manner = Manner { expires_in: Some(30), revoked_at: None };
    let (balancer, _) = run(manner, "{ step: login, lifetime: 1s }", "", "4s");
    let seen = balancer.seen();
    assert_eq!(seen.unauthorized, 0);
    assert!(seen.sign_ins >= 40, "{} sign-ins of 20 users in 4 s", seen.sign_ins);
    assert!(seen.used.len() >= 40, "{} tokens were used", seen.used.len());
}

#[test]
fn what_the_answer_says_of_its_end_is_kept_to() {
    let manner = Manner { expires_in: Some(2), revoked_at: None };
    let (balancer, _) = run(manner, "{ step: login, expires_in: ttl }", ", ttl: $.expires_in", "6s");
    let seen = balancer.seen();
    assert!(seen.sign_ins >= 40, "{} sign-ins of 20 users in 6 s", seen.sign_ins);
}

#[test]
fn a_token_that_was_taken_back_is_seen_and_renewed_once() {
    let manner = Manner { expires_in: None, revoked_at: Some(150) };
    let (balancer, record) = run(manner, "login", "", "4s");
    let seen = balancer.seen();
    assert_eq!(seen.unauthorized, 20, "each user is refused once");
    assert_eq!(seen.sign_ins, 40, "and signs in once more");
    let operations = ["api/me", "api/list"].map(|address| operation(&record, address));
    let counted: u64 = operations.iter().filter_map(|o| o["count"].as_u64()).sum();
    assert_eq!(counted, seen.requests, "each request that came is one that is counted");
    let errors: Vec<_> = operations.iter().filter_map(|o| o["errors"].as_array()).flatten().collect();
    assert!(errors.iter().all(|e| e["kind"] == "status 401 (signs in again)"), "{errors:?}");
    assert_eq!(errors.iter().filter_map(|e| e["count"].as_u64()).sum::<u64>(), 20, "counted apart");
}
