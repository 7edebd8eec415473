//! Kept connections that the server closes while a request is on its way: what may be sent again is, and is counted.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use slatest_core::model::{Completion, Outcome};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::scripted::{Scripted, read_request, reset, write};
use super::suite::{Subject, worker};

const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

fn subject(address: SocketAddr, settings: &str, request: &str) -> Subject {
    let workload = format!(
        "name: stale\ndriver: http\nendpoint: api\nsettings: {settings}\noperations:\n  - {{ name: one, timeout: 5s, request: {{ {request} }} }}\n"
    );
    Subject::new("http", workload, format!("{{ http: \"http://{address}\" }}"))
}

fn executed(subject: &Subject, times: u64) -> Vec<Completion> {
    worker(async {
        let bench = subject.prepare().await;
        let mut session = bench.session(0).await;
        let mut completions = Vec::new();
        for seq in 0..times {
            completions.push(bench.execute(&mut *session, "one", seq).await);
        }
        completions
    })
}

#[derive(Clone, Copy)]
enum End {
    Close,
    Reset,
    HalfAnAnswer,
}

/// Answers the first request of the first connection, and ends that connection after it has read the second.
fn stale(end: End) -> Scripted {
    Scripted::serve(move |number, mut stream| async move {
        let mut requests = 0;
        while read_request(&mut stream).await.is_some() {
            requests += 1;
            if number == 0 && requests == 2 {
                match end {
                    End::Close => {}
                    End::Reset => reset(stream),
                    End::HalfAnAnswer => write(&mut stream, "HTTP/1.1 2").await,
                }
                return;
            }
            write(&mut stream, GOOD).await;
        }
    })
}

#[test]
fn what_may_be_repeated_is_sent_again_and_counted() {
    for end in [End::Close, End::Reset] {
        for request in
            ["get: /", "put: /, body: x", "delete: /", "post: /, body: x, headers: { Idempotency-Key: '{{ seq }}' }"]
        {
            let server = stale(end);
            let completions = executed(&subject(server.address(), "{}", request), 3);
            assert!(completions.iter().all(|c| c.outcome == Outcome::Ok), "{request}: {completions:?}");
            assert_eq!(completions.iter().map(|c| c.retries).collect::<Vec<_>>(), [0, 1, 0], "{request}");
            assert_eq!(server.connections(), 2, "{request}");
        }
    }
}

#[test]
fn what_must_not_be_repeated_has_a_kind_of_its_own() {
    for (end, kind) in
        [(End::Close, "stale connection: connection closed"), (End::Reset, "stale connection: connection reset")]
    {
        let server = stale(end);
        let completions = executed(&subject(server.address(), "{}", "post: /, body: x"), 3);
        let [_, second, third] = &completions[..] else { panic!("three") };
        assert_eq!((second.outcome, second.error.as_deref()), (Outcome::Disconnected, Some(kind)));
        assert_eq!((second.retries, third.outcome), (0, Outcome::Ok));
    }
}

#[test]
fn an_answer_that_has_begun_is_not_asked_for_again() {
    let server = stale(End::HalfAnAnswer);
    let completions = executed(&subject(server.address(), "{}", "get: /"), 3);
    assert_eq!((completions[1].outcome, completions[1].retries), (Outcome::Disconnected, 0), "{completions:?}");
    assert_eq!(completions[2].outcome, Outcome::Ok);
}

/// HTTP/2 whose first connection says to its first request that it did nothing for it, by a GOAWAY in front of it.
#[test]
fn a_request_behind_the_last_stream_of_a_goaway_is_sent_again_whatever_it_is() {
    let server = Scripted::serve(|number, mut stream: TcpStream| async move {
        if number == 0 {
            let mut preface = [0; 24];
            drop(stream.read_exact(&mut preface).await);
            write(&mut stream, b"\0\0\0\x04\0\0\0\0\0").await;
            let mut some = [0; 1024];
            // Its settings, and with or after them the request.
            let mut seen = Vec::new();
            while !seen.windows(6).any(|bytes| matches!(bytes, [1, _, 0, 0, 0, 1])) {
                match stream.read(&mut some).await {
                    Ok(length) if length > 0 => seen.extend_from_slice(&some[..length]),
                    _ => return,
                }
            }
            write(&mut stream, b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0").await;
            while stream.read(&mut some).await.is_ok_and(|length| length > 0) {}
            return;
        }
        let mut connection = h2::server::handshake(stream).await.expect("a client that speaks HTTP/2");
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_response(http::Response::new(()), true).expect("a client that listens");
        }
    });
    let completions = executed(&subject(server.address(), "{ version: http2 }", "post: /, body: x"), 2);
    assert!(completions.iter().all(|c| c.outcome == Outcome::Ok), "{completions:?}");
    assert_eq!(completions.iter().map(|c| c.retries).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_refused_stream_is_sent_again_but_not_for_ever() {
    for (refusals, retries, outcome) in [(1, 1, Outcome::Ok), (2, 2, Outcome::Ok), (9, 2, Outcome::Disconnected)] {
        let server = Scripted::serve(move |_, stream| async move {
            let mut connection = h2::server::handshake(stream).await.expect("a client that speaks HTTP/2");
            let mut requests = 0;
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                requests += 1;
                if requests <= refusals {
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                } else {
                    respond.send_response(http::Response::new(()), true).expect("a client that listens");
                }
            }
        });
        let completion = executed(&subject(server.address(), "{ version: http2 }", "post: /"), 1).remove(0);
        assert_eq!((completion.outcome, completion.retries), (outcome, retries), "{completion:?}");
        assert!(outcome == Outcome::Ok || completion.error.as_deref() == Some("answer: http2 reset REFUSED_STREAM"));
    }
}

/// A real nginx that closes connections which were idle for a second.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Nginx {
    fn start() -> Self {
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().display();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\nevents {{}}\nhttp {{\n  access_log off; keepalive_timeout 1s;\n  client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n  server {{ listen {address}; location / {{ return 200 ok; }} }}\n}}\n"
        );
        let path = folder.path().join("nginx.conf");
        std::fs::File::create(&path).and_then(|mut file| file.write_all(config.as_bytes())).expect("a configuration");
        let mut command = Command::new("nginx");
        command.arg("-e").arg(folder.path().join("error.log")).arg("-p").arg(folder.path()).arg("-c").arg(&path);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("nginx is installed");
        Self { child, address, _folder: folder }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn users_that_come_as_often_as_nginx_closes_their_connections_lose_no_request() {
    let nginx = Nginx::start();
    let completions: Vec<Completion> = worker(async {
        while TcpStream::connect(nginx.address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let bench = Rc::new(subject(nginx.address, "{}", "get: /").prepare().await);
        let users: Vec<_> = (0..20)
            .map(|user| {
                let bench = Rc::clone(&bench);
                tokio::task::spawn_local(async move {
                    let mut session = bench.session(user).await;
                    let mut completions = Vec::new();
                    for round in 0..4 {
                        completions.push(bench.execute(&mut *session, "one", user * 100 + round).await);
                        // Around the instant at which nginx closes it.
                        tokio::time::sleep(Duration::from_micros(990_000 + user * 1_000)).await;
                    }
                    completions
                })
            })
            .collect();
        let mut all = Vec::new();
        for user in users {
            all.extend(user.await.expect("no panic"));
        }
        all
    });
    assert_eq!(completions.len(), 80);
    assert!(completions.iter().all(|c| c.outcome == Outcome::Ok), "{completions:?}");
}
