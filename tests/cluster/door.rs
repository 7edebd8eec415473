//! A coordinator's door on loopback, and agents that knock.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use slatest_cluster::PROTOCOL;
use slatest_cluster::client::{ClientError, Incoming, attend, enroll};
use slatest_cluster::fleet::Input;
use slatest_cluster::identity::{AgentIdentity, RunAuthority, Token};
use slatest_cluster::service::{Connections, Refused, Service};
use slatest_cluster::transport::{connect, listen};
use slatest_cluster::wire::{self, from_agent, to_agent};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Far longer than anything takes: a test that waits so long has found that it never comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what must come.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it never came")
}

/// A door with nobody behind it but the test.
pub struct Door {
    pub authority: Arc<RunAuthority>,
    pub token: Token,
    pub address: String,
    pub inputs: mpsc::Receiver<Input>,
    pub refusals: mpsc::Receiver<Refused>,
    pub connections: Connections,
    service: Service,
}

impl Door {
    pub async fn open(agents: u64) -> Self {
        Self::open_until(agents, Timestamp::now() + SignedDuration::from_hours(1)).await
    }

    /// With a token that is good until then.
    pub async fn open_until(agents: u64, end: Timestamp) -> Self {
        let mut authority = RunAuthority::new().unwrap();
        let token = authority.issue_token(end);
        let authority = Arc::new(authority);
        let (address, incoming) = listen("127.0.0.1:0").await.unwrap();
        let mut service = Service::start(incoming, Arc::clone(&authority), agents).unwrap();
        let inputs = std::mem::replace(&mut service.inputs, mpsc::channel(1).1);
        let refusals = std::mem::replace(&mut service.refusals, mpsc::channel(1).1);
        let connections = service.connections.clone();
        Self { authority, token, address: address.to_string(), inputs, refusals, connections, service }
    }

    pub async fn dial(&self) -> TcpStream {
        connect(&self.address).await.unwrap()
    }

    pub async fn enroll(&self, token: &Token, agent: &str) -> Result<AgentIdentity, ClientError> {
        soon(enroll(self.dial().await, token, agent)).await
    }

    /// Attends with an identity, and says nothing yet.
    pub async fn attend(&self, identity: &AgentIdentity) -> Result<Attending, ClientError> {
        let (say, outgoing) = mpsc::channel(16);
        let heard = soon(attend(self.dial().await, identity, ReceiverStream::new(outgoing))).await?;
        Ok(Attending { say, heard })
    }

    /// An agent that has said hello, and the number of its connection.
    pub async fn good_agent(&mut self, name: &str) -> (Attending, u64) {
        let identity = self.authority.identity(name).unwrap();
        let agent = self.attend(&identity).await.unwrap();
        agent.say(from_agent::Body::Hello(hello(name))).await;
        match self.input().await {
            Input::Hello { peer, hello, certified } => {
                assert_eq!((hello.agent.as_str(), certified.as_str()), (name, name));
                (agent, peer)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The same, where the end of another conversation is heard first.
    pub async fn good_agent_after_gone(&mut self, name: &str, earlier: u64) -> (Attending, u64) {
        match self.input().await {
            Input::Gone { peer, .. } => assert_eq!(peer, earlier),
            other => panic!("{other:?}"),
        }
        self.good_agent(name).await
    }

    pub async fn input(&mut self) -> Input {
        soon(self.inputs.recv()).await.expect("the service runs")
    }

    pub async fn refused(&mut self) -> Refused {
        soon(self.refusals.recv()).await.expect("the service runs")
    }

    /// Whether an agent that was there all along still is: both ways.
    pub async fn goes_on(&mut self, agent: &mut Attending, peer: u64) {
        agent.say(from_agent::Body::Notice("still here".to_owned())).await;
        loop {
            match self.input().await {
                Input::Message { peer: from, message: from_agent::Body::Notice(message) } if from == peer => {
                    assert_eq!(message, "still here");
                    break;
                }
                Input::Gone { peer: gone, reason } => assert_ne!(gone, peer, "{reason}"),
                _ => {}
            }
        }
        self.connections.send(peer, to_agent::Body::Ack(wire::Ack { through: 7 })).unwrap();
        assert_eq!(agent.hear().await.unwrap(), to_agent::Body::Ack(wire::Ack { through: 7 }));
    }

    /// The agents leave first: a service that ends waits a moment for those who are still there.
    pub async fn close<A>(self, agents: A) {
        drop(agents);
        soon(self.service.end()).await;
    }
}

/// A conversation from the agent's side.
pub struct Attending {
    pub say: mpsc::Sender<wire::FromAgent>,
    pub heard: Incoming,
}

impl Attending {
    pub async fn say(&self, body: from_agent::Body) {
        let _ = self.say.send(wire::FromAgent { body: Some(body) }).await;
    }

    pub async fn hear(&mut self) -> Result<to_agent::Body, ClientError> {
        self.heard_within(PATIENCE).await
    }

    pub async fn heard_within(&mut self, time: Duration) -> Result<to_agent::Body, ClientError> {
        let message = tokio::time::timeout(time, self.heard.next()).await.expect("it never came");
        message.unwrap_or_else(|| Err(ClientError::Lost("ended".to_owned()))).map(|m| m.body.expect("a body"))
    }
}

pub fn hello(agent: &str) -> wire::Hello {
    wire::Hello {
        protocol: PROTOCOL,
        slatest: env!("CARGO_PKG_VERSION").to_owned(),
        agent: agent.to_owned(),
        incarnation: format!("first of {agent}").into_bytes().into(),
        workers: 1,
        ..wire::Hello::default()
    }
}

/// A codec of gRPC that sends bytes as they are.
pub struct Bytes;

impl tonic::codec::Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl tonic::codec::Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), tonic::Status> {
        bytes::BufMut::put_slice(into, &item);
        Ok(())
    }
}

impl tonic::codec::Decoder for Bytes {
    type Item = ();
    type Error = tonic::Status;

    fn decode(&mut self, from: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<()>, tonic::Status> {
        let all = bytes::Buf::remaining(from);
        bytes::Buf::advance(from, all);
        Ok(Some(()))
    }
}
