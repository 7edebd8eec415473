//! Quantities that carry their unit in the files that users write.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Nanos;

/// A length of time above zero: `500ms`, `20s`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Nanos);

/// Something per second, at or above zero: `300/s`, `90/min`, `2.5/s`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(pub f64);

/// A share from 0 to 1, written `0.1%`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Percent(pub f64);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let length = humantime::parse_duration(text).map_err(|_| {
            format!("`{text}` is not a duration: write it as a number with a unit, like 500ms, 20s or 1h 30m")
        })?;
        if length.is_zero() {
            return Err(format!("`{text}`: a duration must be above zero"));
        }
        Ok(Self(length.into()))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |reason: &str| format!("`{text}` is not a rate: {reason}; write it like 300/s, 90/min or 5000/h");
        let (number, unit) = text.split_once('/').ok_or_else(|| wrong("it has no unit"))?;
        let per_secs = match unit.trim() {
            "s" | "sec" | "second" => 1.0,
            "m" | "min" | "minute" => 60.0,
            "h" | "hour" => 3600.0,
            other => return Err(wrong(&format!("unknown unit `{other}`"))),
        };
        let number: f64 = number.trim().parse().map_err(|_| wrong("no number before the slash"))?;
        if !number.is_finite() || number < 0.0 {
            return Err(format!("`{text}`: a rate must be a number at or above zero"));
        }
        Ok(Self(number / per_secs))
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text
            .strip_suffix('%')
            .ok_or_else(|| format!("`{text}` is not a share: write it with a percent sign, like 0.1%"))?;
        let number: f64 =
            number.trim().parse().map_err(|_| format!("`{text}` is not a share: no number before the percent sign"))?;
        if !(0.0..=100.0).contains(&number) {
            return Err(format!("`{text}`: a share must lie from 0% to 100%"));
        }
        Ok(Self(number / 100.0))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&humantime::format_duration(self.0.as_duration()).to_string().replace(' ', ""))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/s", (self.0 * 1000.0).round() / 1000.0))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}%", (self.0 * 100.0 * 1e6).round() / 1e6))
    }
}

macro_rules! as_text {
    ($type:ident, $pattern:literal, $description:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $description })
            }
        }
    };
}

as_text!(Span, r"^\s*[0-9]", "A length of time with its unit: 500ms, 20s, 1h 30m");
as_text!(Rate, r"^\s*[0-9.]+\s*/\s*(s|sec|second|m|min|minute|h|hour)\s*$", "A rate with its unit: 300/s, 90/min");
as_text!(Percent, r"^\s*[0-9.]+\s*%$", "A share: 0.1%");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_their_units() {
        assert_eq!("500ms".parse::<Span>().unwrap().0, Nanos::from_millis(500));
        assert_eq!("90/min".parse::<Rate>().unwrap(), Rate(1.5));
        assert_eq!("0.1%".parse::<Percent>().unwrap(), Percent(0.001));
    }

    #[test]
    fn quantities_refuse_what_has_no_meaning() {
        for text in ["500", "0s", "-1s", "5 parsecs", ""] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        for text in ["300", "300/fortnight", "x/s", "-1/s", "NaN/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        for text in ["0.1", "101%", "-1%", "%"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }

    #[test]
    fn quantities_are_written_as_they_are_read() {
        for text in ["500ms", "20s", "1h30m"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("300/s".parse::<Rate>().unwrap().to_string(), "300/s");
        assert_eq!("0.1%".parse::<Percent>().unwrap().to_string(), "0.1%");
    }
}
