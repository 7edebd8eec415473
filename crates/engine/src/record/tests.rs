//! Runs written, killed, damaged and read back.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::*;
use crate::profile::Plan;
use slatest_core::model::{Nanos, Verdict};
use slatest_faults::journal::{DrillKey, Entry, Journal, Phase, Step};
use slatest_faults::{Injected, Moment};
use slatest_stats::{DrillEnd, Heal};

/// A run of the sample plan of which nothing is written yet, and the folder that it lies in.
fn begun() -> (tempfile::TempDir, Plan, RunWriter) {
    let base = tempfile::tempdir().unwrap();
    let plan = sample::plan();
    let writer = RunWriter::create(base.path(), sample::opening(plan.clone())).unwrap();
    (base, plan, writer)
}

#[test]
fn what_is_written_is_read_back() {
    let base = tempfile::tempdir().unwrap();
    let record = sample::written(base.path());
    assert_eq!(record.target.definition["endpoints"]["db"], "postgres://***@127.0.0.1");
    assert_eq!(read(&record.folder).unwrap(), record);
    for file in fs::read_dir(&record.folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains("hunter2"));
    }
    assert!(record.id.starts_with("20261120T010000Z-peak-"), "{}", record.id);
    assert_eq!(record.status, Status::Finished);
    assert_eq!(record.result.generator.planned, 4_800);
    assert_eq!(record.result.total.count, 4_000);
}

/// `message` was `words` once.
#[test]
fn what_was_written_with_the_words_of_before_is_read() {
    let base = tempfile::tempdir().unwrap();
    let record = killed(base.path(), &[(Step::Inject, Phase::AboutTo, 4), (Step::Inject, Phase::Done, 4)]);
    let now = serde_json::to_string(&record).unwrap();
    let before = now.replace("\"message\":", "\"words\":");
    assert!(before != now && !record.result.drills.is_empty());
    let read = |text: &str| serde_json::from_str::<RunRecord>(text).unwrap();
    assert_eq!(read(&before), read(&now));
}

#[test]
fn a_killed_run_is_rebuilt_from_its_whole_windows() {
    let base = tempfile::tempdir().unwrap();
    let finished = sample::written(base.path());
    let plan = sample::plan();
    let mut writer = RunWriter::create(base.path(), sample::opening(plan.clone())).unwrap();
    let folder = writer.folder().to_owned();
    for window in &sample::windows(&plan) {
        writer.window(window).unwrap();
    }
    drop(writer);
    let mut windows = OpenOptions::new().append(true).open(folder.join(WINDOWS_FILE)).unwrap();
    windows.write_all(br#"{"index":12,"length":1000000000,"judged":[[0,{"planned":3"#).unwrap();

    let rebuilt = read(&folder).unwrap();
    assert_eq!(rebuilt.status, Status::Interrupted);
    assert_eq!(rebuilt.result.operations, finished.result.operations);
    assert_eq!(rebuilt.result.total, finished.result.total);
    assert_eq!(rebuilt.result.objectives, finished.result.objectives);
    assert_ne!(rebuilt.result.verdict, Verdict::Pass);
    assert!(rebuilt.notices[0].contains("12 closed windows; the last line of windows.jsonl was torn"));
}

#[test]
fn a_run_killed_before_its_first_window_is_inconclusive() {
    let base = tempfile::tempdir().unwrap();
    let writer = RunWriter::create(base.path(), sample::opening(sample::plan())).unwrap();
    let folder = writer.folder().to_owned();
    drop(writer);
    assert_eq!(read(&folder).unwrap().result.verdict, Verdict::Inconclusive);
    fs::remove_file(folder.join(WINDOWS_FILE)).unwrap();
    assert_eq!(read(&folder).unwrap().result.verdict, Verdict::Inconclusive);
}

#[test]
fn what_was_in_flight_when_a_run_was_killed_is_in_its_ledger() {
    let base = tempfile::tempdir().unwrap();
    let plan = sample::plan();
    let mut writer = RunWriter::create(base.path(), sample::opening(plan.clone())).unwrap();
    let mut window = sample::windows(&plan).swap_remove(0);
    window.unjudged[0].1.planned += 5;
    window.in_flight = 5;
    writer.window(&window).unwrap();
    let record = read(writer.folder()).unwrap();
    assert_eq!(record.result.generator.in_flight, 5);
    assert!(record.result.validity.iter().find(|c| c.name == "accounting").unwrap().holds);
}

/// The plan with a drill of ten watched seconds on everything, at 4 s.
fn drilled() -> Plan {
    let mut plan = serde_json::to_value(sample::plan()).unwrap();
    plan["operations"][1]["ledger"] = true.into();
    plan["drills"] = serde_json::json!([{
        "name": "primary-loss",
        "start": { "at": 4_000_000_000_u64 },
        "fault": "primary-kill",
        "injector": { "process": { "pid_file": "primary.pid", "signal": "kill" } },
        "hold": null,
        "heal": "auto",
        "watch": 5_000_000_000_u64,
        "restored_after": 3,
        "scope": "*",
        "operations": [0, 1, 2],
        "objectives": [{
            "name": "back",
            "scope": "*",
            "operations": [0, 1, 2],
            "asks": [{ "rto": 60_000_000_000_u64 }, { "lost_writes": 0 }],
        }],
    }]);
    serde_json::from_value(plan).unwrap()
}

/// A killed run with these lines in its journal: (step, phase, seconds after the start).
fn killed(base: &std::path::Path, lines: &[(Step, Phase, i64)]) -> RunRecord {
    let plan = drilled();
    let mut writer = RunWriter::create(base, sample::opening(plan.clone())).unwrap();
    let folder = writer.folder().to_owned();
    for window in &sample::windows(&plan) {
        writer.window(window).unwrap();
    }
    drop(writer);
    let mut journal = Journal::open(&folder).unwrap();
    let started: jiff::Timestamp = "2026-11-20T01:00:00Z".parse().unwrap();
    let key = DrillKey { drill: "primary-loss".into(), repeat: 1 };
    for (step, phase, second) in lines {
        let mut entry = Entry::new(&key, *step, *phase, "it said so");
        entry.at = started + jiff::SignedDuration::from_secs(*second);
        if (*step, *phase) == (Step::Inject, Phase::Done) {
            let moment = Moment { wall: entry.at, run: Nanos::from_secs(4) };
            let detail = String::new();
            entry.injected = Some(Injected { issued: moment, acknowledged: moment, reported: None, detail });
        }
        journal.append(&entry).unwrap();
    }
    read(&folder).unwrap()
}

#[test]
fn a_run_that_was_killed_says_what_it_left_broken() {
    use Phase::{AboutTo, Done};
    use Step::{Heal as Mend, Inject};
    let base = tempfile::tempdir().unwrap();
    let first = |lines: &[(Step, Phase, i64)]| killed(base.path(), lines).result.drills.remove(0);

    let waiting = first(&[]);
    assert_eq!((&waiting.end, &waiting.heal), (&DrillEnd::NotStarted("the run ended before".into()), &Heal::Nothing));

    let unsure = first(&[(Inject, AboutTo, 4)]);
    assert_eq!((&unsure.end, unsure.issued), (&DrillEnd::Interrupted, None));
    assert!(matches!(unsure.heal, Heal::Open(_)) && unsure.components.is_empty(), "{unsure:?}");

    let broken = first(&[(Inject, AboutTo, 4), (Inject, Done, 4)]);
    assert_eq!((broken.issued, broken.verdict), (Some(Nanos::from_secs(4)), Verdict::Inconclusive));
    assert!(matches!(broken.heal, Heal::Open(_)), "{broken:?}");
    // Nobody read the store back: nothing is known of what was lost.
    let part = &broken.objectives[0].parts[1];
    assert_eq!((part.verdict, part.measured.as_str()), (Verdict::Inconclusive, "no data"));
    assert!(part.message.as_ref().unwrap().contains("the run ended before it was read back"), "{part:?}");

    let mended = first(&[(Inject, AboutTo, 4), (Inject, Done, 4), (Mend, AboutTo, 90), (Mend, Done, 94)]);
    assert_eq!(mended.heal, Heal::Done(Nanos::from_secs(94)));
}

#[test]
fn what_was_mended_after_its_run_is_not_said_to_be_broken() {
    let base = tempfile::tempdir().unwrap();
    let lines = [
        (Step::Inject, Phase::AboutTo, 4),
        (Step::Inject, Phase::Done, 4),
        (Step::Heal, Phase::Failed, 9),
        (Step::Heal, Phase::Done, 3_600),
    ];
    let mut record = killed(base.path(), &lines);
    let drill = &mut record.result.drills[0];
    drill.heal = Heal::Failed("pg_rewind: exit status 1".into());
    record.status = Status::Finished;
    fs::write(record.folder.join(RECORD_FILE), serde_json::to_vec(&record).unwrap()).unwrap();
    let again = read(&record.folder).unwrap();
    assert_eq!(again.result.drills[0].heal, Heal::Done(Nanos::from_secs(3_600)));
    assert!(again.notices.last().unwrap().contains("healing failed in the run (pg_rewind: exit status 1)"));
}

#[test]
fn damage_is_named_by_file_and_line() {
    let (_base, plan, mut writer) = begun();
    let folder = writer.folder().to_owned();
    writer.window(&sample::windows(&plan)[0]).unwrap();
    drop(writer);
    let mut windows = OpenOptions::new().append(true).open(folder.join(WINDOWS_FILE)).unwrap();
    windows.write_all(b"nonsense\n").unwrap();
    let error = read(&folder).unwrap_err().to_string();
    assert!(error.contains("windows.jsonl:2: not a result that can be read: not a window"), "{error}");

    let record = folder.join(RECORD_FILE);
    fs::write(&record, "{\"version\": 99, \"more\": true}").unwrap();
    let error = read(&folder).unwrap_err().to_string();
    assert!(error.contains("written in version 99") && error.contains("reads version 1"), "{error}");
    for text in ["", "[]", "{}", "{\"version\": 1}", "\u{0}"] {
        fs::write(&record, text).unwrap();
        let error = read(&folder).unwrap_err().to_string();
        assert!(error.contains("run.json:"), "{error}");
    }
}

#[test]
fn each_bit_that_turns_in_a_window_is_told_with_its_line_and_the_file_is_left() {
    let (_base, plan, mut writer) = begun();
    let folder = writer.folder().to_owned();
    for mut window in sample::windows(&plan).into_iter().take(2) {
        // Small, so that every bit can be tried.
        window.judged.clear();
        window.unjudged.clear();
        writer.window(&window).unwrap();
    }
    drop(writer);
    let path = folder.join(WINDOWS_FILE);
    let whole = fs::read(&path).unwrap();
    let all = || -> Result<Vec<_>, StoreError> {
        let mut windows = windows::Windows::open(&folder)?.unwrap();
        let all = std::iter::from_fn(|| windows.next().transpose()).collect();
        assert!(!windows.torn, "nothing was torn");
        all
    };
    let good = all().unwrap();
    assert_eq!(good.len(), 2);
    for bit in 0..whole.len() * 8 {
        let mut turned = whole.clone();
        turned[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &turned).unwrap();
        let line = 1 + whole[..bit / 8].iter().filter(|byte| **byte == b'\n').count();
        match all() {
            Ok(now) => assert_eq!(now, good, "bit {bit}"),
            Err(error) => {
                let message = error.to_string();
                assert!(message.contains(&format!("{WINDOWS_FILE}:{line}:")), "bit {bit} of line {line}: {message}");
            }
        }
        assert_eq!(fs::read(&path).unwrap(), turned);
    }
}

#[test]
fn a_last_window_without_its_end_is_whole_or_torn() {
    let (_base, plan, mut writer) = begun();
    let folder = writer.folder().to_owned();
    writer.window(&sample::windows(&plan)[0]).unwrap();
    drop(writer);
    let path = folder.join(WINDOWS_FILE);
    let whole = fs::read(&path).unwrap();
    for cut in 1..40 {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let mut windows = windows::Windows::open(&folder).unwrap().unwrap();
        assert_eq!((windows.next().unwrap().is_some(), windows.torn), (cut == 1, cut != 1), "{cut} bytes less");
    }
}

/// Every bit of a small one, and enough of a real one: what is read is what was written, or nothing.
#[test]
fn each_bit_that_turns_in_a_record_is_told_with_its_name_or_changes_nothing() {
    let base = tempfile::tempdir().unwrap();
    let written = sample::written(base.path());
    let check = |name: &str, most: usize, same: &dyn Fn() -> Result<bool, StoreError>| {
        let path = written.folder.join(name);
        let whole = fs::read(&path).unwrap();
        assert!(same().unwrap(), "{name} as it was written");
        for bit in (0..whole.len() * 8).step_by((whole.len() * 8 / most).max(1) | 1) {
            let mut turned = whole.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &turned).unwrap();
            match same() {
                Ok(same) => assert!(same, "bit {bit} of {name}"),
                Err(error) => assert!(error.to_string().contains(name), "bit {bit}: {error}"),
            }
            assert_eq!(fs::read(&path).unwrap(), turned, "the file stays as it is");
        }
        fs::write(&path, &whole).unwrap();
    };
    check(RECORD_FILE, 2_000, &|| Ok(read(&written.folder)? == written));
    let series = series_sample::series(20, &[series_sample::Plot::Down(12_000, 0), series_sample::Plot::Nothing]);
    save_json(&written.folder, SERIES_FILE, &series).unwrap();
    check(SERIES_FILE, 1_000, &|| Ok(read_series(&written.folder)? == series));
    // As small as a file with a version and a figure can be.
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Small {
        version: u32,
        p99: f64,
        verdict: String,
    }
    let small = Small { version: 1, p99: 0.125, verdict: "pass".into() };
    save_json(&written.folder, "capacity.json", &small).unwrap();
    check("capacity.json", usize::MAX, &|| Ok(read_json::<Small>(&written.folder.join("capacity.json"), 1)? == small));
}

#[test]
fn a_record_whose_figures_were_changed_says_what_to_do_and_one_laid_out_anew_is_read() {
    let base = tempfile::tempdir().unwrap();
    let written = sample::written(base.path());
    let path = written.folder.join(RECORD_FILE);
    let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    fs::write(&path, value.to_string()).unwrap();
    assert_eq!(read(&written.folder).unwrap(), written);

    value["result"]["total"]["count"] = 5_000.into();
    fs::write(&path, value.to_string()).unwrap();
    let error = read(&written.folder).unwrap_err().to_string();
    assert!(error.contains("run.json: its checksum is wrong") && error.contains("take its last field, `crc32`, out"));
    value.as_object_mut().unwrap().remove("crc32");
    fs::write(&path, value.to_string()).unwrap();
    assert_eq!(read(&written.folder).unwrap().result.total.count, 5_000);
}

#[test]
fn results_are_found_by_what_people_call_them() {
    let base = tempfile::tempdir().unwrap();
    let nothing = locate(base.path(), "latest").unwrap_err().to_string();
    assert!(nothing.contains("there is no result under"), "{nothing}");
    let record = sample::written(base.path());
    fs::create_dir(base.path().join("99990101T000000Z-no-record")).unwrap();
    assert_eq!(locate(base.path(), "latest").unwrap(), record.folder);
    assert_eq!(locate(base.path(), &record.id).unwrap(), record.folder);
    let folder = record.folder.to_str().unwrap();
    assert_eq!(locate(base.path(), folder).unwrap(), record.folder);
    assert_eq!(locate(base.path(), &format!("{folder}/run.json")).unwrap(), record.folder);
    let unknown = locate(base.path(), "20200101T000000Z-peak-000000").unwrap_err().to_string();
    assert!(unknown.contains(&record.id), "{unknown}");
}

#[test]
fn the_log_adds_up_to_the_record() {
    let base = tempfile::tempdir().unwrap();
    let record = sample::written(base.path());
    let text = fs::read(record.folder.join(LOG_FILE)).unwrap();
    assert_eq!(text.split(|&b| b == b'\n').filter(|l| l.starts_with(b"#[MaxValueDivisor")).count(), 1);
    let mut sums: Vec<(String, Histogram<u64>)> = Vec::new();
    for entry in IntervalLogIterator::new(&text) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        let tag = interval.tag().map_or_else(|| "total".to_owned(), |tag| tag.to_string());
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, interval.encoded_histogram());
        let times: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.unwrap().as_slice()).unwrap();
        match sums.iter_mut().find(|(t, _)| *t == tag) {
            Some((_, sum)) => sum.add(&times).unwrap(),
            None => {
                let mut times = times;
                times.auto(true);
                sums.push((tag, times));
            }
        }
    }
    for figures in record.result.operations.iter().chain([&record.result.total]) {
        let (_, sum) = sums.iter().find(|(tag, _)| *tag == figures.address).unwrap();
        let shown = figures.response.unwrap();
        assert_eq!(sum.len(), shown.samples, "{}", figures.address);
        assert_eq!(sum.value_at_quantile(0.99), shown.p99.0, "{}", figures.address);
        assert_eq!(sum.max(), shown.max.0, "{}", figures.address);
    }
    assert!(sums.iter().any(|(tag, sum)| tag == "unjudged:api/list-tasks" && sum.len() == 400));
}
