//! The table of truths: expected, measured, verdict.

use std::io;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use console::Style;
use serde::Serialize;

use slatest_core::model::Verdict;

/// What came of one truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It was measured as it is.
    Holds,
    /// It was not.
    Wrong,
    /// The machine was at fault, so nothing can be said.
    Void,
}

impl Finding {
    /// As it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Wrong => "WRONG",
            Self::Void => "void",
        }
    }
}

/// One truth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What is true.
    pub truth: String,
    /// What must be measured.
    pub expected: String,
    /// What was.
    pub measured: String,
    /// Whether the two agree.
    pub finding: Finding,
    /// What the reader should know besides; empty mostly.
    pub message: String,
}

impl Row {
    /// A row that holds, or is wrong.
    pub fn new(
        truth: impl Into<String>,
        expected: impl Into<String>,
        measured: impl Into<String>,
        holds: bool,
    ) -> Self {
        let finding = if holds { Finding::Holds } else { Finding::Wrong };
        Self {
            truth: truth.into(),
            expected: expected.into(),
            measured: measured.into(),
            finding,
            message: String::new(),
        }
    }

    /// With something to know besides.
    pub fn with_words(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// The same, of which nothing can be said.
    pub fn voided(self, reason: impl Into<String>) -> Self {
        Self { finding: Finding::Void, message: reason.into(), ..self }
    }
}

/// The whole.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// Version of this format.
    pub version: u32,
    /// Version of slatest.
    pub slatest: String,
    /// Pass when every truth holds; void when none is wrong but some are void; else fail.
    pub verdict: Verdict,
    /// How long it took, in seconds.
    pub secs: f64,
    /// The truths.
    pub truths: Vec<Row>,
}

impl Account {
    /// Of these rows, after so many seconds.
    pub fn new(truths: Vec<Row>, secs: f64) -> Self {
        let any = |finding| truths.iter().any(|row| row.finding == finding);
        let verdict = if any(Finding::Wrong) {
            Verdict::Fail
        } else if any(Finding::Void) || truths.is_empty() {
            Verdict::Void
        } else {
            Verdict::Pass
        };
        Self { version: 1, slatest: env!("CARGO_PKG_VERSION").into(), verdict, secs, truths }
    }

    /// As text for people.
    ///
    /// # Errors
    /// When `out` can't be written.
    pub fn render(&self, color: bool, out: &mut dyn io::Write) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["", "truth", "expected", "measured"]);
        for row in &self.truths {
            table.add_row([row.finding.name(), &row.truth, &row.expected, &row.measured]);
        }
        let mut said = "";
        // Coloured afterwards: the table would count the colour as width.
        for (i, line) in table.lines().enumerate() {
            let line = line.trim_end();
            let row = i.checked_sub(1).and_then(|i| self.truths.get(i));
            let Some(row) = row else {
                writeln!(out, "{line}")?;
                continue;
            };
            let style = style(row.finding).force_styling(color);
            let name = row.finding.name();
            writeln!(out, "{}", line.replacen(name, &style.apply_to(name).to_string(), 1))?;
            // What holds of many rows in turn is said once.
            if !row.message.is_empty() && row.message != said {
                writeln!(out, "        {}", row.message)?;
            }
            said = &row.message;
        }
        let count = |finding| self.truths.iter().filter(|row| row.finding == finding).count();
        let (wrong, void) = (count(Finding::Wrong), count(Finding::Void));
        let all = self.truths.len();
        let message = match self.verdict {
            Verdict::Pass => format!("all {all} truths hold: this instrument can be believed on this machine"),
            Verdict::Fail => {
                format!("{wrong} of {all} truths were measured wrong: don't believe what it measures here")
            }
            _ => {
                format!("{void} of {all} truths could not be told: the machine was too busy; try again when it is not")
            }
        };
        let style = style(match self.verdict {
            Verdict::Pass => Finding::Holds,
            Verdict::Fail => Finding::Wrong,
            _ => Finding::Void,
        });
        let name = self.verdict.name().to_uppercase();
        writeln!(out, "\n{}  {message} ({:.0} s)", style.bold().force_styling(color).apply_to(name), self.secs)
    }
}

const fn style(finding: Finding) -> Style {
    match finding {
        Finding::Holds => Style::new().green(),
        Finding::Wrong => Style::new().red(),
        Finding::Void => Style::new().magenta(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        vec![
            Row::new("constant 20ms: p99", "20.0 ms – 21.1 ms", "20.4 ms", true),
            Row::new("log-normal 20ms, σ 0.5: p99", "58.0 ms – 74.5 ms", "91.0 ms", false)
                .voided("the machine stood still for 180 ms in all"),
        ]
    }

    fn text(account: &Account) -> String {
        let mut out = Vec::new();
        account.render(false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_as_it_is_shown() {
        insta::assert_snapshot!(text(&Account::new(rows(), 61.2)));
    }

    #[test]
    fn one_wrong_truth_is_a_fail_and_a_void_one_no_pass() {
        let verdict = |rows: Vec<Row>| Account::new(rows, 1.0).verdict;
        let wrong = || Row::new("a", "b", "c", false);
        assert_eq!(verdict(vec![Row::new("a", "b", "b", true)]), Verdict::Pass);
        assert_eq!(verdict(rows()), Verdict::Void);
        assert_eq!(verdict([rows(), vec![wrong()]].concat()), Verdict::Fail);
        assert_eq!(verdict(Vec::new()), Verdict::Void);
    }
}
