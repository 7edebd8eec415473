//! Brokers that answer a question as no broker does: that ends as an outcome, never as the
//! process. Each is tried in a process of its own, because librdkafka ends the one that it is in.

use std::process::Command;
use std::time::Duration;

use slatest_core::model::Outcome;
use tokio::io::AsyncWriteExt;

use crate::kafka_answers::{advertised, answer, events, request};
use crate::scripted::Scripted;
use crate::suite::worker;

/// Says which case a child tries.
const CASE: &str = "SLATEST_TEST_KAFKA_HOSTILE";
const TEST: &str = "kafka_hostile::answers_that_no_broker_gives_later_on_end_as_outcomes";

type Shape = fn(i32) -> Vec<u8>;

fn frame(length: i32, correlation: i32, body: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes()[..], &correlation.to_be_bytes(), body].concat()
}

/// What is answered.
const SHAPES: [(&str, Shape); 7] = [
    ("few zeros", |c| frame(64, c, &[0; 60])),
    ("zeros within the bound", |c| frame((48 << 20) + 4, c, &vec![0; 48 << 20])),
    ("zeros above the bound", |c| frame(90_000_000, c, &vec![0; 1 << 20])),
    ("a huge length", |c| frame(i32::MAX, c, &[])),
    ("a negative length", |c| frame(-1, c, &[])),
    ("ones", |c| frame(64, c, &[0xff; 60])),
    ("many ones", |c| frame((1 << 20) + 4, c, &vec![0x7f; 1 << 20])),
];

/// The questions that are answered so: ApiVersions, Metadata, and whatever comes after them.
const QUESTIONS: [(&str, i16); 3] = [("ApiVersions", 18), ("Metadata", 3), ("the others", -1)];

fn tried(case: usize) {
    let (shape, question) = (SHAPES[case % SHAPES.len()].1, QUESTIONS[case / SHAPES.len()].1);
    let server = Scripted::serve(move |_, mut stream| async move {
        let own = stream.local_addr().expect("its address");
        while let Some((kind, version, correlation)) = request(&mut stream).await {
            let hostile = kind == question || question < 0 && kind != 18 && kind != 3;
            if hostile {
                drop(stream.write_all(&shape(correlation)).await);
            } else {
                answer(&mut stream, correlation, &advertised(kind, version, own)).await;
            }
        }
    });
    worker(async {
        let workload = events(&server).compile().expect("a workload");
        let health = workload.health().await;
        assert!(question < 0 || health.is_err(), "no broker answers that: {health:?}");
        let bench = events(&server).prepare().await;
        let (outcome, kind) = match bench.workload.connect(&bench.context(0)).await {
            Err(error) => (error.outcome, error.kind),
            Ok(mut session) => {
                let completion = bench.execute(&mut *session, "send", 0).await;
                (completion.outcome, completion.error.unwrap_or_default())
            }
        };
        assert!(matches!(outcome, Outcome::Disconnected | Outcome::TimedOut | Outcome::Rejected), "{outcome:?} {kind}");
        // The process is told to end where it ends by itself.
        tokio::time::sleep(Duration::ZERO).await;
    });
}

#[test]
fn answers_that_no_broker_gives_later_on_end_as_outcomes() {
    if let Some(case) = std::env::var(CASE).ok().and_then(|case| case.parse().ok()) {
        return tried(case);
    }
    let mut failed = Vec::new();
    for case in 0..SHAPES.len() * QUESTIONS.len() {
        let name = format!("{} to {}", SHAPES[case % SHAPES.len()].0, QUESTIONS[case / SHAPES.len()].0);
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args([TEST, "--exact", "--nocapture", "--test-threads=1"])
            .env(CASE, case.to_string())
            .output()
            .expect("this program starts");
        if !child.status.success() {
            failed.push(format!("{name}: {}: {}", child.status, String::from_utf8_lossy(&child.stderr)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
