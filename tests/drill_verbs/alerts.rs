//! The detection of a fault, asked of a real Alertmanager.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slatest_core::model::MonotonicClock;
use slatest_core::target::{Allow, Guard};
use slatest_faults::{AlertWatch, AlertsSpec, Reported, Stopwatch};

const CONFIG: &str = "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n";
/// Longest wait for anything; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Alertmanager {
    process: Child,
    pub url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Alertmanager {
    pub async fn start(http: &reqwest::Client) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("am.yaml"), CONFIG).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("prometheus-alertmanager")
            .args(["--config.file=am.yaml", "--storage.path=data", "--cluster.listen-address="])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus-alertmanager, which `tests/stack/stack install` installs");
        let server = Self { process, url: format!("http://127.0.0.1:{port}"), _folder: folder };
        let begun = Instant::now();
        while !http.get(format!("{}/-/ready", server.url)).send().await.is_ok_and(|it| it.status().is_success()) {
            assert!(begun.elapsed() < PATIENCE, "the Alertmanager is not ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    pub async fn fire(&self, http: &reqwest::Client, name: &str, at: jiff::Timestamp) {
        let alerts = serde_json::json!([{ "labels": { "alertname": name }, "startsAt": at.to_string() }]);
        let answer = http.post(format!("{}/api/v2/alerts", self.url)).json(&alerts).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }
}

pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

#[tokio::test]
async fn a_real_alertmanager_says_when_a_fault_was_detected() {
    let http = client();
    let server = Alertmanager::start(&http).await;
    let stopwatch = Stopwatch::new(Arc::new(MonotonicClock::starting_at(Instant::now())));
    server.fire(&http, "DiskFull", stopwatch.now().wall).await;
    let folder = std::env::temp_dir();
    let spec: AlertsSpec = serde_saphyr::from_str(&format!("alertmanager: {}", server.url)).unwrap();
    let guard =
        Guard::new(&Allow { hosts: vec!["127.0.0.1".into()], max_rate: None, max_users: None, drills: true }).unwrap();
    let mut watch = AlertWatch::new(&spec, &folder, &guard).unwrap();
    watch.before().await.unwrap();

    let fault = stopwatch.now();
    assert_eq!(watch.first_after(fault, Duration::ZERO).await.unwrap(), None, "what fired before is no detection");
    // Alertmanager keeps instants to the millisecond: to what it keeps, the alert must be later than the fault.
    let milli = |at: jiff::Timestamp| jiff::Timestamp::from_millisecond(at.as_millisecond()).unwrap();
    while milli(stopwatch.now().wall) <= fault.wall {
        tokio::task::yield_now().await;
    }
    let fired = stopwatch.now();
    server.fire(&http, "DatabaseDown", fired.wall).await;
    let found = watch.first_after(fault, PATIENCE).await.unwrap().expect("it fired");
    assert_eq!(found.alert, "DatabaseDown");
    assert_eq!(found.at, Reported::new(milli(fired.wall), fault, "").run);
}
