//! HTTP against the stack's load balancer (TLS, both versions, sticky cookie) over the platform's
//! API.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use slatest_core::model::{Completion, Outcome};

use super::relay::{Mode, Refusing, Relay};
use super::scripted::{Scripted, read_request, write};
use super::stack::stack;
use super::suite::{self, Subject, worker};

const WORKLOAD: &str = r#"
name: conformance
driver: http
endpoint: api
settings: { version: VERSION }
data: { people: { generate: people, count: 1000, prefix: clinician- } }
operations:
  - name: list
    timeout: 5s
    request: { get: "/api/v1/tasks?limit=2&assignee={{ people.id | urlencode }}" }
    check: { status: 200, headers: { content-type: "^application/json" }, json: { "$.items": present, "$.error": absent } }
  - name: create
    timeout: 5s
    request: { post: /api/v1/tasks, json: { title: "{{ fake.sentence }}", assignee: "{{ people.id }}", patient: patient-1 } }
    check: { status: 201, body: { contains: assignee } }
    capture: { task: "$.id", kind: "header:content-type" }
  - name: read-back
    timeout: 5s
    request: { get: "/api/v1/tasks/{{ task }}", headers: { x-kind: "{{ kind }}" } }
    check: { status: 2xx, json: { "$.patient": patient-1 } }
  - name: missing
    request: { get: /api/v1/tasks/no-such-task }
  - name: contradicted
    request: { get: /health }
    check: { json: { "$.status": sad } }
  - name: brief
    timeout: 300ms
    request: { get: /health }
flows:
  - { name: write-and-read, steps: [create, read-back] }
"#;

fn secure(port: u16, rest: &str) -> String {
    format!("{{ http: \"https://127.0.0.1:{port}\", ca: \"{}\"{rest} }}", stack().ca())
}

fn balancer(version: &str) -> Subject {
    Subject::new("http", WORKLOAD.replace("VERSION", version), stack().endpoint("api"))
}

/// The same through a relay that can fall silent.
fn relayed(version: &str) -> (Relay, Subject) {
    let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, stack().port("nginx", "HTTPS_PORT")));
    let relay = Relay::to(upstream);
    let subject = balancer(version).on(secure(relay.address().port(), ""));
    (relay, subject)
}

fn silence(relay: &Relay) -> impl Fn(bool) {
    |silent| relay.set(if silent { Mode::Silent } else { Mode::Pass })
}

#[test]
fn health_tells_what_it_found() {
    for (version, spoken) in [("http1", "HTTP/1.1, TLS 1.3"), ("http2", "HTTP/2, TLS 1.3"), ("auto", "HTTP/2, TLS 1.3")]
    {
        let detail = worker(suite::health_answers(&balancer(version)));
        assert!(detail.starts_with(spoken) && detail.contains("/health 200"), "{detail}");
    }
}

#[test]
fn an_unreachable_endpoint_is_named() {
    let refusing = Refusing::new();
    let address = refusing.address().to_string();
    let token = stack().secret_file("redis");
    let subject = balancer("auto").on(format!("{{ http: \"http://{address}\", token: {{ file: \"{token}\" }} }}"));
    worker(suite::unreachable_is_named(&subject, &address, &[&stack().secret("redis")]));
    worker(suite::refusal_is_disconnected(&subject, "list"));
}

#[test]
fn requests_are_answered_and_timed() {
    for version in ["http1", "http2"] {
        for operation in ["list", "create"] {
            worker(suite::operation_works(&balancer(version), operation));
        }
        worker(async {
            let bench = balancer(version).prepare().await;
            let mut session = bench.session(0).await;
            let names = bench.workload.operations()[0].timings.clone();
            let parts = |c: &Completion| c.timings.iter().map(|(i, _)| names[usize::from(*i)]).collect::<Vec<_>>();
            let first = bench.execute(&mut *session, "list", 0).await;
            assert_eq!(parts(&first), ["connect", "tls", "first_byte"], "the first connects");
            let second = bench.execute(&mut *session, "list", 1).await;
            assert_eq!(parts(&second), ["first_byte"], "the second finds the connection open");
            let whole = second.done.since(second.sent.expect("sent"));
            assert!(second.timings[0].1 <= whole);
        });
    }
}

#[test]
fn a_flow_reads_back_what_it_wrote() {
    worker(async {
        let bench = balancer("auto").prepare().await;
        assert_eq!(bench.workload.flows().len(), 1);
        let mut session = bench.session(0).await;
        let early = bench.execute(&mut *session, "read-back", 0).await;
        assert_eq!((early.outcome, early.sent), (Outcome::Rejected, None), "nothing was captured yet: {early:?}");
        for operation in ["create", "read-back"] {
            let completion = bench.execute(&mut *session, operation, 1).await;
            assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
        }
    });
}

#[test]
fn what_the_server_or_a_check_refuses_is_rejected() {
    worker(suite::error_is_rejected(&balancer("auto"), "missing", "status 404"));
    worker(suite::error_is_rejected(&balancer("auto"), "contradicted", "check: $.status"));
}

#[test]
fn a_silent_server_times_out() {
    for version in ["http1", "http2"] {
        let (relay, subject) = relayed(version);
        worker(suite::silence_times_out(&subject, "brief", silence(&relay)));
    }
}

#[test]
fn a_dropped_execution_is_harmless() {
    for version in ["http1", "http2"] {
        let (relay, subject) = relayed(version);
        worker(suite::dropped_execution_is_harmless(&subject, "list", silence(&relay)));
    }
}

#[test]
fn a_broken_connection_is_made_anew() {
    let (relay, subject) = relayed("auto");
    worker(async {
        let bench = subject.prepare().await;
        let mut session = bench.session(0).await;
        assert_eq!(bench.execute(&mut *session, "list", 0).await.outcome, Outcome::Ok);
        relay.set(Mode::Broken);
        let during = bench.execute(&mut *session, "list", 1).await;
        assert_eq!(during.outcome, Outcome::Disconnected, "{during:?}");
        relay.set(Mode::Pass);
        assert_eq!(bench.execute(&mut *session, "list", 2).await.outcome, Outcome::Ok);
    });
}

#[test]
fn a_client_certificate_opens_what_demands_one() {
    let port = stack().port("nginx", "HTTPS_MTLS_PORT");
    let (cert, key) = stack().client();
    let with = balancer("auto").on(secure(port, &format!(", cert: \"{cert}\", key: \"{key}\"")));
    worker(suite::operation_works(&with, "list"));
    worker(suite::error_is_rejected(&balancer("auto").on(secure(port, "")), "list", "status 400"));
}

#[test]
fn a_wrong_ca_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let other = rcgen::generate_simple_self_signed(vec!["other".into()]).expect("a certificate");
    let path = folder.path().join("other.pem");
    std::fs::write(&path, other.cert.pem()).expect("it can be written");
    let port = stack().port("nginx", "HTTPS_PORT");
    let endpoint = format!("{{ http: \"https://127.0.0.1:{port}\", ca: \"{}\" }}", path.display());
    let subject = balancer("auto").on(endpoint);
    worker(suite::wrong_ca_is_refused(&subject));
    worker(suite::refusal_is_disconnected(&subject, "list"));
}

#[test]
fn a_wrong_token_is_refused() {
    let workload = WORKLOAD.replace("version: VERSION", "health: /api/v1/me");
    let token = format!(", token: {{ file: \"{}\" }}", stack().secret_file("redis"));
    let subject = Subject::new("http", workload, secure(stack().port("nginx", "HTTPS_PORT"), &token));
    worker(suite::wrong_credential_is_refused(&subject, &stack().secret("redis")));
}

#[test]
fn a_host_that_is_not_allowed_is_never_contacted() {
    let (relay, subject) = relayed("auto");
    let forbidden = subject.allowing(&["api.example"]);
    worker(suite::forbidden_host_is_never_contacted(&forbidden, "list", || relay.connections()));
}

#[test]
fn the_balancer_finds_its_user_again_by_the_cookie() {
    let workload = r#"
name: cookies
driver: http
endpoint: api
operations:
  - name: login
    request: { post: /api/v1/auth/login, json: { user: "user-{{ user }}" } }
    capture: { sticky: "header:set-cookie" }
  - name: me
    request: { get: /api/v1/me }
    check: { status: 200, json: { "$.user": user-5 } }
"#;
    let subject = Subject::new("http", workload, stack().endpoint("api"));
    worker(async {
        let bench = subject.prepare().await;
        let mut session = bench.session(5).await;
        assert_eq!(bench.execute(&mut *session, "me", 0).await.error.as_deref(), Some("status 401"));
        assert_eq!(bench.execute(&mut *session, "login", 1).await.outcome, Outcome::Ok);
        assert_eq!(bench.execute(&mut *session, "me", 2).await.outcome, Outcome::Ok);
        let mut other = bench.session(6).await;
        assert_eq!(bench.execute(&mut *other, "me", 3).await.error.as_deref(), Some("status 401"));
    });
    let forgetful =
        Subject { workload: workload.replace("operations:", "settings: { cookies: false }\noperations:"), ..subject };
    worker(async {
        let bench = forgetful.prepare().await;
        let mut session = bench.session(5).await;
        assert_eq!(bench.execute(&mut *session, "login", 1).await.outcome, Outcome::Ok);
        assert_eq!(bench.execute(&mut *session, "me", 2).await.error.as_deref(), Some("status 401"));
    });
}

#[test]
fn a_redirect_to_tls_is_followed_when_it_was_asked_for() {
    let port = stack().port("nginx", "HTTP_PORT");
    let endpoint = format!("{{ http: \"http://127.0.0.1:{port}\", ca: \"{}\" }}", stack().ca());
    let following = WORKLOAD.replace("version: VERSION", "follow_redirects: 2");
    worker(suite::operation_works(&Subject::new("http", following, endpoint), "list"));
    let staying = balancer("auto").on(format!("{{ http: \"http://127.0.0.1:{port}\" }}"));
    worker(suite::error_is_rejected(&staying, "list", "status 301"));
}

#[test]
fn one_execution_has_one_payload() {
    let seen = Arc::new(Mutex::new(String::new()));
    let server = Scripted::serve({
        let seen = Arc::clone(&seen);
        move |_, mut stream| {
            let seen = Arc::clone(&seen);
            async move {
                while let Some(request) = read_request(&mut stream).await {
                    *seen.lock().expect("nobody panicked with it") = request;
                    write(&mut stream, "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await;
                }
            }
        }
    });
    let subject = balancer("http1").on(format!("{{ http: \"http://{}\" }}", server.address()));
    worker(suite::same_execution_same_payload(|seed, seq| {
        let (subject, seen) = (subject.seeded(seed), Arc::clone(&seen));
        async move {
            let bench = subject.prepare().await;
            let mut session = bench.session(0).await;
            bench.execute(&mut *session, "create", seq).await;
            std::mem::take(&mut *seen.lock().expect("nobody panicked with it")).into_bytes()
        }
    }));
}

#[test]
fn a_block_by_the_firewall_is_no_error_of_the_target() {
    let server =
        Scripted::answering("HTTP/1.1 403 Forbidden\r\nx-waf: rate\r\ncontent-length: 15\r\n\r\nRequest blocked");
    let blocked = |block: &str| {
        let endpoint = format!("{{ http: \"http://{}\", block: {block} }}", server.address());
        worker(async {
            let bench = balancer("http1").on(endpoint).prepare().await;
            let health = bench.workload.health().await.err().map(|e| e.reason);
            (bench.execute(&mut *bench.session(0).await, "list", 0).await.outcome, health)
        })
    };
    for block in
        ["{ status: 403 }", "{ status: 403, header: x-waf }", "{ status: 403, header: \"X-WAF: rate\", body: blocked }"]
    {
        let (outcome, health) = blocked(block);
        assert_eq!(outcome, Outcome::Blocked, "{block}");
        assert!(health.is_some_and(|h| h.contains("allow list")), "the health check says so");
    }
    for block in ["{ status: 429 }", "{ status: 403, header: \"x-waf: geo\" }", "{ status: 403, body: sorry }"] {
        assert_eq!(blocked(block), (Outcome::Rejected, None), "{block}");
    }
}

#[test]
fn several_can_refuse_and_a_refusal_can_be_what_is_right() {
    let block = "[{ status: 403, header: x-waf }, { name: the gateway, status: 429, header: retry-after }]";
    let tried = |answer: &'static str, check: &str| {
        let server = Scripted::answering(answer);
        let workload = format!(
            "name: w\ndriver: http\nendpoint: e\noperations:\n  - {{ name: a, request: {{ get: / }}, check: {check} }}\n"
        );
        let subject =
            Subject::new("http", workload, format!("{{ http: \"http://{}\", block: {block} }}", server.address()));
        worker(async {
            let bench = subject.prepare().await;
            let completion = bench.execute(&mut *bench.session(0).await, "a", 0).await;
            (completion.outcome, completion.error.unwrap_or_default())
        })
    };
    let limited = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    let bare = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n";
    let waf = "HTTP/1.1 403 Forbidden\r\nx-waf: sqli\r\ncontent-length: 0\r\n\r\n";
    let fine = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(tried(limited, "{ status: 200 }"), (Outcome::Blocked, "blocked by the gateway".into()));
    assert_eq!(tried(waf, "{ status: 200 }"), (Outcome::Blocked, "blocked by the firewall".into()));
    assert_eq!(tried(bare, "{ status: 200 }"), (Outcome::Rejected, "status 429".into()));
    for answer in [limited, waf] {
        assert_eq!(tried(answer, "{ expect: blocked }"), (Outcome::Ok, String::new()));
    }
    assert_eq!(tried(waf, "{ expect: blocked, status: 429 }"), (Outcome::Rejected, "status 403".into()));
    let named = "{ expect: blocked, headers: { retry-after: present } }";
    assert_eq!(tried(waf, named), (Outcome::Rejected, "check: header retry-after".into()));
    for answer in [fine, bare] {
        assert_eq!(tried(answer, "{ expect: blocked }"), (Outcome::Rejected, "check: not blocked".into()));
    }
}

#[test]
fn parameters_of_a_query_are_encoded_and_may_be_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("key");
    std::fs::write(&secret, "gehe im&").expect("a secret");
    let heads = Arc::new(Mutex::new(Vec::new()));
    let server = Scripted::serve({
        let heads = Arc::clone(&heads);
        move |_, mut stream| {
            let heads = Arc::clone(&heads);
            async move {
                while let Some(request) = read_request(&mut stream).await {
                    heads.lock().expect("nobody panicked with it").push(request);
                    write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                }
            }
        }
    });
    let request =
        format!("{{ get: '/x?a=1', query: {{ q: 'task {{{{ seq }}}}', key: {{ file: {} }} }} }}", secret.display());
    let workload = format!("name: w\ndriver: http\nendpoint: e\noperations: [{{ name: a, request: {request} }}]\n");
    let subject = Subject::new("http", workload, format!("{{ http: \"http://{}\" }}", server.address()));
    worker(async {
        let bench = subject.prepare().await;
        assert_eq!(bench.execute(&mut *bench.session(0).await, "a", 7).await.outcome, Outcome::Ok);
    });
    let heads = heads.lock().expect("nobody panicked with it");
    assert!(heads.iter().any(|head| head.starts_with("GET /x?a=1&key=gehe+im%26&q=task+7 HTTP/1.1")), "{heads:?}");
}

#[test]
fn the_built_in_workload_runs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/emr-api.yaml");
    let workload = std::fs::read_to_string(path).expect("the platform's workload");
    let subject = Subject::new("http", workload, stack().endpoint("api"));
    worker(async {
        let bench = subject.prepare().await;
        let mut session = bench.session(1).await;
        let run_alone = |o: &&slatest_drivers::Operation| o.weight > 0.0;
        let names: Vec<String> = bench.workload.operations().iter().filter(run_alone).map(|o| o.name.clone()).collect();
        assert_eq!(bench.execute(&mut *session, "login", 0).await.outcome, Outcome::Ok);
        for (seq, name) in (0..).zip(&names) {
            let completion = bench.execute(&mut *session, name, seq).await;
            assert_eq!(completion.outcome, Outcome::Ok, "{name}: {completion:?}");
        }
        for flow in bench.workload.flows() {
            for step in &flow.steps {
                if let slatest_drivers::Step::Operation(index) = step {
                    let name = &bench.workload.operations()[*index].name;
                    let completion = bench.execute(&mut *session, name, 1000).await;
                    assert_eq!(completion.outcome, Outcome::Ok, "{}/{name}: {completion:?}", flow.name);
                }
            }
        }
    });
}
