//! How a run is told when it is over: the summary on the terminal, and the files that pipelines want in the same call.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum as _};

use super::Exit;
use super::report::Format;
use crate::report::{Brief, Markdown, Render, Text};
use slatest_core::say;
use slatest_engine::record::RunRecord;

/// The variable in which GitHub, Gitea and Forgejo name the file of a step's summary.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// How a run is told.
#[derive(Clone, Debug, Default, Args)]
pub struct Telling {
    /// No progress, just the summary
    #[arg(long, short)]
    pub quiet: bool,
    /// The whole summary, however long it is; without it, a screen
    #[arg(long, short)]
    pub verbose: bool,
    #[command(flatten)]
    pub files: ReportFiles,
}

impl Telling {
    /// Whether all that is asked for can be written, before anything is sent. Says what is wrong by itself.
    ///
    /// # Errors
    /// [`Exit::Usage`], when something can't.
    pub(super) fn ready(&self) -> Result<(), Exit> {
        self.files.check().map_err(|reason| {
            say!("slatest: {reason}");
            Exit::Usage
        })
    }
}

/// Reports that are written when a run is over, beside what its folder holds.
#[derive(Clone, Debug, Default, Args)]
pub struct ReportFiles {
    /// Also writes reports, several with commas: html=report.html,junit=junit.xml,markdown=summary.md
    #[arg(long, value_name = "FORMAT=PATH", value_delimiter = ',')]
    pub report: Vec<ReportFile>,
    /// Also writes what k6 writes with --summary-export
    #[arg(long, value_name = "PATH")]
    pub summary_export: Option<PathBuf>,
}

/// One report with the file that it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFile {
    format: Format,
    path: PathBuf,
}

impl FromStr for ReportFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let formats = || {
            let all = Format::value_variants().iter().filter_map(clap::ValueEnum::to_possible_value);
            all.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(", ")
        };
        let (format, path) = text.split_once('=').ok_or_else(|| {
            format!("write the format and the file, like html=report.html; formats are {}", formats())
        })?;
        let format =
            Format::from_str(format, true).map_err(|_| format!("no format `{format}`; there are {}", formats()))?;
        if path.is_empty() {
            return Err(format!("name the file: {}=PATH", text.trim_end_matches('=')));
        }
        Ok(Self { format, path: path.into() })
    }
}

impl ReportFiles {
    fn all(&self) -> impl Iterator<Item = ReportFile> + '_ {
        let export = self.summary_export.iter().map(|path| ReportFile { format: Format::K6, path: path.clone() });
        self.report.iter().cloned().chain(export)
    }

    /// Whether any is asked for.
    pub fn is_empty(&self) -> bool {
        self.report.is_empty() && self.summary_export.is_none()
    }

    /// Whether all can be written, before anything is sent: a night must not end with a file that has no folder.
    ///
    /// # Errors
    /// In words, when one can't.
    pub fn check(&self) -> Result<(), String> {
        let mut seen: Vec<PathBuf> = Vec::new();
        for ReportFile { path, .. } in self.all() {
            let shown = path.display();
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if !folder.is_dir() {
                return Err(format!("--report: {shown}: there is no folder {}; make it first", folder.display()));
            }
            if path.is_dir() {
                return Err(format!("--report: {shown} is a folder; name a file in it"));
            }
            if seen.contains(&path) {
                return Err(format!("--report: two reports go to {shown}"));
            }
            seen.push(path);
        }
        Ok(())
    }

    /// Writes them all.
    ///
    /// # Errors
    /// Which ones could not be written, in words; the others are.
    pub fn write(&self, run: &RunRecord) -> Result<(), String> {
        let failed: Vec<String> = self.all().filter_map(|file| file.write(run).err()).collect();
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }

    /// Where the report for people lies: the HTML file, else nothing.
    pub fn page(&self) -> Option<PathBuf> {
        self.all().find(|file| file.format == Format::Html).map(|file| file.path)
    }
}

impl ReportFile {
    /// In one step: whoever looks sees no half of it.
    fn write(&self, run: &RunRecord) -> Result<(), String> {
        let named = |error: io::Error| format!("{} could not be written: {error}", self.path.display());
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".slatest-report-").tempfile_in(folder).map_err(named)?;
        {
            let mut out = BufWriter::new(file.as_file_mut());
            self.format.render().render(run, &mut out).and_then(|()| out.flush()).map_err(named)?;
        }
        readable(file.as_file()).map_err(named)?;
        file.persist(&self.path).map(drop).map_err(|error| named(error.error))
    }
}

/// A file that was made for oneself is made as other files are: readable where the folder is.
fn readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

/// Adds the summary to the page of the step that runs this, where a forge names a file for it.
fn step_summary(run: &RunRecord) -> Result<(), String> {
    let Some(path) = std::env::var_os(STEP_SUMMARY).filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Ok(());
    };
    let mut text = Vec::new();
    Markdown
        .render(run, &mut text)
        .and_then(|()| OpenOptions::new().append(true).create(true).open(&path)?.write_all(&text))
        .map_err(|error| {
            format!("the step's summary ({STEP_SUMMARY}, {}) could not be written: {error}", path.display())
        })
}

impl Telling {
    /// Writes what was asked for, and the summary of a forge's step where it names a file for it.
    ///
    /// # Errors
    /// What could not be written, in words.
    pub fn write(&self, run: &RunRecord) -> Result<(), String> {
        let failed: Vec<String> =
            [self.files.write(run), step_summary(run)].into_iter().filter_map(Result::err).collect();
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }

    /// Shows the summary of a run.
    pub fn show(&self, run: &RunRecord) {
        let format: &dyn Render =
            if self.verbose { &Text::for_terminal() } else { &Brief::for_terminal(self.files.page()) };
        let mut stdout = io::stdout().lock();
        if let Err(error) = format.render(run, &mut stdout).and_then(|()| stdout.flush()) {
            say!("slatest: the summary could not be printed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_format_and_a_file() {
        let file: ReportFile = "html=a=b.html".parse().unwrap();
        assert_eq!(file, ReportFile { format: Format::Html, path: "a=b.html".into() });
        for (text, said) in [
            ("report.html", "like html=report.html"),
            ("pdf=x", "no format `pdf`; there are text, json, junit"),
            ("junit=", "name the file: junit=PATH"),
        ] {
            let error = text.parse::<ReportFile>().unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn what_could_not_be_written_in_the_end_is_said_before_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let at = |text: String| ReportFiles { report: vec![text.parse().unwrap()], summary_export: None };
        assert_eq!(at(format!("html={}/a.html", folder.path().display())).check(), Ok(()));
        let none = at(format!("html={}/none/a.html", folder.path().display())).check().unwrap_err();
        assert!(none.contains("there is no folder"), "{none}");
        let is_folder = at(format!("html={}", folder.path().display())).check().unwrap_err();
        assert!(is_folder.contains("is a folder"), "{is_folder}");
        let mut twice = at("html=x".into());
        twice.summary_export = Some("x".into());
        assert!(twice.check().unwrap_err().contains("two reports go to x"));
    }
}
