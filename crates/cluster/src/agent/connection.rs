//! One connection to the coordinator: who reads it answers pings at once, whatever else is going on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, PollNext};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_stream::wrappers::ReceiverStream;

use super::AgentClock;
use crate::wire::{self, from_agent, to_agent};
use slatest_core::model::Nanos;

/// Messages that wait to be sent; more wait in the outbox.
const OUTGOING: usize = 4;
/// Pings that wait for their answer. Where more do, nothing gets through anyway.
const PONGS: usize = 16;
/// Messages that were read and not taken in.
const WORDS: usize = 64;

/// What an agent says on a connection.
pub type Outgoing = BoxStream<'static, wire::FromAgent>;
/// What it hears; an error is the last item.
pub type Incoming = BoxStream<'static, Result<wire::ToAgent, ConnectionError>>;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// It may work later.
    #[error("{0}")]
    Lost(String),
    /// The coordinator says no, for good.
    #[error("{0}")]
    Refused(String),
}

/// Makes connections to a coordinator.
pub trait Dial: Send + Sync + 'static {
    /// Begins a conversation: sends what `outgoing` gives, from its first item on. The connection ends
    /// with `outgoing`, and when what it gives is dropped.
    fn dial(&self, outgoing: Outgoing) -> BoxFuture<'static, Result<Incoming, ConnectionError>>;
}

/// A connection.
pub(super) struct Connection {
    /// What the coordinator says, pings apart.
    pub(super) words: mpsc::Receiver<Result<to_agent::Body, ConnectionError>>,
    /// What is said to it.
    pub(super) outgoing: mpsc::Sender<wire::FromAgent>,
    reader: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// When the coordinator was last heard, on the agent's clock; shared with who reads the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<AtomicU64>);

impl Heard {
    pub(super) fn now(&self, now: Nanos) {
        self.0.fetch_max(now.0, Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Nanos {
        Nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Dials and says hello.
pub(super) async fn connect(
    dial: Arc<dyn Dial>,
    hello: wire::Hello,
    clock: AgentClock,
    heard: Heard,
) -> Result<Connection, ConnectionError> {
    let (outgoing, to_send) = mpsc::channel(OUTGOING);
    let (pongs, pongs_to_send) = mpsc::channel::<wire::Pong>(PONGS);
    let first = wire::FromAgent { body: Some(from_agent::Body::Hello(hello)) };
    let stamped = ReceiverStream::new(pongs_to_send).map(move |pong| {
        // When it is taken to be sent, not when it began to wait.
        let (sent_agent_clock_ns, sent_wall_ns) = (clock.now().0, clock.wall_ns());
        let pong = wire::Pong { sent_agent_clock_ns, sent_wall_ns, ..pong };
        wire::FromAgent { body: Some(from_agent::Body::Pong(pong)) }
    });
    let others = ReceiverStream::new(to_send);
    let both = stream::select_with_strategy(stamped, others, |(): &mut ()| PollNext::Left);
    let all = stream::once(std::future::ready(first)).chain(both);
    let incoming = dial.dial(all.boxed()).await?;
    let (tell, words) = mpsc::channel(WORDS);
    let reader = tokio::spawn(read(incoming, tell, pongs, clock, heard)).abort_handle();
    Ok(Connection { words, outgoing, reader })
}

async fn read(
    mut incoming: Incoming,
    tell: mpsc::Sender<Result<to_agent::Body, ConnectionError>>,
    pongs: mpsc::Sender<wire::Pong>,
    clock: AgentClock,
    heard: Heard,
) {
    loop {
        let word = match incoming.next().await {
            Some(Ok(wire::ToAgent { body: Some(body) })) => {
                heard.now(clock.now());
                Ok(body)
            }
            // Something that this version has no name for.
            Some(Ok(wire::ToAgent { body: None })) => continue,
            Some(Err(error)) => Err(error),
            None => Err(ConnectionError::Lost("the coordinator closed the connection".into())),
        };
        match word {
            Ok(to_agent::Body::Ping(ping)) => {
                let pong = wire::Pong {
                    number: ping.number,
                    coordinator_clock_ns: ping.coordinator_clock_ns,
                    received_agent_clock_ns: clock.now().0,
                    ..wire::Pong::default()
                };
                // Where so many wait already, one more would say nothing.
                let _ = pongs.try_send(pong);
            }
            word => {
                let last = word.is_err();
                if tell.send(word).await.is_err() || last {
                    return;
                }
            }
        }
    }
}

/// A connection that never comes about; for who has none to wait for.
pub(super) fn never() -> BoxFuture<'static, Result<Connection, ConnectionError>> {
    std::future::pending().boxed()
}
