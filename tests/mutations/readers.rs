//! Every reader of what comes from outside, by name: its right inputs, and how it is called. It gives whether it took one.

use std::fs;
use std::path::{Path, PathBuf};

mod answers;
mod files;
mod recorded;

/// Inputs that are right.
pub type Seeds = Vec<Vec<u8>>;
/// Whether an input was taken; refused otherwise.
pub type Read = Box<dyn FnMut(&[u8]) -> bool>;

/// All of them.
pub const NAMES: [&str; 29] = [
    "profile",
    "workload http",
    "workload websocket",
    "workload kafka",
    "workload sql",
    "workload redis",
    "workload amqp",
    "target",
    "chaos toolkit",
    "feed csv",
    "feed jsonl",
    "template",
    "json path",
    "drills.jsonl",
    "windows.jsonl",
    "run.json",
    "series.json",
    "capacity.json",
    "intervals, bytes",
    "intervals, records",
    "ledger, bytes",
    "ledger, records",
    "amqp frames",
    "redis resp",
    "postgresql messages",
    "yjs updates",
    "kafka answers",
    "message headers",
    "http answers",
];

/// A reader with its right inputs. `folder` is its own.
pub fn reader(name: &str, folder: &Path) -> (Seeds, Read) {
    match name {
        "profile" => files::profile(),
        "target" => files::target(),
        "chaos toolkit" => files::chaos_toolkit(),
        "feed csv" => files::feed("csv", folder),
        "feed jsonl" => files::feed("jsonl", folder),
        "template" => files::template(),
        "json path" => files::json_path(),
        "drills.jsonl" => recorded::drills(folder),
        "windows.jsonl" => recorded::windows(folder),
        "run.json" => recorded::run(folder),
        "series.json" => recorded::series(folder),
        "capacity.json" => recorded::capacity(folder),
        "intervals, bytes" => recorded::intervals(folder, recorded::As::Bytes),
        "intervals, records" => recorded::intervals(folder, recorded::As::Records),
        "ledger, bytes" => recorded::ledger(folder, recorded::As::Bytes),
        "ledger, records" => recorded::ledger(folder, recorded::As::Records),
        _ => match name.strip_prefix("workload ") {
            Some(driver) => files::workload(driver),
            None => answers::reader(name),
        },
    }
}

/// The repository, whose files ship.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a folder whose names end so.
fn shipped(folder: &str, end: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().filter(|path| path.to_string_lossy().ends_with(end)).map(|path| fs::read(path).unwrap()).collect()
}
