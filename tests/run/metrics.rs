//! A run that Prometheus scrapes while it goes: a real one, in both of its ways to read histograms.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::scratch::{Scratch, printed};

/// Longest wait for anything; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(90);

/// A port that is free now.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that is gone with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Prometheus {
    url: String,
    http: reqwest::Client,
    _process: Running,
}

impl Prometheus {
    /// One that scrapes this port every second.
    fn start(folder: &Path, scraped: u16, flags: &[&str]) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - {{ job_name: slatest, static_configs: [{{ targets: ['127.0.0.1:{scraped}'] }}] }}\n"
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let listen = port();
        let process = Command::new("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address=127.0.0.1:{listen}"))
            .args(flags)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus, which `tests/stack/stack install` installs");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { url: format!("http://127.0.0.1:{listen}/api/v1/query"), http, _process: Running(process) }
    }

    /// The values of an instant query; none where it can't be asked yet.
    async fn ask(&self, query: &str) -> Vec<f64> {
        let url = reqwest::Url::parse_with_params(&self.url, [("query", query)]).expect("a URL");
        let Ok(answer) = self.http.get(url).send().await else { return Vec::new() };
        let Ok(answer) = answer.json::<Value>().await else { return Vec::new() };
        assert_ne!(answer["status"], "error", "{query}: {answer}");
        let found = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        // A native histogram is an answer without a number.
        let number = |one: &Value| match one.get("histogram") {
            Some(_) => Some(f64::NAN),
            None => one["value"][1].as_str()?.parse().ok(),
        };
        found.iter().filter_map(number).collect()
    }

    async fn wait_for(&self, query: &str) -> f64 {
        let since = Instant::now();
        loop {
            if let [value] = self.ask(query).await[..] {
                return value;
            }
            assert!(since.elapsed() < PATIENCE, "Prometheus never had one value of {query}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

#[tokio::test]
async fn a_real_prometheus_reads_the_same_as_the_summary_in_both_of_its_ways() {
    let scratch = Scratch::new();
    scratch.profile(
        "executor: constant-arrival-rate, rate: 200/s, duration: 4s",
        "{ name: p95, indicator: response_time, quantile: 0.95, below: 400ms, scope: 'api/*' }, { name: errors, indicator: error_rate, below: 5%, scope: 'api/*' }",
    );
    let scraped = port();
    let classic = Prometheus::start(&scratch.path().join("classic"), scraped, &[]);
    let native = Prometheus::start(&scratch.path().join("native"), scraped, &["--enable-feature=native-histograms"]);
    let metrics = format!("--metrics=127.0.0.1:{scraped}");
    let arguments = ["run", "--profile", "p", "--quiet", &metrics, "--metrics-linger", "2m"];
    let mut run = Running(scratch.slatest(&arguments).spawn().expect("the program starts"));
    // Only a run that was judged has one; its last figures are there to be scraped.
    for prometheus in [&classic, &native] {
        assert!(prometheus.wait_for("count(slatest_verdict == 1)").await > 0.0);
        assert!(run.0.try_wait().unwrap().is_none(), "the run ended before it could be scraped");
    }
    let record = scratch.record();
    for operation in record["result"]["operations"].as_array().expect("operations") {
        let name = operation["address"].as_str().expect("a name").rsplit('/').next().expect("its last part").to_owned();
        let count = operation["outcomes"]["ok"].as_u64().expect("a count") as f64;
        for prometheus in [&classic, &native] {
            let ended = format!("slatest_operations_total{{operation='{name}',outcome='ok'}}");
            assert_eq!(prometheus.wait_for(&ended).await, count, "{name}");
        }
        // Ours is exact to 0.1 %; theirs lies in the same bucket, which is 2.2 % wide.
        let p95 = operation["response"]["p95"].as_f64().expect("a time") / 1e9;
        let theirs = native
            .wait_for(&format!("histogram_quantile(.95, slatest_response_time_seconds{{operation='{name}'}})"))
            .await;
        assert!((theirs / p95 - 1.0).abs() < 0.03, "{name}: {theirs} and {p95}");
        let theirs = classic
            .wait_for(&format!("histogram_quantile(.95, slatest_response_time_seconds_bucket{{operation='{name}'}})"))
            .await;
        // Classic buckets are up to a factor of 2.5 apart.
        assert!(theirs / p95 < 2.5 && p95 / theirs < 2.5, "{name}: {theirs} and {p95}");
    }
    for prometheus in [&classic, &native] {
        assert_eq!(prometheus.wait_for("count(slatest_objective_samples_total > 0)").await, 2.0);
        // A run has its id on one metric alone: else each night makes new series.
        assert_eq!(prometheus.wait_for("count(count by (run) ({__name__=~'slatest_.*', run!=''}))").await, 1.0);
        assert_eq!(prometheus.wait_for("count({__name__=~'slatest_.*', run!=''})").await, 1.0);
    }
    for (title, query) in panels() {
        // Without agents, drills, errors and drivers that say something of themselves, these have nothing to show.
        let quiet = ["Agents", "Drills", "What drivers say of themselves", "Errors by kind"].contains(&title.as_str());
        for prometheus in [&classic, &native] {
            let since = Instant::now();
            // A rate takes two scrapes.
            while prometheus.ask(&query).await.is_empty() && !quiet {
                assert!(since.elapsed() < PATIENCE, "{title} shows nothing: {query}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    drop(run);
}

/// Every query of the dashboard that ships, as Grafana would ask it.
fn panels() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/run.json");
    let board: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("the dashboard")).expect("JSON");
    let mut queries = Vec::new();
    for panel in board["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let mut query = target["expr"].as_str().expect("a query").replace("$__rate_interval", "1m");
            for variable in ["job", "instance", "profile", "target", "scenario", "operation"] {
                query = query.replace(&format!("=~\"${variable}\""), "=~\".*\"");
            }
            assert!(!query.contains('$'), "{query}");
            queries.push((panel["title"].as_str().expect("a title").to_owned(), query));
        }
    }
    queries
}

#[test]
fn a_busy_port_gives_way_and_an_open_one_needs_a_token() {
    let scratch = Scratch::new();
    scratch.profile("executor: constant-arrival-rate, rate: 50/s, duration: 500ms", "");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let metrics = format!("--metrics={}", taken.local_addr().unwrap());
    let output = scratch.run(&["run", "--profile", "p", "--quiet", &metrics]);
    let text = printed(&output);
    assert!(text.contains("metrics at http://127.0.0.1:"), "{text}");
    assert!(!text.contains(&format!("{}/metrics", taken.local_addr().unwrap())), "{text}");
    assert!(scratch.result().is_some(), "{text}");

    let open = Scratch::new();
    open.profile("executor: constant-arrival-rate, rate: 50/s, duration: 500ms", "");
    let output = open.run(&["run", "--profile", "p", "--quiet", "--metrics=0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(printed(&output).contains("SLATEST_METRICS_TOKEN"), "{}", printed(&output));
    assert!(open.result().is_none(), "nothing was sent");
}
