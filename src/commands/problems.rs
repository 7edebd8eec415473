//! What is wrong with a user's files, shown where it stands.

use std::fmt::{self, Write as _};
use std::path::Path;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, ReportHandler, SourceCode, SourceSpan,
};

use slatest_core::model::{Place, Problem, Problems};
use slatest_core::source::Source;
use slatest_core::terminal::say_as_it_is;
use slatest_core::text::plain;
use slatest_core::text::plain_lines;
use slatest_core::text::plain_same_length;
use slatest_engine::profile::Shelf;

/// Columns that lines are wrapped to at most, and where the terminal's width isn't known.
const WIDTH_MAX: usize = 120;
/// Most problems that are shown; a file with more is broken by one mistake at its top.
const SHOWN_MAX: usize = 50;

/// How it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// For a terminal with colours.
    Colour,
    /// For a terminal without.
    Lines,
    /// For a file or a pipe: ASCII around what the user wrote, no line broken.
    Plain,
}

/// Prints every problem to stderr, the line of the file underlined where it is known: taken from
/// `sources`, else from the file that the problem names.
pub fn report(problems: &Problems, sources: &[&Source]) {
    let terminal = console::Term::stderr();
    let (look, width) = match (terminal.is_term(), console::colors_enabled_stderr()) {
        (true, true) => (Look::Colour, terminal.size().1.into()),
        // Somebody insists on colours: `--color always | less -R`.
        (false, true) => (Look::Colour, WIDTH_MAX),
        (true, false) => (Look::Lines, terminal.size().1.into()),
        (false, false) => (Look::Plain, WIDTH_MAX),
    };
    say_as_it_is(&render(problems, sources, look, width));
}

fn render(problems: &Problems, sources: &[&Source], look: Look, width: usize) -> String {
    let theme = match look {
        Look::Colour => GraphicalTheme::unicode(),
        Look::Lines => GraphicalTheme::unicode_nocolor(),
        Look::Plain => GraphicalTheme::none(),
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width.clamp(40, WIDTH_MAX))
        .with_wrap_lines(look != Look::Plain)
        .with_context_lines(1)
        .with_links(false);
    let mut text = String::new();
    for problem in problems.0.iter().take(SHOWN_MAX) {
        let shown = Shown::new(problem, sources);
        // Writing to a string fails only where the drawing does: the words must come out even then.
        if write!(text, "{:?}", Drawn(&handler, &shown)).is_err() {
            text.push_str(&plain_lines(&problem.to_string()));
        }
        text.push('\n');
    }
    let count = problems.0.len();
    if count > SHOWN_MAX {
        text.push_str(&format!("… and {} more\n", count - SHOWN_MAX));
    }
    let noun = if count == 1 { "problem" } else { "problems" };
    text.push_str(&format!("{count} {noun}; nothing was sent\n"));
    text
}

struct Drawn<'a>(&'a GraphicalReportHandler, &'a Shown);

impl fmt::Debug for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug(self.1, f)
    }
}

/// A problem beside the text that it is about.
#[derive(Debug)]
struct Shown {
    message: String,
    help: Option<String>,
    text: Option<NamedSource<String>>,
    span: Option<SourceSpan>,
}

impl Shown {
    fn new(problem: &Problem, sources: &[&Source]) -> Self {
        let place = &problem.place;
        let written = (place.line > 0 && !problem.veiled).then(|| text_of(&place.file, sources)).flatten();
        let span = written.as_deref().and_then(|text| span(text, place));
        let mut message = String::new();
        // Where there is no line to point at, the words say where.
        if span.is_none() && !place.file.is_empty() {
            message.push_str(&plain(&place.file));
            if place.line > 0 {
                message.push_str(&format!(":{}:{}", place.line, place.column.max(1)));
            }
            message.push_str(": ");
        }
        if !place.key.is_empty() {
            message.push_str(&format!("`{}`: ", plain(&place.key)));
        }
        message.push_str(&plain_lines(&problem.message));
        let text = span.and(written).map(|text| NamedSource::new(plain(&place.file), plain_same_length(&text)));
        let help = problem.help.as_deref().map(plain_lines);
        Self { message, help, text, span }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.as_ref().map(|text| text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span?;
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, span))))
    }
}

fn text_of(file: &str, sources: &[&Source]) -> Option<String> {
    if let Some(source) = sources.iter().find(|source| source.name == file) {
        return Some(source.text.to_string());
    }
    // Built-in files, which no path leads to.
    if let Some((folder, name)) = file.strip_prefix("built-in ").and_then(|path| path.split_once('/')) {
        let shelf = Shelf::ALL.into_iter().find(|shelf| shelf.folder() == folder)?;
        return shelf.built_in().find(|(built_in, _)| *built_in == name).map(|(_, text)| text.to_owned());
    }
    Source::read(Path::new(file)).ok().map(|source| source.text.to_string())
}

/// The bytes of what stands at a place: a quoted text whole, else until YAML ends the key or value.
fn span(text: &str, place: &Place) -> Option<SourceSpan> {
    let before: usize = text.split_inclusive('\n').take(place.line - 1).map(str::len).sum();
    let line = text.get(before..)?.split(['\n', '\r']).next()?;
    let skipped = line.char_indices().nth(place.column.max(1) - 1).map_or(line.len(), |(at, _)| at);
    let rest = &line[skipped..];
    let length = match rest.chars().next() {
        None => 0,
        Some(quote @ ('"' | '\'')) => rest[1..].find(quote).map_or(rest.len(), |end| end + 2),
        Some('{' | '[') => rest.trim_end().len(),
        Some(_) => {
            let ends = [",", "}", "]", ": ", " #"].iter().filter_map(|end| rest.find(end));
            let token = &rest[..ends.min().unwrap_or(rest.len())];
            token.trim_end().trim_end_matches(':').len()
        }
    };
    Some((before + skipped, length).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "name: night\nscenarios:\n  api: { workload: emr-api, rate: 0/s, note: \"a, b\" }  # all\n  sync:\n    wörk: edits\n";

    fn profile() -> Source {
        Source::new("profiles/night.yaml", PROFILE, "profiles")
    }

    fn at(line: usize, column: usize, key: &str, message: &str) -> Problem {
        let place = Place { file: "profiles/night.yaml".into(), line, column, key: key.into() };
        Problem::new(place, message)
    }

    fn underlined(line: usize, column: usize) -> String {
        let place = Place { line, column, ..Place::default() };
        let span = span(PROFILE, &place).unwrap();
        PROFILE[span.offset()..][..span.len()].to_owned()
    }

    #[test]
    fn what_stands_at_the_place_is_underlined() {
        assert_eq!(underlined(1, 7), "night");
        assert_eq!(underlined(3, 35), "0/s");
        assert_eq!(underlined(3, 29), "rate");
        assert_eq!(underlined(3, 46), "\"a, b\"");
        assert_eq!(underlined(4, 3), "sync");
        assert_eq!(underlined(5, 5), "wörk");
        assert_eq!(underlined(5, 11), "edits");
        assert_eq!(underlined(5, 99), "");
        assert_eq!(underlined(99, 1), "");
    }

    fn some() -> Problems {
        let nowhere = Problem::new(Place::default(), "there is no profile `paek`").with_help("did you mean `peak`?");
        let whole = Place { file: "targets/gone.yaml".into(), line: 3, column: 9, key: "endpoints.api".into() };
        Problems(vec![
            at(3, 35, "scenarios.api.rate", "a rate must be above zero").with_help("write it like 300/s"),
            at(
                5,
                5,
                "scenarios.sync.wörk",
                "unknown field `wörk`, expected one of `workload`, `endpoint`, `executor`, `arrivals`, `mix`, `rate`, `duration`",
            ),
            nowhere,
            Problem::new(whole, "the environment variable API_TOKEN is not set"),
        ])
    }

    #[test]
    fn a_pipe_gets_it_plain() {
        insta::assert_snapshot!(render(&some(), &[&profile()], Look::Plain, 100));
    }

    #[test]
    fn a_terminal_gets_lines_and_no_more_than_its_width() {
        insta::assert_snapshot!(render(&some(), &[&profile()], Look::Lines, 80));
    }

    #[test]
    fn only_the_coloured_look_has_colours() {
        for (look, coloured) in [(Look::Colour, true), (Look::Lines, false), (Look::Plain, false)] {
            assert_eq!(render(&some(), &[&profile()], look, 80).contains('\x1b'), coloured, "{look:?}");
        }
    }

    #[test]
    fn one_problem_is_one_and_many_are_cut() {
        let one = Problems::from(at(1, 7, "name", "no"));
        assert!(render(&one, &[], Look::Plain, 80).ends_with("1 problem; nothing was sent\n"));
        let many = Problems(vec![at(1, 7, "name", "no"); SHOWN_MAX + 7]);
        let text = render(&many, &[], Look::Plain, 80);
        assert!(text.ends_with("… and 7 more\n57 problems; nothing was sent\n"), "{text}");
    }
}
