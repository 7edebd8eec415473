//! Against a server that answers by the path and remembers what it was asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::registry::tests::context;
use super::super::{Soundness, compile};
use super::*;

struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut text = Vec::new();
                let mut part = [0; 4096];
                while !whole(&text) {
                    let length = client.read(&mut part).await.unwrap();
                    assert!(length > 0, "a whole request");
                    text.extend_from_slice(&part[..length]);
                }
                let text = String::from_utf8(text).unwrap();
                let answer = match text.split(' ').nth(1).unwrap() {
                    "/silent" => std::future::pending().await,
                    "/elsewhere" => {
                        "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n".into()
                    }
                    "/no" => {
                        format!("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 12\r\n\r\n{:12}", "key=hunter2")
                    }
                    _ => "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok".to_owned(),
                };
                seen.lock().unwrap().push(text);
                client.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { address, asked }
    }

    fn fault(&self, folder: &std::path::Path, yaml: &str) -> Arc<dyn Fault> {
        let yaml = format!("http: {}", yaml.replace("HERE", &format!("http://{}", self.address)));
        compile(&serde_saphyr::from_str(&yaml).unwrap(), &context(folder)).ok().unwrap()
    }
}

fn whole(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

#[tokio::test]
async fn hooks_are_called_with_their_credentials_which_no_word_shows() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "hunter2\n").unwrap();
    let server = Server::start().await;
    let fault = server.fault(
        folder.path(),
        "{ inject: { post: HERE/break?node=1, headers: { X-Token: { file: token } }, json: { node: 1 }, status: [202] },
           heal: { delete: HERE/break }, probe: { get: HERE/no, headers: { X-Token: { file: token } } } }",
    );
    let undo = fault.plan().await.unwrap();
    let injected = fault.inject(&undo).await.unwrap();
    assert_eq!(injected.detail, "202 Accepted: ok");
    let probe = fault.probe(&undo).await.unwrap();
    assert_eq!(probe.state, Soundness::Broken);
    fault.heal(&undo).await.unwrap();
    let asked = server.asked.lock().unwrap().clone();
    assert!(asked[0].starts_with("POST /break?node=1 ") && asked[0].contains("x-token: hunter2"), "{asked:?}");
    assert!(asked[0].ends_with("{\"node\":1}"), "{asked:?}");
    assert!(asked[2].starts_with("DELETE /break "), "{asked:?}");
    assert!(probe.detail.contains("key=") && !probe.detail.contains("hunter2"), "{probe:?}");
}

#[tokio::test]
async fn what_was_not_expected_is_told_and_a_redirect_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    for (path, words) in [("no", "503 Service Unavailable"), ("elsewhere", "302 Found")] {
        let fault = server.fault(folder.path(), &format!("{{ inject: {{ post: HERE/{path} }} }}"));
        let error = fault.inject(&Undo::default()).await.unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(path), "{error}");
    }
    let slow = server.fault(folder.path(), "{ inject: { post: HERE/silent, timeout: 50ms } }");
    let error = slow.inject(&Undo::default()).await.unwrap_err();
    assert!(matches!(error, FaultError::Slow { .. }), "{error}");
}
