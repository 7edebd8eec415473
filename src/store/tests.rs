//! Runs written, killed, damaged and read back.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::*;
use crate::model::Verdict;

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
    assert!(record.result.validity.iter().find(|c| c.name == "ledger").unwrap().holds);
}

#[test]
fn damage_is_named_by_file_and_line() {
    let base = tempfile::tempdir().unwrap();
    let plan = sample::plan();
    let mut writer = RunWriter::create(base.path(), sample::opening(plan.clone())).unwrap();
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
