//! One feed, ready to draw from: rows by number, fields by name.

use std::borrow::Cow;
use std::fmt::Write;

use fake::Fake;
use fake::faker::name::en::{FirstName, LastName};
use rand::RngExt;
use serde_json::Value;

use super::ExecutionId;
use super::draw::{keyed, phone, rng_of_arrival, uuid};
use super::keys::Law;
use super::rows::Rows;

/// One value of a row or of an execution.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Text(Cow<'a, str>),
    Number(i64),
    Unsigned(u64),
    Json(&'a Value),
}

impl Cell<'_> {
    /// As it stands in a text.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Json(Value::String(text)) => out.push_str(text),
            // Writing to a String can't fail.
            Self::Number(number) => drop(write!(out, "{number}")),
            Self::Unsigned(number) => drop(write!(out, "{number}")),
            Self::Json(value) => drop(write!(out, "{value}")),
        }
    }

    /// As a JSON value.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_ref()),
            Self::Number(number) => Value::from(*number),
            Self::Unsigned(number) => Value::from(*number),
            Self::Json(value) => (*value).clone(),
        }
    }
}

/// A named source of rows.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) name: String,
    /// Tells this feed's randomness from that of others.
    pub(super) stream: u64,
    pub(super) kind: Kind,
    /// Whether each user keeps one row.
    pub(super) per_user: bool,
}

#[derive(Debug)]
pub(super) enum Kind {
    People { count: u64, prefix: String, seed: u64 },
    Ids { count: u64, prefix: String, seed: u64 },
    Keys { count: u64, prefix: String, law: Law },
    Rows { rows: Rows, order: Order },
}

/// How arrivals take the rows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Random,
    /// One after another, and from the first again.
    Sequential,
    /// One after another, each by one arrival only.
    Once,
}

const PEOPLE_FIELDS: [&str; 7] = ["id", "n", "name", "first_name", "last_name", "email", "phone"];
const KEY_FIELDS: [&str; 2] = ["id", "n"];

impl Feed {
    /// Names of the fields of each row.
    pub(super) fn fields(&self) -> Vec<&str> {
        match &self.kind {
            Kind::People { .. } => PEOPLE_FIELDS.to_vec(),
            Kind::Ids { .. } | Kind::Keys { .. } => KEY_FIELDS.to_vec(),
            Kind::Rows { rows, .. } => rows.fields(),
        }
    }

    fn count(&self) -> u64 {
        match &self.kind {
            Kind::People { count, .. } | Kind::Ids { count, .. } | Kind::Keys { count, .. } => *count,
            Kind::Rows { rows, .. } => rows.count(),
        }
    }

    /// The row of an arrival; every template of all of its steps sees the same, so that a flow stays
    /// with one patient.
    pub(super) fn row(&self, id: &ExecutionId) -> u64 {
        if self.per_user {
            return id.user % self.count().max(1);
        }
        let uniform = |count: u64| rng_of_arrival(id, self.stream).random_range(0..count.max(1));
        match &self.kind {
            Kind::People { count, .. } | Kind::Ids { count, .. } => uniform(*count),
            Kind::Keys { count, law, .. } => law.draw(*count, id.seq, &mut rng_of_arrival(id, self.stream)),
            Kind::Rows { rows, order: Order::Sequential } => id.seq % rows.count().max(1),
            Kind::Rows { order: Order::Once, .. } => id.seq,
            Kind::Rows { rows, order: Order::Random } => uniform(rows.count()),
        }
    }

    /// Whether all rows were taken before this one.
    pub(super) fn is_used_up(&self, row: u64) -> bool {
        row >= self.count()
    }

    /// One field of a row; `None` when there is no such field. What a row says depends on its number
    /// alone, never on the run, so that rows can be put into a target beforehand.
    pub(super) fn field(&self, row: u64, field: &str) -> Option<Cell<'_>> {
        match &self.kind {
            Kind::Rows { rows, .. } => rows.field(row, field),
            _ if field == "n" => Some(Cell::Unsigned(row)),
            Kind::People { prefix, .. } | Kind::Keys { prefix, .. } if field == "id" => Some(numbered(prefix, row)),
            Kind::Ids { prefix, seed, .. } if field == "id" => {
                let uuid = uuid(&mut keyed([*seed, row, 0, 1]));
                Some(Cell::Text(format!("{prefix}{uuid}").into()))
            }
            Kind::People { seed, .. } => person(*seed, row, field).map(|text| Cell::Text(text.into())),
            Kind::Keys { .. } | Kind::Ids { .. } => None,
        }
    }
}

fn numbered<'a>(prefix: &str, row: u64) -> Cell<'a> {
    Cell::Text(format!("{prefix}{row}").into())
}

/// A field of a made-up person. Mail goes to a reserved domain, and holds the number so that no two
/// people share an address.
fn person(seed: u64, row: u64, field: &str) -> Option<String> {
    let mut rng = keyed([seed, row, 0, 0]);
    let first: String = FirstName().fake_with_rng(&mut rng);
    let last: String = LastName().fake_with_rng(&mut rng);
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match field {
        "name" => Some(format!("{first} {last}")),
        "first_name" => Some(first),
        "last_name" => Some(last),
        "email" => Some(format!("{}.{}.{row}@example.org", plain(&first), plain(&last))),
        "phone" => Some(phone(&mut rng)),
        _ => None,
    }
}
