//! Values of placeholders: what the user said of their type, and how they are written for each
//! server.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgTypeKind, Postgres};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, Encode, Type, TypeInfo as _};

/// Seconds from the Unix epoch to PostgreSQL's (2000-01-01).
const EPOCH_SECS: i64 = 946_684_800;

/// What the user said of a value's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: what the query asks for.
    Inferred,
    /// Text.
    Text,
    /// A 64-bit integer.
    Int,
    /// A double.
    Float,
    /// True or false.
    Bool,
    /// A UUID.
    Uuid,
    /// A JSON document (`jsonb`).
    Json,
}

impl Kind {
    /// The kind that a workload file calls so.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "int" => Self::Int,
            "float" => Self::Float,
            "bool" => Self::Bool,
            "uuid" => Self::Uuid,
            "json" => Self::Json,
            _ => return None,
        })
    }

    /// Its name in workload files.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Inferred => return None,
            Self::Text => "text",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Uuid => "uuid",
            Self::Json => "json",
        })
    }

    /// The type that PostgreSQL is told when it prepares; 0 lets it choose.
    pub const fn declared(self) -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(match self {
            Self::Inferred => 0,
            Self::Text => 25,
            Self::Int => 20,
            Self::Float => 701,
            Self::Bool => 16,
            Self::Uuid => 2950,
            Self::Json => 3802,
        }))
    }

    /// The value as a literal of PostgreSQL. Always quoted, so that no value can end it.
    ///
    /// # Errors
    /// When it can't be one.
    pub fn literal(self, value: &str) -> Result<String, BadValue> {
        if value.contains('\0') {
            return Err(BadValue("text without NUL"));
        }
        let mut quoted = String::with_capacity(value.len() + 12);
        // Escaped form, because it means the same whatever standard_conforming_strings says.
        quoted.push_str(if value.contains('\\') { " E'" } else { "'" });
        for c in value.chars() {
            if matches!(c, '\'' | '\\') {
                quoted.push(c);
            }
            quoted.push(c);
        }
        quoted.push('\'');
        let cast = match self {
            Self::Inferred => return Ok(quoted),
            Self::Text => "text",
            Self::Int => "int8",
            Self::Float => "float8",
            Self::Bool => "bool",
            Self::Uuid => "uuid",
            Self::Json => "jsonb",
        };
        Ok(format!("({quoted}::{cast})"))
    }

    /// Adds the value to those of a SQLite statement.
    ///
    /// # Errors
    /// When the text isn't of its kind.
    pub fn add_sqlite(self, value: &str, arguments: &mut SqliteArguments) -> Result<(), BadValue> {
        let added = match self {
            Self::Int => arguments.add(number::<i64>(value, "an integer")?),
            Self::Float => arguments.add(number::<f64>(value, "a number")?),
            Self::Bool => arguments.add(truth(value)?),
            Self::Inferred | Self::Text | Self::Uuid | Self::Json => arguments.add(value.to_owned()),
        };
        added.map_err(|_| BadValue("a value that fits"))
    }
}

/// A rendered value that isn't what its place asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("params: a value is not {0}")]
pub struct BadValue(pub &'static str);

/// How PostgreSQL wants a value in its binary protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    /// Text, json and enums are the same bytes in both protocols.
    Text,
    Jsonb,
    Uuid,
    Date,
    Timestamp,
    TimestampTz,
    Numeric,
    /// One that is not written here, by its name.
    Other(String),
}

impl Wire {
    /// The wire form of a type.
    pub fn of(info: &PgTypeInfo) -> Self {
        match info.kind() {
            PgTypeKind::Domain(inner) => return Self::of(inner),
            PgTypeKind::Enum(_) => return Self::Text,
            _ => {}
        }
        match info.oid().map_or(0, |oid| oid.0) {
            16 => Self::Bool,
            21 => Self::Int2,
            23 => Self::Int4,
            20 => Self::Int8,
            26 => Self::Oid,
            700 => Self::Float4,
            701 => Self::Float8,
            19 | 25 | 114 | 705 | 1042 | 1043 => Self::Text,
            3802 => Self::Jsonb,
            2950 => Self::Uuid,
            1082 => Self::Date,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            1700 => Self::Numeric,
            _ => Self::Other(info.name().to_owned()),
        }
    }

    /// Writes a value.
    ///
    /// # Errors
    /// When the text isn't of this type, or the type can't be written.
    pub fn encode(&self, value: &str) -> Result<Encoded, BadValue> {
        let bytes = match self {
            Self::Bool => vec![u8::from(truth(value)?)],
            Self::Int2 => number::<i16>(value, "a small integer")?.to_be_bytes().to_vec(),
            Self::Int4 => number::<i32>(value, "a 32-bit integer")?.to_be_bytes().to_vec(),
            Self::Int8 => number::<i64>(value, "a 64-bit integer")?.to_be_bytes().to_vec(),
            Self::Oid => number::<u32>(value, "an oid")?.to_be_bytes().to_vec(),
            Self::Float4 => number::<f32>(value, "a number")?.to_be_bytes().to_vec(),
            Self::Float8 => number::<f64>(value, "a number")?.to_be_bytes().to_vec(),
            Self::Text => value.as_bytes().to_vec(),
            // Version 1 of jsonb's binary form is the text after this byte.
            Self::Jsonb => [&[1], value.as_bytes()].concat(),
            Self::Uuid => uuid::Uuid::try_parse(value.trim()).map_err(|_| BadValue("a UUID"))?.as_bytes().to_vec(),
            Self::Date => {
                let date: jiff::civil::Date = value.trim().parse().map_err(|_| BadValue("a date"))?;
                let days = date.since(jiff::civil::date(2000, 1, 1)).map_err(|_| BadValue("a date"))?.get_days();
                days.to_be_bytes().to_vec()
            }
            Self::Timestamp => {
                let bad = |_| BadValue("a date and time");
                let stamp: jiff::civil::DateTime = value.trim().parse().map_err(bad)?;
                let stamp = stamp.to_zoned(jiff::tz::TimeZone::UTC).map_err(bad)?.timestamp();
                micros(stamp).to_be_bytes().to_vec()
            }
            Self::TimestampTz => {
                let bad = |_| BadValue("a date and time with its zone");
                micros(value.trim().parse::<jiff::Timestamp>().map_err(bad)?).to_be_bytes().to_vec()
            }
            Self::Numeric => numeric(value.trim())?,
            Self::Other(_) => return Err(BadValue("of a type that can be sent; cast it in the query: $1::text::…")),
        };
        Ok(Encoded(bytes))
    }
}

/// A value in PostgreSQL's binary form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(Vec<u8>);

impl Type<Postgres> for Encoded {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Encoded {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }
}

fn number<T: std::str::FromStr>(value: &str, what: &'static str) -> Result<T, BadValue> {
    value.trim().parse().map_err(|_| BadValue(what))
}

fn truth(value: &str) -> Result<bool, BadValue> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "off" | "0" => Ok(false),
        _ => Err(BadValue("true or false")),
    }
}

fn micros(stamp: jiff::Timestamp) -> i64 {
    stamp.as_microsecond().saturating_sub(EPOCH_SECS * 1_000_000)
}

/// Binary `numeric`: digits in base 10,000 around the decimal point.
fn numeric(value: &str) -> Result<Vec<u8>, BadValue> {
    let (sign, digits) = match value.strip_prefix('-') {
        Some(rest) => (0x4000_u16, rest),
        None => (0, value.strip_prefix('+').unwrap_or(value)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || digits.len() > 1000 || !all_digits(whole) || !all_digits(fraction) {
        return Err(BadValue("a decimal number"));
    }
    let left = "0".repeat((4 - whole.len() % 4) % 4) + whole;
    let right = fraction.to_owned() + &"0".repeat((4 - fraction.len() % 4) % 4);
    let mut groups: Vec<u16> = (left.clone() + &right)
        .as_bytes()
        .chunks(4)
        .map(|four| four.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
        .collect();
    let mut weight = (left.len() / 4) as i16 - 1;
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    let header = [groups.len() as u16, weight as u16, sign, fraction.len() as u16];
    Ok(header.iter().chain(&groups).flat_map(|n| n.to_be_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_can_not_be_left() {
        assert_eq!(Kind::Inferred.literal("O'Neil").unwrap(), "'O''Neil'");
        assert_eq!(Kind::Inferred.literal(r"a\' or 1=1 --").unwrap(), r" E'a\\'' or 1=1 --'");
        assert_eq!(Kind::Int.literal("1); drop table t").unwrap(), "('1); drop table t'::int8)");
        assert!(Kind::Text.literal("a\0b").is_err());
    }

    #[test]
    fn values_take_the_form_of_their_place() {
        let bytes = |wire: Wire, text: &str| wire.encode(text).unwrap().0;
        assert_eq!(bytes(Wire::Int4, "17"), 17_i32.to_be_bytes());
        assert_eq!(bytes(Wire::Int8, " -1 "), (-1_i64).to_be_bytes());
        assert_eq!(bytes(Wire::Bool, "true"), [1]);
        assert_eq!(bytes(Wire::Jsonb, "{}"), b"\x01{}");
        assert_eq!(bytes(Wire::Date, "2000-01-02"), 1_i32.to_be_bytes());
        assert_eq!(bytes(Wire::TimestampTz, "2000-01-01T00:00:01Z"), 1_000_000_i64.to_be_bytes());
        assert_eq!(bytes(Wire::Timestamp, "2000-01-01 00:00:01"), 1_000_000_i64.to_be_bytes());
        // 12345.678 is 1 · 10,000 + 2345 + 6780 / 10,000.
        let expected: Vec<u8> = [3_u16, 1, 0, 3, 1, 2345, 6780].iter().flat_map(|n| n.to_be_bytes()).collect();
        assert_eq!(bytes(Wire::Numeric, "12345.678"), expected);
        let zero: Vec<u8> = [0_u16, 0, 0, 2].iter().flat_map(|n| n.to_be_bytes()).collect();
        assert_eq!(bytes(Wire::Numeric, "0.00"), zero);
        for (wire, text) in [
            (Wire::Int2, "40000"),
            (Wire::Int4, "x"),
            (Wire::Uuid, "17"),
            (Wire::Bool, "2"),
            (Wire::Numeric, "."),
            (Wire::Other("point".into()), "1"),
        ] {
            assert!(wire.encode(text).is_err(), "{wire:?} {text}");
        }
    }
}
