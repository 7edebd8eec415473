//! `slatest drill import`: a Chaos Toolkit experiment as faults of a target and drills of a profile.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::commands::Exit;
use crate::commands::problems::report;
use crate::report::phrases::plain;
use slatest_core::say;
use slatest_core::source::{Source, to_yaml};
use slatest_core::terminal::print_all;
use slatest_faults::FaultSpec;
use slatest_faults::chaostoolkit::{Imported, ImportedDrill, import};

/// Windows of steady state that an imported drill waits for: their hypothesis is looked at once, before the method.
const STEADY: u64 = 10;

/// Arguments of `slatest drill import`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest drill import experiment.json
  slatest drill import experiment.yaml --out drills-of-experiment.yaml

Prints `faults` for a target file and `drills` for a profile, to be copied there; what an experiment says and
drills don't is said beside it, in comments and on stderr.

Exit codes: 0 at least one drill was taken over, 98 none could be, 104 the file is no experiment.")]
pub struct ImportArgs {
    /// The experiment: JSON or YAML
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Writes to this file, which must not be there yet, instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: &ImportArgs) -> Exit {
    let source = match Source::read(&args.file) {
        Ok(source) => source,
        Err(problem) => {
            say!("slatest: {problem}");
            return Exit::Usage;
        }
    };
    let imported = match import(&source) {
        Ok(imported) => imported,
        Err(problems) => {
            report(&problems, &[&source]);
            return Exit::Invalid;
        }
    };
    for left_out in &imported.left_out {
        say!("slatest: not taken over: {}", plain(left_out));
    }
    let text = match fragment(&imported, &source.name) {
        Ok(text) => text,
        Err(reason) => {
            say!("slatest: {reason}");
            return Exit::Unexpected;
        }
    };
    match &args.out {
        None => print_all(&text),
        Some(path) => {
            if let Err(error) = write_new(path, &text) {
                say!("slatest: {} can't be written: {error}", path.display());
                return Exit::Usage;
            }
            print_all(&format!("written: {}\n", path.display()));
        }
    }
    if imported.drills.is_empty() {
        say!("slatest: nothing of it could be taken over as a drill");
        return Exit::Inconclusive;
    }
    Exit::Pass
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

/// One entry of a list or map, as YAML writes it.
#[derive(Serialize)]
struct Drill<'a> {
    name: &'a str,
    after_steady: u64,
    inject: Named<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<String>,
    watch: &'a str,
    scope: &'a str,
}

#[derive(Serialize)]
struct Named<'a> {
    fault: &'a str,
}

/// The two sections, with everything that was left out in comments.
fn fragment(imported: &Imported, file: &str) -> Result<String, String> {
    let mut text = format!("# From {} (Chaos Toolkit): {}\n", plain(file), plain(&imported.title));
    if !imported.left_out.is_empty() {
        text.push_str("# Not taken over:\n");
        for left_out in &imported.left_out {
            let _ = writeln!(text, "# - {}", plain(left_out));
        }
    }
    if imported.drills.is_empty() {
        return Ok(text);
    }
    text.push_str(
        "\n# Into the target's file; its `allow` needs `drills: true` and the hosts that are called.\nfaults:\n",
    );
    for ImportedDrill { name, inject, .. } in &imported.drills {
        let one: std::collections::BTreeMap<&str, &FaultSpec> = [(name.as_str(), inject)].into();
        text.push_str(&indented(&to_yaml(&one)?, "  "));
    }
    text.push_str(
        "\n# Into a profile: choose the scope (what is expected to feel it), how long is watched, and what must hold.\ndrills:\n",
    );
    for drill in &imported.drills {
        if let Some(wait) = drill.wait {
            let _ = writeln!(text, "  # The experiment waits {wait} before it; a drill waits for a steady state.");
        }
        let written = Drill {
            name: &drill.name,
            after_steady: STEADY,
            inject: Named { fault: &drill.name },
            hold: drill.hold.map(|hold| hold.to_string()),
            watch: "2m",
            scope: "*/*",
        };
        text.push_str(&indented(&to_yaml(&[written])?, "  "));
    }
    text.push_str("recovery:\n");
    for ImportedDrill { name, .. } in &imported.drills {
        let _ = writeln!(text, "  - {{ name: {name}-rto, drill: {name}, rto: 60s }}");
    }
    Ok(text)
}

fn indented(text: &str, by: &str) -> String {
    text.lines().filter(|line| !line.is_empty() && *line != "---").map(|line| format!("{by}{line}\n")).collect()
}
