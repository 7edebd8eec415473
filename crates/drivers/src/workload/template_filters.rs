//! Filters of the template engine that could grow without a bound, with one.

use minijinja::value::{Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};

/// Most bytes that a filter yields or that a template keeps under a name.
const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes that a template keeps under a name.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Most elements of a list that it keeps, or that a filter takes.
const ELEMENTS_MAX: usize = 100_000;
/// Most spaces of an indentation, most digits of a number that is formatted.
const WIDTH_MAX: usize = 100;

fn wrong(reason: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// Puts them in the place of those that have none.
pub(super) fn bound(environment: &mut Environment<'static>) {
    environment.add_filter("bounded", kept);
    environment.add_filter("replace", replace);
    environment.add_filter("join", join);
    environment.add_filter("indent", indent);
    environment.add_filter("format", format);
    environment.add_filter("list", list);
    for gone in ["batch", "slice", "chain", "zip", "pprint"] {
        environment.remove_filter(gone);
    }
}

/// A value that is kept.
fn kept(value: Value) -> Result<Value, Error> {
    if value.as_str().is_some_and(|text| text.len() > KEPT_BYTES_MAX) {
        return Err(wrong(format!("a name keeps at most {} KiB of text", KEPT_BYTES_MAX / 1024)));
    }
    counted(&value).map(|()| value)
}

fn counted(value: &Value) -> Result<(), Error> {
    if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        match value.len() {
            Some(length) if length > ELEMENTS_MAX => {
                return Err(wrong(format!("a list has at most {ELEMENTS_MAX} elements here")));
            }
            Some(_) => {}
            None if value.try_iter()?.take(ELEMENTS_MAX + 1).count() > ELEMENTS_MAX => {
                return Err(wrong(format!("a list has at most {ELEMENTS_MAX} elements here")));
            }
            None => {}
        }
    }
    Ok(())
}

fn text(length: usize) -> Result<(), Error> {
    if length > TEXT_BYTES_MAX {
        return Err(wrong(format!("a filter yields at most {} MiB", TEXT_BYTES_MAX / 1024 / 1024)));
    }
    Ok(())
}

fn replace(value: String, from: String, to: String) -> Result<String, Error> {
    let found = if from.is_empty() { value.chars().count() + 1 } else { value.matches(from.as_str()).count() };
    text(value.len().saturating_add(found.saturating_mul(to.len())))?;
    Ok(value.replace(&from, &to))
}

fn join(value: Value, joiner: Option<String>) -> Result<String, Error> {
    counted(&value)?;
    let joiner = joiner.unwrap_or_default();
    let mut out = String::new();
    for (i, item) in value.try_iter()?.enumerate() {
        if i > 0 {
            out.push_str(&joiner);
        }
        match item.as_str() {
            Some(part) => out.push_str(part),
            None => {
                counted(&item)?;
                out.push_str(&item.to_string());
            }
        }
        text(out.len())?;
    }
    Ok(out)
}

fn indent(value: String, width: Option<usize>, first: Option<bool>, blank: Option<bool>) -> Result<String, Error> {
    let width = width.unwrap_or(4);
    if width > WIDTH_MAX {
        return Err(wrong(format!("an indentation has at most {WIDTH_MAX} spaces")));
    }
    text(value.len().saturating_add(value.lines().count().saturating_mul(width)))?;
    let space = " ".repeat(width);
    let lines = value.lines().enumerate().map(|(i, line)| {
        let indented = (i > 0 || first.unwrap_or(false)) && (!line.is_empty() || blank.unwrap_or(false));
        if indented { format!("{space}{line}") } else { line.to_owned() }
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

fn format(state: &mut State<'_, '_>, value: Value, arguments: Rest<Value>) -> Result<Value, Error> {
    let pattern = value.as_str().unwrap_or_default();
    text(pattern.len())?;
    for part in pattern.split('%').skip(1) {
        let width: String = part.chars().take_while(|c| !c.is_ascii_alphabetic()).collect();
        let digits = width
            .split(|c: char| !c.is_ascii_digit())
            .any(|n| n.parse::<usize>().map_or(!n.is_empty(), |n| n > WIDTH_MAX));
        // A space or a sign may stand before a text that is no part of a number.
        if digits || width.starts_with('*') || width.contains(".*") {
            return Err(wrong(format!("a width must be a number up to {WIDTH_MAX}")));
        }
    }
    let all: Vec<Value> = std::iter::once(value).chain(arguments.iter().cloned()).collect();
    Value::from_function(minijinja::filters::format).call(state, &all)
}

fn list(value: Value) -> Result<Value, Error> {
    counted(&value)?;
    Ok(value.try_iter()?.collect())
}
