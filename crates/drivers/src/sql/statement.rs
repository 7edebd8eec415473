//! A statement looked at: how many placeholders it has, what it does. It is sent as it is written.

use std::sync::Arc;

use super::file::Role;

/// Most placeholders of one statement.
const PARAMS_MAX: usize = 1000;

/// A statement ready to be sent.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The whole text, as written.
    pub text: Arc<str>,
    /// How many values it takes.
    pub params: usize,
    /// Where it may run, by what it says.
    pub role: Role,
    /// Whether the number that comes with its end is of rows that it wrote. A server counts what a
    /// query selects there too, and SQLite repeats what an earlier statement wrote.
    pub counts_written: bool,
}

impl Statement {
    /// Takes a statement apart.
    ///
    /// # Errors
    /// In words: nothing in it, several statements, `{{ … }}`, an open quote, placeholders with gaps.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains("{{") {
            return Err("a query is prepared once, so it can't be a template: write $1 and give the value under \
                        params"
                .into());
        }
        let rest = text.trim().trim_end_matches(';').trim_end();
        let mut lexer = Lexer { rest, used: Vec::new(), words: Vec::new() };
        lexer.run()?;
        let (mut used, words) = (lexer.used, lexer.words);
        used.sort_unstable();
        used.dedup();
        if let Some((gap, _)) = used.iter().enumerate().find(|(i, used)| i != *used) {
            return Err(format!("the placeholder ${} is missing: placeholders count up from $1", gap + 1));
        }
        let first = words.first().map_or("", String::as_str);
        let selects = matches!(first, "select" | "with" | "values" | "table");
        let writes = |w: &String| matches!(w.as_str(), "insert" | "update" | "delete" | "merge" | "share" | "into");
        let role = if selects && !words.iter().any(writes) { Role::Read } else { Role::Write };
        let counts_written = match first {
            "insert" | "update" | "delete" | "merge" | "replace" | "copy" => true,
            "with" => role == Role::Write,
            _ => false,
        };
        if words.is_empty() {
            return Err("the query is empty".into());
        }
        Ok(Self { text: text.into(), params: used.len(), role, counts_written })
    }
}

struct Lexer<'a> {
    rest: &'a str,
    /// Placeholders by index from 0, each time that one stands there.
    used: Vec<usize>,
    /// Lower-case words outside quotes and comments.
    words: Vec<String>,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(first) = self.rest.chars().next() {
            match first {
                '\'' => self.quoted('\'', false)?,
                '"' => self.quoted('"', false)?,
                '-' if self.rest.starts_with("--") => {
                    let length = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.keep(length);
                }
                '/' if self.rest.starts_with("/*") => self.comment()?,
                '$' => self.dollar()?,
                ';' => return Err("a query is one statement: put several under transaction".into()),
                c if c.is_alphabetic() || c == '_' => self.word()?,
                c => self.keep(c.len_utf8()),
            }
        }
        Ok(())
    }

    fn keep(&mut self, length: usize) {
        self.rest = &self.rest[length..];
    }

    fn word(&mut self) -> Result<(), String> {
        let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let length = self.rest.find(|c| !inside(c)).unwrap_or(self.rest.len());
        let word = self.rest[..length].to_lowercase();
        self.keep(length);
        if word == "e" && self.rest.starts_with('\'') {
            return self.quoted('\'', true);
        }
        self.words.push(word);
        Ok(())
    }

    fn quoted(&mut self, quote: char, backslash: bool) -> Result<(), String> {
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if backslash && c == '\\' {
                chars.next();
            } else if c == quote {
                if chars.peek().is_some_and(|(_, next)| *next == quote) {
                    chars.next();
                } else {
                    self.keep(at + 1);
                    return Ok(());
                }
            }
        }
        Err(format!("a quote ({quote}) is opened and never closed"))
    }

    fn comment(&mut self) -> Result<(), String> {
        let mut depth = 0_usize;
        let mut at = 0;
        while at < self.rest.len() {
            let here = &self.rest[at..];
            if here.starts_with("/*") {
                depth += 1;
                at += 2;
            } else if here.starts_with("*/") {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    self.keep(at);
                    return Ok(());
                }
            } else {
                at += here.chars().next().map_or(1, char::len_utf8);
            }
        }
        Err("a comment (/*) is opened and never closed".into())
    }

    /// A placeholder, a dollar quote, or just a dollar.
    fn dollar(&mut self) -> Result<(), String> {
        let after = &self.rest[1..];
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        if digits > 0 {
            let number: usize = after[..digits].parse().unwrap_or(usize::MAX);
            if number == 0 || number > PARAMS_MAX {
                return Err(format!("a placeholder must lie from $1 to ${PARAMS_MAX}"));
            }
            self.used.push(number - 1);
            self.rest = &after[digits..];
            return Ok(());
        }
        let name = after.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(after.len());
        if after[name..].starts_with('$') {
            let tag = &self.rest[..name + 2];
            let body = &self.rest[tag.len()..];
            let end = body.find(tag).ok_or_else(|| format!("the quote {tag} is opened and never closed"))?;
            self.keep(tag.len() + end + tag.len());
        } else {
            self.keep(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Statement {
        Statement::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn placeholders_are_found_only_where_they_are_placeholders() {
        let text = r#"select '$1', "$2", $a$ $3 $a$, e'\'$4', a$5 /* $6 /* $7 */ */ from t -- $8
            where x = $1 and y = $2 or z = $1;"#;
        let statement = parsed(text);
        assert_eq!(statement.params, 2);
        assert_eq!(&*statement.text, text, "it is sent as it is written");
    }

    #[test]
    fn roles_follow_what_a_statement_does() {
        for text in [
            "select 1",
            "-- who\nSELECT 'update' from t",
            "with x as (select 1) select * from x",
            "values (1)",
            "(select 1) union (select 2)",
        ] {
            assert_eq!(parsed(text).role, Role::Read, "{text}");
        }
        for text in [
            "insert into t values ($1)",
            "select 1 from t for update",
            "select 1 from t for share",
            "with x as (delete from t returning id) select * from x",
            "update t set a = 1",
            "vacuum",
        ] {
            assert_eq!(parsed(text).role, Role::Write, "{text}");
        }
    }

    #[test]
    fn only_what_writes_counts_what_it_wrote() {
        for text in ["insert into t values ($1)", "UPDATE t set a = 1", "with x as (select 1) insert into t select 1"] {
            assert!(parsed(text).counts_written, "{text}");
        }
        for text in ["select 1", "select 1 from t for update", "with x as (select 1) select * from x", "vacuum"] {
            assert!(!parsed(text).counts_written, "{text}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (text, words) in [
            ("", "empty"),
            ("-- nothing", "empty"),
            ("select 1; select 2", "one statement"),
            ("select {{ a }}", "template"),
            ("select $2", "$1 is missing"),
            ("select $0", "from $1"),
            ("select 'a", "never closed"),
            ("select /* a", "never closed"),
            ("select $x$ a", "never closed"),
            ("select $99999999999999999999999", "from $1"),
        ] {
            let error = Statement::parse(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
