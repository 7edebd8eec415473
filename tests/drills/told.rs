//! What the program says of a run: its record, its journal, what it printed, how it ended.

use std::process::Output;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::observer::Seen;
use crate::scratch::{Scratch, printed};

/// What it said.
pub struct Told {
    /// Its exit code.
    pub code: Option<i32>,
    /// Everything that it printed.
    pub text: String,
    /// What it printed for people who must know.
    pub errors: String,
    /// `run.json`.
    pub record: Value,
    /// `drills.jsonl`.
    pub journal: Vec<Value>,
    /// What the observer saw meanwhile.
    seen: Option<Seen>,
}

/// What it says of the recovery of one component, on the wall clock.
#[derive(Debug)]
pub struct Recovery {
    /// When the fault was issued.
    pub issued: Timestamp,
    /// When the first operation failed.
    pub first_error: Timestamp,
    /// When service was restored, as it is reported.
    pub restored: Timestamp,
    /// It was not earlier …
    pub lower: Timestamp,
    /// … and not later.
    pub upper: Timestamp,
    /// Length of a window.
    pub window: SignedDuration,
    /// Length of all bad windows.
    pub bad: SignedDuration,
    /// Whether windows say nothing that should.
    pub gaps: bool,
    /// How it looked.
    pub timeline: String,
}

/// Nanoseconds of a record.
pub fn nanos(value: &Value) -> SignedDuration {
    let nanos = value.as_i64().unwrap_or_else(|| panic!("{value} is no number of nanoseconds"));
    SignedDuration::from_nanos(nanos)
}

/// Reads the journal of the only run so far.
pub fn journal(scratch: &Scratch) -> Vec<Value> {
    let path = scratch.result().map(|folder| folder.join("drills.jsonl"));
    let text = path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    // The last line may be half written yet.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Whether the journal says this of a step.
pub fn says(journal: &[Value], drill: &str, step: &str, phase: &str) -> bool {
    line(journal, drill, step, phase).is_some()
}

fn line<'a>(journal: &'a [Value], drill: &str, step: &str, phase: &str) -> Option<&'a Value> {
    journal.iter().find(|line| line["drill"] == drill && line["step"] == step && line["phase"] == phase)
}

impl Told {
    /// Reads it; a run that was never begun has no record.
    pub fn of(scratch: &Scratch, output: Output, seen: Option<Seen>) -> Self {
        let record = scratch.result().map_or(Value::Null, |_| scratch.record());
        Self {
            code: output.status.code(),
            text: printed(&output),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
            record,
            journal: journal(scratch),
            seen,
        }
    }

    /// What the observer saw.
    pub fn seen(&self) -> &Seen {
        self.seen.as_ref().expect("somebody observed it")
    }

    /// What became of a drill.
    pub fn drill(&self, name: &str) -> &Value {
        let all = self.record["result"]["drills"].as_array().unwrap_or_else(|| panic!("no drills: {}", self.text));
        all.iter().find(|drill| drill["name"] == name).unwrap_or_else(|| panic!("no drill {name}: {all:?}"))
    }

    /// Whether the journal says this.
    pub fn says(&self, drill: &str, step: &str, phase: &str) -> bool {
        says(&self.journal, drill, step, phase)
    }

    /// When the fault was issued, by the wall clock.
    pub fn issued(&self, drill: &str) -> Timestamp {
        let line = line(&self.journal, drill, "inject", "done");
        let line = line.unwrap_or_else(|| panic!("nothing was injected: {:?}\n{}", self.journal, self.text));
        line["injected"]["issued"]["wall"].as_str().and_then(|wall| wall.parse().ok()).expect("a time")
    }

    /// For how long a drill was watched.
    pub fn watched(&self, drill: &str) -> SignedDuration {
        nanos(&self.drill(drill)["components"][0]["watched"])
    }

    /// What is said of a component of a drill; `None` where it was not restored.
    pub fn recovery(&self, drill: &str, component: &str) -> Option<Recovery> {
        let issued = self.issued(drill);
        let told = self.drill(drill);
        let all = told["components"].as_array().expect("components");
        let one = all.iter().find(|one| one["name"] == component);
        let one = one.unwrap_or_else(|| panic!("{component} was not watched: {told}"));
        let restored = &one["restored"];
        if restored.is_null() {
            return None;
        }
        let at = |value: &Value| issued + nanos(value);
        Some(Recovery {
            issued,
            first_error: at(&one["first_error"]),
            restored: at(&restored["after"]),
            lower: at(&restored["lower"]),
            upper: at(&restored["upper"]),
            window: nanos(&one["window"]),
            bad: nanos(&one["bad"]),
            gaps: !nanos(&one["unknown"]).is_zero(),
            timeline: one["timeline"].to_string(),
        })
    }

    /// Asserts how it ended. A generator that shares two busy cores with other tests may be late, and then the run is
    /// void, as it should be: that is said in the record, and is no word on the drill.
    pub fn ended(&self, code: i32) {
        let void = self.code == Some(97) && self.record["result"]["verdict"] == "void";
        assert!(self.code == Some(code) || void, "{:?} instead of {code}: {}", self.code, self.text);
    }

    /// Asserts the verdict of a drill.
    pub fn judged(&self, drill: &str, verdict: &str) {
        let told = self.drill(drill);
        assert_eq!(told["verdict"], verdict, "{told}\n{}", self.text);
    }
}
