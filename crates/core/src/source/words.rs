//! What a YAML reader says, in the words of this program: what is wrong, where, and what to do.

use crate::model::nearest;

/// A mistake in the file's shape, told anew.
pub(super) struct Told {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Where it is, where that is known better: line and column from 1.
    pub at: Option<(usize, usize)>,
}

/// Names that other tools use.
const KNOWN_ELSEWHERE: [(&str, &str); 8] = [
    ("latency", "response_time"),
    ("http_req_duration", "response_time"),
    ("errors", "error_rate"),
    ("failures", "error_rate"),
    ("rps", "throughput"),
    ("rate", "throughput"),
    ("constant-users", "constant-vus"),
    ("constant-rate", "constant-arrival-rate"),
];

/// Tells a reader's message anew. `line` is where it stopped, `text` the file.
pub(super) fn told(message: &str, line: usize, text: &str) -> Told {
    let new = |message: &str, help: &str| Told { message: message.into(), help: Some(help.into()), at: None };
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        return new("the file is empty", "`slatest init` writes complete examples");
    }
    if let Some(key) = message.strip_prefix("duplicate mapping key: ") {
        let key = key.split(", set ").next().unwrap_or(key);
        return Told {
            message: format!("the key `{key}` is there twice"),
            help: Some("leave one of them out, or give one another name".into()),
            at: None,
        };
    }
    if message.contains("tab")
        && (message.contains("indentation") || message.contains("disallowed"))
        && let Some(at) = tab(text, line)
    {
        let told = new("a tab stands where a line is indented", "indent with spaces: YAML takes no tabs there");
        return Told { at: Some(at), ..told };
    }
    const SHAPES: [&str; 7] = [
        "while parsing a block",
        "did not find expected",
        "mapping values are not allowed",
        "block collection",
        "block mapping",
        "simple key",
        "invalid indentation",
    ];
    if message.contains("end of input") || message.contains("end of stream") || message.contains("unexpected end") {
        return new(
            "the file ends in the middle of something",
            "close every `[`, `{` and quote, and give the last key its value",
        );
    }
    if message.contains("flow") && message.contains("did not find") {
        return new("a `{` or `[` is not closed, or a comma is missing", "close it, or put a comma between its parts");
    }
    if SHAPES.iter().any(|shape| message.contains(shape)) {
        return new(
            "the indentation doesn't fit, or a colon or dash is missing: this is no part of what stands above it",
            "items of a list begin with `- ` in one column, keys of a section stand in one column and end with `: `",
        );
    }
    for (words, wanted) in [
        ("expected string scalar", "a text is wanted here, not a section or a list"),
        ("expected sequence", "a list is wanted here: write its items as `[a, b]`, or each behind `- `"),
        ("expected mapping", "a section with keys is wanted here: `{ key: value }`"),
        ("expected boolean", "true or false is wanted here"),
        ("expected scalar", "one value is wanted here, not a section or a list"),
        ("cannot deserialize null into string", "a text is wanted here, and nothing stands there"),
        ("invalid type: unit", "a value is missing here"),
    ] {
        if message.to_lowercase().contains(words) {
            let help = (words == "expected string scalar").then(|| {
                "only credentials can be `{ env: NAME }` or `{ file: PATH }`; other values stand here themselves".into()
            });
            return Told { message: wanted.into(), help, at: None };
        }
    }
    Told { message: message.to_owned(), help: did_you_mean(message), at: None }
}

/// The first tab within the indentation of a line, from the line before where the reader stopped.
fn tab(text: &str, line: usize) -> Option<(usize, usize)> {
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line));
    let found = lines.filter_map(|(number, line)| {
        let indented = line.len() - line.trim_start_matches([' ', '\t', '-']).len();
        Some((number, line[..indented].find('\t')? + 1))
    });
    found.min_by_key(|(number, _)| number.abs_diff(line))
}

/// The way out of `unknown field `x`, expected one of `a`, `b``.
pub(super) fn did_you_mean(message: &str) -> Option<String> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let written = message.split('`').nth(1)?;
    let known = message.rsplit_once("expected one of ").or_else(|| message.rsplit_once("expected "))?.1;
    let known: Vec<&str> = known.split([',', ' ', '`']).filter(|name| !name.is_empty()).collect();
    let elsewhere = || {
        let (_, ours) = KNOWN_ELSEWHERE.iter().find(|(theirs, _)| *theirs == written)?;
        known.contains(ours).then_some(*ours)
    };
    let near = elsewhere().or_else(|| nearest(written, known.iter().copied()))?;
    Some(format!("did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use crate::source::Source;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[expect(dead_code, reason = "only its reading is tested")]
        name: String,
        #[serde(default)]
        #[expect(dead_code, reason = "only its reading is tested")]
        all: BTreeMap<String, BTreeMap<String, String>>,
        #[serde(default)]
        #[expect(dead_code, reason = "only its reading is tested")]
        list: Vec<BTreeMap<String, String>>,
    }

    #[test]
    fn no_mistake_is_told_in_the_words_of_a_library() {
        for (text, line, says) in [
            ("", 0, "empty"),
            ("\n  \n", 0, "empty"),
            ("name: a\nname: b\n", 0, "the key `name` is there twice"),
            ("all:\n  a: { x: y }\n  a: { x: y }\n", 0, "the key `a` is there twice"),
            ("all:\n\ta:\n\t\tx: y\n", 2, "a tab"),
            ("list:\n  - x: y\n   z: w\n", 0, "indentation"),
            ("list:\n  - x: y\n  z: w\n", 0, "indentation"),
            ("name: [a\n", 0, ""),
            ("name: { env: X }\n", 1, "a text is wanted"),
            ("list: 5\n", 1, ""),
            ("all: { a: [", 0, ""),
            ("name: \"a\n", 0, ""),
        ] {
            let problem = Source::new("f.yaml", text, "").parse::<File>().expect_err(text).0.remove(0);
            let said = problem.to_string();
            assert!(said.contains(says), "{text:?}: {said}");
            assert!(line == 0 || problem.place.line == line, "{text:?}: {said}");
            for word in ["DuplicateKeyPolicy", "Options", "scalar", "block", "indicator", "saphyr", "token", "serde"] {
                assert!(!said.contains(word), "{text:?}: {said}");
            }
        }
    }
}
