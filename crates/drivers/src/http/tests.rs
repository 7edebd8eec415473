//! Every mistake in a workload file of this driver is found, with its line and a way out.

use std::path::Path;
use std::sync::Arc;

use super::HttpDriver;
use crate::{CompileContext, Driver as _, Endpoint, Target, Workload};
use slatest_core::model::{Nanos, Problem, Problems};
use slatest_core::source::Source;
use slatest_core::target::Guard;

const HEAD: &str = "name: w\ndriver: http\nendpoint: api\n";

fn compile_on(endpoint: &str, workload: &str) -> Result<Arc<dyn Workload>, Problems> {
    let source = Source::new("workloads/w.yaml", workload, "");
    let text = format!(
        "name: t\nenvironment: sandbox\nallow: {{ hosts: [127.0.0.1, '*.example'] }}\nendpoints:\n  api: {endpoint}\n"
    );
    let target_source = Source::new("targets/t.yaml", text, "");
    let target: Target = target_source.parse()?;
    let endpoint: &Endpoint = &target.endpoints["api"].value;
    HttpDriver.compile(&CompileContext {
        source: &source,
        endpoint,
        endpoint_name: "api",
        target: &target_source,
        target_folder: Path::new("/nowhere"),
        guard: &Guard::new(&target.allow).expect("an allow list"),
        scenario: "s",
        sessions: None,
        seed: 1,
        run: "r",
    })
}

fn compile(body: &str) -> Result<Arc<dyn Workload>, Problems> {
    compile_on("{ http: 'http://127.0.0.1:1' }", &format!("{HEAD}{body}"))
}

/// The one problem of a file whose body starts at line 4.
fn problem(body: &str) -> Problem {
    let mut problems = compile(body).err().unwrap_or_else(|| panic!("it compiles: {body}")).0;
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

fn operation(rest: &str) -> String {
    format!("operations:\n  - name: a\n{rest}")
}

#[test]
fn what_the_engine_sees_is_what_was_written() {
    let workload = compile(
        "operations:\n  - { name: a, weight: 3, timeout: 2s, ledger: { get: \"/x/{{ write_id }}\" }, request: { get: / } }\n  - { name: b, request: { head: /x } }\n",
    )
    .expect("it compiles");
    let [a, b] = workload.operations() else { panic!("two operations") };
    assert_eq!((a.name.as_str(), a.weight, a.timeout, a.ledger), ("a", 3.0, Nanos::from_secs(2), true));
    assert_eq!(a.timings, ["connect", "first_byte"], "without TLS nothing is said of it");
    assert_eq!((b.weight, b.timeout, b.ledger), (1.0, crate::TIMEOUT_DEFAULT, false));
    let secure =
        compile_on("{ http: 'https://api.example/v2' }", &format!("{HEAD}{}", operation("    request: { get: / }\n")));
    assert_eq!(secure.expect("it compiles").operations()[0].timings, ["connect", "first_byte", "tls"]);
}

#[test]
fn mistakes_in_a_request_are_found_where_they_stand() {
    for (rest, line, key, said) in [
        ("    request:\n      headers: {}\n", 7, "operations[0].request", "no method"),
        ("    request:\n      get: /a\n      post: /b\n", 8, "operations[0].request.post", "get and post"),
        ("    request:\n      get: http://elsewhere/\n", 7, "operations[0].request.get", "must start with `/`"),
        ("    request:\n      get: /a b\n", 7, "operations[0].request.get", "percent-encoded"),
        ("    request:\n      get: /feed/a#b?after=1\n", 7, "operations[0].request.get", "%23"),
        ("    request:\n      get: '/{{ seq }}#b'\n", 7, "operations[0].request.get", "%23"),
        ("    request:\n      get: '/{{ random.text(70000) }}'\n", 7, "operations[0].request.get", "65,534"),
        ("    request:\n      get: '/a {{ seq }}'\n", 7, "operations[0].request.get", "percent-encoded"),
        (
            "    request:\n      get: /\n      answer: drain\n    capture: { id: $.id }\n",
            8,
            "operations[0].request.answer",
            "drained",
        ),
        (
            "    request:\n      get: /\n      headers: { accept-encoding: 'gzip, compress' }\n    capture: { id: $.id }\n",
            7,
            "operations[0].request.headers",
            "compress",
        ),
        ("    request:\n      get: '/{{ nobody.id }}'\n", 7, "operations[0].request.get", "nobody"),
        (
            "    request:\n      post: /a\n      json: {}\n      body: x\n",
            9,
            "operations[0].request.body",
            "json and body",
        ),
        (
            "    request:\n      post: /a\n      json:\n        x: '{{ nobody.id }}'\n",
            9,
            "operations[0].request.json.x",
            "nobody",
        ),
        (
            "    request:\n      post: /a\n      form:\n        x: '{{ nobody.id }}'\n",
            9,
            "operations[0].request.form.x",
            "nobody",
        ),
        ("    request:\n      head: /a\n      body: x\n", 8, "operations[0].request.body", "HEAD"),
        (
            "    request:\n      get: /a\n      headers:\n        content-length: '3'\n",
            9,
            "operations[0].request.headers.content-length",
            "slatest itself",
        ),
        (
            "    request:\n      get: /a\n      headers:\n        'no name': x\n",
            9,
            "operations[0].request.headers.no name",
            "name of a header",
        ),
        (
            "    request:\n      get: /a\n      headers:\n        x: \"a\\nb\"\n",
            9,
            "operations[0].request.headers.x",
            "character",
        ),
    ] {
        let found = problem(&operation(rest));
        assert_eq!((found.place.line, found.place.key.as_str()), (line, key), "{found}");
        assert!(found.to_string().contains(said), "{found}");
        assert_eq!(found.place.file, "workloads/w.yaml");
    }
}

#[test]
fn mistakes_in_a_check_or_capture_are_found_where_they_stand() {
    let request = "    request: { get: / }\n";
    for (rest, line, said) in [
        ("    check:\n      status: 2000\n", 8, "100 to 599"),
        ("    check:\n      status: 9xx\n", 8, "`9xx` is not a status"),
        ("    check:\n      status: []\n", 8, "at least one"),
        ("    check:\n      state: 200\n", 8, "state"),
        ("    check:\n      headers:\n        x-a: '('\n", 9, "not a regular expression"),
        ("    check:\n      headers:\n        'x a': present\n", 9, "name of a header"),
        ("    check:\n      body:\n        matches: '['\n", 9, "not a regular expression"),
        ("    check:\n      json:\n        'items[': present\n", 9, "JSONPath"),
        ("    capture:\n      id: nonsense\n", 8, "nonsense"),
    ] {
        let found = problem(&operation(&format!("{request}{rest}")));
        assert_eq!(found.place.line, line, "{found}");
        assert!(found.to_string().contains(said), "{found}");
    }
}

#[test]
fn statuses_are_numbers_classes_and_lists_of_both() {
    for status in ["200", "'200'", "2xx", "[200, 4xx, '503']"] {
        let written = operation(&format!("    request: {{ get: / }}\n    check: {{ status: {status} }}\n"));
        assert!(compile(&written).is_ok(), "{status}");
    }
}

#[test]
fn mistakes_in_the_settings_are_found_where_they_stand() {
    let rest = operation("    request: { get: / }\n");
    for (settings, line, said) in [
        ("  version: http3\n", 5, "http3"),
        ("  follow_redirects: 99\n", 5, "at most 20"),
        ("  answer_max_mib: 0\n", 5, "1 to 1024 MiB"),
        ("  answer_max_mib: 2000\n", 5, "drain"),
        ("  health: nowhere\n", 5, "must start with `/`"),
        ("  headers:\n    host name: x\n", 6, "name of a header"),
        ("  retries: 3\n", 5, "retries"),
    ] {
        let found = problem(&format!("settings:\n{settings}{rest}"));
        assert_eq!(found.place.line, line, "{found}");
        assert!(found.to_string().contains(said), "{found}");
    }
}

/// `once` at line 4, then `rest` of the sign-in at line 8 on, then what arrivals execute.
fn once(once: &str, rest: &str) -> String {
    format!(
        "once: {once}\noperations:\n  - name: login\n    request: {{ post: /login }}\n{rest}  - {{ name: read, request: {{ get: / }} }}\n"
    )
}

#[test]
fn mistakes_in_what_users_do_once_are_found_where_they_stand() {
    let zero = "    weight: 0\n";
    for (what, rest, says) in [
        ("logn", zero, "neither an operation nor a flow"),
        ("login", "", "arrivals execute it too"),
        ("login", "    weight: 2\n", "arrivals execute it too"),
        ("{ step: login, expires_in: ttl }", zero, "captures no `ttl`"),
        ("{ step: login, expires_in: ttl }", "    weight: 0\n    capture: { token: $.token }\n", "it captures token"),
        ("{ step: login, lifetime: 10ms }", zero, "1s at least"),
        ("{ step: login, lifetime: 1h, expires_in: t }", "    weight: 0\n    capture: { t: $.t }\n", "both say"),
        ("login", "    weight: 0\n    ledger: { get: \"/x/{{ write_id }}\" }\n", "keeps a ledger"),
    ] {
        let problem = problem(&once(what, rest));
        let said = format!("{} {}", problem.message, problem.help.clone().unwrap_or_default());
        assert!(said.contains(says), "{what}: {said}");
        assert_eq!(problem.place.line, 4, "{what}: {said}");
    }
    let flow = format!("{}flows:\n  - {{ name: day, steps: [login, read] }}\n", once("login", zero));
    assert!(problem(&flow).message.contains("the flow `day` executes it too"));
    let unknown =
        "once: { step: login, lifetim: 1h }\noperations:\n  - { name: login, weight: 0, request: { get: / } }\n";
    assert!(problem(unknown).message.contains("lifetim"), "{:?}", problem(unknown));
    let nothing = "settings: { headers: { authorization: 'Bearer {{ token }}' } }\noperations:\n  - { name: a, request: { get: / } }\n";
    assert!(problem(nothing).message.contains("token"), "{:?}", problem(nothing));
    let itself = once("login", "    weight: 0\n    capture: { next: $.next }\n")
        .replace("post: /login", "post: '/login/{{ next }}'");
    assert!(problem(&itself).message.contains("nothing captures before it"));
}

#[test]
fn what_users_do_once_is_compiled() {
    let body = "settings: { headers: { authorization: 'Bearer {{ token }}', x-app: ward } }\n".to_owned()
        + &once("{ step: login, lifetime: 1h }", "    weight: 0\n    capture: { token: $.token }\n");
    let workload = compile(&body).expect("it compiles");
    let once = workload.once().expect("a first act");
    assert_eq!(once.steps, [crate::Step::Operation(0)]);
    assert_eq!(once.lifetime, crate::Lifetime::Fixed(Nanos::from_secs(3600)));
}

#[test]
fn mistakes_in_connections_are_found_where_they_stand() {
    let secure = |settings: &str| {
        let text = format!("{HEAD}settings: {settings}\noperations:\n  - {{ name: a, request: {{ get: / }} }}\n");
        compile_on("{ http: 'https://api.example' }", &text)
    };
    assert!(secure("{ tls: { min: '1.3', resumption: false, server_name: other.example } }").is_ok());
    let said = |settings: &str| secure(settings).err().expect("refused").to_string();
    assert!(said("{ tls: { min: '1.1' } }").contains("1.2"), "{}", said("{ tls: { min: '1.1' } }"));
    assert!(said("{ tls: { server_name: 'a b' } }").contains("can't be the name of a server"));
    let body =
        |settings: &str| format!("settings: {settings}\noperations:\n  - {{ name: a, request: {{ get: / }} }}\n");
    assert!(problem(&body("{ idle_timeout: 1ms }")).message.contains("100ms at least"));
    assert!(problem(&body("{ connections: shared, idle_timeout: 5s }")).message.contains("closed by the server alone"));
    assert!(problem(&body("{ tls: { min: '1.3' } }")).message.contains("there is no TLS"));
    assert!(problem(&body("{ fresh_connections: 120% }")).to_string().contains("100%"));
    assert!(compile(&body("{ fresh_connections: 5% }")).is_ok());
    assert!(compile(&body("{ connections: per-user, idle_timeout: 5s }")).is_ok());
}

#[test]
fn all_mistakes_are_told_at_once() {
    let body = "operations:\n  - { name: a, request: {} }\n  - { name: b, request: { get: x }, check: { json: { '[': 1 } } }\n  - { name: c, request: { get: / }, capture: { v: x } }\n";
    let lines: Vec<usize> = compile(body).err().expect("it has mistakes").0.iter().map(|p| p.place.line).collect();
    assert_eq!(lines, [5, 6, 6, 7]);
}

#[test]
fn mistakes_in_the_endpoint_are_found_in_the_target_file() {
    let workload = format!("{HEAD}{}", operation("    request: { get: / }\n"));
    for (endpoint, key, said) in [
        ("{ http: 'not a url' }", "http", "not a URL"),
        ("{ http: 'ftp://api.example' }", "http", "http://"),
        ("{ http: 'https://api.example/?a=b' }", "http", "neither query nor fragment"),
        ("{ http: 'https://me:geheim@api.example' }", "http", "token"),
        ("{ http: 'https://api.elsewhere' }", "http", "allow list"),
        ("{ http: 'http://api.example', ca: ca.pem }", "ca", "no TLS"),
        ("{ http: 'https://api.example', ca: ca.pem }", "ca", "/nowhere/ca.pem"),
        ("{ http: 'https://api.example', cert: c.pem }", "cert", "both"),
        ("{ http: 'https://api.example', token: { env: SLATEST_NO_SUCH_TOKEN } }", "token", "SLATEST_NO_SUCH_TOKEN"),
        ("{ http: 'https://api.example', block: { status: 403, header: 'a b' } }", "block", "name of a header"),
    ] {
        let problems = compile_on(endpoint, &workload).err().unwrap_or_else(|| panic!("it compiles: {endpoint}")).0;
        let [found] = &problems[..] else { panic!("one problem: {problems:?}") };
        let place = &found.place;
        assert_eq!(
            (place.file.as_str(), place.line, place.key.as_str()),
            ("targets/t.yaml", 5, format!("endpoints.api.{key}").as_str()),
            "{found}"
        );
        assert!(found.to_string().contains(said) && !found.to_string().contains("geheim"), "{found}");
    }
}

#[test]
fn the_schema_knows_every_section() {
    let schema = serde_json::to_string(&HttpDriver.schema()).expect("a schema");
    for key in ["follow_redirects", "patch", "form", "contains", "capture", "[1-5](xx|"] {
        assert!(schema.contains(key), "{key}");
    }
}
