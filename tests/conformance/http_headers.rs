//! Headers as a server sees them: secrets of workloads, and a Host of one's own in both versions of HTTP.

use std::sync::{Arc, Mutex};

use slatest_core::model::Outcome;

use super::scripted::{Scripted, read_request, write};
use super::suite::{Subject, executed};

/// What a server got of each request: whom it was for, and its `x-api-key`.
type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;

fn http1(seen: &Seen) -> Scripted {
    let seen = Arc::clone(seen);
    Scripted::serve(move |_, mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            while let Some(request) = read_request(&mut stream).await {
                let header = |name: &str| {
                    let line = request.lines().find_map(|line| line.split_once(": ").filter(|(n, _)| *n == name));
                    line.map(|(_, value)| value.to_owned())
                };
                seen.lock().expect("no panic").push((header("host").unwrap_or_default(), header("x-api-key")));
                write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    })
}

fn http2(seen: &Seen) -> Scripted {
    let seen = Arc::clone(seen);
    Scripted::serve(move |_, stream| {
        let seen = Arc::clone(&seen);
        async move {
            let mut connection = h2::server::handshake(stream).await.expect("a client that speaks HTTP/2");
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
                assert!(!request.headers().contains_key("host"), "the authority says it");
                let key = request.headers().get("x-api-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
                seen.lock().expect("no panic").push((authority, key));
                respond.send_response(http::Response::new(()), true).expect("a client that listens");
            }
        }
    })
}

fn subject(server: &Scripted, version: &str, headers: &str) -> Subject {
    let workload = format!(
        "name: headers\ndriver: http\nendpoint: api\nsettings: {{ version: {version} }}\noperations:\n  \
         - {{ name: one, timeout: 20s, request: {{ get: /, headers: {headers} }} }}\n"
    );
    Subject::new("http", workload, format!("{{ http: \"http://{}\" }}", server.address()))
}

#[test]
fn a_host_of_ones_own_and_a_secret_are_sent_in_both_versions() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    std::fs::write(&path, "ge{{ seq }}heim\n").expect("a file");
    for (version, serve) in [("http1", http1 as fn(&Seen) -> Scripted), ("http2", http2)] {
        for host in ["tenant.example:8443", "{{ scenario }}.example"] {
            let seen = Seen::default();
            let server = serve(&seen);
            let headers = format!("{{ host: \"{host}\", X-Api-Key: {{ file: \"{}\" }} }}", path.display());
            let completions = executed(&subject(&server, version, &headers), "one", 2);
            assert!(completions.iter().all(|c| c.outcome == Outcome::Ok), "{version}: {completions:?}");
            let seen = seen.lock().expect("no panic").clone();
            assert_eq!(seen.len(), 2, "{version}");
            for (host_seen, key) in seen {
                let wanted = if host.contains('{') { ".example" } else { host };
                assert!(host_seen.ends_with(wanted) && !host_seen.starts_with("127."), "{version}: {host_seen}");
                assert_eq!(key.as_deref(), Some("ge{{ seq }}heim"), "{version}: as it is");
            }
        }
    }
}

#[test]
fn a_host_that_is_none_is_refused_by_check_or_never_sent() {
    let seen = Seen::default();
    let server = http2(&seen);
    for host in ["a b", "u@h", "", "h/x"] {
        let refused = subject(&server, "http2", &format!("{{ host: \"{host}\" }}")).compile();
        let said = refused.err().expect("no host").to_string();
        assert!(said.contains("operations[0].request.headers.host") && said.contains("name:port"), "{said}");
    }
    let completions = executed(&subject(&server, "http2", "{ host: \"a b{{ seq }}\" }"), "one", 1);
    assert_eq!(completions[0].error.as_deref(), Some("workload: header host is no host"));
    assert_eq!(completions[0].sent, None);
    assert!(seen.lock().expect("no panic").is_empty(), "nothing was sent");
}

#[test]
fn a_credential_that_is_written_in_the_workload_is_refused() {
    let server = Scripted::answering("");
    for (name, value) in
        [("Authorization", "Bearer geheim"), ("Cookie", "sid=geheim"), ("X-Api-Key", "geheim"), ("x-token", "geheim")]
    {
        let said = subject(&server, "http1", &format!("{{ {name}: \"{value}\" }}")).compile().err().expect("refused");
        let said = said.to_string();
        assert!(said.contains(&format!("request.headers.{name}")) && said.contains("{ env: NAME }"), "{said}");
        assert!(!said.contains("geheim"), "{said}");
    }
}
