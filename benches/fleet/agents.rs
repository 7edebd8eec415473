//! Agents without load: they say hello, answer pings, and send an interval a second.

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use rand::{RngExt as _, SeedableRng as _};
use slatest_cluster::PROTOCOL;
use slatest_cluster::client::{attend, enroll};
use slatest_cluster::codec;
use slatest_cluster::identity::Token;
use slatest_cluster::transport::connect;
use slatest_cluster::wire::{self, from_agent, to_agent};
use slatest_core::measure::{Latencies, OperationShape, Window};
use slatest_core::model::{Nanos, OperationId};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::{Size, coordinator};

type AnyError = Box<dyn Error + Send + Sync>;

/// Different intervals; agents take them in turn.
const DIFFERENT: usize = 64;
/// Agents that join at the same time.
const JOINING: usize = 32;

/// Plays all agents; prints how far behind the acknowledgements were.
pub fn run(size: Size, address: &str, token: &str) -> Result<(), Box<dyn Error>> {
    let token: Arc<Token> = Arc::new(token.parse()?);
    let windows: Arc<Vec<wire::Window>> = Arc::new((0..DIFFERENT).map(|seed| window(size, seed as u64)).collect());
    let bytes: usize = windows.iter().map(prost::Message::encoded_len).sum::<usize>() / DIFFERENT;
    let lags = Arc::new(Mutex::new(Latencies::default()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let failed = runtime.block_on(async {
        let clock = Instant::now();
        let joining = Arc::new(Semaphore::new(JOINING));
        let agents: Vec<_> = (0..size.agents)
            .map(|k| {
                let agent = Agent {
                    name: format!("agent-{k}"),
                    number: k as usize,
                    address: address.to_owned(),
                    size,
                    clock,
                    windows: Arc::clone(&windows),
                    lags: Arc::clone(&lags),
                };
                tokio::spawn(agent.play(Arc::clone(&token), Arc::clone(&joining)))
            })
            .collect();
        let mut failed = 0;
        for agent in agents {
            if let Err(e) = agent.await.expect("agents don't panic") {
                failed += 1;
                eprintln!("an agent failed: {e}");
            }
        }
        failed
    });
    let lags = lags.lock().expect("no agent panicked");
    let at = |q| lags.quantile(q).map_or_else(|e| e.to_string(), |n| n.to_string());
    println!("bytes of an interval                    {bytes}");
    println!("agents that failed                      {failed}");
    println!("intervals acknowledged                  {}", lags.count());
    println!("interval's end to its acknowledgement   p50 {} · p99 {} · max {}", at(0.5), at(0.99), lags.max());
    let (cpu, _) = crate::usage::now();
    println!("CPU of all agents                       {cpu:.1} s");
    Ok(())
}

struct Agent {
    name: String,
    number: usize,
    address: String,
    size: Size,
    clock: Instant,
    windows: Arc<Vec<wire::Window>>,
    lags: Arc<Mutex<Latencies>>,
}

impl Agent {
    fn now(&self) -> Nanos {
        self.clock.elapsed().into()
    }

    async fn play(self, token: Arc<Token>, joining: Arc<Semaphore>) -> Result<(), AnyError> {
        let place = joining.acquire().await?;
        let identity = enroll(connect(&self.address).await?, &token, &self.name).await?;
        let (say, outgoing) = mpsc::channel(16);
        let mut heard = attend(connect(&self.address).await?, &identity, ReceiverStream::new(outgoing)).await?;
        drop(place);
        let message = |body| wire::FromAgent { body: Some(body) };
        say.send(message(from_agent::Body::Hello(self.hello()))).await?;
        let (mut start, mut sent) = (None, 0);
        loop {
            let due = match start {
                Some(start) if sent < self.size.seconds => start + (sent + 1) * 1_000_000_000,
                _ => u64::MAX,
            };
            let wait = Nanos(due).since(self.now()).as_duration().min(Duration::from_secs(3_600));
            let body = tokio::select! {
                body = heard.next() => match body {
                    Some(body) => body?.body,
                    None => return Err("the coordinator ended the conversation".into()),
                },
                () = tokio::time::sleep(wait) => {
                    sent += 1;
                    say.send(message(from_agent::Body::Interval(self.interval(sent)))).await?;
                    if sent == self.size.seconds {
                        say.send(message(from_agent::Body::Finished(self.finished()))).await?;
                    }
                    continue;
                }
            };
            match body {
                Some(to_agent::Body::Welcome(_)) => say.send(message(from_agent::Body::Ready(wire::Ready {}))).await?,
                Some(to_agent::Body::Ping(ping)) => {
                    let now = self.now().0;
                    let pong = wire::Pong {
                        number: ping.number,
                        coordinator_clock_ns: ping.coordinator_clock_ns,
                        received_agent_clock_ns: now,
                        sent_agent_clock_ns: now,
                        sent_wall_ns: u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default(),
                    };
                    say.send(message(from_agent::Body::Pong(pong))).await?;
                }
                Some(to_agent::Body::Start(wire::Start { agent_clock_ns })) => start = Some(agent_clock_ns),
                Some(to_agent::Body::Ack(wire::Ack { through })) => {
                    let ended = start.unwrap_or_default() + through.min(sent) * 1_000_000_000;
                    self.lags.lock().map_err(|e| e.to_string())?.record(self.now() - Nanos(ended));
                }
                Some(to_agent::Body::Farewell(_)) => return Ok(()),
                Some(to_agent::Body::Stop(stop)) => return Err(stop.reason.into()),
                _ => {}
            }
        }
    }

    fn hello(&self) -> wire::Hello {
        wire::Hello {
            protocol: PROTOCOL,
            slatest: env!("CARGO_PKG_VERSION").to_owned(),
            agent: self.name.clone(),
            incarnation: format!("only one of {}", self.name).into_bytes().into(),
            machine: Some(wire::Machine { host: "simulated".to_owned(), ..wire::Machine::default() }),
            workers: 1,
            ..wire::Hello::default()
        }
    }

    fn interval(&self, number: u64) -> wire::Interval {
        let window = &self.windows[(self.number + number as usize) % self.windows.len()];
        wire::Interval { number, window: Some(wire::Window { index: number - 1, ..window.clone() }), cpu_share: 0.1 }
    }

    fn finished(&self) -> wire::Finished {
        let arrivals = u64::from(self.size.operations) * self.size.samples * self.size.seconds;
        wire::Finished {
            last_interval: self.size.seconds,
            scheduled: arrivals,
            fired: arrivals,
            length_run_ns: self.size.seconds * 1_000_000_000,
            ..wire::Finished::default()
        }
    }
}

/// Response times that spread over more than a decade around 20 ms, as those of a service do.
fn window(size: Size, seed: u64) -> wire::Window {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let shapes: Vec<OperationShape> = coordinator::shapes(size);
    let mut window = Window { length: Nanos::from_secs(1), ..Window::default() };
    for (number, shape) in shapes.iter().enumerate() {
        let mut tally = shape.tally();
        tally.planned = size.samples;
        tally.outcomes[0] = size.samples;
        tally.observed[0] = size.samples;
        for _ in 0..size.samples {
            let spread: f64 = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
            let service = Nanos::from_secs_f64(0.02 * (0.8 * spread).exp());
            let lag = Nanos(random.random_range(5_000..80_000));
            tally.response.record(service + lag);
            tally.service.record(service);
            tally.send_lag.record(lag);
            window.dispatch_lag.record(Nanos(random.random_range(1_000..60_000)));
        }
        window.judged.push((OperationId(number as u16), tally));
    }
    codec::write(&window)
}
