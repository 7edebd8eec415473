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
        shortest_timeout: Some(Nanos::from_secs(1)),
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
    let cases: [(&str, bool, Evidence); 21] = [
        ("arrivals achieved", true, Evidence { fired: 989, ..sound() }),
        ("dispatch lag p99", true, Evidence { dispatch_lag_p99: Some(Nanos(100_000_001)), ..sound() }),
        ("accounting", true, Evidence { planned: 1_001, ..sound() }),
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
        ("arrivals by window", true, Evidence { arrivals_off: (4, 60), ..sound() }),
        ("arrival law", true, Evidence { arrival_law: Some((6.01, 2_000)), ..sound() }),
        ("stolen CPU", true, Evidence { steal_secs: Some(2.1), machine_cores: 2.0, ..sound() }),
        ("host stalls", false, Evidence { judged_windows: 100, spoiled_windows: 5, ..sound() }),
        ("host stalls", false, Evidence { judged_windows: 4, spoiled_windows: 2, ..sound() }),
        (
            "dispatch lag p99",
            true,
            Evidence {
                drills: true,
                window: Nanos::from_millis(50),
                dispatch_lag_p99: Some(Nanos::from_millis(51)),
                ..sound()
            },
        ),
        ("host stalls", true, Evidence { shortest_timeout: None, judged_windows: 100, spoiled_windows: 99, ..sound() }),
        ("host stalls", true, Evidence { judged_windows: 100, spoiled_windows: 6, ..sound() }),
        ("clock", false, Evidence { clock_step: Nanos::from_millis(300), ..sound() }),
        ("clock", true, Evidence { clock_step: Nanos::from_secs(2), ..sound() }),
        ("clock", true, Evidence { suspended: Nanos::from_millis(5), ..sound() }),
        ("files and ports", true, Evidence { open_files: Some((975, 1_024)), ..sound() }),
        (
            "requests built",
            true,
            Evidence { unsent: Some(("api/get".into(), "no `order` was captured".into(), 3)), ..sound() },
        ),
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

fn agent(name: &str) -> AgentEvidence {
    AgentEvidence {
        name: name.into(),
        own: Some(Box::new(Evidence { dispatch_lag_p99: Some(Nanos(20_000)), ..sound() })),
        intervals: 10,
        clock_bound: Nanos(300_000),
        ..AgentEvidence::default()
    }
}

fn fleet(change: impl FnOnce(&mut AgentEvidence)) -> Evidence {
    let mut agents: Vec<AgentEvidence> = ["one", "two", "three"].map(agent).into();
    change(&mut agents[1]);
    Evidence { window: Nanos::from_secs(1), agents, ..sound() }
}

#[test]
fn a_sound_fleet_breaks_nothing() {
    assert_eq!(broken(&fleet(|_| {})), []);
}

#[test]
fn an_agent_that_is_short_of_processor_or_late_is_not_averaged_away() {
    let own = |change: fn(&mut Evidence)| {
        move |agent: &mut AgentEvidence| change(agent.own.as_mut().expect("it says something of itself"))
    };
    let busy = fleet(own(|e| e.cpu_secs = 19.0));
    assert_eq!(broken(&busy), [("generator CPU".into(), true)]);
    let cpu = validity(&busy).into_iter().find(|c| c.name == "generator CPU").unwrap();
    assert_eq!(cpu.measured, "95.0% (two, the worst)");
    let late = fleet(own(|e| e.dispatch_lag_p99 = Some(Nanos::from_millis(120))));
    assert_eq!(broken(&late), [("dispatch lag p99".into(), true)]);
}

#[test]
fn a_lost_agent_voids_unless_its_share_was_sent_all_the_same() {
    let lost = |change: fn(&mut AgentEvidence)| {
        fleet(|agent| {
            agent.own = None;
            agent.lost_at = Some(Nanos::from_secs(7));
            change(agent);
        })
    };
    assert_eq!(broken(&lost(|agent| agent.shortfall = 100)), [("agents".into(), true)]);
    assert_eq!(broken(&lost(|agent| agent.shortfall = 3)), [("agents".into(), false)]);
    let taken_over = lost(|agent| (agent.shortfall, agent.taken_over) = (100, true));
    assert_eq!(broken(&taken_over), [("agents".into(), false)]);
    let stopped = fleet(|agent| (agent.shortfall, agent.early) = (100, "it heard nothing of its coordinator".into()));
    assert_eq!(broken(&stopped), [("agents".into(), true)]);
}

#[test]
fn missing_intervals_void_and_clocks_must_agree() {
    let missing = fleet(|agent| agent.missing = vec![(Nanos::from_secs(3), Nanos::from_secs(5))]);
    assert_eq!(broken(&missing), [("intervals".into(), true)]);
    let far = fleet(|agent| agent.clock_bound = Nanos::from_millis(700));
    assert_eq!(broken(&far), [("agents' clocks".into(), true)]);
    let wrong = fleet(|agent| agent.wall_difference = Nanos::from_secs(3_600));
    assert_eq!(broken(&wrong), [("agents' clocks".into(), false)]);
}

#[test]
fn a_quota_voids_where_it_held_the_generator_back_again_and_again() {
    let quota = |throttled, periods| Evidence {
        quota: Some(0.025),
        cores: 0.025,
        cpu_secs: 0.1,
        throttled: (throttled, periods, Nanos::from_secs(throttled)),
        ..sound()
    };
    let said = |throttled, periods| broken(&quota(throttled, periods));
    assert_eq!(said(0, 100), []);
    assert_eq!(said(2, 2), [("CPU quota".to_owned(), false)], "a moment");
    assert_eq!(said(10, 1_000), [("CPU quota".to_owned(), false)], "one in a hundred");
    assert_eq!(said(11, 1_000), [("CPU quota".to_owned(), true)]);
    assert_eq!(said(3, 40), [("CPU quota".to_owned(), true)]);
    let check = validity(&quota(21, 40)).into_iter().find(|check| check.name == "CPU quota").unwrap();
    assert_eq!(check.measured, "0.025 cores; held back in 21 of 40 periods, 21.0 s in all");
    assert!(validity(&sound()).iter().all(|check| check.name != "CPU quota"), "nothing is said without one");
}

#[test]
fn an_agent_is_held_to_its_own_quota_and_a_machine_to_all_of_its_agents() {
    let of = |quota: Option<f64>, cores: f64, cpu_secs: [f64; 3]| {
        let mut all = fleet(|_| {});
        for (agent, cpu_secs) in all.agents.iter_mut().zip(cpu_secs) {
            agent.host = "bench-1".into();
            let own = agent.own.as_mut().expect("it says something of itself");
            (own.quota, own.cores, own.cpu_secs, own.machine_cores) = (quota, cores, cpu_secs, 2.0);
        }
        let check = validity(&all).into_iter().find(|check| check.name == "generator CPU").unwrap();
        (check.voids(), check.measured)
    };
    // A tenth of a core each, for 10 s: 0.9 of 1 s is too much, whatever the machine has.
    assert_eq!(of(Some(0.1), 0.1, [0.1, 0.9, 0.1]), (true, "90.0% (two, the worst)".into()));
    assert!(!of(Some(0.1), 0.1, [0.5, 0.5, 0.5]).0);
    // Without quotas they share the machine: 15 of 20 s together, and a quarter each.
    assert_eq!(of(None, 2.0, [5.0, 5.0, 5.0]), (true, "75.0% (the 3 agents of bench-1, the worst)".into()));
    assert!(!of(None, 2.0, [4.0, 4.0, 4.0]).0);
}

#[test]
fn a_worker_that_stands_still_voids_beyond_a_tenth_of_the_shortest_timeout() {
    let silent =
        |millis, lost| broken(&Evidence { silent_max: Nanos::from_millis(millis), workers_lost: lost, ..sound() });
    assert_eq!(silent(0, 0), []);
    assert_eq!(silent(100, 0), [("worker threads".to_owned(), false)]);
    assert_eq!(silent(101, 0), [("worker threads".to_owned(), true)]);
    assert_eq!(silent(0, 1), [("worker threads".to_owned(), true)]);
}

#[test]
fn the_real_time_class_is_said_where_it_was_asked_for() {
    let said = |realtime| {
        let checks = validity(&Evidence { realtime, ..sound() });
        checks.into_iter().find(|check| check.name == "scheduling").map(|check| (check.holds, check.voids()))
    };
    assert_eq!([said(None), said(Some(true)), said(Some(false))], [None, Some((true, false)), Some((false, false))]);
}

#[test]
fn advice_is_of_what_was_met() {
    let message = |kind: &str| {
        let checks = validity(&Evidence { own_faults: Some((kind.into(), 3)), ..sound() });
        checks.into_iter().find(Check::voids).map(|check| (check.name, check.message)).expect("it voids")
    };
    let (name, advice) = message("out of file descriptors");
    assert!(name == "files and ports" && advice.contains("ulimit -n"), "{name}: {advice}");
    let (name, advice) = message("record too large; raise settings.message_max_bytes");
    assert!(name == "generator's limits" && !advice.contains("ulimit"), "{name}: {advice}");
}
