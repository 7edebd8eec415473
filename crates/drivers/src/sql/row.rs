//! The first row of an answer as a JSON object, for captures. Texts are spelled as the server spells them.

use std::sync::Arc;

use serde_json::{Map, Value};
use sqlx::sqlite::SqliteRow;
use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};

use super::postgres::Column;
use crate::large;
use crate::workload::Captures;

/// `json` and `jsonb`.
const JSON: [u32; 2] = [114, 3802];
/// `int2`, `int4`, `int8` and `oid`: numbers that are spelled in one way only.
const INTEGERS: [u32; 4] = [20, 21, 23, 26];

/// The first row of an answer, not looked at yet: that may take long.
#[derive(Clone, Debug, PartialEq)]
pub enum First {
    /// Of PostgreSQL: its columns, and their texts.
    Postgres(Arc<[Column]>, Vec<Option<String>>),
    /// Of SQLite.
    Sqlite(Value),
}

impl First {
    /// How much there is to look at, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Postgres(_, texts) => texts.iter().flatten().map(String::len).sum(),
            Self::Sqlite(Value::Object(row)) => row.values().filter_map(Value::as_str).map(str::len).sum(),
            Self::Sqlite(_) => 0,
        }
    }

    /// The row as an object.
    pub fn document(self, captures: &Captures) -> Value {
        match self {
            Self::Postgres(columns, texts) => postgres(&columns, texts, captures),
            Self::Sqlite(row) => row,
        }
    }
}

/// A row of PostgreSQL.
fn postgres(columns: &[Column], texts: Vec<Option<String>>, captures: &Captures) -> Value {
    let members = columns.iter().zip(texts).map(|(column, text)| {
        let value = match text {
            None => Value::Null,
            Some(text) => plain(column, text, captures),
        };
        (column.name.clone(), value)
    });
    Value::Object(members.collect())
}

fn plain(column: &Column, text: String, captures: &Captures) -> Value {
    // A document is a text, unless somebody looks into it.
    if JSON.contains(&column.oid) && captures.reach_into(&column.name) {
        return large::json(text.as_bytes()).unwrap_or(Value::String(text));
    }
    let number = INTEGERS.contains(&column.oid).then(|| text.parse::<i64>().ok()).flatten();
    number.map_or(Value::String(text), Value::from)
}

/// A row of SQLite.
pub fn sqlite(row: &SqliteRow) -> First {
    let mut object = Map::new();
    for column in row.columns() {
        let at = column.ordinal();
        let Ok(raw) = row.try_get_raw(at) else { continue };
        let value = if raw.is_null() {
            Value::Null
        } else {
            match raw.type_info().name() {
                "INTEGER" | "BOOLEAN" => row.try_get_unchecked::<i64, _>(at).map_or(Value::Null, Value::from),
                // SQLite's own text of a number, too.
                _ => row.try_get_unchecked::<String, _>(at).map_or(Value::Null, Value::from),
            }
        };
        object.insert(column.name().to_owned(), value);
    }
    First::Sqlite(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use slatest_core::source::{Located, Source};

    fn captured(path: &str, oid: u32, text: Option<&str>) -> Result<String, String> {
        let source = Source::new("w.yaml", "", ".");
        let spec = Located { value: path.to_owned(), line: 1, column: 1 };
        let captures = Captures::compile(&source, &BTreeMap::from([("a".to_owned(), spec)]), "capture").unwrap();
        let columns = [Column { name: "doc".into(), oid }];
        let row = postgres(&columns, vec![text.map(str::to_owned)], &captures);
        let mut into = BTreeMap::new();
        captures.take(Some(&row), |_| None, &mut into).map_err(|e| e.to_string())?;
        Ok(into.remove("a").unwrap_or_default())
    }

    #[test]
    fn texts_are_the_servers_own() {
        for (oid, text) in [
            (700, "0.1"),
            (701, "1e+20"),
            (1700, "1.500"),
            (16, "t"),
            (20, "-17"),
            (1184, "2000-01-01 00:00:00+00"),
            (600, "(1,2)"),
            (3802, "{\"a\": 1.0}"),
        ] {
            assert_eq!(captured("$.doc", oid, Some(text)).as_deref(), Ok(text));
        }
        assert_eq!(captured("$.doc.a", 3802, Some("{\"a\": \"x\"}")).as_deref(), Ok("x"));
        assert_eq!(captured("$['doc']['a']", 114, Some("{\"a\": 2}")).as_deref(), Ok("2"));
    }

    #[test]
    fn null_is_no_value() {
        assert_eq!(captured("$.doc", 23, None), Err("capture: a is null".to_owned()));
    }
}
