//! Values of placeholders: what the user said of their type. PostgreSQL gets texts and reads them itself.

use sqlx::Arguments as _;
use sqlx::sqlite::SqliteArguments;

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

    /// The number of the type that PostgreSQL is told when it prepares; 0 lets it choose.
    pub const fn oid(self) -> u32 {
        match self {
            Self::Inferred => 0,
            Self::Text => 25,
            Self::Int => 20,
            Self::Float => 701,
            Self::Bool => 16,
            Self::Uuid => 2950,
            Self::Json => 3802,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_of_its_kind_is_told() {
        let mut arguments = SqliteArguments::default();
        assert!(Kind::Int.add_sqlite(" 17 ", &mut arguments).is_ok());
        assert!(Kind::Bool.add_sqlite("off", &mut arguments).is_ok());
        for (kind, value) in [(Kind::Int, "x"), (Kind::Float, ""), (Kind::Bool, "2")] {
            assert!(kind.add_sqlite(value, &mut arguments).is_err(), "{kind:?} {value}");
        }
    }
}
