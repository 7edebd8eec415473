//! The expressions that most templates are made of: a name, perhaps with whole numbers as
//! arguments, perhaps through a filter. They are taken apart when the workload is compiled, so
//! that rendering one is a lookup; whatever is richer goes through the template engine.

use super::draw::{Fiction, TEXT_LENGTH_MAX, hex, mix, rng, text, uuid};
use super::feed::Cell;
use super::template::RenderError;
use super::{Data, Values};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use slatest_core::model::suggest;

/// What `random.*` can do.
pub(super) const RANDOM: [&str; 5] = ["int", "text", "hex", "uuid", "choice"];

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Draw {
    Fiction(Fiction),
    Int(i64, i64),
    Text(u64),
    Hex(u64),
    Uuid,
}

impl Draw {
    /// `random.name(arguments)`.
    ///
    /// # Errors
    /// In words, when the arguments don't fit.
    pub(super) fn random(name: &str, arguments: &[i64]) -> Result<Self, String> {
        let length = |n: i64| match u64::try_from(n) {
            Ok(n) if n <= TEXT_LENGTH_MAX => Ok(n),
            _ => Err(format!("random.{name}({n}): a length must lie from 0 to {TEXT_LENGTH_MAX}")),
        };
        match (name, arguments) {
            ("int", &[low, high]) if low <= high => Ok(Self::Int(low, high)),
            ("int", &[low, high]) => Err(format!("random.int({low}, {high}): the first must not be above the second")),
            ("text", &[n]) => length(n).map(Self::Text),
            ("hex", &[n]) => length(n).map(Self::Hex),
            ("uuid", []) => Ok(Self::Uuid),
            ("int", _) => Err("random.int takes two whole numbers: random.int(1, 6)".into()),
            ("text" | "hex", _) => Err(format!("random.{name} takes one whole number: random.{name}(16)")),
            ("uuid", _) => Err("random.uuid takes nothing: random.uuid()".into()),
            _ => Err(format!("random.{name} is not known; {}", suggest(name, RANDOM))),
        }
    }

    pub(super) fn value(self, rng: &mut ChaCha8Rng) -> Cell<'static> {
        let filled = |fill: fn(&mut ChaCha8Rng, u64, &mut String), length: u64, rng: &mut ChaCha8Rng| {
            let mut out = String::new();
            fill(rng, length, &mut out);
            Cell::Text(out.into())
        };
        match self {
            Self::Fiction(kind) => Cell::Text(kind.draw(rng).into()),
            Self::Int(low, high) => Cell::Number(rng.random_range(low..=high)),
            Self::Text(length) => filled(text, length, rng),
            Self::Hex(length) => filled(hex, length, rng),
            Self::Uuid => Cell::Text(uuid(rng).into()),
        }
    }
}

/// The stream of the `number`th draw of the template whose own stream is `salt`.
pub(super) const fn stream(salt: u64, number: u64) -> u64 {
    mix(salt.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

#[derive(Clone, Debug, PartialEq)]
enum Subject {
    Seq,
    User,
    Run,
    Scenario,
    WriteId,
    Field { feed: usize, field: String },
    Captured(String),
    Draw { draw: Draw, stream: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    UrlEncode,
    Json,
}

/// A plain expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expression {
    subject: Subject,
    filters: Vec<Filter>,
}

impl Expression {
    /// Takes one apart. `None`: it is not plain. `draws` counts the draws of the template so far.
    ///
    /// # Errors
    /// In words, when it is plain but names what isn't there.
    pub(super) fn parse(written: &str, names: &Names<'_>, salt: u64, draws: &mut u64) -> Result<Option<Self>, Unknown> {
        let mut parts = written.split('|').map(str::trim);
        let Some(head) = parts.next() else { return Ok(None) };
        let mut filters = Vec::new();
        for part in parts {
            filters.push(match part {
                "urlencode" => Filter::UrlEncode,
                "json" => Filter::Json,
                _ => return Ok(None),
            });
        }
        let (path, arguments) = match head.strip_suffix(')').map(|call| call.split_once('(')) {
            None => (head, None),
            Some(None) => return Ok(None),
            Some(Some((path, inside))) => match whole_numbers(inside) {
                Some(numbers) => (path.trim(), Some(numbers)),
                None => return Ok(None),
            },
        };
        let plain = |name: &str| super::data::is_identifier(name) && !matches!(name, "true" | "false" | "none" | "not");
        let (name, field) = match path.split_once('.') {
            Some((name, field)) if plain(name) && plain(field) => (name, Some(field)),
            None if plain(path) => (path, None),
            _ => return Ok(None),
        };
        let mut drawn = |draw: Draw| {
            *draws += 1;
            Subject::Draw { draw, stream: stream(salt, *draws) }
        };
        let subject = match (name, field, arguments) {
            ("random", Some("choice"), _) => return Ok(None),
            ("random", Some(what), arguments) => {
                drawn(Draw::random(what, &arguments.unwrap_or_default()).map_err(Unknown::from)?)
            }
            (_, _, Some(_)) => return Ok(None),
            _ => {
                names.check(path)?;
                match (name, field) {
                    ("seq", None) => Subject::Seq,
                    ("user", None) => Subject::User,
                    ("run", None) => Subject::Run,
                    ("scenario", None) => Subject::Scenario,
                    ("write_id", None) => Subject::WriteId,
                    ("fake", Some(kind)) => match Fiction::named(kind) {
                        Some(kind) => drawn(Draw::Fiction(kind)),
                        None => return Ok(None),
                    },
                    (feed, Some(field)) => match names.data.find(feed) {
                        Some((number, _)) => Subject::Field { feed: number, field: field.to_owned() },
                        None => return Ok(None),
                    },
                    (captured, None) if names.is_capture(captured) => Subject::Captured(captured.to_owned()),
                    _ => return Ok(None),
                }
            }
        };
        Ok(Some(Self { subject, filters }))
    }

    /// Writes its value for one execution.
    ///
    /// # Errors
    /// When a capture isn't there yet.
    pub(super) fn render(&self, values: &Values<'_>, out: &mut String) -> Result<(), RenderError> {
        let id = &values.id;
        let cell = match &self.subject {
            Subject::Seq => Cell::Unsigned(id.seq),
            Subject::User => Cell::Unsigned(id.user),
            Subject::Run => Cell::Text(id.run.as_ref().into()),
            Subject::Scenario => Cell::Text(id.scenario.as_ref().into()),
            Subject::WriteId => Cell::Text(id.write_id().to_string().into()),
            Subject::Captured(name) => match values.captured.get(name) {
                Some(value) => Cell::Text(value.into()),
                None => return Err(RenderError(format!("{name} was not captured yet"))),
            },
            Subject::Draw { draw, stream } => draw.value(&mut rng(id, *stream)),
            Subject::Field { feed, field } => values
                .data
                .feed(*feed)
                .map(|feed| (feed, feed.row(id)))
                .ok_or_else(|| RenderError(format!("there is no field {field}")))
                .and_then(|(feed, row)| match feed.field(row, field) {
                    Some(cell) => Ok(cell),
                    None if feed.is_used_up(row) => Err(RenderError::no_row(&feed.name)),
                    None => Err(RenderError(format!("there is no field {field}"))),
                })?,
        };
        if self.filters.is_empty() {
            cell.write(out);
            return Ok(());
        }
        let filtered = self.filters.iter().fold(cell, |cell, filter| {
            Cell::Text(match filter {
                Filter::UrlEncode => {
                    let mut text = String::new();
                    cell.write(&mut text);
                    url_encode(&text).into()
                }
                Filter::Json => cell.to_json().to_string().into(),
            })
        });
        filtered.write(out);
        Ok(())
    }
}

fn whole_numbers(inside: &str) -> Option<Vec<i64>> {
    if inside.trim().is_empty() {
        return Some(Vec::new());
    }
    inside.split(',').map(|n| n.trim().parse().ok()).collect()
}

/// Percent-encodes all but the unreserved characters of RFC 3986, so that the text fits anywhere in
/// a URL.
pub(super) fn url_encode(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    out
}

/// What a template said that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl From<String> for Unknown {
    fn from(message: String) -> Self {
        Self { message, help: None }
    }
}

/// The names that templates of one workload may use.
pub(super) struct Names<'a> {
    pub(super) data: &'a Data,
    pub(super) captures: &'a [String],
}

impl Names<'_> {
    pub(super) fn is_capture(&self, name: &str) -> bool {
        self.captures.iter().any(|c| c == name)
    }

    /// Checks a dotted name.
    ///
    /// # Errors
    /// When it means nothing, with what there is.
    pub(super) fn check(&self, path: &str) -> Result<(), Unknown> {
        let mut parts = path.split('.');
        let (name, field) = (parts.next().unwrap_or_default(), parts.next());
        let no_fields = |what: &str| match field {
            None => Ok(()),
            Some(_) => Err(Unknown::from(format!("`{path}`: {what} has no fields"))),
        };
        let field_of = |fields: Vec<&str>| match field {
            Some(field) if fields.contains(&field) => Ok(()),
            Some(field) => {
                Err(Unknown { message: format!("`{name}` has no `{field}`"), help: Some(suggest(field, fields)) })
            }
            None => Err(Unknown {
                message: format!("`{name}` stands for several values"),
                help: Some(format!(
                    "say which: {}",
                    fields.iter().map(|f| format!("{name}.{f}")).collect::<Vec<_>>().join(", ")
                )),
            }),
        };
        match name {
            "seq" | "user" | "run" | "scenario" | "write_id" => no_fields(&format!("`{name}`")),
            "fake" => field_of(Fiction::ALL.iter().map(|(known, _)| *known).collect()),
            "random" => field_of(RANDOM.to_vec()),
            _ => {
                if let Some((_, feed)) = self.data.find(name) {
                    return field_of(feed.fields());
                }
                if self.is_capture(name) {
                    return no_fields("a captured value");
                }
                let known = super::data::RESERVED.into_iter().chain(self.data.names());
                let known = known.chain(self.captures.iter().map(String::as_str));
                Err(Unknown {
                    message: format!("`{name}` is neither a feed nor a capture of this workload, nor built in"),
                    help: Some(suggest(name, known)),
                })
            }
        }
    }
}
