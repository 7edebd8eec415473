//! Credentials never reach a result, a log or an error: they are planted, and everything that a run
//! leaves behind is searched for them.

use std::path::Path;

use super::scratch::{Scratch, printed};
use super::seeds::listen;

const TOKEN: &str = "planted-token-6f1c9a";
const PASSWORD: &str = "planted-password-b20d47";
const SECRETS: [&str; 2] = [TOKEN, PASSWORD];

fn search(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(search(&path));
            continue;
        }
        let bytes = std::fs::read(&path).expect("a readable file");
        let text = String::from_utf8_lossy(&bytes);
        found.extend(SECRETS.iter().filter(|s| text.contains(**s)).map(|s| format!("{s} in {}", path.display())));
    }
    found
}

fn assert_clean(scratch: &Scratch, output: &std::process::Output) {
    let text = printed(output);
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} was printed:\n{text}");
    }
    let found = search(&scratch.path().join("results"));
    assert!(found.is_empty(), "{found:?}");
}

fn target(scratch: &Scratch, endpoints: &str) {
    let text = format!("name: t\nenvironment: staging\nallow: {{ hosts: ['127.0.0.1'] }}\nendpoints:\n{endpoints}\n");
    scratch.write("targets/t.yaml", &text);
}

#[test]
fn a_token_that_is_sent_is_found_nowhere() {
    let (address, _) = listen();
    let scratch = Scratch::new();
    scratch.profile("executor: constant-arrival-rate, rate: 50/s, duration: 1s", "");
    target(&scratch, &format!("  api: {{ http: 'http://{address}', token: {{ env: PLANTED_TOKEN }} }}"));
    let mut command = scratch.slatest(&["run", "-p", "p", "-t", "t"]);
    let output = command.env("PLANTED_TOKEN", TOKEN).env("SLATEST_LOG", "trace").output().expect("the program starts");
    assert!(scratch.result().is_some(), "{}", printed(&output));
    assert_clean(&scratch, &output);
    for format in ["text", "json", "junit", "markdown", "html", "csv", "ctrf", "k6"] {
        assert_clean(&scratch, &scratch.run(&["report", "latest", "--format", format]));
    }
}

#[test]
fn credentials_of_endpoints_that_refuse_are_in_no_error() {
    // Ports that were free a moment ago: every connection is refused.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let workload = |name: &str, driver: &str, request: &str| {
        format!(
            "name: {name}\ndriver: {driver}\nendpoint: it\noperations:\n  - {{ name: one, timeout: 2s, request: {request} }}\n"
        )
    };
    let cases = [
        (
            "sql",
            "{ query: 'select 1' }",
            "  it: { postgres: { env: PLANTED } }",
            format!("postgres://u:{PASSWORD}@127.0.0.1:{port}/d"),
        ),
        (
            "amqp",
            "{ publish: { queue: q, body: x } }",
            "  it: { amqp: { env: PLANTED } }",
            format!("amqp://u:{PASSWORD}@127.0.0.1:{port}/v"),
        ),
        (
            "redis",
            "{ command: [GET, k] }",
            "  it: { redis: ['redis://127.0.0.1:PORT'], password: { env: PLANTED } }",
            PASSWORD.to_owned(),
        ),
        (
            "kafka",
            "{ produce: { topic: t, value: v } }",
            "  it: { kafka: ['127.0.0.1:PORT'], security: sasl_plaintext, mechanism: PLAIN, username: u, password: { env: PLANTED } }",
            PASSWORD.to_owned(),
        ),
    ];
    for (driver, request, endpoint, secret) in cases {
        let scratch = Scratch::new();
        scratch.write("workloads/plain.yaml", &workload("plain", driver, request));
        scratch.profile("executor: constant-arrival-rate, rate: 50/s, duration: 1s", "");
        target(&scratch, &endpoint.replace("PORT", &port.to_string()));
        for verb in ["run", "check"] {
            let mut command = scratch.slatest(&[verb, "-p", "p", "-t", "t"]);
            let output =
                command.env("PLANTED", &secret).env("SLATEST_LOG", "trace").output().expect("the program starts");
            assert_eq!(output.status.code(), Some(103), "{driver} {verb}: {}", printed(&output));
            assert_clean(&scratch, &output);
        }
    }
}
