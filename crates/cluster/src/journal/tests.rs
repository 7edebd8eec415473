use std::sync::{Arc, Mutex};

use super::*;

fn interval(number: u64) -> wire::Interval {
    let lag = vec![number as u8; 100 + number as usize];
    let window = wire::Window { index: number, dispatch_lag: lag.into(), ..wire::Window::default() };
    wire::Interval { number, window: Some(window), cpu_share: 0.25 }
}

fn entries() -> Vec<Entry> {
    let started = Started { wall_ns: -5, slots: vec![AgentSlotNote::default(), AgentSlotNote::default()] };
    let mut entries = vec![Entry::Note(Note { body: Some(NoteBody::Started(started)) })];
    entries.extend(
        (1..6).flat_map(|number| (0..2).map(move |agent| Entry::Interval { agent, interval: interval(number) })),
    );
    let finished = wire::Finished { last_interval: 5, early: "by hand".into(), ..wire::Finished::default() };
    entries.push(Entry::End { agent: 1, finished });
    entries
}

fn read(folder: &Path) -> (Head, Vec<Entry>, u64, Option<Torn>) {
    let (head, mut reader) = JournalReader::open(folder).unwrap();
    let mut all = Vec::new();
    while let Some(entry) = reader.read().unwrap() {
        all.push(entry);
    }
    let (whole, torn) = reader.end();
    (head, all, whole, torn)
}

type Told = Arc<Mutex<Vec<Stored>>>;

fn listener() -> (Told, impl FnMut(Vec<Stored>) + Send + 'static) {
    let told = Told::default();
    let all = Arc::clone(&told);
    (told, move |stored| all.lock().unwrap().extend(stored))
}

fn written(folder: &Path, entries: &[Entry]) -> Vec<Stored> {
    let (told, listener) = listener();
    let head = Head::new("run".into(), 2, "127.0.0.1:7420".into());
    let mut journal = Journal::create(folder, head, listener).unwrap();
    // Several batches.
    for batch in entries.chunks(3) {
        for entry in batch {
            journal.write(entry.clone()).unwrap();
        }
        journal.sync().unwrap();
    }
    journal.close().unwrap();
    let told = told.lock().unwrap();
    told.clone()
}

#[test]
fn what_was_written_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let told = written(folder.path(), &entries());
    let (head, all, whole, torn) = read(folder.path());
    assert_eq!(head, Head::new("run".into(), 2, "127.0.0.1:7420".into()));
    assert_eq!(all, entries());
    assert_eq!(whole, std::fs::metadata(folder.path().join(JOURNAL_FILE)).unwrap().len());
    assert_eq!(torn, None);
    // An end has the number after the last interval.
    assert_eq!(told.len(), 11);
    assert_eq!(told.last(), Some(&Stored { agent: 1, through: 6 }));
}

#[test]
fn after_a_sync_everything_is_there_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let (told, listener) = listener();
    let mut journal = Journal::create(folder.path(), Head::new("run".into(), 2, String::new()), listener).unwrap();
    for entry in entries() {
        journal.write(entry).unwrap();
    }
    journal.sync().unwrap();
    assert_eq!(told.lock().unwrap().len(), 11);
    assert_eq!(read(folder.path()).1, entries());
}

#[test]
fn a_torn_tail_is_cut_off_wherever_it_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &entries());
    let path = folder.path().join(JOURNAL_FILE);
    let whole = std::fs::read(&path).unwrap();
    let mut before = usize::MAX;
    let mut lengths = std::collections::BTreeSet::new();
    for length in (60..whole.len()).rev().step_by(7) {
        std::fs::write(&path, &whole[..length]).unwrap();
        let (_, all, bytes, torn) = read(folder.path());
        assert_eq!(all, entries()[..all.len()], "a prefix of what was written");
        assert!(all.len() <= before);
        before = all.len();
        lengths.insert(all.len());
        assert_eq!(torn.map_or(0, |torn| torn.bytes) + bytes, length as u64);
        // It goes on where it was whole.
        let mut journal = Journal::go_on(folder.path(), bytes, |_| {}).unwrap();
        journal.write(Entry::Interval { agent: 1, interval: interval(99) }).unwrap();
        journal.close().unwrap();
        let (_, again, _, torn) = read(folder.path());
        assert_eq!(again.len(), all.len() + 1);
        assert_eq!(again.last(), Some(&Entry::Interval { agent: 1, interval: interval(99) }));
        assert_eq!(torn, None);
    }
    assert!(lengths.len() > 3, "{lengths:?}");
}

#[test]
fn a_bit_that_has_turned_is_told_wherever_it_is_and_the_file_is_left() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &entries());
    let path = folder.path().join(JOURNAL_FILE);
    let good = std::fs::read(&path).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        let error = check(folder.path()).expect_err("it is not what was written");
        assert!(matches!(error, JournalError::Damaged { .. }), "bit {bit}: {error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "the file was left");
    }
}

#[test]
fn what_is_no_journal_is_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    assert!(JournalReader::open(folder.path()).unwrap_err().to_string().contains("can't be read"));
    std::fs::create_dir_all(folder.path().join("cluster")).unwrap();
    std::fs::write(folder.path().join(JOURNAL_FILE), b"").unwrap();
    assert!(JournalReader::open(folder.path()).unwrap_err().to_string().contains("killed before it began"));
}

#[test]
fn a_second_journal_in_one_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &entries());
    let again = Journal::create(folder.path(), Head::new("run".into(), 2, String::new()), |_| {});
    assert!(again.unwrap_err().to_string().contains("can't be created"));
}
