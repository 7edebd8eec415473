//! Experiments as people have them.

use super::*;
use crate::execute::{Mark, Outcome};
use crate::steps::{Conclusion, Healing, Injection, Stage};
use crate::{Injected, Moment};

fn read(text: &str) -> Imported {
    import(&Source::new("experiment.json", text, "")).unwrap()
}

const PROCESS: &str = r#"{
  "version": "1.0.0",
  "title": "What if the primary dies?",
  "description": "x",
  "tags": ["db"],
  "steady-state-hypothesis": {
    "title": "The service answers",
    "probes": [
      { "type": "probe", "name": "port", "tolerance": 0, "provider": { "type": "process", "path": "nc", "arguments": "-z 127.0.0.1 5432" } },
      { "type": "probe", "name": "answers", "tolerance": 200, "provider": { "type": "http", "url": "http://127.0.0.1/", "timeout": [3, 5] } }
    ]
  },
  "method": [
    { "type": "action", "name": "Kill the primary!", "provider": { "type": "process", "path": "pg_ctl", "timeout": 10, "arguments": ["stop", "-m", "immediate"] }, "pauses": { "after": 20 } },
    { "type": "probe", "name": "still there", "provider": { "type": "python", "module": "m", "func": "f" } }
  ],
  "rollbacks": [
    { "type": "action", "name": "start it", "provider": { "type": "process", "path": "pg_ctl", "arguments": { "start": "", "-D": "/data" } } }
  ]
}"#;

#[test]
fn an_action_with_its_rollback_is_a_drill_with_its_heal() {
    let imported = read(PROCESS);
    assert_eq!(imported.drills.len(), 1, "{imported:?}");
    let drill = &imported.drills[0];
    assert_eq!(drill.name, "kill-the-primary");
    assert_eq!(drill.hold, Some("20s".parse().unwrap()));
    let expected: FaultSpec = serde_saphyr::from_str(
        "command:
  inject: { program: pg_ctl, args: [stop, -m, immediate], timeout: 10s }
  heal: { program: pg_ctl, args: [start, -D, /data] }
  probe: { program: nc, args: [-z, 127.0.0.1, '5432'] }
",
    )
    .unwrap();
    assert_eq!(drill.inject, expected);
    assert_eq!(imported.left_out.len(), 2, "{:?}", imported.left_out);
    assert!(imported.left_out.iter().any(|words| words.contains("`answers`")));
    assert!(imported.left_out.iter().any(|words| words.contains("`still there`")));
}

#[test]
fn a_call_is_a_hook_also_in_yaml() {
    let imported = read(
        "title: cut
method:
- { type: action, name: cut, tolerance: [200, 202], provider: { type: http, url: 'http://127.0.0.1:8474/x', method: POST, headers: { X-A: b }, arguments: { enabled: false } } }
",
    );
    let expected: FaultSpec = serde_saphyr::from_str(
        "http: { inject: { post: 'http://127.0.0.1:8474/x', headers: { X-A: b }, json: { enabled: false }, status: [200, 202] } }",
    )
    .unwrap();
    assert_eq!(imported.drills[0].inject, expected);
    assert_eq!(imported.left_out, Vec::<String>::new());
}

#[test]
fn what_drills_don_t_say_is_said_in_words_and_no_fault_loses_its_heal() {
    let action = |more: &str| format!("{{ type: action, name: a, provider: {{ {more} }} }}");
    let process = "type: process, path: x";
    for (method, rollbacks, words) in [
        (action("type: python, module: chaosk8s, func: f"), String::new(), "its provider is `python`"),
        (action("type: process, path: x, arguments: 'a | b'"), String::new(), "a shell would have to read"),
        (action("type: process, path: '${program}'"), String::new(), "substitutes"),
        (action("type: http, url: 'http://h/', method: OPTIONS"), String::new(), "OPTIONS"),
        (action("type: process, path: x, arguments: ['postgres://u:hunter2@h/d']"), String::new(), "credential"),
        (action("type: http, url: 'http://h/?token=hunter2'"), String::new(), "credential"),
        (action(process), action("type: http, url: 'http://h/'"), "another provider"),
        (action(process), format!("{}, {}", action(process), action(process)), "2 rollbacks"),
        (format!("{}, {}", action(process), action(process)), action(process), "2 actions with rollbacks"),
        (
            format!("{{ type: action, name: a, background: true, provider: {{ {process} }} }}"),
            String::new(),
            "background",
        ),
        (String::new(), String::new(), "no action"),
    ] {
        let imported = read(&format!("title: t\nmethod: [{method}]\nrollbacks: [{rollbacks}]\n"));
        assert!(imported.drills.is_empty(), "{imported:?}");
        assert!(imported.left_out.iter().any(|left| left.contains(words)), "{words}: {:?}", imported.left_out);
        assert!(!format!("{imported:?}").contains("hunter2"), "{imported:?}");
    }
    let two = read(&format!("title: t\nmethod: [{}, {}]\n", action(process), action(process)));
    assert_eq!(two.drills.len(), 2);
    let mistake = import(&Source::new("e.json", r#"{ "method": {} }"#, "")).unwrap_err();
    assert!(mistake.0[0].place.line > 0, "{mistake}");
}

#[test]
fn a_drill_is_written_as_a_journal_of_theirs() {
    let start: jiff::Timestamp = "2026-11-21T10:00:00.25Z".parse().unwrap();
    let at = |secs: u64| Moment {
        wall: jiff::Timestamp::from_nanosecond(start.as_nanosecond() + i128::from(secs) * 1_000_000_000).unwrap(),
        run: Nanos::from_secs(secs),
    };
    let stages = [
        (Stage::Waiting, 0),
        (Stage::Planning, 10),
        (Stage::Injecting, 11),
        (Stage::Watching, 13),
        (Stage::Healing, 40),
        (Stage::Verifying, 42),
        (Stage::Ended, 43),
    ];
    let mut outcome = Outcome {
        conclusion: Conclusion { injection: Injection::Yes, restored: true, healing: Healing::Healed, wrong: vec![] },
        injected: Some(Injected { issued: at(11), acknowledged: at(13), reported: None, detail: "killed".into() }),
        healed: Some("started".into()),
        probe: None,
        marks: stages.map(|(stage, secs)| Mark { stage, at: at(secs) }).to_vec(),
    };
    let fault = read(PROCESS).drills.remove(0).inject;
    let journal = serde_json::to_value(chaos_journal("primary-loss", &fault, &outcome, "host")).unwrap();
    for key in [
        "chaoslib-version",
        "platform",
        "node",
        "experiment",
        "start",
        "status",
        "deviated",
        "steady_states",
        "run",
        "rollbacks",
        "end",
        "duration",
    ] {
        assert!(journal.get(key).is_some(), "{key}");
    }
    assert_eq!(journal["status"], "completed");
    assert_eq!(journal["start"], "2026-11-21T10:00:00.250000");
    assert_eq!(journal["run"][0]["status"], "succeeded");
    assert_eq!((&journal["run"][0]["duration"], &journal["rollbacks"][0]["duration"]), (&2.0.into(), &2.0.into()));
    outcome.conclusion.restored = false;
    outcome.conclusion.healing = Healing::Failed;
    let journal = chaos_journal("primary-loss", &fault, &outcome, "host");
    assert_eq!(
        (journal.status, journal.deviated, journal.rollbacks[0].status.as_str()),
        (ChaosStatus::Failed, true, "failed")
    );
    outcome.marks.truncate(1);
    outcome.conclusion.injection = Injection::No;
    let journal = chaos_journal("primary-loss", &fault, &outcome, "host");
    assert_eq!((journal.run.len(), journal.rollbacks.len(), journal.deviated), (0, 0, false));
}
