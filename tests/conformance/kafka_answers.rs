//! A broker that answers what none gives: it ends as an outcome, before librdkafka reads it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::scripted::Scripted;
use crate::suite::{Subject, worker};

const WORKLOAD: &str = r#"
name: events
driver: kafka
endpoint: events
operations:
  - { name: send, timeout: 1s, request: { produce: { topic: events, value: x } } }
"#;

/// One request: its kind, its version, and the number that its answer repeats.
async fn request(stream: &mut TcpStream) -> Option<(i16, i16, i32)> {
    let length = usize::try_from(stream.read_i32().await.ok()?).ok()?;
    let mut request = vec![0; length];
    stream.read_exact(&mut request).await.ok()?;
    let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
    Some((number(0), number(2), i32::from_be_bytes(request[4..8].try_into().ok()?)))
}

#[test]
fn answers_that_no_broker_gives_end_as_outcomes() {
    let shapes: [(&str, fn(i32) -> Vec<u8>); 6] = [
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
        let subject = Subject::new("kafka", WORKLOAD, format!("{{ kafka: [\"{}\"] }}", server.address()));
        let workload = subject.compile().expect("a workload");
        let error = worker(workload.health()).expect_err("no broker answers that");
        assert!(error.reason.contains("none that a Kafka broker gives"), "{name}: {error}");
    }
}
