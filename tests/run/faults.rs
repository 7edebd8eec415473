//! A run against a server that spoils answers in every way, and keeps count: each request ends once, as
//! what became of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::scratch::{Scratch, printed};

/// What the server does to a request, and how the run must count it.
const FAULTS: [(&str, &str); 10] = [
    ("whole", ""),
    ("lost", "timeout: no answer"),
    ("closed", "answer: connection closed"),
    ("cut", "body: truncated"),
    ("cut chunk", "body: truncated"),
    ("malformed", "answer: malformed"),
    ("refused", "status 500"),
    ("stalled body", "timeout: in the body"),
    ("slow head", ""),
    ("slow body", ""),
];

/// How long a slow answer takes.
const SLOW: Duration = Duration::from_millis(40);

/// How many requests met each fault.
type Log = BTreeMap<&'static str, u64>;

async fn serve(mut stream: TcpStream, log: Arc<Mutex<Log>>) {
    let mut buffer = vec![0; 4096];
    let mut taken = Vec::new();
    loop {
        while !taken.windows(4).any(|w| w == b"\r\n\r\n") {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(length) => taken.extend_from_slice(&buffer[..length]),
            }
        }
        let text = String::from_utf8_lossy(&taken).into_owned();
        taken.clear();
        let number = text.strip_prefix("GET /").and_then(|rest| rest.split_once(' ')?.0.parse::<usize>().ok());
        let Some(number) = number else {
            // The health check.
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await);
            continue;
        };
        let (fault, _) = FAULTS[number % FAULTS.len()];
        *log.lock().expect("nobody panicked with it").entry(fault).or_default() += 1;
        let (head, body) = ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", "0123456789");
        let parts = match fault {
            "whole" => vec![[head, body].concat()],
            "lost" => vec![],
            "cut" => vec![[head, "012"].concat()],
            "cut chunk" => vec!["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n".into()],
            "malformed" => vec!["SSH-2.0-OpenSSH_9.2\r\n\r\n".into()],
            "refused" => vec!["HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".into()],
            "stalled body" => vec![[head, "012"].concat()],
            "slow head" => vec![head[..12].into(), [&head[12..], body].concat()],
            "slow body" => vec![[head, "012"].concat(), body[3..].into()],
            _ => vec![],
        };
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                tokio::time::sleep(SLOW).await;
            }
            drop(stream.write_all(part.as_bytes()).await);
        }
        match fault {
            "lost" | "stalled body" | "malformed" => {
                // Until the client has had enough.
                while matches!(stream.read(&mut buffer).await, Ok(length) if length > 0) {}
                return;
            }
            "closed" | "cut" | "cut chunk" => return,
            _ => {}
        }
    }
}

fn listen() -> (std::net::SocketAddr, Arc<Mutex<Log>>) {
    let log = Arc::<Mutex<Log>>::default();
    let shared = Arc::clone(&log);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener for tokio");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).expect("a listener");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
    });
    (address, log)
}

#[test]
fn every_request_is_counted_once_and_as_what_became_of_it() {
    let (address, log) = listen();
    let scratch = Scratch::new();
    scratch.write(
        "workloads/plain.yaml",
        "name: plain\ndriver: http\nendpoint: api\noperations:\n  \
         - { name: one, timeout: 600ms, request: { get: \"/{{ seq }}\" } }\n",
    );
    scratch.profile("executor: constant-arrival-rate, rate: 100/s, duration: 4s, sessions: 200", "");
    let target = format!(
        "name: t\nenvironment: staging\nallow: {{ hosts: ['127.0.0.1'] }}\nendpoints: {{ api: {{ http: 'http://{address}' }} }}\n"
    );
    scratch.write("targets/t.yaml", &target);
    let output = scratch.run(&["run", "-p", "p", "-t", "t", "-q", "--seed", "3"]);
    assert!(output.status.code().is_some_and(|c| c != 1 && c < 100), "{}", printed(&output));
    let record = scratch.record();
    let operation = &record["result"]["operations"][0];
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("a number in {operation}"));
    let log = log.lock().expect("nobody panicked with it");

    let asked: u64 = log.values().sum();
    let planned = number(&operation["planned"]) + number(&operation["unjudged_planned"]);
    // A GET that a kept connection left without a byte is sent once more, and said to be.
    let retried = operation.get("retried_stale").and_then(Value::as_u64).unwrap_or(0);
    assert_eq!(asked, planned + retried, "each arrival asked once: {:?}", log);
    assert!(retried <= log.get("closed").copied().unwrap_or(0) / 2, "once more at most: {operation}");
    let mut expected = BTreeMap::<&str, u64>::new();
    for (fault, kind) in FAULTS.iter().filter(|(_, kind)| !kind.is_empty()) {
        let asked = log.get(fault).copied().unwrap_or(0);
        *expected.entry(kind).or_default() += if *fault == "closed" { asked - retried } else { asked };
    }
    let errors = operation["errors"].as_array().expect("errors");
    let found: BTreeMap<&str, u64> =
        errors.iter().map(|e| (e["kind"].as_str().expect("a kind"), number(&e["count"]))).collect();
    assert_eq!(found, expected, "{:?}", log);
    let outcomes = operation["outcomes"].as_object().expect("outcomes");
    let total: u64 = outcomes.values().map(number).sum();
    assert_eq!(total, number(&operation["planned"]), "{outcomes:?}");
}
