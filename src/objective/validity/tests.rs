//! A sound run, and each way of being unsound.

use super::*;

fn sound() -> Evidence {
    Evidence {
        open_model: true,
        scheduled: 1_000,
        fired: 995,
        planned: 1_000,
        outcomes: [990, 1, 2, 3, 0, 0, 4],
        dispatch_lag_p99: Some(Nanos::from_millis(1)),
        tightest_limit: Some(Nanos::from_millis(100)),
        cpu_secs: 10.0,
        wall_secs: 10.0,
        cores: 2.0,
        ..Evidence::default()
    }
}

/// Names of the checks that don't hold, with whether they void.
fn broken(evidence: &Evidence) -> Vec<(String, bool)> {
    validity(evidence).into_iter().filter(|c| !c.holds).map(|c| (c.name.clone(), c.voids())).collect()
}

#[test]
fn a_sound_run_breaks_nothing() {
    assert_eq!(broken(&sound()), []);
}

#[test]
fn each_bound_is_held() {
    let cases: [(&str, bool, Evidence); 18] = [
        ("arrivals achieved", true, Evidence { fired: 989, ..sound() }),
        ("dispatch lag p99", true, Evidence { dispatch_lag_p99: Some(Nanos(1_000_001)), ..sound() }),
        ("ledger", true, Evidence { planned: 1_001, ..sound() }),
        ("dropped arrivals", false, Evidence { outcomes: [990, 1, 2, 3, 0, 4, 0], ..sound() }),
        (
            "blocked by a firewall",
            true,
            Evidence { outcomes: [980, 0, 0, 0, 20, 0, 0], most_blocked: Some(("api/list".into(), 0.02)), ..sound() },
        ),
        (
            "blocked by a firewall",
            false,
            Evidence { outcomes: [999, 0, 0, 0, 1, 0, 0], most_blocked: Some(("api/list".into(), 0.001)), ..sound() },
        ),
        ("generator CPU", true, Evidence { cpu_secs: 14.0, ..sound() }),
        ("arrival spacing", true, Evidence { spacing: Some((6.01, 2_000)), ..sound() }),
        ("stolen CPU", true, Evidence { steal_secs: Some(2.1), machine_cores: 2.0, ..sound() }),
        ("host stalls", false, Evidence { judged_windows: 100, spoiled_windows: 5, ..sound() }),
        ("host stalls", false, Evidence { judged_windows: 4, spoiled_windows: 2, ..sound() }),
        ("host stalls", false, Evidence { tightest_limit: None, judged_windows: 100, spoiled_windows: 99, ..sound() }),
        ("host stalls", true, Evidence { judged_windows: 100, spoiled_windows: 6, ..sound() }),
        ("clock", false, Evidence { clock_step: Nanos::from_millis(300), ..sound() }),
        ("clock", true, Evidence { clock_step: Nanos::from_secs(2), ..sound() }),
        ("clock", true, Evidence { suspended: Nanos::from_millis(5), ..sound() }),
        ("files and ports", true, Evidence { open_files: Some((975, 1_024)), ..sound() }),
        ("files and ports", true, Evidence { own_faults: Some(("out of local ports".into(), 3)), ..sound() }),
    ];
    for (name, voids, evidence) in cases {
        assert_eq!(broken(&evidence), [(name.to_owned(), voids)]);
    }
}

#[test]
fn what_was_in_flight_when_the_run_was_killed_is_in_the_ledger() {
    let evidence = Evidence { outcomes: [990, 0, 0, 0, 0, 0, 0], in_flight: 10, ..sound() };
    assert_eq!(broken(&evidence), []);
}

#[test]
fn what_is_not_known_is_said_and_voids_nothing() {
    let evidence = Evidence { scheduled: 0, fired: 0, wall_secs: 0.0, ..sound() };
    let names: Vec<(String, bool)> = [("arrivals achieved", false), ("generator CPU", false), ("host stalls", false)]
        .map(|(n, v)| (n.to_owned(), v))
        .into();
    assert_eq!(broken(&evidence), names);
}
