//! Templates that are richer than plain names: through minijinja, with bounds on steps and size.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minijinja::value::{Object, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior};

use serde::Deserialize;

use super::draw::{Fiction, rng};
use super::expression::{Draw, Names, Unknown, stream, url_encode};
use super::feed::Cell;
use super::template::{RENDERED_BYTES_MAX, RenderError};
use super::template_bounds::bounded_template;
use super::template_filters;
use super::{Data, ExecutionId, Values};

/// Most steps of one rendering.
const FUEL: u64 = 200_000;
/// Functions that templates may use besides the names of their workload.
const FUNCTIONS: [&str; 3] = ["range", "dict", "namespace"];
const NAME: &str = "template";

/// A compiled template.
#[derive(Clone, Debug)]
pub(super) struct Jinja {
    environment: Arc<Environment<'static>>,
    /// Captures that it may ask for.
    captures: Vec<String>,
    /// Fields of feeds that it may ask for, by feed.
    fields: BTreeMap<String, Vec<String>>,
    salt: u64,
}

impl Jinja {
    pub(super) fn compile(text: &str, names: &Names<'_>, salt: u64) -> Result<Self, Unknown> {
        let text = bounded_template(text).map_err(Unknown::from)?;
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(50);
        let syntax = minijinja::syntax::SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|e| Unknown::from(e.to_string()))?);
        environment.add_filter("urlencode", |text: String| url_encode(&text));
        environment.add_filter("json", |value: Value| {
            serde_json::to_string(&value).map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))
        });
        environment.remove_global("debug");
        template_filters::bound(&mut environment);
        environment.add_template_owned(NAME, text).map_err(|e| Unknown::from(said(&e)))?;
        let mut used: Vec<String> = environment
            .get_template(NAME)
            .map_err(|e| Unknown::from(said(&e)))?
            .undeclared_variables(true)
            .into_iter()
            .collect();
        used.sort_unstable();
        for path in &used {
            if !FUNCTIONS.contains(&path.as_str()) {
                names.check(path)?;
            }
        }
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (feed, field) in used.iter().filter_map(|path| path.split_once('.')) {
            if names.data.find(feed).is_some() {
                let field = field.split('.').next().unwrap_or(field);
                fields.entry(feed.to_owned()).or_default().push(field.to_owned());
            }
        }
        let captures = used.into_iter().filter(|name| names.is_capture(name)).collect();
        let jinja = Self { environment: Arc::new(environment), captures, fields, salt };
        jinja.try_out(names)?;
        Ok(jinja)
    }

    /// Renders once with values that stand in, so that an unknown filter or a division by zero is
    /// found when the workload is compiled. What depends on what is captured can't be known here.
    fn try_out(&self, names: &Names<'_>) -> Result<(), Unknown> {
        let id = ExecutionId { seed: 0, run: "run".into(), scenario: "scenario".into(), seq: 1, step: 0, user: 1 };
        let captured = self.captures.iter().map(|name| (name.clone(), "1".to_owned())).collect();
        match self.write(&id, names.data, &captured) {
            Ok(_) => Ok(()),
            Err(e) if self.captures.is_empty() || is_certain(e.kind()) => Err(Unknown::from(said(&e))),
            Err(_) => Ok(()),
        }
    }

    pub(super) fn render(&self, values: &Values<'_>) -> Result<String, RenderError> {
        let mut feeds = self.fields.keys().filter_map(|name| values.data.find(name));
        if let Some((_, feed)) = feeds.find(|(_, feed)| feed.is_used_up(feed.row(&values.id))) {
            return Err(RenderError::no_row(&feed.name));
        }
        self.write(&values.id, values.data, values.captured).map_err(|e| {
            if e.kind() == ErrorKind::UndefinedError
                && let Some(name) = self.captures.iter().find(|name| !values.captured.contains_key(*name))
            {
                return RenderError(format!("{name} was not captured yet"));
            }
            RenderError(said(&e))
        })
    }

    fn write(&self, id: &ExecutionId, data: &Data, captured: &BTreeMap<String, String>) -> Result<String, Error> {
        let row = |(name, fields): (&String, &Vec<String>)| {
            let (_, feed) = data.find(name)?;
            let row = feed.row(id);
            let cell = |field: &String| Some((field.clone(), value(feed.field(row, field)?)));
            Some((name.clone(), Value::from_pairs(fields.iter().filter_map(cell))))
        };
        let captured =
            self.captures.iter().filter_map(|name| Some((name.clone(), captured.get(name)?.as_str().into())));
        let scope = Scope {
            id: id.clone(),
            names: self.fields.iter().filter_map(row).chain(captured).collect(),
            salt: self.salt,
            draws: AtomicU64::new(0),
        };
        let template = self.environment.get_template(NAME)?;
        let mut out = Bounded(Vec::new());
        template.render_captured_to(Value::from_object(scope), &mut out)?;
        String::from_utf8(out.0).map_err(|_| Error::new(ErrorKind::BadSerialization, "yields no text"))
    }
}

/// Whether an error of this kind comes whatever was captured.
fn is_certain(kind: ErrorKind) -> bool {
    use ErrorKind::{
        MissingArgument, SyntaxError, TemplateNotFound, TooManyArguments, UnknownFilter, UnknownFunction,
        UnknownMethod, UnknownTest,
    };
    matches!(
        kind,
        MissingArgument
            | SyntaxError
            | TemplateNotFound
            | TooManyArguments
            | UnknownFilter
            | UnknownFunction
            | UnknownMethod
            | UnknownTest
    )
}

/// An error of the engine in one line, without the position (which is that of the string within
/// the file, and said by us).
fn said(error: &Error) -> String {
    if error.kind() == ErrorKind::WriteFailure {
        return format!("yields more than {} MiB", RENDERED_BYTES_MAX / 1024 / 1024);
    }
    if error.kind() == ErrorKind::SyntaxError {
        return match error.detail() {
            Some(detail) if detail.contains("end of input") => {
                "the template is not closed: write `{{ name }}`, `{% if … %} … {% endif %}`".into()
            }
            _ => "the template can't be read: inside `{{ }}` stands a name, a call or a filter, like `{{ seq }}`, `{{ random.int(1, 9) }}`, `{{ name | urlencode }}`, and inside `{% %}` a statement, like `{% if seq > 1 %}`".into(),
        };
    }
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// A buffer that refuses to grow past the bound.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > RENDERED_BYTES_MAX {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The names that one rendering sees.
struct Scope {
    id: ExecutionId,
    /// Rows of feeds and captures.
    names: BTreeMap<String, Value>,
    salt: u64,
    draws: AtomicU64,
}

impl Scope {
    fn rng(&self) -> rand_chacha::ChaCha8Rng {
        let number = self.draws.fetch_add(1, Ordering::Relaxed) + 1;
        rng(&self.id, stream(self.salt, number))
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the execution")
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        match name {
            "seq" => Some(self.id.seq.into()),
            "user" => Some(self.id.user.into()),
            "run" => Some(self.id.run.as_ref().into()),
            "scenario" => Some(self.id.scenario.as_ref().into()),
            "write_id" => Some(self.id.write_id().to_string().into()),
            "fake" => Some(Value::from_object(Fake(Arc::clone(self)))),
            "random" => Some(Value::from_object(Random(Arc::clone(self)))),
            _ => self.names.get(name).cloned(),
        }
    }
}

fn value(cell: Cell<'_>) -> Value {
    match cell {
        Cell::Text(text) => text.into_owned().into(),
        Cell::Number(number) => number.into(),
        Cell::Unsigned(number) => number.into(),
        Cell::Json(json) => Value::deserialize(json).unwrap_or_default(),
    }
}

struct Fake(Arc<Scope>);

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fake")
    }
}

impl Object for Fake {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let kind = Fiction::named(key.as_str()?)?;
        Some(kind.draw(&mut self.0.rng()).into())
    }
}

struct Random(Arc<Scope>);

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("random")
    }
}

impl Object for Random {
    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        let wrong = |reason: String| Error::new(ErrorKind::InvalidOperation, reason);
        if method == "choice" {
            let [list] = arguments else {
                return Err(wrong("random.choice takes one list: random.choice([\"a\", \"b\"])".into()));
            };
            let choices: Vec<Value> = list.try_iter()?.collect();
            if choices.is_empty() {
                return Err(wrong("random.choice was given an empty list".into()));
            }
            let number = rand::RngExt::random_range(&mut self.0.rng(), 0..choices.len());
            return Ok(choices[number].clone());
        }
        let numbers: Option<Vec<i64>> = arguments.iter().map(Value::as_i64).collect();
        let numbers = numbers.ok_or_else(|| wrong(format!("random.{method} takes whole numbers")))?;
        Ok(value(Draw::random(method, &numbers).map_err(wrong)?.value(&mut self.0.rng())))
    }
}
