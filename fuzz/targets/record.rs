//! A result folder, whatever is in it: read and shown in every format, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slatest::report::{Brief, Csv, Ctrf, Hlog, Html, Json, Junit, K6, Markdown, Render, Text};

const MARK: &[u8] = b"\n=====\n";

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.windows(MARK.len()).position(|w| w == MARK);
    let (record, windows) = at.map_or((bytes, None), |at| (&bytes[..at], Some(&bytes[at + MARK.len()..])));
    let folder = slatest_fuzz::folder().join("result");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("run.json"), record).expect("a file");
    match windows {
        Some(windows) => std::fs::write(folder.join("windows.jsonl"), windows).expect("a file"),
        None => drop(std::fs::remove_file(folder.join("windows.jsonl"))),
    }
    let Ok(record) = slatest_engine::record::read(&folder) else { return };
    let brief = Brief::for_terminal(None);
    let formats: [&dyn Render; 10] =
        [&Text::for_terminal(), &brief, &Json, &Junit, &Markdown, &Hlog, &Html, &Csv, &Ctrf, &K6];
    for format in formats {
        drop(format.render(&record, &mut std::io::sink()));
    }
});
