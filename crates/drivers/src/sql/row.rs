//! The first row of an answer as a JSON object, for captures.

use serde_json::{Map, Value};
use sqlx::postgres::{PgRow, PgValueFormat};
use sqlx::sqlite::SqliteRow;
use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};

/// Seconds from the Unix epoch to PostgreSQL's (2000-01-01).
const EPOCH_SECS: i64 = 946_684_800;

/// A row of PostgreSQL. A column of a type that has no plain form is left out: cast it to text.
pub fn postgres(row: &PgRow) -> Value {
    let mut object = Map::new();
    for column in row.columns() {
        let Ok(raw) = row.try_get_raw(column.ordinal()) else { continue };
        let value = match raw.as_bytes() {
            Err(_) => Some(Value::Null),
            Ok(bytes) => {
                let oid = column.type_info().oid().map_or(0, |oid| oid.0);
                match raw.format() {
                    PgValueFormat::Text => std::str::from_utf8(bytes).ok().map(|text| plain(oid, text)),
                    PgValueFormat::Binary => binary(oid, bytes),
                }
            }
        };
        if let Some(value) = value {
            object.insert(column.name().to_owned(), value);
        }
    }
    Value::Object(object)
}

/// A row of SQLite.
pub fn sqlite(row: &SqliteRow) -> Value {
    let mut object = Map::new();
    for column in row.columns() {
        let at = column.ordinal();
        let Ok(raw) = row.try_get_raw(at) else { continue };
        let value = if raw.is_null() {
            Value::Null
        } else {
            match raw.type_info().name() {
                "INTEGER" | "BOOLEAN" => row.try_get_unchecked::<i64, _>(at).map_or(Value::Null, Value::from),
                "REAL" => row.try_get_unchecked::<f64, _>(at).map_or(Value::Null, Value::from),
                _ => row.try_get_unchecked::<String, _>(at).map_or(Value::Null, Value::from),
            }
        };
        object.insert(column.name().to_owned(), value);
    }
    Value::Object(object)
}

/// A value in PostgreSQL's text form.
fn plain(oid: u32, text: &str) -> Value {
    match oid {
        16 => Value::Bool(text == "t"),
        20 | 21 | 23 | 26 => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        700 | 701 => text.parse::<f64>().map_or_else(|_| text.into(), Value::from),
        114 | 3802 => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        _ => text.into(),
    }
}

/// A value in PostgreSQL's binary form.
fn binary(oid: u32, bytes: &[u8]) -> Option<Value> {
    fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
        bytes.try_into().ok()
    }
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    Some(match oid {
        16 => Value::Bool(fixed::<1>(bytes)?[0] != 0),
        21 => i16::from_be_bytes(fixed(bytes)?).into(),
        23 => i32::from_be_bytes(fixed(bytes)?).into(),
        20 => i64::from_be_bytes(fixed(bytes)?).into(),
        26 => u32::from_be_bytes(fixed(bytes)?).into(),
        700 => f32::from_be_bytes(fixed(bytes)?).into(),
        701 => f64::from_be_bytes(fixed(bytes)?).into(),
        2950 => uuid::Uuid::from_bytes(fixed(bytes)?).to_string().into(),
        114 => serde_json::from_slice(bytes).ok()?,
        3802 => serde_json::from_slice(bytes.get(1..)?).ok()?,
        1114 | 1184 => {
            let micros = i64::from_be_bytes(fixed(bytes)?).checked_add(EPOCH_SECS * 1_000_000)?;
            jiff::Timestamp::from_microsecond(micros).ok()?.to_string().into()
        }
        // Names, text of all kinds and enums; a type with another form is seldom valid text.
        18 | 19 | 25 | 1042 | 1043 => text(bytes)?.into(),
        oid if oid >= 16_384 => text(bytes)?.into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_value_read_the_same() {
        assert_eq!(plain(20, "17"), binary(20, &17_i64.to_be_bytes()).unwrap());
        assert_eq!(plain(16, "t"), binary(16, &[1]).unwrap());
        assert_eq!(plain(3802, r#"{"a":1}"#), binary(3802, b"\x01{\"a\":1}").unwrap());
        assert_eq!(plain(25, "x"), binary(25, b"x").unwrap());
        assert_eq!(binary(1184, &0_i64.to_be_bytes()).unwrap(), "2000-01-01T00:00:00Z");
        assert_eq!(binary(20, b"short"), None);
        assert_eq!(binary(600, b"a point"), None);
    }
}
