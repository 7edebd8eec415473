//! Connections over sockets: a token is exchanged for a certificate once, then every conversation is held
//! with that.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use tokio::net::TcpStream;

use super::connection::{ConnectionError, Dial, Incoming, Outgoing};
use super::{AgentError, AgentSettings, Credentials};
use crate::client::{self, ClientError};
use crate::identity::{AgentIdentity, Token};
use crate::transport;
use crate::wire::FromAgent;

impl From<ClientError> for ConnectionError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(reason) => Self::Refused(reason),
            ClientError::Lost(reason) => Self::Lost(reason),
        }
    }
}

/// Dials a coordinator's address.
pub(super) struct Sockets {
    address: String,
    name: String,
    token: Option<Token>,
    identity: Arc<Mutex<Option<AgentIdentity>>>,
}

impl Sockets {
    /// With what the settings say.
    ///
    /// # Errors
    /// When the token is none, or the certificates can't be used.
    pub(super) fn new(settings: &AgentSettings) -> Result<Self, AgentError> {
        let (token, identity) = match &settings.credentials {
            Credentials::Token(text) => {
                let token = text.parse().map_err(|e: crate::identity::TokenError| e.to_string());
                (Some(token.map_err(AgentError::Settings)?), None)
            }
            Credentials::Files { ca, cert, key } => {
                let identity = AgentIdentity::read(ca, cert, key).map_err(|e| AgentError::Settings(e.to_string()))?;
                if identity.name() != settings.name {
                    let words = format!(
                        "{} is the certificate of `{}`, and this agent is called `{}`",
                        cert.display(),
                        identity.name(),
                        settings.name
                    );
                    return Err(AgentError::Settings(words));
                }
                (None, Some(identity))
            }
        };
        let (address, name) = (settings.coordinator.clone(), settings.name.clone());
        Ok(Self { address, name, token, identity: Arc::new(Mutex::new(identity)) })
    }
}

impl Dial for Sockets {
    fn dial(&self, outgoing: Outgoing) -> BoxFuture<'static, Result<Incoming, ConnectionError>> {
        let (address, name, token) = (self.address.clone(), self.name.clone(), self.token.clone());
        let kept = Arc::clone(&self.identity);
        async move {
            let known = kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let identity = match (known, token) {
                (Some(identity), _) => identity,
                (None, Some(token)) => {
                    let identity = client::enroll(connect(&address).await?, &token, &name).await?;
                    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity.clone());
                    identity
                }
                (None, None) => {
                    return Err(ConnectionError::Refused("there is neither a token nor a certificate".into()));
                }
            };
            let incoming = client::attend(connect(&address).await?, &identity, Said(outgoing)).await?;
            Ok(incoming.map_err(ConnectionError::from).boxed())
        }
        .boxed()
    }
}

async fn connect(address: &str) -> Result<TcpStream, ConnectionError> {
    transport::connect(address).await.map_err(|e| ConnectionError::Lost(format!("no connection to {address}: {e}")))
}

/// What an agent says, as a type without a lifetime: with one, the compiler can't show that a call may go
/// from thread to thread.
struct Said(Outgoing);

impl Stream for Said {
    type Item = FromAgent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FromAgent>> {
        self.0.poll_next_unpin(cx)
    }
}
