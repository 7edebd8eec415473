//! Values of the `agents` section in the forms that a cluster takes: what it would refuse once everything
//! is under way is refused while the file is read.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! checked_text {
    ($($(#[$about:meta])+ $name:ident: $check:path, $pattern:literal;)+) => {
        $(
            $(#[$about])+
            #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
            pub struct $name(String);

            impl $name {
                /// As it is written.
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl FromStr for $name {
                type Err = String;
                fn from_str(text: &str) -> Result<Self, String> {
                    $check(text).map(|()| Self(text.to_owned()))
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.pad(&self.0)
                }
            }

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(&self.0)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
                }
            }

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    concat!("Cluster", stringify!($name)).into()
                }
                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({ "type": "string", "pattern": $pattern })
                }
            }
        )+
    };
}

checked_text! {
    /// Name of an object: a DNS subdomain (RFC 1123).
    Name: name, r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$";
    /// Key of a label, an annotation or a taint: `name` or `domain/name`.
    Key: key, r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
    /// Value of a label.
    Label: label, r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$";
    /// Reference of an image: `registry.example:5000/team/slatest:0.1.0`, or with `@sha256:…`.
    Image: image, r"^[^\s]+$";
    /// Name of an environment variable.
    Variable: variable, r"^[A-Za-z_][A-Za-z0-9_]*$";
    /// An absolute path.
    Folder: folder, r"^/[^:]+$";
    /// Cores: `2`, `0.5` or `500m`.
    Cpu: cpu, r"^[0-9]+(\.[0-9]{1,3})?$|^[0-9]+m$";
    /// Bytes: `512Mi`, `2Gi`, `1500M`.
    Memory: memory, r"^[0-9]+(\.[0-9]+)?(Mi|Gi|Ti|M|G|T)$";
}

/// Starts and ends with a letter or digit, with `inside` between.
fn framed(text: &str, longest: usize, fits: impl Fn(u8) -> bool, inside: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    (1..=longest).contains(&bytes.len())
        && ends.iter().all(|end| end.is_some_and(|&b| fits(b)))
        && bytes.iter().all(|&b| fits(b) || inside.contains(&b))
}

const fn lower(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn name(text: &str) -> Result<(), String> {
    let fits = text.len() <= 253 && text.split('.').all(|part| framed(part, 63, lower, b"-"));
    let wrong = || format!("`{text}` can't name an object of a cluster: use lower case letters, digits, `-` and `.`");
    if fits { Ok(()) } else { Err(wrong()) }
}

fn key(text: &str) -> Result<(), String> {
    let bare = match text.split_once('/') {
        Some((domain, bare)) => name(domain).map(|()| bare)?,
        None => text,
    };
    let wrong = || format!("`{text}` is no key of a label: write it like `team` or `example.com/team`");
    if framed(bare, 63, |b| b.is_ascii_alphanumeric(), b"-_.") { Ok(()) } else { Err(wrong()) }
}

fn label(text: &str) -> Result<(), String> {
    let wrong = || format!("`{text}` is no value of a label: at most 63 letters, digits, `-`, `_` and `.`");
    if text.is_empty() || framed(text, 63, |b| b.is_ascii_alphanumeric(), b"-_.") { Ok(()) } else { Err(wrong()) }
}

fn image(text: &str) -> Result<(), String> {
    let inside = b"-_./:@";
    let fits = framed(text, 512, |b| b.is_ascii_alphanumeric(), inside);
    let wrong = || format!("`{text}` is no image: write it like `registry.example/slatest:0.1.0`");
    if fits { Ok(()) } else { Err(wrong()) }
}

fn variable(text: &str) -> Result<(), String> {
    let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    let wrong = || format!("`{text}` can't name an environment variable: use letters, digits and `_`");
    if fits { Ok(()) } else { Err(wrong()) }
}

fn folder(text: &str) -> Result<(), String> {
    let fits = text.starts_with('/') && text.len() > 1 && !text.contains([':', '\0']);
    let taken = ["/run/slatest", "/tmp", "/var/lib/slatest"];
    if !fits || text.split('/').any(|part| part == "..") {
        return Err(format!("`{text}` is no absolute path of a folder: write it like `/run/secrets/kafka`"));
    }
    if taken.iter().any(|own| text.trim_end_matches('/') == *own) {
        return Err(format!(
            "`{text}` is what the agent itself needs: choose another folder, like `/run/secrets/kafka`"
        ));
    }
    Ok(())
}

fn cpu(text: &str) -> Result<(), String> {
    let cores = match text.strip_suffix('m') {
        Some(milli) => milli.parse::<u32>().map(|milli| f64::from(milli) / 1000.0).ok(),
        None => plain_number(text),
    };
    match cores {
        Some(cores) if (0.001..=1024.0).contains(&cores) => Ok(()),
        _ => Err(format!("`{text}` is no amount of CPU: write cores, like 2 or 500m")),
    }
}

fn memory(text: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("`{text}` is no amount of memory{why}: write it like 512Mi or 2Gi"));
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let Some(number) = plain_number(digits) else { return wrong("") };
    let unit = match &text[digits.len()..] {
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0_f64.powi(4),
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "m" => return wrong(" (to a cluster, m is a thousandth of a byte)"),
        "" | "k" | "Ki" => return wrong(" with which an agent could start"),
        _ => return wrong(""),
    };
    if number * unit < 16.0 * 1024.0 * 1024.0 { wrong(" with which an agent could start") } else { Ok(()) }
}

/// Digits, with a point among them at most.
fn plain_number(text: &str) -> Option<f64> {
    let fits = text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text.bytes().any(|b| b.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<T: FromStr<Err = String>>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(text.parse::<T>().is_ok(), "{text}: {:?}", text.parse::<T>().err());
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_cluster_takes_is_taken_and_the_rest_refused() {
        all::<Name>(&["a", "load-1", "a.b"], &["", "Load", "-a", "a-", "a..b", "a_b", &"a".repeat(64)]);
        all::<Key>(&["team", "example.com/Team_1"], &["", "/a", "a/", "a/b/c", "a b", "Ex/a"]);
        all::<Label>(&["", "x86_64", "A.b-c"], &["-a", "a b", &"a".repeat(64)]);
        all::<Image>(
            &["slatest", "r.example:5000/t/slatest:0.1.0", "slatest@sha256:0123456789abcdef"],
            &["", "a b", ":x", "x:"],
        );
        all::<Variable>(&["KAFKA_PASSWORD", "_a1"], &["", "1A", "A-B", "A=B"]);
        all::<Folder>(&["/run/secrets/kafka"], &["", "/", "run", "/a:b", "/a/../b", "/tmp", "/run/slatest/"]);
        all::<Cpu>(&["2", "0.5", "500m"], &["", "0", "0m", "2 cores", "-1", "1e3", "2000000", "1Gi", "."]);
        all::<Memory>(&["512Mi", "2Gi", "0.5Gi", "1500M"], &["", "512", "512m", "1Mi", "64Ki", "2gb", "Gi", "-1Gi"]);
    }
}
