//! One command of a workload.

use redis::Cmd;

use super::file::Word;
use crate::Outline;
use crate::workload::{RenderError, Template, Values};
use slatest_core::model::Problems;
use slatest_core::source::{Located, Source};

/// Most words of one command.
const WORDS_MAX: usize = 4096;

/// Commands that would hold up or change a connection that other sessions use at the same time.
const UNFIT: [&str; 31] = [
    "AUTH",
    "BLMOVE",
    "BLMPOP",
    "BLPOP",
    "BRPOP",
    "BRPOPLPUSH",
    "BZMPOP",
    "BZPOPMAX",
    "BZPOPMIN",
    "CLIENT",
    "DEBUG",
    "DISCARD",
    "EXEC",
    "HELLO",
    "MONITOR",
    "MULTI",
    "PSUBSCRIBE",
    "PSYNC",
    "PUNSUBSCRIBE",
    "QUIT",
    "READONLY",
    "READWRITE",
    "RESET",
    "SELECT",
    "SHUTDOWN",
    "SSUBSCRIBE",
    "SUBSCRIBE",
    "SYNC",
    "UNSUBSCRIBE",
    "WAIT",
    "WATCH",
];

/// A command ready to be rendered.
#[derive(Debug)]
pub struct Command {
    /// Its name, in capitals.
    pub name: String,
    words: Vec<Template>,
}

impl Command {
    /// Compiles a command; `key` is where it stands.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn compile(source: &Source, words: &[Located<Word>], key: &str, outline: &Outline) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let Some((name, rest)) = words.split_first() else {
            return Err(source.problem(key, "a command needs a name, like [GET, \"key\"]").into());
        };
        let upper = name.0.trim().to_ascii_uppercase();
        let name_key = format!("{key}[0]");
        if upper.is_empty() || !upper.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
            let message = format!("`{}` can't be the name of a command; it is no template", name.0);
            problems.0.push(source.problem_at(name, name_key, message));
        } else if UNFIT.contains(&upper.as_str()) {
            let message = format!("{upper} would hold up or change a connection that other sessions share");
            problems.0.push(source.problem_at(name, name_key, message));
        }
        if words.len() > WORDS_MAX {
            problems.0.push(source.problem_at(name, key, format!("a command has at most {WORDS_MAX} words")));
        }
        let mut templates = Vec::with_capacity(rest.len());
        for (index, word) in rest.iter().enumerate() {
            if upper.starts_with("XREAD") && word.0.eq_ignore_ascii_case("block") {
                let message = "BLOCK would hold up a connection that other sessions share";
                problems.0.push(source.problem_at(word, format!("{key}[{}]", index + 1), message));
            }
            let text = Located { value: word.0.clone(), line: word.line, column: word.column };
            let key = format!("{key}[{}]", index + 1);
            let template = Template::compile(source, &text, &key, &outline.data, &outline.captures);
            templates.extend(problems.take(template.map_err(Problems::from)));
        }
        problems.or(Self { name: upper, words: templates })
    }

    /// The command of one execution.
    ///
    /// # Errors
    /// When a template can't be rendered.
    pub fn render(&self, values: &Values<'_>) -> Result<Cmd, RenderError> {
        let mut command = redis::cmd(&self.name);
        for word in &self.words {
            command.arg(&*word.render(values)?);
        }
        Ok(command)
    }

    /// Its first two words: key and value of a `SET`.
    ///
    /// # Errors
    /// When a template can't be rendered.
    pub fn key_and_value(&self, values: &Values<'_>) -> Result<Option<(String, String)>, RenderError> {
        let [key, value, ..] = self.words.as_slice() else { return Ok(None) };
        Ok(Some((key.render(values)?.into_owned(), value.render(values)?.into_owned())))
    }

    /// Keys that it reads, where its reply says whether they were there.
    pub fn reads(&self) -> Option<Reads> {
        Some(match self.name.as_str() {
            "GET" | "GETEX" | "GETDEL" | "HGET" | "LINDEX" | "ZSCORE" | "JSON.GET" => Reads::One,
            "HGETALL" | "SMEMBERS" | "LRANGE" | "ZRANGE" | "HKEYS" | "HVALS" => Reads::Whole,
            "MGET" => Reads::Each,
            "HMGET" => Reads::Each,
            "EXISTS" | "TOUCH" => Reads::Counted(u32::try_from(self.words.len()).unwrap_or(u32::MAX)),
            _ => return None,
        })
    }
}

/// How a reply says whether what was read was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Nil is a miss.
    One,
    /// Nothing in it is a miss.
    Whole,
    /// Each nil in it is a miss.
    Each,
    /// It counts what was there, out of this many.
    Counted(u32),
}
