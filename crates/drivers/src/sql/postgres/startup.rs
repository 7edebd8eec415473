//! From a host to a session: TCP or a Unix socket, TLS, signing in. Nothing is asked of the session but what the DSN
//! says; it has the server's and the role's own settings, as any other client's.

use std::sync::Arc;

use bytes::BytesMut;
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;

use super::frames::{FrameError, Frames};
use super::message::{ServerError, key};
use super::stream::{Socket, Stream};
use crate::CONNECT_TIMEOUT;
use crate::dial::Dial;
use crate::failure::Failure;
use crate::sql::dsn::Place;
use slatest_core::model::Outcome;

/// Most bytes that a server may say until the session is ready.
const STARTUP_BYTES_MAX: u64 = 1024 * 1024;
/// Most rounds of hashing that a server may ask for; its default is 4096.
const SCRAM_ROUNDS_MAX: u32 = 1_000_000;

/// One host, and how it is reached.
pub struct Host {
    /// Where it listens.
    pub place: Place,
    /// How the connection is secured.
    pub tls: Tls,
    /// Dials it.
    pub dial: Arc<Dial>,
}

/// How the connection to a host is secured.
#[derive(Clone)]
pub enum Tls {
    /// Not at all.
    Off,
    /// Where the server wants; its certificate isn't verified.
    Prefer(TlsConnector),
    /// Always; and whether the certificate is verified.
    Always(TlsConnector, bool),
}

impl Tls {
    /// What is said of it where it is less than a verified connection.
    pub const fn warning(&self) -> Option<&'static str> {
        match self {
            Self::Off => Some("not encrypted"),
            Self::Prefer(_) => Some("TLS only if the server offers it, not verified"),
            Self::Always(_, false) => Some("TLS, certificate not verified"),
            Self::Always(_, true) => None,
        }
    }
}

/// Who signs in, to what.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: String,
    pub password: Option<String>,
    pub database: Option<String>,
    pub application_name: String,
    pub options: Option<String>,
}

/// A session that is ready.
pub struct Started {
    pub frames: Frames<Stream>,
    /// Process and key, which cancel its statements.
    pub key: Option<(i32, i32)>,
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        let failure = match &error {
            FrameError::Io(io) => Self::new(Outcome::Disconnected, crate::generator::io_kind("connection", io))
                .with_detail(io.to_string()),
            FrameError::TooLarge(bytes) => {
                Self::new(Outcome::Rejected, format!("answer: larger than {}", size(*bytes)))
            }
            FrameError::Malformed(what) => Self::new(Outcome::Disconnected, format!("protocol: {what}")),
        };
        failure.broken()
    }
}

/// A number of bytes in words.
fn size(bytes: u64) -> String {
    match bytes {
        0 => "0 bytes".into(),
        b if b % (1024 * 1024) == 0 => format!("{} MiB", b / (1024 * 1024)),
        b if b % 1024 == 0 => format!("{} KiB", b / 1024),
        b => format!("{b} bytes"),
    }
}

impl Host {
    /// Opens a connection and secures it.
    ///
    /// # Errors
    /// The network's, the guard's, or those of TLS.
    pub async fn open(&self) -> Result<Stream, Failure> {
        let lost = |io: std::io::Error| Failure::from(FrameError::Io(io));
        let mut socket = match &self.place {
            Place::Tcp(host, port) => {
                let dialed = self.dial.connect(host, *port, CONNECT_TIMEOUT.as_duration()).await;
                Socket::Tcp(dialed.map_err(|error| {
                    let outcome = match error {
                        crate::dial::DialError::TimedOut(_) => Outcome::TimedOut,
                        _ => Outcome::Disconnected,
                    };
                    Failure::new(outcome, error.kind()).broken().with_detail(error.to_string())
                })?)
            }
            Place::Socket(path) => Socket::Unix(UnixStream::connect(path).await.map_err(lost)?),
        };
        let (connector, always) = match &self.tls {
            Tls::Off => return Ok(Stream::Plain(socket)),
            Tls::Prefer(connector) => (connector, false),
            Tls::Always(connector, _) => (connector, true),
        };
        let refused =
            |words: &str| Failure::new(Outcome::Disconnected, "tls").broken().with_detail(format!("TLS: {words}"));
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        socket.write_all(&request).await.map_err(lost)?;
        // This byte alone: what comes behind it must come through TLS.
        match socket.read_u8().await.map_err(lost)? {
            b'S' => {}
            b'N' if !always => return Ok(Stream::Plain(socket)),
            b'N' => return Err(refused("the server doesn't offer TLS, and without it nothing is sent")),
            _ => return Err(Failure::from(FrameError::Malformed("no answer to the question for TLS"))),
        }
        let name = match &self.place {
            Place::Tcp(host, _) => host.clone(),
            Place::Socket(_) => "localhost".to_owned(),
        };
        let name = rustls::pki_types::ServerName::try_from(name);
        let name = name.map_err(|_| refused("the host is no name that a certificate can hold"))?;
        let stream = connector.connect(name, socket).await;
        let stream = stream.map_err(|error| refused(&format!("{error}; {}", TLS_HELP)))?;
        Ok(Stream::Tls(Box::new(stream)))
    }

    /// Signs in.
    ///
    /// # Errors
    /// What the server has against it, or the network's.
    pub async fn start(&self, login: &Login) -> Result<Started, Failure> {
        let mut frames = Frames::new(self.open().await?);
        frames.allow(STARTUP_BYTES_MAX);
        let mut parameters = vec![
            ("user", login.user.as_str()),
            // Texts are read as that.
            ("client_encoding", "UTF8"),
            ("application_name", login.application_name.as_str()),
        ];
        parameters.extend(login.database.as_deref().map(|database| ("database", database)));
        parameters.extend(login.options.as_deref().map(|options| ("options", options)));
        let mut bytes = BytesMut::new();
        frontend::startup_message(parameters, &mut bytes).map_err(FrameError::Io)?;
        frames.write(&bytes).await?;
        let mut signing = Signing { login, scram: None, proven: false, over: false };
        let mut key_given = None;
        loop {
            let header = frames.header().await?;
            let body = frames.body(header.length).await?;
            match header.tag {
                b'R' if !signing.over => {
                    if let Some(answer) = signing.answer(&body).await? {
                        frames.write(&answer).await?;
                    }
                }
                b'E' => return Err(ServerError::read(&body).into_connecting()),
                b'K' if signing.over => key_given = key(&body),
                b'S' | b'N' => {}
                b'Z' if signing.over => return Ok(Started { frames, key: key_given }),
                _ => return Err(FrameError::Malformed("a message that has no place in signing in").into()),
            }
        }
    }
}

/// What to do about TLS that didn't come about.
const TLS_HELP: &str = "the server's certificate is verified: set `ca` of the endpoint (or sslrootcert) to the \
                        certificate of its authority, use the name that it is for, or write sslmode=require to go \
                        without verification";

impl ServerError {
    fn into_connecting(self) -> Failure {
        let full = self.is_full();
        let failure = Failure::from(self).broken();
        if full { Failure { kind: super::FULL.to_owned(), outcome: Outcome::Disconnected, ..failure } } else { failure }
    }
}

/// The conversation that proves who signs in.
struct Signing<'a> {
    login: &'a Login,
    scram: Option<sasl::ScramSha256>,
    /// Whether the server showed that it knows the password too.
    proven: bool,
    over: bool,
}

impl Signing<'_> {
    async fn answer(&mut self, body: &[u8]) -> Result<Option<BytesMut>, Failure> {
        const BAD: FrameError = FrameError::Malformed("a question for the password that can't be read");
        let (kind, rest) = body.split_first_chunk::<4>().ok_or(BAD)?;
        let mut bytes = BytesMut::new();
        match u32::from_be_bytes(*kind) {
            0 if self.scram.is_some() && !self.proven => {
                return Err(FrameError::Malformed("the server doesn't prove that it knows the password").into());
            }
            0 => {
                self.over = true;
                return Ok(None);
            }
            3 => frontend::password_message(self.password()?, &mut bytes).map_err(FrameError::Io)?,
            5 => {
                let salt = *rest.first_chunk::<4>().ok_or(BAD)?;
                let hash = md5_hash(self.login.user.as_bytes(), self.password()?, salt);
                frontend::password_message(hash.as_bytes(), &mut bytes).map_err(FrameError::Io)?;
            }
            10 if self.scram.is_none() => {
                let offered = rest.split(|byte| *byte == 0).any(|name| name == sasl::SCRAM_SHA_256.as_bytes());
                if !offered {
                    return Err(unsupported());
                }
                let scram = sasl::ScramSha256::new(self.password()?, sasl::ChannelBinding::unsupported());
                frontend::sasl_initial_response(sasl::SCRAM_SHA_256, scram.message(), &mut bytes)
                    .map_err(FrameError::Io)?;
                self.scram = Some(scram);
            }
            11 => {
                let mut scram = self.scram.take().ok_or(BAD)?;
                if rounds(rest).is_none_or(|rounds| rounds > SCRAM_ROUNDS_MAX) {
                    return Err(FrameError::Malformed("more rounds of hashing than any server asks for").into());
                }
                let question = rest.to_vec();
                // Milliseconds of hashing, beside the worker.
                let hashed = tokio::task::spawn_blocking(move || scram.update(&question).map(|()| scram));
                let scram = hashed.await.map_err(|_| BAD)?.map_err(|_| BAD)?;
                frontend::sasl_response(scram.message(), &mut bytes).map_err(FrameError::Io)?;
                self.scram = Some(scram);
            }
            12 => {
                let scram = self.scram.as_mut().ok_or(BAD)?;
                scram
                    .finish(rest)
                    .map_err(|_| FrameError::Malformed("the server doesn't prove that it knows the password"))?;
                self.proven = true;
                return Ok(None);
            }
            _ => return Err(unsupported()),
        }
        Ok(Some(bytes))
    }

    fn password(&self) -> Result<&[u8], Failure> {
        let missing = || {
            let words = "the server asks for a password, and the DSN holds none";
            Failure::new(Outcome::Rejected, "sign in: no password").broken().with_detail(words)
        };
        self.login.password.as_deref().map(str::as_bytes).ok_or_else(missing)
    }
}

fn unsupported() -> Failure {
    let words = "the server asks for a way to sign in that isn't supported: password, md5 and SCRAM-SHA-256 are";
    Failure::new(Outcome::Rejected, "sign in: unsupported").broken().with_detail(words)
}

/// The rounds that a server's first message of SCRAM asks for.
fn rounds(message: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(message).ok()?;
    text.split(',').find_map(|part| part.strip_prefix("i="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use slatest_core::target::{Allow, Guard};
    use tokio::net::TcpListener;

    use super::*;
    use crate::dial::tests::Swallowing;

    #[tokio::test]
    async fn a_server_whose_first_address_swallows_connections_is_reached_at_its_second() {
        let good = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).await.unwrap();
        let port = good.local_addr().unwrap().port();
        let _swallowing = Swallowing::on(SocketAddr::from(([127, 0, 0, 1], port))).await;
        let allow = Allow { hosts: vec!["db.example".into()], max_rate: None, max_users: None, drills: false };
        let addresses = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2])];
        let dial = Arc::new(Dial::of(Guard::new(&allow).unwrap(), addresses));
        let host = Host { place: Place::Tcp("db.example".into(), port), tls: Tls::Off, dial: Arc::clone(&dial) };
        // Before the time in which one address would be given up: both are tried at once.
        assert!(host.open().await.is_ok());
        assert_eq!(dial.findings()[0].detail, "connections of db.example: 1 to 127.0.0.2, 0 to 127.0.0.1");
    }
}
