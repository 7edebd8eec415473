//! The agent's half of the conversation.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tonic::{Code, Status, Streaming};

use super::identity::{AgentIdentity, AgentKey, Token};
use super::transport::{AGENT_MESSAGE_MAX, COORDINATOR_MESSAGE_MAX, Carrier, HANDSHAKE_WITHIN, Link, Trust, dial};
use super::wire::coordinator_client::CoordinatorClient;
use super::wire::{EnrollRequest, FromAgent, ToAgent};
use super::{PROTOCOL, REFUSAL, REFUSED_FOR_GOOD};
use slatest_core::model::with_causes;

/// Why there is no conversation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The coordinator says no, for good: the next try would end the same way.
    #[error("{0}")]
    Refused(String),
    /// It may work later: the network, or a coordinator that is gone or busy.
    #[error("{0}")]
    Lost(String),
}

/// Exchanges a token for an identity of the run; the agent's key is made here and stays here.
///
/// # Errors
/// When the coordinator is another one than the token's, or refuses, in its words; or the network fails.
pub async fn enroll<S: Carrier>(carrier: S, token: &Token, agent: &str) -> Result<AgentIdentity, ClientError> {
    let refused = |e: super::identity::IdentityError| ClientError::Refused(e.to_string());
    let key = AgentKey::generate(agent).map_err(refused)?;
    let request = EnrollRequest {
        protocol: PROTOCOL,
        slatest: env!("CARGO_PKG_VERSION").to_owned(),
        secret: token.secret().to_owned(),
        agent: agent.to_owned(),
        certificate_request: key.request().map_err(refused)?.into(),
    };
    let link = dial(carrier, &Trust::from(token), None).await?;
    let mut client = client(&link);
    let answer = tokio::time::timeout(HANDSHAKE_WITHIN, client.enroll(request)).await;
    let answer = answer.map_err(|_| ClientError::Lost("the coordinator doesn't answer".to_owned()))?;
    let certificate = answer.map_err(|status| link_error(&link, &status))?.into_inner().certificate;
    key.with(link.authority.clone(), certificate.to_vec()).map_err(refused)
}

/// Begins a conversation: sends what `outgoing` gives, from its first item (the hello) on, and gives what
/// the coordinator says; an error is the last. The connection ends when `outgoing` does, and when what
/// this gives is dropped.
///
/// # Errors
/// When the coordinator is another one than the identity's, or refuses, in its words; or the network fails.
pub async fn attend<S, O>(carrier: S, identity: &AgentIdentity, outgoing: O) -> Result<Incoming, ClientError>
where
    S: Carrier,
    O: Stream<Item = FromAgent> + Send + 'static,
{
    let link = dial(carrier, &Trust::Authority(identity.ca.clone()), Some(identity)).await?;
    let mut client = client(&link);
    let answer = tokio::time::timeout(HANDSHAKE_WITHIN, client.attend(outgoing)).await;
    let answer = answer.map_err(|_| ClientError::Lost("the coordinator doesn't answer".to_owned()))?;
    let messages = answer.map_err(|status| link_error(&link, &status))?.into_inner();
    Ok(Incoming { messages, link, over: false })
}

fn client(link: &Link) -> CoordinatorClient<super::transport::Calls> {
    CoordinatorClient::with_origin(link.calls(), http::Uri::from_static("https://coordinator.slatest"))
        .max_encoding_message_size(AGENT_MESSAGE_MAX)
        .max_decoding_message_size(COORDINATOR_MESSAGE_MAX)
}

/// What a coordinator says; ends with the connection.
pub struct Incoming {
    messages: Streaming<ToAgent>,
    link: Link,
    over: bool,
}

impl Stream for Incoming {
    type Item = Result<ToAgent, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let item = std::task::ready!(Pin::new(&mut self.messages).poll_next(cx));
        self.over = !matches!(item, Some(Ok(_)));
        Poll::Ready(item.map(|item| item.map_err(|status| link_error(&self.link, &status))))
    }
}

/// What TLS said of the certificate outranks what became of the call.
fn link_error(link: &Link, status: &Status) -> ClientError {
    match link.refused() {
        Some(words) => ClientError::Refused(words.to_owned()),
        None => status_error(status),
    }
}

fn status_error(status: &Status) -> ClientError {
    if let Some(refusal) = status.metadata().get(REFUSAL) {
        let words = status.message().to_owned();
        return if refusal == REFUSED_FOR_GOOD { ClientError::Refused(words) } else { ClientError::Lost(words) };
    }
    if status.code() == Code::Unimplemented {
        let words =
            "who listens there is no coordinator that this slatest can talk to; use the same slatest on both sides";
        return ClientError::Refused(words.to_owned());
    }
    let words = format!("the connection to the coordinator failed: {}", status.message());
    ClientError::Lost(with_causes(words, status))
}
