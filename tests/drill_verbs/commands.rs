//! Who may start programs: the target's owner and whoever types the command, never a profile or a folder alone.

use slatest_faults::journal::{DrillKey, Entry, JOURNAL_FILE, Journal, Phase, Remedy, Step};
use slatest_faults::{FaultSpec, Undo};

use crate::desk::Desk;

const INLINE: &[&str] = &[
    "{ command: { inject: { program: touch, args: [pwned] } } }",
    "{ command: { inject: { program: 'true' }, prepare: { program: touch, args: [pwned] } } }",
    "{ process: { pid_file: a.pid, signal: kill, restart: { program: touch, args: [pwned] } } }",
    "{ process: { pid_file: a.pid, signal: kill, probe: { program: touch, args: [pwned] } } }",
    "{ aws: { region: us-east-1, program: ./pwn, rds_reboot: { instance: a } } }",
];

fn desk(environment: &str, inject: &str) -> Desk {
    let desk = Desk::new();
    let text = std::fs::read_to_string(desk.path().join("targets/desk.yaml")).expect("a target");
    // All that is wrong with it is left out.
    let text: String = text.lines().filter(|line| !line.contains("hook:")).map(|line| format!("{line}\n")).collect();
    desk.write("targets/desk.yaml", &text.replace("environment: staging", &format!("environment: {environment}")));
    let profile = std::fs::read_to_string(desk.path().join("profiles/night.yaml")).expect("a profile");
    desk.write("profiles/night.yaml", &profile.replace("{ fault: flag }", inject));
    desk.write("profiles/pwn", "#!/bin/sh\ntouch pwned\n");
    desk
}

#[test]
fn a_profile_alone_starts_no_program() {
    for inject in INLINE {
        for environment in ["sandbox", "staging"] {
            let desk = desk(environment, inject);
            let name = ["--profile", "night", "--target", "desk"];
            for verb in [
                &["run"][..],
                &["run", "--drills"],
                &["run", "--drills", "--repeat", "2"],
                &["run", "--drills", "--local-agents", "2"],
                &["check", "--drills", "--offline"],
                &["drill", "check"],
            ] {
                let said = desk.slatest(&[verb, &name].concat());
                assert_eq!(said.code, Some(3), "{verb:?} {environment} {inject}: {}", said.whole());
                // Where drills are not asked for at all, that is said first.
                assert!(environment == "staging" || said.err.contains("--allow-commands"), "{}", said.whole());
            }
            assert!(!desk.path().join("profiles/pwned").exists() && !desk.path().join("pwned").exists(), "{inject}");
        }
    }
    let desk = desk("sandbox", INLINE[0]);
    let meant = ["check", "--offline", "--allow-commands", "--profile", "night", "--target", "desk"];
    let said = desk.slatest(&meant);
    assert_eq!(said.code, Some(0), "{}", said.whole());
}

#[test]
fn what_a_target_starts_needs_a_word_on_the_command_line_everywhere() {
    let desk = desk("sandbox", "{ fault: flag }");
    let check = ["check", "--offline", "--profile", "night", "--target", "desk"];
    let said = desk.slatest(&check);
    assert!(said.code == Some(3) && said.err.contains("--drills"), "{}", said.whole());
    for word in ["--drills", "--allow-commands"] {
        let said = desk.slatest(&[&check[..], &[word]].concat());
        assert_eq!(said.code, Some(0), "{word}: {}", said.whole());
    }
}

#[test]
fn a_folder_from_elsewhere_starts_nothing() {
    let desk = Desk::new();
    let id = "20261121T020000Z-night-5a1e57";
    let run = desk.write(&format!("results/{id}/run.json"), "{}").parent().expect("a folder").to_owned();
    let fault: FaultSpec =
        serde_saphyr::from_str("command: { inject: { program: 'true' }, heal: { program: touch, args: [pwned] } }")
            .expect("a fault");
    let key = DrillKey { drill: "theirs".into(), repeat: 1 };
    let mut entry = Entry::new(&key, Step::Inject, Phase::AboutTo, "breaks it");
    entry.remedy =
        Some(Remedy { fault, undo: Undo::default(), folder: desk.path().to_owned(), hosts: vec!["127.0.0.1".into()] });
    let mut journal = Journal::open(&run).expect("a journal");
    journal.append(&entry).expect("it can be written");
    drop(journal);
    let file = run.join(JOURNAL_FILE);
    let own = std::fs::read_to_string(&file).expect("a journal");
    assert!(own.contains("\"mark\""), "{own}");
    // Another program than the one that was marked; a mark of somebody else; none.
    let none: serde_json::Value = serde_json::from_str(&own).expect("a line");
    let mut none = none.as_object().expect("an object").clone();
    none.remove("mark");
    // Who forges a line leaves out its checksum, or makes it anew.
    none.remove("crc32");
    let forged = serde_json::json!("00".repeat(32));
    let mut other = none.clone();
    other.insert("mark".into(), forged);
    let json = |map: &serde_json::Map<String, serde_json::Value>| serde_json::to_string(map).expect("JSON") + "\n";
    let mut another: serde_json::Value = serde_json::from_str(&own.replace("pwned", "other")).expect("a line");
    another.as_object_mut().expect("an object").remove("crc32");
    for text in [format!("{another}\n"), json(&none), json(&other)] {
        std::fs::write(&file, text).expect("it can be written");
        let said = desk.slatest(&["drill", "heal", "latest"]);
        assert_eq!(said.code, Some(3), "{}", said.whole());
        assert!(said.err.contains("--allow-commands") && said.err.contains("touch"), "{}", said.whole());
        assert!(!desk.path().join("pwned").exists() && !desk.path().join("other").exists());
    }
    let said = desk.slatest(&["drill", "heal", "latest", "--allow-commands"]);
    assert_eq!(said.code, Some(0), "{}", said.whole());
    assert!(desk.path().join("pwned").exists());
    std::fs::remove_file(desk.path().join("pwned")).expect("it is there");
    // A line that has changed since it was written tells nothing, least of all that all is well.
    std::fs::write(&file, own.replace("pwned", "other")).expect("it can be written");
    let said = desk.slatest(&["drill", "heal", "latest"]);
    assert!(said.code == Some(99) && said.err.contains("is not known"), "{}", said.whole());
    // As this user wrote it here.
    std::fs::write(&file, own).expect("it can be written");
    let said = desk.slatest(&["drill", "heal", "latest"]);
    assert!(said.code == Some(0) && desk.path().join("pwned").exists(), "{}", said.whole());
}
