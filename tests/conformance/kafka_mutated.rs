//! Brokers whose answers are real ones with something changed at random: each ends as an outcome, never as the process.
//! What is changed follows from the seed. Each seed is tried in a process of its own, because librdkafka ends the one
//! that it is in.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rdkafka::mocking::MockCluster;

use crate::suite::{Subject, worker};

/// Says which seed a child tries.
const SEED: &str = "SLATEST_TEST_KAFKA_MUTATED";
/// How many seeds are tried; more where this says so.
const SEEDS: &str = "SLATEST_TEST_KAFKA_SEEDS";
const TEST: &str = "kafka_mutated::answers_that_are_changed_at_random_end_as_outcomes";

/// Numbers that a reader must not believe.
const LENGTHS: [i32; 8] = [-2, -1, 0, 1, 0x7fff_ffff, i32::MIN, 0x00ff_ffff, 0x0100_0000];

/// Changes an answer: what follows its correlation id.
fn mutate(body: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(1..4) {
        if body.is_empty() {
            return;
        }
        let at = random.random_range(0..body.len());
        match random.random_range(0..6) {
            0 => body[at] ^= 1 << random.random_range(0..8),
            1 => body[at] = *[0, 1, 0x7f, 0x80, 0xff].get(random.random_range(0..5usize)).unwrap_or(&0),
            2 => {
                let number = LENGTHS[random.random_range(0..LENGTHS.len())].to_be_bytes();
                for (to, from) in body[at..].iter_mut().zip(number) {
                    *to = from;
                }
            }
            3 => body.truncate(at),
            4 => {
                let end = random.random_range(at..body.len());
                body.drain(at..end);
            }
            _ => {
                let more: Vec<u8> = (0..random.random_range(1..64)).map(|_| random.random_range(0..=255u8)).collect();
                body.splice(at..at, more);
            }
        }
    }
}

/// Stands before a mock broker and changes some of what it says.
struct Liar {
    address: SocketAddr,
    changed: Arc<AtomicU64>,
    lying: Arc<AtomicBool>,
}

impl Liar {
    /// While it lies, answers are changed with this chance in 1000.
    fn before(upstream: SocketAddr, random: ChaCha8Rng, chance: u32) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let changed = Arc::<AtomicU64>::default();
        let lying = Arc::new(AtomicBool::new(true));
        let (random, counted, lies) = (Arc::new(Mutex::new(random)), Arc::clone(&changed), Arc::clone(&lying));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(upstream)) else { return };
                let (random, changed, lying) = (Arc::clone(&random), Arc::clone(&counted), Arc::clone(&lies));
                let (mut up, mut to) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut up, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                std::thread::spawn(move || {
                    let _ = answers(server, &client, (upstream, address), &random, (chance, &lying), &changed);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, changed, lying }
    }
}

fn answers(
    mut server: TcpStream,
    mut client: &TcpStream,
    (upstream, own): (SocketAddr, SocketAddr),
    random: &Mutex<ChaCha8Rng>,
    (chance, lying): (u32, &AtomicBool),
    changed: &AtomicU64,
) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        server.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        server.read_exact(&mut answer)?;
        // The broker names its own port: it is to be this one, or nobody would come here again.
        let advertised = [upstream.ip().to_string().as_bytes(), &i32::from(upstream.port()).to_be_bytes()].concat();
        let wanted = [own.ip().to_string().as_bytes(), &i32::from(own.port()).to_be_bytes()].concat();
        let places: Vec<usize> =
            answer.windows(advertised.len()).enumerate().filter(|(_, w)| *w == advertised).map(|(i, _)| i).collect();
        for at in places {
            answer[at..at + wanted.len()].copy_from_slice(&wanted);
        }
        let mut length_lies = None;
        if lying.load(Ordering::SeqCst)
            && let Ok(mut random) = random.lock()
            && random.random_range(0..1000) < chance
        {
            changed.fetch_add(1, Ordering::SeqCst);
            let mut body = answer.split_off(4.min(answer.len()));
            mutate(&mut body, &mut random);
            answer.extend(body);
            if random.random_range(0..10) == 0 {
                length_lies = Some(LENGTHS[random.random_range(0..LENGTHS.len())]);
            }
        }
        let length = length_lies.unwrap_or_else(|| i32::try_from(answer.len()).expect("short"));
        client.write_all(&[&length.to_be_bytes()[..], &answer].concat())?;
    }
}

const WORKLOAD: &str = r#"
name: events
driver: kafka
endpoint: events
settings: { start: earliest }
operations:
  - { name: send, timeout: 300ms, request: { produce: { topic: events, key: "{{ seq }}", value: "{{ fake.sentence }}" } } }
  - { name: through, timeout: 300ms, request: { produce: { topic: events, value: "{{ fake.sentence }}", until: consumed } } }
  - { name: take, timeout: 300ms, request: { consume: { topic: events } } }
"#;

fn tried(seed: u64) {
    let random = ChaCha8Rng::seed_from_u64(seed);
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic("events", 2, 1).expect("a topic");
    let upstream = cluster.bootstrap_servers().parse().expect("an address");
    let liar = Liar::before(upstream, random, 250);
    let subject = Subject::new("kafka", WORKLOAD, format!("{{ kafka: [\"{}\"] }}", liar.address));
    worker(async {
        let workload = subject.compile().expect("a workload");
        let _ = workload.health().await;
        drop(workload);
        liar.lying.store(false, Ordering::SeqCst);
        let bench = subject.prepare().await;
        liar.lying.store(true, Ordering::SeqCst);
        for round in 0..3_u64 {
            let Ok(mut session) = bench.workload.connect(&bench.context(round)).await else { continue };
            for seq in 0..6 {
                let operation = ["send", "through", "take"][(seq % 3) as usize];
                // That it ends is what is asked; as what depends on what was changed.
                bench.execute(&mut *session, operation, round * 10 + seq).await;
            }
        }
    });
    assert!(liar.changed.load(Ordering::SeqCst) > 0, "nothing was changed");
}

#[test]
fn answers_that_are_changed_at_random_end_as_outcomes() {
    if let Some(seed) = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()) {
        return tried(seed);
    }
    let seeds = std::env::var(SEEDS).ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(6);
    let mut failed = Vec::new();
    for seed in 0..seeds {
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args([TEST, "--exact", "--nocapture", "--test-threads=1"])
            .env(SEED, seed.to_string())
            .output()
            .expect("this program starts");
        if !child.status.success() {
            let said = String::from_utf8_lossy(&child.stderr);
            failed.push(format!("seed {seed}: {}: {}", child.status, &said[said.len().saturating_sub(1500)..]));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
