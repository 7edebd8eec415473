//! Against a server that gives the answers of a script, one for each question.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::registry::tests::context;

/// What fires, the last line for ever: (status, body).
type Script = Arc<Mutex<VecDeque<(u16, String)>>>;

struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(script: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let script: Script =
            Arc::new(Mutex::new(script.iter().map(|(status, body)| (*status, (*body).to_owned())).collect()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, Arc::clone(&script), Arc::clone(&seen)));
            }
        });
        Self { address, asked }
    }

    fn watch(&self, more: &str) -> Result<AlertWatch, String> {
        let yaml = format!("{{ alertmanager: 'http://{}/am/', {more} }}", self.address);
        let folder = std::env::temp_dir();
        AlertWatch::new(&serde_saphyr::from_str(&yaml).unwrap(), &folder, &context(&folder).guard)
    }
}

async fn serve(mut client: TcpStream, script: Script, seen: Arc<Mutex<Vec<String>>>) {
    let mut text = Vec::new();
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = client.read(&mut part).await {
        text.extend_from_slice(&part[..length]);
        if !text.ends_with(b"\r\n\r\n") {
            continue;
        }
        seen.lock().unwrap().push(String::from_utf8(std::mem::take(&mut text)).unwrap());
        let (status, body) = {
            let mut script = script.lock().unwrap();
            if script.len() > 1 { script.pop_front().unwrap() } else { script[0].clone() }
        };
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        client.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn alert(fingerprint: &str, name: &str, at: &str) -> String {
    format!(
        r#"{{"fingerprint":"{fingerprint}","startsAt":"2026-11-21T10:00:{at}Z","labels":{{"alertname":"{name}"}},"status":{{"state":"active"}}}}"#
    )
}

fn list(alerts: &[String]) -> String {
    format!("[{}]", alerts.join(","))
}

/// At 10:00:10, when the run's clock said 60 s.
fn fault() -> Moment {
    Moment { wall: "2026-11-21T10:00:10Z".parse().unwrap(), run: Nanos::from_secs(60) }
}

const SHORT: Duration = Duration::from_millis(1);

#[tokio::test]
async fn the_first_alert_that_began_after_the_fault_is_the_detection() {
    let old = alert("a", "DiskFull", "01.000");
    // By a clock that goes before ours: seen before the fault, it can't be its.
    let ahead = alert("b", "Ahead", "12.000");
    let both = list(&[
        old.clone(),
        ahead.clone(),
        alert("c", "ApiSlow", "19.000"),
        alert("d", "DatabaseDown", "17.250"),
        alert("e", "Early", "09.999"),
    ]);
    let server = Server::start(&[(200, &list(&[old, ahead])), (503, "not now"), (200, &both)]).await;
    let mut watch = server.watch("token: { env: PATH }").unwrap();
    watch.before().await.unwrap();
    let found = watch.first_after(fault(), Duration::from_secs(60)).await.unwrap().unwrap();
    assert_eq!(found, Detected { at: Nanos::from_millis(67_250), alert: "DatabaseDown".into() });
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 3);
    assert!(asked[0].starts_with("GET /am/api/v2/alerts?active=true HTTP/1.1\r\n"), "{}", asked[0]);
    let token = format!("authorization: Bearer {}", std::env::var("PATH").unwrap()).to_ascii_lowercase();
    assert!(asked.iter().all(|one| one.to_ascii_lowercase().contains(&token)), "{asked:?}");
}

#[tokio::test]
async fn an_alert_that_fires_again_counts_and_only_those_that_are_named() {
    let server = Server::start(&[
        (200, &list(&[alert("a", "DatabaseDown", "01.000")])),
        (200, &list(&[alert("x", "Other", "11.000"), alert("a", "DatabaseDown", "14.000")])),
    ])
    .await;
    let mut watch = server.watch("names: [DatabaseDown]").unwrap();
    watch.before().await.unwrap();
    let found = watch.first_after(fault(), SHORT).await.unwrap();
    assert_eq!(found, Some(Detected { at: Nanos::from_secs(64), alert: "DatabaseDown".into() }));
}

#[tokio::test]
async fn no_alert_is_none_and_no_answer_is_not_known() {
    let quiet = Server::start(&[(200, "[]")]).await;
    assert_eq!(quiet.watch("").unwrap().first_after(fault(), SHORT).await.unwrap(), None);
    for (status, body, words) in [(401, "who is `hunter2`?", "401"), (200, "{}", "no list of alerts"), (302, "", "302")]
    {
        let server = Server::start(&[(status, body)]).await;
        let reason = server.watch("").unwrap().first_after(fault(), SHORT).await.unwrap_err().to_string();
        assert!(reason.contains(words) && reason.contains("/api/v2/alerts"), "{reason}");
    }
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let server = Server { address: gone, asked: Arc::default() };
    assert!(server.watch("").unwrap().before().await.is_err());
}

#[tokio::test]
async fn what_is_wrong_with_it_is_said_and_nobody_is_contacted() {
    let server = Server::start(&[(200, "[]")]).await;
    for (more, words) in [
        ("token: { env: SLATEST_NOT_SET_9 }", "alerts.token"),
        ("ca: nowhere.pem", "nowhere.pem"),
        ("cert: a.pem", "alerts.cert"),
        ("names: ['']", "alerts.names"),
    ] {
        let reason = server.watch(more).err().unwrap();
        assert!(reason.contains(words), "{reason}");
    }
    assert!(server.asked.lock().unwrap().is_empty());
}
