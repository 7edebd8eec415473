//! Files and answers that somebody changed: every reader takes or refuses them, without an abort, a hang or a memory that
//! grows beyond bounds. `SLATEST_MUTATIONS=10000 cargo test --test mutations -- --nocapture` tries as many inputs of each
//! reader and shows the table; `SLATEST_MUTATED=name` tries one reader.
//!
//! Each reader has a process of its own, so that its death is an outcome, and its memory can be measured.

mod mutate;
mod readers;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mutate::Mutator;
use nix::time::{ClockId, clock_gettime};

/// Inputs of each reader, where nobody says how many.
const INPUTS: u64 = 60;
/// Longest that one input may take of a processor; a busy machine doesn't count.
const LONGEST: Duration = Duration::from_secs(5);
/// Longest without a sign of life, whatever it waits for.
const SILENT: Duration = Duration::from_secs(120);
/// Most memory of a reader.
const MEMORY_MAX: u64 = 500 << 20;
/// The child that tries one reader.
const CHILD: &str = "one_reader";
const READER: &str = "SLATEST_MUTATION_READER";
const FOLDER: &str = "SLATEST_MUTATION_FOLDER";

fn inputs() -> u64 {
    std::env::var("SLATEST_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(INPUTS)
}

/// What one reader came to, as its process writes it.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Tried {
    inputs: u64,
    refused: u64,
    longest_ms: u64,
    /// Number of the input that took longest.
    longest: u64,
    peak_bytes: u64,
}

#[test]
fn no_changed_input_ends_hangs_or_fills_a_reader() {
    let only = std::env::var("SLATEST_MUTATED").ok();
    let mut wrong = Vec::new();
    println!("{:<24} {:>7} {:>8} {:>11} {:>8}", "reader", "inputs", "refused", "longest ms", "peak MB");
    for name in readers::NAMES.iter().filter(|name| only.as_deref().is_none_or(|only| only == **name)) {
        match apart(name) {
            Ok(tried) => {
                let megabytes = tried.peak_bytes >> 20;
                println!("{name:<24} {:>7} {:>8} {:>11} {megabytes:>8}", tried.inputs, tried.refused, tried.longest_ms);
                if u128::from(tried.longest_ms) > LONGEST.as_millis() {
                    wrong.push(format!("{name}: input {} took {} ms", tried.longest, tried.longest_ms));
                }
                if tried.peak_bytes > MEMORY_MAX {
                    wrong.push(format!("{name}: {megabytes} MB"));
                }
                if tried.inputs > 0 && tried.refused == tried.inputs && tried.inputs >= INPUTS {
                    wrong.push(format!("{name}: every input was refused, which tries nothing"));
                }
            }
            Err(reason) => {
                println!("{name:<24} {reason}");
                wrong.push(format!("{name}: {reason}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Tries a reader in a process of its own.
fn apart(name: &str) -> Result<Tried, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let said = fs::File::create(folder.path().join("said")).map_err(|error| error.to_string())?;
    let mut child = Command::new(std::env::current_exe().map_err(|error| error.to_string())?)
        .args(["--exact", CHILD, "--ignored", "--nocapture"])
        .env(READER, name)
        .env(FOLDER, folder.path())
        .env("SLATEST_FUZZ_AMQP", "amqp://u:p@127.0.0.1:1")
        .stdout(Stdio::null())
        .stderr(said)
        .spawn()
        .map_err(|error| error.to_string())?;
    let at = || fs::read_to_string(folder.path().join("at")).unwrap_or_default();
    let (mut last, mut since) = (String::new(), Instant::now());
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        let now = at();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if since.elapsed() > SILENT {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("input {last} hangs"));
        }
        #[expect(clippy::disallowed_methods, reason = "a pause between two looks at the process")]
        std::thread::sleep(Duration::from_millis(20));
    };
    let tried = fs::read(folder.path().join("tried")).ok().and_then(|text| serde_json::from_slice(&text).ok());
    match tried {
        Some(tried) if status.success() => Ok(tried),
        _ => {
            let said = fs::read_to_string(folder.path().join("said")).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(6).collect();
            Err(format!("input {} ended the process ({status}): {last:?}", at()))
        }
    }
}

#[test]
#[ignore = "the process of one reader, which the other test starts"]
fn one_reader() {
    let (Ok(name), Ok(folder)) = (std::env::var(READER), std::env::var(FOLDER)) else { return };
    let folder = Path::new(&folder);
    let mut at = fs::File::create(folder.join("at")).unwrap();
    let (seeds, mut read) = readers::reader(&name, folder);
    let mut tried = Tried { inputs: inputs(), ..Tried::default() };
    // As they were written, all are taken.
    for seed in &seeds {
        read(seed);
    }
    for number in 0..tried.inputs {
        std::os::unix::fs::FileExt::write_all_at(&at, format!("{number:>9}").as_bytes(), 0).unwrap();
        let input = Mutator::new(0x51a7e57, number).input(&seeds);
        if std::env::var_os("SLATEST_MUTATION_KEEP").is_some() {
            fs::write(format!("/tmp/mutated-{name}"), &input).unwrap();
        }
        let begun = used();
        tried.refused += u64::from(!read(&input));
        let took = u64::try_from((used() - begun).as_millis()).unwrap_or(u64::MAX);
        if took >= tried.longest_ms {
            (tried.longest_ms, tried.longest) = (took, number);
        }
    }
    at.flush().unwrap();
    tried.peak_bytes = peak();
    fs::write(folder.join("tried"), serde_json::to_vec(&tried).unwrap()).unwrap();
}

/// What this process used of the processors.
fn used() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

/// Most memory that this process ever had resident.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
