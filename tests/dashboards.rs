//! What ships in dashboards/: the rules of Grafana's own linter for the dashboard, and promtool for the rules. Every query
//! is asked of a real Prometheus in tests/run/metrics.rs.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

fn dashboards() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(folder()).expect("the folder").flatten().map(|entry| entry.path());
    let boards = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    boards
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a dashboard");
            (path.display().to_string(), serde_json::from_str(&text).expect("JSON"))
        })
        .collect()
}

#[test]
fn dashboards_keep_the_rules_of_the_linter() {
    let boards = dashboards();
    assert!(!boards.is_empty());
    for (path, board) in boards {
        assert_eq!(board["editable"], false, "{path}");
        let variables: Vec<&str> =
            board["templating"]["list"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect();
        for wanted in ["datasource", "job", "instance"] {
            assert!(variables.contains(&wanted), "{path}: no variable {wanted}");
        }
        let mut ids = Vec::new();
        for panel in board["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap_or_default();
            assert!(!title.is_empty(), "{path}: {panel}");
            ids.push(panel["id"].as_u64().unwrap());
            if panel["type"] == "row" {
                continue;
            }
            assert!(panel["description"].as_str().is_some_and(|text| text.len() > 20), "{path}: {title}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{path}: {title} has no unit");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{path}: {title}");
            let targets = panel["targets"].as_array().expect("queries");
            assert!(!targets.is_empty(), "{path}: {title}");
            for target in targets {
                let query = target["expr"].as_str().unwrap();
                for label in ["job=~\"$job\"", "instance=~\"$instance\""] {
                    assert!(query.contains(label), "{path}: {title}: {query} has no {label}");
                }
                for part in query.split("_total{").skip(1).filter(|_| !query.contains("objective_")) {
                    assert!(part.contains("[$__rate_interval]"), "{path}: {title}: a counter as it is: {query}");
                }
                // A Prometheus has native histograms or classic ones: whoever asks for one asks for the other, too.
                for metric in
                    ["slatest_response_time_seconds", "slatest_service_time_seconds", "slatest_send_lag_seconds"]
                {
                    let (native, classic) = (format!("{metric}{{"), format!("{metric}_bucket{{"));
                    assert_eq!(query.contains(&native), query.contains(&classic), "{path}: {title}: {query}");
                }
            }
        }
        ids.sort_unstable();
        let whole = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), whole, "{path}: two panels of one id");
    }
}

#[test]
fn the_rules_are_valid_and_say_what_their_tests_ask() {
    for arguments in [["check", "rules", "rules.yaml"], ["test", "rules", "rules.test.yaml"]] {
        let output = Command::new("promtool").args(arguments).current_dir(folder()).output();
        let output = output.expect("promtool, which `tests/stack/stack install` installs");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
    }
}
