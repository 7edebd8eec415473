//! The coordinator's door: takes connections, exchanges tokens for certificates, and carries the
//! conversations of agents to whoever leads the fleet and back. It decides nothing about the run.
//!
//! Everything is bounded: connections, what each may send unread, messages that wait for the fleet (then
//! the connections wait too), messages that wait for a peer (then it is sent away), and the time that
//! anybody has to say who he is.

mod calls;
mod connection;
mod outbound;
mod places;
mod table;

pub use table::{Connections, Unsent};

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Code, Status};

use self::calls::Calls;
use self::connection::Door;
use self::places::Places;
use super::fleet::{Input, Refusal};
use super::identity::RunAuthority;
use super::transport::{Carrier, TransportError};
use super::{REFUSAL, REFUSED_FOR_GOOD, REFUSED_FOR_NOW};

/// Messages that may wait for the fleet. Beyond them connections are not read.
const INPUTS: usize = 64;
/// Notices that may wait; more are not told.
const REFUSALS: usize = 256;
/// Connections with a certificate beyond two for each agent (its old one and its new one).
const MORE_CONNECTIONS: usize = 64;
/// How long connections have to end when the service does.
const END_WITHIN: Duration = Duration::from_secs(5);

/// A peer that was sent away before the fleet heard of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its address, and the name in its certificate where it showed one.
    pub peer: String,
    /// Why, in one line.
    pub reason: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} was refused: {}", self.peer, self.reason)
    }
}

/// A service that runs.
#[derive(Debug)]
pub struct Service {
    /// What agents say, connection by connection in order: Hello first, Gone last.
    pub inputs: mpsc::Receiver<Input>,
    /// Who was refused.
    pub refusals: mpsc::Receiver<Refused>,
    /// What is said to agents.
    pub connections: Connections,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Service {
    /// Serves the connections that come, for a run of so many agents.
    ///
    /// # Errors
    /// When the certificates of the authority can't be used.
    pub fn start<S: Carrier>(
        incoming: impl Stream<Item = (S, String)> + Send + 'static,
        authority: Arc<RunAuthority>,
        agents: u64,
    ) -> Result<Self, TransportError> {
        let tls = super::transport::server(&authority)?;
        let (to_fleet, inputs) = mpsc::channel(INPUTS);
        let (tell, refusals) = mpsc::channel(REFUSALS);
        let connections = Connections::default();
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let most = usize::try_from(agents).unwrap_or(usize::MAX).saturating_mul(2).saturating_add(MORE_CONNECTIONS);
        let places = Places::new(most);
        let calls = Calls::new(authority, connections.clone(), to_fleet, tell.clone());
        let door = Door { tls: tls.into(), calls, tell, stop: stop.clone() };
        tasks.spawn(admit(incoming, door, places, tasks.clone()));
        Ok(Self { inputs, refusals, connections, stop, tasks })
    }

    /// Takes no connection any more, and ends those that there are: what waits to be sent is sent, for
    /// at most 5 s.
    pub async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        // Who waits to tell the fleet something need not.
        drop((self.inputs, self.refusals));
        self.connections.close_all();
        if tokio::time::timeout(END_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("{} connections did not end in time", self.tasks.len());
        }
    }
}

async fn admit<S: Carrier>(
    incoming: impl Stream<Item = (S, String)> + Send,
    door: Door,
    places: Places,
    tasks: TaskTracker,
) {
    let mut incoming = std::pin::pin!(incoming);
    loop {
        let next = tokio::select! {
            next = incoming.next() => next,
            () = door.stop.cancelled() => return,
        };
        let Some((carrier, address)) = next else { return };
        let place = places.enter(&address);
        tasks.spawn(door.clone().converse(carrier, address, place));
    }
}

/// Tells of a refusal, where there is room: who knocks without end fills no memory.
fn notice(tell: &mpsc::Sender<Refused>, peer: String, reason: String) {
    tracing::info!("{peer} was refused: {reason}");
    let _ = tell.try_send(Refused { peer, reason });
}

/// The words of a refusal, marked so that the agent knows whether to come again.
fn refusal(code: Code, words: impl Into<String>, may_come_again: bool) -> Status {
    let mut status = Status::new(code, words);
    let mark = if may_come_again { REFUSED_FOR_NOW } else { REFUSED_FOR_GOOD };
    status.metadata_mut().insert(REFUSAL, tonic::metadata::MetadataValue::from_static(mark));
    status
}

/// What a peer that the fleet sends away is told.
fn fleet_refusal(reason: &Refusal) -> Status {
    let code = match reason {
        Refusal::Protocol { .. } | Refusal::UnderWay { .. } | Refusal::OtherRun { .. } | Refusal::Over => {
            Code::FailedPrecondition
        }
        Refusal::Certificate { .. } => Code::PermissionDenied,
        Refusal::Twice { .. } => Code::AlreadyExists,
        Refusal::Full { .. } => Code::ResourceExhausted,
        Refusal::Unknown { .. } => Code::NotFound,
        Refusal::Superseded | Refusal::OutOfStep { .. } | Refusal::Silent => Code::Aborted,
        Refusal::Unannounced | Refusal::Name | Refusal::Malformed(_) => Code::InvalidArgument,
    };
    refusal(code, reason.to_string(), reason.may_come_again())
}
