//! What is scraped of a run.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use secrecy::SecretString;
use slatest_core::model::Nanos;
use slatest_engine::load::{Event, Phase};
use slatest_engine::record::sample;

use super::*;

fn live() -> Arc<LiveMetrics> {
    let live = Arc::new(LiveMetrics::default());
    let plan = sample::plan();
    live.begin("20260101T000000Z-peak-000000", "staging", &plan);
    live.take(&Event::Phase(Phase::Measuring, Nanos::ZERO));
    for window in sample::windows(&plan) {
        live.take(&Event::Window {
            window: Arc::new(window),
            planned_rate: 400.0,
            gauges: vec![("api/open".into(), 4.0)],
        });
    }
    live
}

fn ask(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "{head}\r\nhost: x\r\nconnection: close\r\n\r\n").expect("it takes the request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_text_of_a_run() {
    let server = MetricsServer::start(([127, 0, 0, 1], 0).into(), None, live()).unwrap();
    let answer = ask(server.address(), "GET /metrics HTTP/1.1");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    assert_eq!(body.lines().filter(|line| line.starts_with("slatest_response_time_seconds_bucket{")).count(), 3 * 22);
    // Buckets are many, and what changes with our version is no part of the picture.
    let short: Vec<&str> = body.lines().filter(|line| !line.contains("_bucket{")).collect();
    insta::assert_snapshot!(short.join("\n").replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn before_a_run_there_is_nothing_and_elsewhere_a_word() {
    let server = MetricsServer::start(([127, 0, 0, 1], 0).into(), None, Arc::default()).unwrap();
    assert!(ask(server.address(), "GET /metrics HTTP/1.1").ends_with("# EOF\n"));
    assert!(ask(server.address(), "GET / HTTP/1.1").starts_with("HTTP/1.1 404"));
    assert!(ask(server.address(), "POST /metrics HTTP/1.1").starts_with("HTTP/1.1 405"));
}

#[test]
fn who_has_a_token_is_asked_for_it() {
    let token = Some(SecretString::from("abcdefgh".to_owned()));
    let server = MetricsServer::start(([127, 0, 0, 1], 0).into(), token, live()).unwrap();
    for (header, fine) in [
        ("authorization: Bearer abcdefgh", true),
        ("authorization: Bearer abcdefgX", false),
        ("authorization: Bearer abcdefg", false),
        ("authorization: abcdefgh", false),
        ("x: y", false),
    ] {
        let answer = ask(server.address(), &format!("GET /metrics HTTP/1.1\r\n{header}"));
        assert_eq!(answer.starts_with("HTTP/1.1 200"), fine, "{header}: {answer}");
    }
}

#[test]
fn what_is_open_to_the_network_needs_a_token() {
    let address = ([0, 0, 0, 0], 0).into();
    assert!(matches!(MetricsServer::start(address, None, Arc::default()), Err(ServeError::Open(_))));
}
