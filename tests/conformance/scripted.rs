//! A server that does to each connection what a test tells it, on a thread of its own.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The server; it ends when it is dropped.
pub struct Scripted {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    thread: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Scripted {
    /// Serves on a free port of 127.0.0.1: `script` gets each connection with its number from 0.
    pub fn serve<F, S>(script: S) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(usize, TcpStream) -> F + Send + 'static,
    {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener that doesn't block");
        let address = listener.local_addr().expect("its address");
        let connections = Arc::<AtomicUsize>::default();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn({
            let connections = Arc::clone(&connections);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let listener = TcpListener::from_std(listener).expect("a listener of this runtime");
                    let accept = async {
                        while let Ok((stream, _)) = listener.accept().await {
                            let number = connections.fetch_add(1, Ordering::SeqCst);
                            tokio::spawn(script(number, stream));
                        }
                    };
                    tokio::select! {
                        () = accept => {}
                        _ = ended => {}
                    }
                });
            }
        });
        Self { address, connections, thread: Some((end, thread)) }
    }

    /// Answers every request on every connection with the same bytes.
    pub fn answering(answer: &'static str) -> Self {
        Self::serve(move |_, mut stream| async move {
            while read_request(&mut stream).await.is_some() {
                write(&mut stream, answer).await;
            }
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it took.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.thread.take() {
            drop(end);
            // A panic there was already printed, and shows in what the client got.
            drop(thread.join());
        }
    }
}

/// One HTTP/1.1 request with its body; `None` when the client closed.
pub async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).await.ok()?;
        if length == 0 {
            return None;
        }
        request.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let declared = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= declared.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
    }
}

/// Writes; a client that is gone is no mistake of the server.
pub async fn write(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    drop(stream.write_all(bytes.as_ref()).await);
}

/// Closes with a reset instead of an orderly end.
pub fn reset(stream: TcpStream) {
    stream.set_zero_linger().expect("a socket that can be reset");
    drop(stream);
}
