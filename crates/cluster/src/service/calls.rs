//! The two calls.

use std::convert::Infallible;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Request, Response, Status, Streaming};
use tower::Service as _;

use super::connection::Caller;
use super::outbound::Outbound;
use super::table::Connections;
use super::{Refused, fleet_refusal, notice, refusal};
use crate::PROTOCOL;
use crate::fleet::{Input, Peer, Refusal};
use crate::identity::{IdentityError, RunAuthority, is_agent_name};
use crate::transport::{AGENT_MESSAGE_MAX, COORDINATOR_MESSAGE_MAX};
use crate::wire::coordinator_server::{Coordinator, CoordinatorServer};
use crate::wire::{EnrollRequest, EnrollResponse, FromAgent, from_agent};

/// Longest request of who has no certificate yet, in bytes.
const ENROLL_MESSAGE_MAX: usize = 64 << 10;
/// How long an agent has to say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// How long a peer that was sent away is read on, so that it sees why.
const READ_ON: Duration = Duration::from_secs(2);

/// What answers them. Clones are the same.
#[derive(Clone)]
pub(super) struct Calls {
    /// For those without a certificate, from whom less is taken.
    strangers: CoordinatorServer<Answers>,
    agents: CoordinatorServer<Answers>,
}

struct Answers {
    authority: Arc<RunAuthority>,
    connections: Connections,
    to_fleet: mpsc::Sender<Input>,
    tell: mpsc::Sender<Refused>,
}

impl Calls {
    pub(super) fn new(
        authority: Arc<RunAuthority>,
        connections: Connections,
        to_fleet: mpsc::Sender<Input>,
        tell: mpsc::Sender<Refused>,
    ) -> Self {
        let answers = Arc::new(Answers { authority, connections, to_fleet, tell });
        let server = |longest| {
            CoordinatorServer::from_arc(Arc::clone(&answers))
                .max_decoding_message_size(longest)
                .max_encoding_message_size(COORDINATOR_MESSAGE_MAX)
        };
        Self { strangers: server(ENROLL_MESSAGE_MAX), agents: server(AGENT_MESSAGE_MAX) }
    }

    /// Answers a call of a connection.
    pub(super) async fn answer(
        self,
        mut request: http::Request<Body>,
        caller: Caller,
        tell: mpsc::Sender<Refused>,
    ) -> Result<http::Response<Body>, Infallible> {
        let mut server = if caller.certified.is_some() { self.agents } else { self.strangers };
        let name = caller.name();
        request.extensions_mut().insert(caller);
        let response = server.call(request).await?;
        // A refusal before the first message is all headers, whoever made it.
        if let Some(status) = Status::from_header_map(response.headers())
            && status.code() != Code::Ok
        {
            notice(&tell, name, status.message().to_owned());
        }
        Ok(response)
    }
}

fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    request.extensions().get::<Caller>().cloned().ok_or_else(|| Status::internal("a call without a connection"))
}

#[tonic::async_trait]
impl Coordinator for Answers {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollResponse>, Status> {
        let asked = request.into_inner();
        if asked.protocol != PROTOCOL {
            return Err(fleet_refusal(&Refusal::Protocol {
                theirs: asked.protocol,
                slatest: printable(&asked.slatest),
            }));
        }
        if !is_agent_name(&asked.agent) {
            return Err(fleet_refusal(&Refusal::Name));
        }
        if let Err(e) = self.authority.check_secret(&asked.secret, Timestamp::now()) {
            return Err(refusal(Code::Unauthenticated, e.to_string(), false));
        }
        match self.authority.certify(&asked.agent, &asked.certificate_request) {
            Ok(certificate) => Ok(Response::new(EnrollResponse { certificate: certificate.to_vec().into() })),
            Err(e @ (IdentityError::Request(_) | IdentityError::Name)) => {
                Err(refusal(Code::InvalidArgument, e.to_string(), false))
            }
            Err(e) => Err(refusal(Code::Internal, e.to_string(), true)),
        }
    }

    type AttendStream = Outbound;

    async fn attend(&self, request: Request<Streaming<FromAgent>>) -> Result<Response<Outbound>, Status> {
        let caller = caller(&request)?;
        let Some(certified) = caller.certified.clone() else {
            let words = "an agent has to show a certificate of the run; join with a token (--token), or with --ca, --cert \
                         and --key";
            return Err(refusal(Code::Unauthenticated, words, false));
        };
        if caller.attending.swap(true, Ordering::Relaxed) {
            return Err(refusal(Code::FailedPrecondition, "one connection carries one conversation", false));
        }
        let (peer, outbound, over) = self.connections.begin();
        let conversation = Conversation {
            peer,
            certified: certified.to_string(),
            connections: self.connections.clone(),
            to_fleet: self.to_fleet.clone(),
            tell: self.tell.clone(),
            over,
            caller,
        };
        tokio::spawn(conversation.hear(request.into_inner()));
        Ok(Response::new(outbound))
    }
}

/// The hearing half of a conversation.
struct Conversation {
    peer: Peer,
    certified: String,
    connections: Connections,
    to_fleet: mpsc::Sender<Input>,
    tell: mpsc::Sender<Refused>,
    over: CancellationToken,
    caller: Caller,
}

/// How a conversation ends.
enum End {
    /// By the connection, or by the fleet.
    Gone(String),
    /// By what the peer sent.
    Refused(Status),
}

impl Conversation {
    async fn hear(self, mut messages: Streaming<FromAgent>) {
        let over = self.over.clone();
        let (said_hello, end) = tokio::select! {
            heard = self.listen(&mut messages) => heard,
            () = over.cancelled() => (true, End::Gone("the coordinator ended the conversation".to_owned())),
        };
        let reason = match end {
            End::Gone(reason) => {
                self.connections.close(self.peer);
                reason
            }
            End::Refused(status) => {
                let reason = status.message().to_owned();
                notice(&self.tell, self.caller.name(), reason.clone());
                self.connections.end(self.peer, status);
                reason
            }
        };
        if said_hello {
            // A fleet that is over hears nothing any more.
            let _ = self.to_fleet.send(Input::Gone { peer: self.peer, reason }).await;
        }
        let read_on = async { while let Ok(Some(_)) = messages.message().await {} };
        let _ = tokio::time::timeout(READ_ON, read_on).await;
        self.caller.close.cancel();
    }

    /// Whether the fleet knows of the conversation, and how it ended.
    async fn listen(&self, messages: &mut Streaming<FromAgent>) -> (bool, End) {
        let first = tokio::time::timeout(HELLO_WITHIN, messages.message()).await;
        let hello = match first {
            Err(_) => {
                return (false, End::Refused(refusal(Code::DeadlineExceeded, "it did not say hello in time", true)));
            }
            Ok(Err(status)) => return (false, broken(&status)),
            Ok(Ok(None)) => return (false, End::Refused(fleet_refusal(&Refusal::Unannounced))),
            Ok(Ok(Some(FromAgent { body: Some(from_agent::Body::Hello(hello)) }))) => hello,
            Ok(Ok(Some(_))) => return (false, End::Refused(fleet_refusal(&Refusal::Unannounced))),
        };
        if hello.agent != self.certified {
            let reason = Refusal::Certificate { said: printable(&hello.agent), certified: self.certified.clone() };
            return (false, End::Refused(fleet_refusal(&reason)));
        }
        let certified = self.certified.clone();
        let gone = || End::Gone("the coordinator is ending".to_owned());
        if self.to_fleet.send(Input::Hello { peer: self.peer, hello, certified }).await.is_err() {
            return (false, gone());
        }
        loop {
            let message = match messages.message().await {
                Ok(Some(FromAgent { body: Some(message) })) => message,
                // Something that this version has no name for.
                Ok(Some(FromAgent { body: None })) => continue,
                Ok(None) => return (true, End::Gone("the agent ended the conversation".to_owned())),
                Err(status) => return (true, broken(&status)),
            };
            if self.to_fleet.send(Input::Message { peer: self.peer, message }).await.is_err() {
                return (true, gone());
            }
        }
    }
}

/// What could not be read: because the network failed, or because of what was sent.
fn broken(status: &Status) -> End {
    if status.source().is_some() || status.code() == Code::Cancelled {
        let mut words = status.message().to_owned();
        if let Some(source) = status.source().and_then(std::error::Error::source) {
            words = format!("{words}: {source}");
        }
        return End::Gone(words);
    }
    let words = match status.code() {
        Code::OutOfRange => format!("a message is too long: an agent may send {AGENT_MESSAGE_MAX} bytes at once"),
        _ => format!("a message can't be understood: {}", status.message()),
    };
    End::Refused(refusal(Code::InvalidArgument, words, false))
}

/// What a peer calls itself, fit for a log: short, one line.
fn printable(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
