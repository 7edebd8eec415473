//! The files that ship, changed in ways that people and their editors change files: whatever comes
//! of it is resolved, or refused with the place of each mistake; never a panic, never for ever.

use proptest::prelude::*;
use slatest_engine::profile::Shelf;

use crate::desk::Desk;

/// One endpoint of each kind, under the names that the workloads use.
const TARGET: &str = "\
name: t
environment: sandbox
allow: { hosts: [127.0.0.1], max_rate: 20000/s }
endpoints:
  api: { http: \"http://127.0.0.1:1\" }
  sync: { websocket: \"ws://127.0.0.1:1\" }
  echo: { websocket: \"ws://127.0.0.1:1/echo\" }
  events: { kafka: [\"127.0.0.1:1\"] }
  database: { sqlite: store.db }
  cache: { redis: [\"redis://127.0.0.1:1\"] }
";

/// What is put in the place of a value.
const VALUES: &[&str] = &[
    "",
    "~",
    "-1",
    "0",
    "1e308",
    ".nan",
    "-.inf",
    "18446744073709551616",
    "99999999999999999999/s",
    "1ns",
    "584years",
    "true",
    "[]",
    "{}",
    "[[[[]]]]",
    "{ a: { b: { c: 1 } } }",
    "*alias",
    "&anchor x",
    "!!binary aGVsbG8=",
    "!tag x",
    "'",
    "\"",
    "|",
    ">-",
    "\u{feff}",
    "\u{0}",
    "🦀",
    "{{",
    "{{ seq }}",
    "{{ random.text(1000000000) }}",
    "{{ random.int(9, 1) }}",
    "{% for i in range(1000000000) %}x{% endfor %}",
    "{{ (seq | tojson) * 100000 }}",
    "{{ '%99999999999d' | format(1) }}",
    "{{ range(100000) | list | join('xxxxxxxxxxxxxxxx') }}",
    "{{ not not not not not not not not not not not not not not not not not not not not not not not not not 1 }}",
    "1e300/s",
    "1e-300/s",
    "1e-15%",
    "99.99999999999999%",
    "0.99999999999999999",
    "1000000000",
    "18446744073709551616",
    "1e309",
    "9999999h",
    "1ns",
    "/dev/zero",
    "{ file: /dev/zero }",
    "\"\\e[2J\\u202e\"",
    "*/*",
    "[*",
    "../../../../etc/passwd",
    "http://[::1",
    "(((((((((((((((((((((((((((((((((((a)*)*)*)*",
];

/// One change; the numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Change {
    DropLine(usize),
    RepeatLine(usize),
    SwapLines(usize, usize),
    Indent(usize, bool),
    Value(usize, usize),
    Key(usize, usize),
    Byte(usize, u8),
    Cut(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<usize>().prop_map(Change::DropLine),
        any::<usize>().prop_map(Change::RepeatLine),
        (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Change::SwapLines(a, b)),
        (any::<usize>(), any::<bool>()).prop_map(|(line, more)| Change::Indent(line, more)),
        (any::<usize>(), any::<usize>()).prop_map(|(line, value)| Change::Value(line, value)),
        (any::<usize>(), any::<usize>()).prop_map(|(line, value)| Change::Key(line, value)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        any::<usize>().prop_map(Change::Cut),
    ]
}

fn changed(text: &str, change: &Change) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return text.to_owned();
    }
    let count = lines.len();
    match *change {
        Change::DropLine(line) => drop(lines.remove(line % count)),
        Change::RepeatLine(line) => lines.insert(line % count, lines[line % count].clone()),
        Change::SwapLines(a, b) => lines.swap(a % count, b % count),
        Change::Indent(line, true) => lines[line % count].insert_str(0, "  "),
        Change::Indent(line, false) => lines[line % count] = lines[line % count].trim_start().to_owned(),
        Change::Value(line, value) => {
            // The value of one of the line's keys, in block or in flow style.
            let line = &mut lines[line % count];
            let colons: Vec<usize> = line.match_indices(": ").map(|(at, _)| at + 2).collect();
            if let Some(&start) = colons.get(value / VALUES.len() % colons.len().max(1)) {
                let end = line[start..].find([',', '}', ']']).map_or(line.len(), |at| start + at);
                line.replace_range(start..end, VALUES[value % VALUES.len()]);
            }
        }
        Change::Key(line, value) => {
            let line = &mut lines[line % count];
            let start = line.len() - line.trim_start_matches([' ', '-']).len();
            if let Some(end) = line.find(':').filter(|end| *end >= start) {
                line.replace_range(start..end, VALUES[value % VALUES.len()]);
            }
        }
        Change::Byte(at, byte) => {
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        Change::Cut(at) => {
            let at = (0..=at % text.len()).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            return text[..at].to_owned();
        }
    }
    lines.join("\n")
}

fn shipped(shelf: Shelf) -> Vec<&'static str> {
    let mut files: Vec<_> = shelf.built_in().collect();
    files.sort_unstable();
    files.into_iter().map(|(_, text)| text).collect()
}

/// Resolved, or refused with places.
fn judged(desk: &Desk) -> Result<(), TestCaseError> {
    let Err(problems) = desk.resolve() else { return Ok(()) };
    prop_assert!(!problems.0.is_empty(), "refused without a reason");
    for problem in &problems.0 {
        let place = &problem.place;
        prop_assert!(!problem.message.trim().is_empty(), "{problem:?}");
        prop_assert!(!place.file.is_empty() && (place.line > 0 || !place.key.is_empty()), "nowhere: {problem:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_profile_is_resolved_or_refused_with_places(
        which in any::<prop::sample::Index>(), changes in prop::collection::vec(change(), 1..4),
    ) {
        let text = which.get(&shipped(Shelf::Profiles)).to_string();
        let profile = changes.iter().fold(text, |text, change| changed(&text, change));
        let mut desk = Desk::with_profile(&profile);
        desk.target = TARGET.into();
        judged(&desk)?;
    }

    #[test]
    fn a_changed_workload_is_compiled_or_refused_with_places(
        which in any::<prop::sample::Index>(), changes in prop::collection::vec(change(), 1..4),
    ) {
        let text = which.get(&shipped(Shelf::Workloads)).to_string();
        let workload = changes.iter().fold(text, |text, change| changed(&text, change));
        let mut desk = Desk::new();
        (desk.workload, desk.target) = (workload, TARGET.into());
        judged(&desk)?;
    }

    #[test]
    fn a_changed_target_is_taken_or_refused_with_places(
        which in any::<prop::sample::Index>(), changes in prop::collection::vec(change(), 1..4),
    ) {
        let mut texts = shipped(Shelf::Targets);
        texts.push(TARGET);
        let target = changes.iter().fold(which.get(&texts).to_string(), |text, change| changed(&text, change));
        let mut desk = Desk::with_profile(shipped(Shelf::Profiles)[0]);
        desk.target = target;
        judged(&desk)?;
    }
}
