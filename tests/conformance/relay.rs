//! A TCP relay in front of a real server, which can fall silent or break off, and remembers what
//! the client sent.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// Most bytes of the client that are remembered.
const TAKEN_BYTES_MAX: usize = 1 << 20;

/// What the relay does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes them on.
    Pass,
    /// Takes connections and keeps every byte to itself, until it passes again.
    Silent,
    /// Closes every connection, also new ones as soon as they come.
    Broken,
}

/// The relay. It runs on a thread of its own, so that a blocked client can't block it, and ends
/// when it is dropped.
pub struct Relay {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    seen: Arc<Seen>,
    thread: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    taken: Mutex<Vec<u8>>,
}

impl Relay {
    /// A relay on a port of its own of 127.0.0.1, towards `upstream`.
    pub fn to(upstream: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener that doesn't block");
        let address = listener.local_addr().expect("its address");
        let (mode, modes) = watch::channel(Mode::Pass);
        let seen = Arc::<Seen>::default();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn({
            let seen = Arc::clone(&seen);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(listener, upstream, modes, seen) => {}
                        _ = ended => {}
                    }
                });
            }
        });
        Self { address, mode, seen, thread: Some((end, thread)) }
    }

    /// Where clients find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what it does, for present and future connections.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How many connections it took.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// What clients sent since the last call, over all connections.
    pub fn taken(&self) -> Vec<u8> {
        std::mem::take(&mut self.seen.taken.lock().expect("nobody panicked with it"))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.thread.take() {
            drop(end);
            // A panic there shows as a broken connection here; nothing more to say.
            drop(thread.join());
        }
    }
}

async fn serve(listener: std::net::TcpListener, upstream: SocketAddr, modes: watch::Receiver<Mode>, seen: Arc<Seen>) {
    let listener = TcpListener::from_std(listener).expect("a listener of this runtime");
    while let Ok((client, _)) = listener.accept().await {
        seen.connections.fetch_add(1, Ordering::SeqCst);
        if *modes.borrow() == Mode::Broken {
            continue;
        }
        let (modes, seen) = (modes.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            // A server that isn't there shows as a connection that closes.
            let Ok(server) = TcpStream::connect(upstream).await else { return };
            drop((client.set_nodelay(true), server.set_nodelay(true)));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let out = pump(from_client, to_server, modes.clone(), Some(seen));
            let back = pump(from_server, to_client, modes, None);
            drop(tokio::join!(out, back));
        });
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut modes: watch::Receiver<Mode>,
    seen: Option<Arc<Seen>>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut breaks = modes.clone();
    loop {
        let length = tokio::select! {
            length = from.read(&mut buffer) => length?,
            _ = breaks.wait_for(|m| *m == Mode::Broken) => return Ok(()),
        };
        if length == 0 {
            return to.shutdown().await;
        }
        if let Some(seen) = &seen {
            let mut taken = seen.taken.lock().expect("nobody panicked with it");
            let room = TAKEN_BYTES_MAX.saturating_sub(taken.len()).min(length);
            taken.extend_from_slice(&buffer[..room]);
        }
        match modes.wait_for(|m| *m != Mode::Silent).await {
            Ok(mode) if *mode == Mode::Pass => {}
            _ => return Ok(()),
        }
        to.write_all(&buffer[..length]).await?;
    }
}

/// An address of 127.0.0.1 that refuses connections for as long as this value lives: the port is
/// taken, and nobody listens.
pub struct Refusing {
    socket: socket2::Socket,
}

impl Refusing {
    /// Takes a port.
    pub fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        Self { socket }
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("its address").as_socket().expect("an IPv4 address")
    }
}
