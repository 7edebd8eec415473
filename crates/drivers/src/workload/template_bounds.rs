//! What a template may be made of, looked at before the template engine reads it: its reader goes as deep as a text
//! says, and what grows by multiplying or by keeping has no bound in it.

use std::ops::Range;

/// Most bytes of one expression or statement.
const TAG_BYTES_MAX: usize = 4096;
/// Most parts (operators, names, filters) of one.
const PARTS_MAX: usize = 200;
/// Most brackets within each other, and most signs or `not` in a row.
const DEPTH_MAX: usize = 24;
/// Most statements of a template.
const STATEMENTS_MAX: usize = 200;
/// Statements that can be used. The others keep what they yield, or call themselves.
const STATEMENTS: [&str; 10] = ["if", "elif", "else", "endif", "for", "endfor", "set", "break", "continue", "raw"];
/// Filters whose value is a number.
const NUMERIC: [&str; 6] = ["int", "float", "length", "count", "abs", "round"];
/// Names whose value is a number.
const NUMBERS: [&str; 2] = ["seq", "user"];

/// The template with what it keeps (`{% set %}`) bounded.
///
/// # Errors
/// In words, when it is deeper, longer or hungrier than a template may be.
pub(super) fn bounded_template(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut statements = 0;
    while let Some(at) = ["{{", "{%", "{#"].iter().filter_map(|open| rest.find(open)).min() {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let close = match &rest[..2] {
            "{{" => "}}",
            "{%" => "%}",
            _ => "#}",
        };
        if close == "#}" {
            let Some(end) = rest.find(close) else { break };
            rest = &rest[end + 2..];
            continue;
        }
        let Some(tag) = Tag::read(&rest[2..], close)? else { break };
        let whole = &rest[..tag.length + 4];
        if close == "%}" {
            statements += 1;
            if statements > STATEMENTS_MAX {
                return Err(format!("a template has at most {STATEMENTS_MAX} statements"));
            }
            let inside = &rest[2..2 + tag.length];
            let word = tag.words(inside).next().unwrap_or_default();
            if !STATEMENTS.contains(&word) {
                return Err(format!("`{word}` can't be used in a template; these can: {}", STATEMENTS.join(", ")));
            }
            if word == "raw" {
                let end = ["{% endraw %}", "{%- endraw %}", "{%- endraw -%}", "{% endraw -%}"];
                let Some(length) = end.iter().filter_map(|end| Some(rest.find(end)? + end.len())).min() else {
                    return Err("`raw` needs its `endraw`".into());
                };
                out.push_str(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            if word == "for" && tag.words(inside).any(|word| word == "recursive") {
                return Err("a loop can't be recursive".into());
            }
            if word == "set" {
                let Some(at) = tag.tokens.iter().position(|token| &inside[token.clone()] == "=") else {
                    return Err("`set` needs its value in the same statement: {% set name = value %}".into());
                };
                let from = tag.tokens[at].end;
                let value = inside[from..].trim_end().strip_suffix('-').unwrap_or(&inside[from..]);
                let dash = if inside.trim_end().ends_with('-') { "-" } else { "" };
                out.push_str(&format!("{{%{}({value})|bounded {dash}%}}", &inside[..from]));
                rest = &rest[whole.len()..];
                continue;
            }
        }
        out.push_str(whole);
        rest = &rest[whole.len()..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The names that the expressions of a text ask for and must be there: not those that `default` or `defined` stand by.
pub(crate) fn names_in(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = ["{{", "{%"].iter().filter_map(|open| rest.find(open)).min() {
        let close = if rest[at..].starts_with("{{") { "}}" } else { "%}" };
        rest = &rest[at + 2..];
        let Ok(Some(tag)) = Tag::read(rest, close) else { break };
        let token = |i: usize| tag.tokens.get(i).map_or("", |token| &rest[token.clone()]);
        let optional = (0..tag.tokens.len()).any(|i| matches!(token(i), "default" | "defined" | "d"));
        for i in (0..tag.tokens.len()).filter(|_| !optional) {
            let member = i > 0 && matches!(token(i - 1), "." | "|");
            if is_word(token(i)) && !member {
                names.push(token(i).to_owned());
            }
        }
        rest = &rest[(tag.length + 2).min(rest.len())..];
    }
    names
}

/// What stands between two braces.
struct Tag {
    length: usize,
    tokens: Vec<Range<usize>>,
}

impl Tag {
    /// Reads one that starts after its opening; `None` where it has no end.
    fn read(text: &str, close: &str) -> Result<Option<Self>, String> {
        let bytes = text.as_bytes();
        let mut tokens: Vec<Range<usize>> = Vec::new();
        let (mut at, mut depth, mut signs) = (0, 0_usize, 0_usize);
        while at < bytes.len() {
            if depth == 0 && text[at..].starts_with(close) {
                let tag = Self { length: at, tokens };
                tag.multiplications(text)?;
                return Ok(Some(tag));
            }
            if at > TAG_BYTES_MAX {
                return Err(format!("what stands between braces is longer than {TAG_BYTES_MAX} bytes"));
            }
            let end = token_end(text, at);
            let token = &text[at..end];
            if !token.trim().is_empty() {
                depth = match token {
                    "(" | "[" | "{" => depth + 1,
                    ")" | "]" | "}" => depth.saturating_sub(1),
                    _ => depth,
                };
                signs = if matches!(token, "not" | "-" | "+") { signs + 1 } else { 0 };
                if depth > DEPTH_MAX || signs > DEPTH_MAX {
                    return Err(format!("it is nested more than {DEPTH_MAX} deep"));
                }
                tokens.push(at..end);
                // Texts and commas of a long list nest nothing.
                let parts = tokens.iter().filter(|token| !matches!(bytes[token.start], b'"' | b'\'' | b',')).count();
                if parts > PARTS_MAX {
                    return Err(format!("an expression has at most {PARTS_MAX} parts"));
                }
            }
            at = end;
        }
        Ok(None)
    }

    fn words<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let tokens = self.tokens.iter().map(move |token| &text[token.clone()]);
        tokens.filter(|token| token.starts_with(|c: char| c.is_alphabetic() || c == '_'))
    }

    /// Texts and lists multiplied have no bound; numbers have.
    fn multiplications(&self, text: &str) -> Result<(), String> {
        let token = |i: usize| self.tokens.get(i).map_or("", |token| &text[token.clone()]);
        for i in (0..self.tokens.len()).filter(|&i| matches!(token(i), "*" | "**")) {
            let left = i.checked_sub(1).is_some_and(|last| self.ends_number(last, &token));
            if !left || !self.starts_number(i + 1, &token) {
                return Err(
                    "`*` multiplies numbers alone here, like `seq * 2` or `(len | int) * 3`: a text that is multiplied soon yields more than 8 MiB; for a long one there is random.text(n)"
                        .into(),
                );
            }
        }
        Ok(())
    }

    /// Whether what ends with this token is a number for certain.
    fn ends_number<'t>(&self, last: usize, token: &impl Fn(usize) -> &'t str) -> bool {
        match token(last) {
            ")" => {
                let mut depth = 0;
                let open = (0..=last).rev().find(|&i| {
                    depth += match token(i) {
                        ")" => 1,
                        "(" => -1,
                        _ => 0,
                    };
                    depth == 0
                });
                let Some(open) = open else { return false };
                let called = open >= 3 && token(open - 2) == "." && token(open - 3) == "random";
                let group = open == 0 || !is_word(token(open - 1));
                (called && token(open - 1) == "int") || (group && self.is_arithmetic(open + 1..last, token))
            }
            word if is_number(word) => true,
            word if NUMERIC.contains(&word) => last > 0 && token(last - 1) == "|",
            word if word.starts_with("index") => last > 1 && token(last - 1) == "." && token(last - 2) == "loop",
            word => NUMBERS.contains(&word) && (last == 0 || token(last - 1) != "|"),
        }
    }

    fn starts_number<'t>(&self, first: usize, token: &impl Fn(usize) -> &'t str) -> bool {
        match token(first) {
            "(" => {
                let mut depth = 0;
                let close = (first..self.tokens.len()).find(|&i| {
                    depth += match token(i) {
                        "(" => 1,
                        ")" => -1,
                        _ => 0,
                    };
                    depth == 0
                });
                close.is_some_and(|close| self.is_arithmetic(first + 1..close, token))
            }
            "random" => token(first + 1) == "." && token(first + 2) == "int",
            "loop" => token(first + 2).starts_with("index"),
            word => is_number(word) || NUMBERS.contains(&word),
        }
    }

    /// Whether these tokens are arithmetic with numbers, or anything that a numeric filter ends.
    fn is_arithmetic<'t>(&self, tokens: Range<usize>, token: &impl Fn(usize) -> &'t str) -> bool {
        if tokens.is_empty() {
            return false;
        }
        let last = tokens.end - 1;
        if tokens.len() > 2 && NUMERIC.contains(&token(last)) && token(last - 1) == "|" {
            return tokens.clone().all(|i| token(i) != "," && token(i) != "~");
        }
        tokens.clone().all(|i| {
            let word = token(i);
            is_number(word) || NUMBERS.contains(&word) || matches!(word, "+" | "-" | "*" | "/" | "//" | "%" | "(" | ")")
        })
    }
}

fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) && word.len() < 20
}

fn is_word(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Where the token ends that starts here.
fn token_end(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    let Some(first) = rest.chars().next() else { return at + 1 };
    let length = match first {
        quote @ ('"' | '\'') => {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find(|&(_, c)| {
                let ends = c == quote && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |(end, _)| end + 1)
        }
        c if c.is_whitespace() => rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len()),
        c if c.is_ascii_digit() => {
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_').unwrap_or(rest.len())
        }
        c if c.is_alphabetic() || c == '_' => {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        }
        _ if ["**", "//", "==", "!=", "<=", ">="].iter().any(|two| rest.starts_with(two)) => 2,
        c => c.len_utf8(),
    };
    at + length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_deep_long_or_hungry_is_refused() {
        for text in [
            format!("{{{{ {}true }}}}", "not ".repeat(100_000)),
            format!("{{{{ {}1 }}}}", "-".repeat(100_000)),
            format!("{{{{ {}1{} }}}}", "(".repeat(5_000), ")".repeat(5_000)),
            format!("{{{{ {}1{} }}}}", "[".repeat(100), "]".repeat(100)),
            format!("{{{{ seq{} }}}}", "|int".repeat(1_000)),
            format!("{{{{ seq{} }}}}", " + seq".repeat(1_000)),
            "{% if true %}".repeat(10_000),
            "{{ 'x' * 99999999 }}".into(),
            "{{ [1] * 99999999 }}".into(),
            "{{ (range(9) | list) * seq }}".into(),
            "{{ ('x' ~ seq) * 9 }}".into(),
            "{% macro a() %}{% endmacro %}".into(),
            "{% set x %}{% endset %}".into(),
            "{% for x in y recursive %}{% endfor %}".into(),
            "{% filter upper %}x{% endfilter %}".into(),
        ] {
            assert!(bounded_template(&text).is_err(), "{:.80}", text);
        }
    }

    #[test]
    fn what_is_fine_stays_as_it_is() {
        for text in [
            "a {{ seq * 2 }} {{ 3 * (seq + 1) }} {{ (a | int) * 3 }} {{ random.int(1, 9) * 2 }} {{ '}}' }}",
            "{% for x in range(3) %}{{ loop.index * 2 }}{% endfor %}{# * #}",
            "{% raw %}{{ 'x' * 9 }}{% endraw %}",
            "{{ {'a': {'b': 1}}['a'] }}",
            "{{ open",
        ] {
            assert_eq!(
                bounded_template(text).as_deref(),
                Ok(if text.contains("{#") { "{% for x in range(3) %}{{ loop.index * 2 }}{% endfor %}" } else { text })
            );
        }
        assert_eq!(bounded_template("{%- set a = b ~ 'c' -%}").unwrap(), "{%- set a =( b ~ 'c' )|bounded -%}");
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at_without_a_panic(text in "[{}%#*()'\"a-z0-9 |~.-]{0,60}") {
            let _ = bounded_template(&text);
        }
    }
}
