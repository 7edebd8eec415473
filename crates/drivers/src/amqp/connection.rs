//! Connections to the broker.
//!
//! lapin drives each connection on a thread of its own, but leaves heartbeats and the readiness of sockets to a
//! runtime. A worker's runtime would make every connection as late as the worker is busy, and end with the worker; so
//! all connections of the process share one small runtime.

use std::future::Future;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use async_rs::Runtime as LapinRuntime;
use async_rs::util::RuntimeParts;
use lapin::options::{BasicQosOptions, ConfirmSelectOptions};
use lapin::uri::AMQPUri;
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::frames::FRAME_MAX_DEFAULT;
use super::stream::{Checked, Inbound, Socket, Sockets};
use crate::failure::Failure;

/// The runtime of all connections. It lives as long as the process, so that connections can say
/// goodbye whenever they are dropped.
static RUNTIME: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).thread_name("amqp").enable_all().build());

/// Runs something on the runtime of all connections.
pub(super) fn spawn<F>(future: F) -> Result<JoinHandle<F::Output>, Failure>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match &*RUNTIME {
        Ok(runtime) => Ok(runtime.spawn(future)),
        Err(error) => Err(Failure::of_socket(error).during("thread")),
    }
}

/// A connection, and what is known of it beside what lapin says.
pub(super) struct Connected {
    pub(super) connection: Connection,
    pub(super) inbound: Arc<Inbound>,
}

/// What a channel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To look, and to declare.
    Ask,
    /// To publish with confirms.
    Publish,
    /// To take messages: so many at most are delivered to each consumer before it acknowledges one.
    Consume(u16),
}

impl Connected {
    /// A channel of the connection.
    ///
    /// # Errors
    /// Why it can't be opened.
    pub(super) async fn channel(&self, purpose: Purpose) -> Result<Channel, Failure> {
        let failed = |error: lapin::Error| Failure::from(&error).during("channel");
        let channel = self.connection.create_channel().await.map_err(failed)?;
        match purpose {
            Purpose::Ask => {}
            Purpose::Publish => channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(failed)?,
            Purpose::Consume(prefetch) => {
                channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(failed)?;
            }
        }
        Ok(channel)
    }

    /// Whether it can be used.
    pub(super) fn stands(&self) -> bool {
        self.connection.status().connected()
    }
}

/// Encrypts a socket where it is asked for, and signs in. Must run on the runtime of all connections.
pub(super) async fn open(
    socket: TcpStream,
    uri: &AMQPUri,
    tls: Option<&Arc<ClientConfig>>,
    name: &str,
    inbound: &Arc<Inbound>,
) -> Result<Connected, Failure> {
    let socket = encrypt(socket, &uri.authority.host, tls).await.map_err(|error| Failure::of_socket(&error))?;
    let frame_max = uri.query.frame_max.unwrap_or(FRAME_MAX_DEFAULT);
    let socket = Mutex::new(Some(Checked::new(socket, frame_max, Arc::clone(inbound))));
    // lapin dials once: what broke is dialled again by whoever needs it.
    let connect = async move |_, _| {
        let socket = socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        socket.map(AsyncTcpStream::Plain).ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted).into())
    };
    let tokio = async_rs::Tokio::default().with_handle(Handle::current());
    let runtime = LapinRuntime::new(RuntimeParts::new(tokio.clone(), Sockets(tokio)));
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let connection = Connection::connector(uri.clone(), runtime, connect, properties).await;
    let connection = connection.map_err(|error| Failure::from(&error))?;
    Ok(Connected { connection, inbound: Arc::clone(inbound) })
}

async fn encrypt(stream: TcpStream, host: &str, tls: Option<&Arc<ClientConfig>>) -> io::Result<Box<dyn Socket>> {
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name =
        ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
}
