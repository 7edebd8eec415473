//! What slatest wrote. What a checksum guards is tried without it, too: what lies behind it must hold by itself.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde_json::Value;
use slatest::capacity::{CapacityReport, VERSION};
use slatest::report::{Brief, Csv, Ctrf, Hlog, Html, Json, Junit, K6, Markdown, Render, RenderSeries, Text};
use slatest_cluster::codec::{self, Codec};
use slatest_cluster::journal::{self as intervals, Entry as Interval, JournalReader};
use slatest_cluster::wire;
use slatest_core::intact::{FRAME_BYTES, checksum, frame_head};
use slatest_core::model::{LedgerEntry, Nanos, OperationId, WriteOutcome, WritePlace, WriteScope};
use slatest_core::writes::{LEDGER_FOLDER, Ledger, LedgerWriter, Record};
use slatest_engine::load::shapes;
use slatest_engine::profile::Plan;
use slatest_engine::record::{self, RunWriter, Windows, sample, series_sample};
use slatest_faults::journal::{self as drills, DrillKey, Entry, Journal, Phase, Step};

use super::{Read, Seeds, root};

/// What of a guarded file is changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// Its bytes.
    Bytes,
    /// What is in its last frame, whose checksum is right again.
    Records,
}

/// Whether the result in a folder is read; it is shown in every format then.
fn shown(folder: &Path) -> bool {
    let Ok(record) = record::read(folder) else { return false };
    let brief = Brief::for_terminal(None);
    let formats: [&dyn Render; 10] =
        [&Text::for_terminal(), &brief, &Json, &Junit, &Markdown, &Hlog, &Html, &Csv, &Ctrf, &K6];
    for format in formats {
        // What can't be shown says so.
        let _ = format.render(&record, &mut io::sink());
    }
    true
}

/// The sample's plan with a drill.
fn plan() -> Plan {
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
            "name": "back", "scope": "*", "operations": [0, 1, 2],
            "asks": [{ "rto": 60_000_000_000_u64 }, { "lost_writes": 0 }],
        }],
    }]);
    serde_json::from_value(plan).unwrap()
}

/// A killed run with a drill.
fn killed(base: &Path) -> PathBuf {
    let plan = plan();
    let mut writer = RunWriter::create(base, sample::opening(plan.clone())).unwrap();
    let folder = writer.folder().to_owned();
    for window in &sample::windows(&plan) {
        writer.window(window).unwrap();
    }
    drop(writer);
    let mut journal = Journal::open(&folder).unwrap();
    let started: jiff::Timestamp = "2026-11-20T01:00:00Z".parse().unwrap();
    let key = DrillKey { drill: "primary-loss".into(), repeat: 1 };
    let steps = [(Step::Inject, Phase::AboutTo, 4), (Step::Inject, Phase::Done, 4), (Step::Heal, Phase::AboutTo, 6)];
    for (step, phase, second) in steps {
        let mut entry = Entry::new(&key, step, phase, "it said so");
        entry.at = started + jiff::SignedDuration::from_secs(second);
        journal.append(&entry).unwrap();
    }
    folder
}

/// Lines or a document without their checksums.
fn unsealed(file: &Path) -> Vec<u8> {
    let text = fs::read_to_string(file).unwrap();
    if let Ok(mut document) = serde_json::from_str::<Value>(&text) {
        document.as_object_mut().unwrap().remove("crc32");
        return document.to_string().into_bytes();
    }
    let line =
        |line: &str| line.rsplit_once(",\"crc32\"").map_or(line.to_owned(), |(line, _)| format!("{line}}}")) + "\n";
    text.lines().map(line).collect::<String>().into_bytes()
}

/// Of a file in a result's folder: as it is, and without checksums.
fn of_result(folder: PathBuf, file: &str, read: impl Fn(&Path) -> bool + 'static) -> (Seeds, Read) {
    let path = folder.join(file);
    let seeds = vec![fs::read(&path).unwrap(), unsealed(&path), unsealed(&path)];
    let write_and_read = move |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        read(&folder)
    };
    (seeds, Box::new(write_and_read))
}

pub fn drills(base: &Path) -> (Seeds, Read) {
    of_result(killed(base), drills::JOURNAL_FILE, |folder| {
        let read = drills::read(folder);
        if let Ok(read) = &read {
            drills::unhealed(&read.entries);
        }
        shown(folder) && read.is_ok_and(|read| read.unreadable.is_empty())
    })
}

pub fn windows(base: &Path) -> (Seeds, Read) {
    of_result(killed(base), "windows.jsonl", |folder| {
        if let Ok(Some(mut windows)) = Windows::open(folder) {
            while windows.next_batch().1.is_ok_and(|more| more) {}
        }
        shown(folder)
    })
}

pub fn run(base: &Path) -> (Seeds, Read) {
    let folder = sample::written(base).folder;
    let killed = unsealed(&killed(base).join("run.json"));
    let (mut seeds, read) = of_result(folder, "run.json", shown);
    seeds.push(killed);
    (seeds, read)
}

pub fn series(base: &Path) -> (Seeds, Read) {
    use series_sample::Plot;
    let plots = [Plot::Down(12_000, 0), Plot::Never, Plot::Nothing, Plot::Down(3_000, 7), Plot::Void(10)];
    record::save_json(base, record::SERIES_FILE, &series_sample::ended(5, &plots)).unwrap();
    of_result(base.to_owned(), record::SERIES_FILE, |folder| {
        let Ok(series) = record::read_series(folder) else { return false };
        let formats: [&dyn RenderSeries; 4] = [&Text::for_terminal(), &Json, &Junit, &Markdown];
        for format in formats {
            let _ = format.render_series(&series, &mut io::sink());
        }
        true
    })
}

pub fn capacity(base: &Path) -> (Seeds, Read) {
    let text = fs::read(root().join("tests/mutations/capacity.json")).unwrap();
    let report: Value = serde_json::from_slice(&text).unwrap();
    record::save_json(base, "capacity.json", &report).unwrap();
    of_result(base.to_owned(), "capacity.json", |folder| {
        let Ok(report) = record::read_json::<CapacityReport>(&folder.join("capacity.json"), VERSION) else {
            return false;
        };
        let _ = report.render(&mut io::sink());
        !report.sentence().is_empty()
    })
}

/// Where each frame of a file begins behind its first `from` bytes.
fn frames(file: &[u8], from: usize) -> Vec<usize> {
    let mut at = from;
    let next = || {
        let head = file.get(at..)?.first_chunk::<FRAME_BYTES>()?;
        let begin = at;
        at += FRAME_BYTES + frame_head(*head).0;
        Some(begin)
    };
    std::iter::from_fn(next).collect()
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes()[..], &checksum(body).to_le_bytes(), body].concat()
}

pub fn intervals(base: &Path, how: As) -> (Seeds, Read) {
    let plan = sample::plan();
    let head = intervals::Head::new("run".into(), 2, "127.0.0.1:7420".into());
    let mut journal = intervals::Journal::create(base, head, |_| {}).unwrap();
    let started = intervals::Started { wall_ns: 5, slots: vec![intervals::AgentSlotNote::default(); 2] };
    journal.write(Interval::Note(intervals::Note { body: Some(intervals::NoteBody::Started(started)) })).unwrap();
    for (number, window) in (1..).zip(&sample::windows(&plan)[..4]) {
        let interval = wire::Interval { number, window: Some(codec::write(window)), cpu_share: 0.25 };
        journal.write(Interval::Interval { agent: number % 2, interval }).unwrap();
        if number % 2 == 0 {
            journal.sync().unwrap();
        }
    }
    journal.close().unwrap();
    let path = base.join(intervals::JOURNAL_FILE);
    let whole = fs::read(&path).unwrap();
    let at = frames(&whole, 0);
    let last = *at.last().unwrap();
    let mut plain = Vec::new();
    DeflateDecoder::new(&whole[last + FRAME_BYTES..]).read_to_end(&mut plain).unwrap();
    let (base, codec) = (base.to_owned(), Codec::new(shapes(&plan), plan.window));
    let before = whole[..last].to_vec();
    let seeds = if how == As::Bytes { vec![whole] } else { vec![plain] };
    let read = move |bytes: &[u8]| {
        let mut file = bytes.to_vec();
        if how == As::Records {
            let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(bytes).unwrap();
            file = [before.as_slice(), &framed(&packed.finish().unwrap())].concat();
        }
        fs::write(&path, file).unwrap();
        let taken = intervals::check(&base).is_ok();
        let Ok((_, mut reader)) = JournalReader::open(&base) else { return false };
        let mut understood = true;
        while let Ok(Some(entry)) = reader.read() {
            if let Interval::Interval { interval: wire::Interval { window: Some(window), .. }, .. } = entry {
                understood &= codec.check(&window).is_ok() && codec.read(&window).is_ok();
            }
        }
        taken && understood
    };
    (seeds, Box::new(read))
}

pub fn ledger(base: &Path, how: As) -> (Seeds, Read) {
    let folder = base.join(LEDGER_FOLDER);
    let writer = LedgerWriter::begin(&folder, "run", 7).unwrap();
    let (sink, scope) = (writer.sink(), WriteScope::of("run", "s"));
    for seq in 0..40 {
        let place = match seq % 3 {
            0 => Some(WritePlace::Key(format!("key-{seq}").into())),
            1 => Some(WritePlace::Offset { log: 0, partition: 3, offset: 7_000 + seq as i64 }),
            _ => None,
        };
        let entry = LedgerEntry {
            id: scope.id(seq, 0),
            operation: OperationId(1),
            intended: Nanos(seq),
            sent: Some(Nanos(seq)),
            done: Nanos(seq + 1),
            outcome: WriteOutcome::Acknowledged,
            place,
            value: Some(seq),
        };
        assert!(sink.record(Record::Write(entry)));
        assert!(sink.record(Record::Seen { id: scope.id(seq, 0), at: Nanos(seq) }));
    }
    drop(sink);
    writer.finish();
    let path = folder.join("writes-000001.seg");
    let whole = fs::read(&path).unwrap();
    // Magic, version, time and length of the name, the name, a checksum.
    let head = 22 + "run".len() + 4;
    let payload = whole[head + FRAME_BYTES..].to_vec();
    let before = whole[..head].to_vec();
    let seeds = if how == As::Bytes { vec![whole] } else { vec![payload] };
    let read = move |bytes: &[u8]| {
        let file = if how == As::Bytes { bytes.to_vec() } else { [before.as_slice(), &framed(bytes)].concat() };
        fs::write(&path, file).unwrap();
        let Ok(ledger) = Ledger::open(&folder) else { return false };
        ledger.records().all(|record| record.is_ok())
    };
    (seeds, Box::new(read))
}
