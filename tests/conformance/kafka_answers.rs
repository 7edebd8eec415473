//! Scripted brokers: what no broker answers ends as an outcome before librdkafka reads it, and a host that is
//! advertised off the allow list gets no packet.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use slatest_core::model::Outcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::scripted::Scripted;
use crate::suite::{Subject, worker};

/// One request: its kind, its version, and the number that its answer repeats.
pub(super) async fn request(stream: &mut TcpStream) -> Option<(i16, i16, i32)> {
    let length = usize::try_from(stream.read_i32().await.ok()?).ok()?;
    let mut request = vec![0; length];
    stream.read_exact(&mut request).await.ok()?;
    let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
    Some((number(0), number(2), i32::from_be_bytes(request[4..8].try_into().ok()?)))
}

pub(super) async fn answer(stream: &mut TcpStream, correlation: i32, body: &[u8]) {
    let length = i32::try_from(body.len() + 4).expect("a length");
    let frame = [&length.to_be_bytes()[..], &correlation.to_be_bytes(), body].concat();
    drop(stream.write_all(&frame).await);
}

/// A broker that knows two questions, in old versions. It advertises itself and, once told to, `elsewhere` as the
/// leader of the one partition of its topic.
fn advertising(elsewhere: SocketAddr, told: &Arc<AtomicBool>, asked: &Arc<AtomicUsize>) -> Scripted {
    let (told, asked) = (Arc::clone(told), Arc::clone(asked));
    Scripted::serve(move |_, mut stream| {
        let (told, asked) = (Arc::clone(&told), Arc::clone(&asked));
        async move {
            let own = stream.local_addr().expect("its address");
            while let Some((kind, version, correlation)) = request(&mut stream).await {
                let body = if kind != 18 && told.load(Ordering::SeqCst) {
                    asked.fetch_add(1, Ordering::SeqCst);
                    metadata(&[own, elsewhere])
                } else {
                    advertised(kind, version, own)
                };
                answer(&mut stream, correlation, &body).await;
            }
        }
    })
}

/// What a broker answers that knows two questions in old versions, and advertises itself.
pub(super) fn advertised(kind: i16, version: i16, own: SocketAddr) -> Vec<u8> {
    let apis = [0i16, 0, 2, 3, 0, 1, 18, 0, 0].map(i16::to_be_bytes).concat();
    match (kind, version) {
        (18, 0) => apis,
        (18, _) => [&35i16.to_be_bytes()[..], &apis[2..]].concat(),
        _ => metadata(&[own]),
    }
}

/// Metadata, version 1: these brokers, numbered from 1; the last leads the one partition of `events`.
fn metadata(brokers: &[SocketAddr]) -> Vec<u8> {
    let number = |n: usize| i32::try_from(n).expect("a small number").to_be_bytes();
    let mut body = number(brokers.len()).to_vec();
    for (i, broker) in brokers.iter().enumerate() {
        let host = broker.ip().to_string();
        body.extend(number(i + 1));
        body.extend(i16::try_from(host.len()).expect("short").to_be_bytes());
        body.extend(host.as_bytes());
        body.extend(i32::from(broker.port()).to_be_bytes());
        // Without a rack.
        body.extend((-1i16).to_be_bytes());
    }
    // The controller, then one topic without an error.
    body.extend([number(1), number(1)].concat());
    body.extend([0, 0, 0, 6]);
    body.extend(b"events");
    // Not internal; one partition without an error: its number, its leader, one replica, one in sync.
    body.push(0);
    body.extend(number(1));
    body.extend([0, 0]);
    let leader = brokers.len();
    body.extend([0, leader, 1, leader, 1, leader].map(number).concat());
    body
}

/// A listener on a second loopback address, and how many connections it took.
fn elsewhere() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).expect("a listener");
    let address = listener.local_addr().expect("its address");
    let contacted = Arc::<AtomicUsize>::default();
    std::thread::spawn({
        let contacted = Arc::clone(&contacted);
        move || {
            while listener.accept().is_ok() {
                contacted.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (address, contacted)
}

pub(super) fn events(server: &Scripted) -> Subject {
    let workload = "name: events\ndriver: kafka\nendpoint: events\nsettings: { acks: leader }\noperations:\n  \
                    - { name: send, timeout: 3s, request: { produce: { topic: events, value: x } } }\n";
    Subject::new("kafka", workload, format!("{{ kafka: [\"{}\"] }}", server.address()))
}

#[test]
fn an_advertised_host_that_is_not_allowed_gets_no_packet() {
    let (other, contacted) = elsewhere();
    let (told, asked) = (Arc::new(AtomicBool::new(true)), Arc::default());
    let server = advertising(other, &told, &asked);
    let workload = events(&server).allowing(&["127.0.0.1"]).compile().expect("a workload");
    let error = worker(workload.health()).expect_err("127.0.0.2 is not allowed");
    assert!(error.reason.contains("127.0.0.2") && error.reason.contains("allow list"), "{error}");
    drop(workload);
    assert!(asked.load(Ordering::SeqCst) > 0, "it was advertised");
    assert_eq!(contacted.load(Ordering::SeqCst), 0, "nobody connected there");
}

#[test]
fn a_host_that_is_advertised_during_the_run_gets_no_packet_either() {
    let (other, contacted) = elsewhere();
    let (told, asked) = (Arc::<AtomicBool>::default(), Arc::default());
    let server = advertising(other, &told, &asked);
    let run = async |subject: Subject| {
        told.store(false, Ordering::SeqCst);
        let bench = subject.prepare().await;
        let mut session = bench.session(0).await;
        told.store(true, Ordering::SeqCst);
        // The producer looks for the leader of the partition, and is sent elsewhere.
        let begun = Instant::now();
        let mut seq = 0;
        loop {
            let completion = bench.execute(&mut *session, "send", seq).await;
            seq += 1;
            if asked.load(Ordering::SeqCst) > 0 && seq > 1 || begun.elapsed() > Duration::from_secs(40) {
                return completion;
            }
        }
    };
    let refused = worker(run(events(&server).allowing(&["127.0.0.1"])));
    assert!(asked.load(Ordering::SeqCst) > 0, "it was advertised");
    assert_eq!(contacted.load(Ordering::SeqCst), 0, "nobody connected there");
    assert_eq!((refused.outcome, refused.error.as_deref()), (Outcome::Disconnected, Some("guard: host not allowed")));
    // The same is followed where it is allowed: the listener counts.
    asked.store(0, Ordering::SeqCst);
    worker(run(events(&server).allowing(&["127.0.0.1", "127.0.0.2"])));
    assert!(contacted.load(Ordering::SeqCst) > 0, "an allowed host is connected to");
}

#[test]
fn answers_that_no_broker_gives_end_as_outcomes() {
    /// An answer to the request of this correlation id.
    type Shape = fn(i32) -> Vec<u8>;
    let shapes: [(&str, Shape); 6] = [
        ("zeros", |c| [&64i32.to_be_bytes()[..], &c.to_be_bytes(), &[0; 60]].concat()),
        ("very many zeros", |c| [&90_000_000i32.to_be_bytes()[..], &c.to_be_bytes(), &[0; 1 << 20]].concat()),
        ("a huge length", |c| [&i32::MAX.to_be_bytes()[..], &c.to_be_bytes()].concat()),
        ("a negative length", |c| [&(-1i32).to_be_bytes()[..], &c.to_be_bytes()].concat()),
        ("no length", |_| vec![0; 4096]),
        ("ones", |c| [&64i32.to_be_bytes()[..], &c.to_be_bytes(), &[0xff; 60]].concat()),
    ];
    for (name, shape) in shapes {
        let server = Scripted::serve(move |_, mut stream| async move {
            while let Some((_, _, correlation)) = request(&mut stream).await {
                drop(stream.write_all(&shape(correlation)).await);
            }
        });
        let workload = events(&server).compile().expect("a workload");
        let error = worker(workload.health()).expect_err("no broker answers that");
        assert!(error.reason.contains("none that a Kafka broker gives"), "{name}: {error}");
    }
}
