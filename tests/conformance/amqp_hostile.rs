//! AMQP brokers that say what no broker may: each ends as an outcome, and the process goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use slatest_core::model::{Nanos, Outcome};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::amqp_faults::{frame, method, send, subject, subject_with};
use super::scripted::{Scripted, write};
use super::suite::{executed, worker};

/// What the broker does otherwise than others.
#[derive(Clone, Debug)]
enum Hostility {
    /// The properties of its greeting.
    Properties(Vec<u8>),
    /// Most channels, longest frame and heartbeat.
    Tune(u16, u32, u16),
    /// What it sends again and again after a message.
    Floods(Vec<u8>),
    /// Lets in so many connections.
    Limit(usize),
    /// Says nothing after the greeting.
    Silent,
}

fn table_in_tables(depth: usize) -> Vec<u8> {
    let mut table = vec![0; 4];
    for _ in 0..depth {
        let length = u32::try_from(table.len() + 3).expect("short");
        table = [&length.to_be_bytes()[..], b"\x01aF", &table].concat();
    }
    table
}

fn plain(class: u16, number: u16, arguments: &[u8]) -> Vec<u8> {
    let payload = [&class.to_be_bytes()[..], &number.to_be_bytes(), arguments].concat();
    bytes(1, 1, &payload)
}

fn bytes(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&[kind][..], &channel.to_be_bytes(), &length, payload, &[0xce]].concat()
}

/// Serves one connection; `number` counts those that were let in.
async fn serve(mut stream: TcpStream, hostility: Hostility, number: Arc<AtomicUsize>) {
    let mut protocol = [0; 8];
    if stream.read_exact(&mut protocol).await.is_err() {
        return;
    }
    let stream = &mut stream;
    let properties = if let Hostility::Properties(properties) = &hostility { properties.clone() } else { vec![0; 4] };
    let start = [b"\x00\x09", &properties[..], b"\x00\x00\x00\x05PLAIN\x00\x00\x00\x05en_US"].concat();
    method(stream, 0, 10, 10, &start).await;
    if let Hostility::Silent = hostility {
        while frame(stream).await.is_some() {}
        return;
    }
    let (channels, frame_max, heartbeat) =
        if let Hostility::Tune(a, b, c) = hostility { (a, b, c) } else { (2047, 131_072, 0) };
    // Delivery tags count on each channel.
    let mut tags = std::collections::BTreeMap::<u16, u64>::new();
    while let Some((kind, channel, payload)) = frame(stream).await {
        let part = |at: usize| payload.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
        match (kind, part(0), part(2)) {
            (1, Some(10), Some(11)) => {
                let tune = [&channels.to_be_bytes()[..], &frame_max.to_be_bytes(), &heartbeat.to_be_bytes()].concat();
                method(stream, 0, 10, 30, &tune).await;
            }
            (1, Some(10), Some(40)) => {
                let limited =
                    matches!(hostility, Hostility::Limit(limit) if number.fetch_add(1, Ordering::SeqCst) >= limit);
                if limited {
                    method(stream, 0, 10, 50, b"\x02\x12\x1eNOT_ALLOWED - limit is reached\x00\x0a\x00\x28").await;
                } else {
                    method(stream, 0, 10, 41, b"\x00").await;
                }
            }
            (1, Some(10), Some(50)) => method(stream, 0, 10, 51, b"").await,
            (1, Some(20), Some(10)) => method(stream, channel, 20, 11, b"\x00\x00\x00\x00").await,
            (1, Some(20), Some(40)) => method(stream, channel, 20, 41, b"").await,
            (1, Some(85), Some(10)) => method(stream, channel, 85, 11, b"").await,
            (3, ..) => {
                if let Hostility::Floods(again) = &hostility {
                    loop {
                        let before = std::time::Instant::now();
                        write(stream, again.repeat(8)).await;
                        // Who closed takes nothing more.
                        if before.elapsed().as_secs() > 5 || stream.writable().await.is_err() || closed(stream) {
                            return;
                        }
                    }
                }
                let tag = tags.entry(channel).or_default();
                *tag += 1;
                method(stream, channel, 60, 80, &[&tag.to_be_bytes()[..], b"\x00"].concat()).await;
            }
            _ => {}
        }
    }
    send(stream, 8, 0, b"").await;
}

fn closed(stream: &TcpStream) -> bool {
    let mut byte = [0];
    matches!(stream.try_read(&mut byte), Ok(0) | Err(_)) && stream.take_error().ok().flatten().is_some()
        || stream.peer_addr().is_err()
}

fn broker(hostility: Hostility) -> Scripted {
    let number = Arc::<AtomicUsize>::default();
    Scripted::serve(move |_, stream| serve(stream, hostility.clone(), Arc::clone(&number)))
}

/// How signing in to such a broker ends.
fn refused(hostility: Hostility, kind: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = broker(hostility.clone());
    worker(async {
        let bench = subject(&folder, server.address()).prepare().await;
        let error = bench.workload.connect(&bench.context(0)).await.err().expect("no session");
        assert_eq!(error.kind, format!("connect: {kind}"), "{error:?}");
    });
}

#[test]
fn a_greeting_that_is_deep_or_long_is_refused() {
    refused(Hostility::Properties(table_in_tables(4_000)), "field table too deep");
    refused(Hostility::Properties(vec![0xff; 4]), "not AMQP 0-9-1");
    let fields = b"\x00V".repeat(20_000);
    let table = [&u32::try_from(fields.len()).expect("short").to_be_bytes()[..], &fields].concat();
    refused(Hostility::Properties(table), "too many fields in a table");
    refused(Hostility::Properties(vec![0; 200_000]), "frame too long");
}

#[test]
fn what_cannot_be_agreed_on_is_refused_and_what_names_no_limit_is_ours() {
    refused(Hostility::Tune(0, 8, 0), "frame_max too small");
    for tune in [Hostility::Tune(0, 0, 0), Hostility::Tune(1, 4_096, u16::MAX), Hostility::Tune(u16::MAX, u32::MAX, 1)]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let server = broker(tune.clone());
        let completions = executed(&subject(&folder, server.address()), "send", 3);
        assert!(completions.iter().all(|c| c.outcome == Outcome::Ok), "{tune:?}: {completions:?}");
    }
}

#[test]
fn floods_end_the_connection() {
    let back = [
        plain(60, 50, b"\x01\x38\x08NO_ROUTE\x00\x01q"),
        bytes(2, 1, &[b"\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00", &[][..]].concat()),
        (0..16).flat_map(|_| bytes(3, 1, &vec![0; 65_536])).collect(),
    ]
    .concat();
    let long = [&[1, 0, 1][..], &(1_u32 << 30).to_be_bytes(), &[0; 4096]].concat();
    let header = [
        plain(60, 50, b"\x01\x38\x08NO_ROUTE\x00\x01q"),
        bytes(2, 1, &[&b"\x00\x3c\x00\x00"[..], &[0xff; 8], &[0; 2]].concat()),
    ]
    .concat();
    for (again, kind) in [
        (back, "too many messages returned"),
        (plain(20, 20, b"\x01"), "orders without end"),
        (long, "frame too long"),
        (header, "message too long"),
        (plain(50, 10, &table_in_tables(4_000)), "not AMQP 0-9-1"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let server = broker(Hostility::Floods(again));
        // A busy machine needs its time for 64 MiB.
        let mut subject = subject(&folder, server.address());
        subject.workload = subject.workload.replace("timeout: 3s", "timeout: 60s");
        let completions = executed(&subject, "send", 2);
        for completion in &completions {
            assert_eq!(completion.outcome, Outcome::Disconnected, "{kind}: {completion:?}");
            assert_eq!(completion.error.as_deref(), Some(kind), "{completion:?}");
        }
        assert_eq!(server.connections(), 2, "{kind}");
    }
}

#[test]
fn what_the_broker_gives_is_kept_and_shared() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = broker(Hostility::Limit(2));
    let subject = subject_with(&folder, server.address(), "{ connections: 5 }");
    worker(async {
        let bench = subject.prepare().await;
        let mut sessions = futures_util::future::join_all((0..10).map(|i| bench.session(i))).await;
        for seq in 0..20 {
            for session in &mut sessions {
                let completion = bench.execute(&mut **session, "send", seq).await;
                assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
            }
        }
        assert!(server.connections() <= 10, "{} connections for 200 messages", server.connections());
        let findings = bench.workload.settle(Nanos::from_secs(1)).await;
        assert!(findings.iter().any(|f| f.holds && f.detail.contains("gave 2 of 5 connections")), "{findings:?}");
    });
}

#[test]
fn a_broker_that_stops_half_way_ends_within_its_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = broker(Hostility::Silent);
    worker(async {
        let bench = subject(&folder, server.address()).prepare().await;
        let error = bench.workload.connect(&bench.context(0)).await.err().expect("no session");
        assert_eq!((error.outcome, error.kind.as_str()), (Outcome::TimedOut, "connect: timed out"));
    });
}
