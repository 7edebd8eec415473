//! The sections of a workload file that are HTTP's own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::workload::{Example, LedgerRead, WorkloadFile};
use slatest_core::model::{Percent, Span};
use slatest_core::source::Located;
use slatest_core::target::Text;

/// A workload file of this driver.
pub(super) type File = WorkloadFile<Settings, Located<Request>, Located<Check>, LedgerRead<HttpLedger>>;

/// Which version of HTTP is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; without TLS by prior knowledge.
    Http2,
    /// With TLS what the server picks (HTTP/2 preferred), else HTTP/1.1.
    #[default]
    Auto,
}

/// Whose connections requests go over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Connections {
    /// Each user has its own, as a browser does.
    #[default]
    PerUser,
    /// The users of a worker take one that is free, as behind a proxy.
    Shared,
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V13,
}

/// What is asked of TLS.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The lowest version that is taken: `"1.2"` (default) or `"1.3"`.
    #[serde(default)]
    pub min: TlsVersion,
    /// Whether a connection may resume a session of an earlier one. Default true; `false` makes each a whole handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumption: Option<bool>,
    /// The name that is asked for (SNI) and that the certificate must be for. Default: the host of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<Located<String>>,
}

/// What holds for every operation of the workload.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// HTTP version: `http1`, `http2` or `auto` (default).
    #[serde(default)]
    pub version: Version,
    /// Path that the health check asks for. Default `/health`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Located<String>>,
    /// Most redirects that one request follows; none when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_redirects: Option<Located<u64>>,
    /// Headers of every request: templates, or secrets as `{ env: NAME }` or `{ file: PATH }`; an operation's own go before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Located<Text>>,
    /// Whether each user keeps cookies, as a browser does. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookies: Option<bool>,
    /// Whose connections requests go over: `per-user` (default) or `shared`.
    #[serde(default)]
    pub connections: Connections,
    /// How long a user keeps an idle connection. Default 115 s in a scenario with `users`, else until the server closes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Located<Span>>,
    /// The share of requests that each open a connection of their own, as clients without keep-alive do: `5%`, `100%`.
    /// Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_connections: Option<Located<Percent>>,
    /// What is asked of TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Located<Tls>>,
    /// Longest body of an answer in MiB, on the wire and unpacked: 1 to 1024, default 16. What is longer is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_max_mib: Option<Located<u64>>,
}

/// What becomes of the body of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is bounded, and kept where something looks at it.
    #[default]
    Keep,
    /// It is read to its end and counted, however long it is, and never kept.
    Drain,
}

/// What is sent: exactly one method with its path and query, at most one kind of body.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// GET of this path, a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get: Option<Located<String>>,
    /// POST to this path, a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<Located<String>>,
    /// PUT to this path, a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put: Option<Located<String>>,
    /// PATCH of this path, a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Located<String>>,
    /// DELETE of this path, a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<Located<String>>,
    /// HEAD of this path, a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Located<String>>,
    /// Headers: templates, or secrets as `{ env: NAME }` or `{ file: PATH }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Located<Text>>,
    /// Parameters that are added to the query of the path, encoded: templates, or secrets as `{ env: NAME }` or
    /// `{ file: PATH }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, Located<Text>>,
    /// A JSON body whose strings are templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Located<Value>>,
    /// A body as a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Located<String>>,
    /// A form (`application/x-www-form-urlencoded`); values are templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Located<BTreeMap<String, Located<String>>>>,
    /// What becomes of the answer's body: `keep` (default), or `drain` for downloads that are longer than what is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Located<Answer>>,
}

/// What an answer is expected to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// A refusal by what stands in front of the endpoint, as `block` of the target says.
    Blocked,
}

/// What must hold of the answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// `blocked`: the request must be refused by what stands in front of the endpoint, and only then is it right. Needs
    /// `block` in the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Located<Expect>>,
    /// Status: `200`, `2xx`, or a list of these. Default: any 2xx or 3xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Located<StatusSpec>>,
    /// Headers by name: `present`, `absent`, or a regular expression that the value matches.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Located<String>>,
    /// The body as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyCheck>,
    /// The body as JSON, by JSONPath: `present`, `absent`, or the value that must be there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, Located<Value>>,
}

/// What must hold of the body as text.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BodyCheck {
    /// Text that it contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<Located<String>>,
    /// Regular expression that it matches somewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<Located<String>>,
}

/// The statuses that are right, as inclusive ranges: a number is a range of one, `2xx` is 200–299.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSpec(pub Vec<(u16, u16)>);

impl StatusSpec {
    fn number(n: u64) -> Result<(u16, u16), String> {
        match u16::try_from(n) {
            Ok(n @ 100..=599) => Ok((n, n)),
            _ => Err(format!("{n} is not an HTTP status: they lie from 100 to 599")),
        }
    }

    fn text(written: &str) -> Result<(u16, u16), String> {
        match written.as_bytes() {
            [c @ b'1'..=b'5', b'x', b'x'] => {
                let first = u16::from(c - b'0') * 100;
                Ok((first, first + 99))
            }
            _ => match written.parse() {
                Ok(n) => Self::number(n),
                Err(_) => Err(format!("`{written}` is not a status: write a number like 200 or a class like 2xx")),
            },
        }
    }
}

impl Serialize for StatusSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = self.0.iter().map(|&(first, last)| match last - first {
            0 => first.to_string(),
            _ => format!("{}xx", first / 100),
        });
        serializer.collect_seq(written)
    }
}

impl<'de> Deserialize<'de> for StatusSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Statuses;
        impl<'de> Visitor<'de> for Statuses {
            type Value = StatusSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status like 200, a class like 2xx, or a list of these")
            }
            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<StatusSpec, E> {
                StatusSpec::number(n).map(|r| StatusSpec(vec![r])).map_err(E::custom)
            }
            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<StatusSpec, E> {
                self.visit_u64(u64::try_from(n).unwrap_or(0))
            }
            fn visit_str<E: serde::de::Error>(self, written: &str) -> Result<StatusSpec, E> {
                StatusSpec::text(written).map(|r| StatusSpec(vec![r])).map_err(E::custom)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<StatusSpec, A::Error> {
                let mut ranges = Vec::new();
                while let Some(StatusSpec(more)) = seq.next_element()? {
                    ranges.extend(more);
                }
                if ranges.is_empty() {
                    return Err(serde::de::Error::custom("a list of statuses needs at least one"));
                }
                Ok(StatusSpec(ranges))
            }
        }
        deserializer.deserialize_any(Statuses)
    }
}

impl JsonSchema for StatusSpec {
    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = serde_json::json!({
            "oneOf": [
                { "type": "integer", "minimum": 100, "maximum": 599 },
                { "type": "string", "pattern": "^[1-5](xx|[0-9][0-9])$" }
            ]
        });
        json_schema!({ "oneOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

/// How a write is found again.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpLedger {
    /// Path that answers 2xx when the write is there and 404 or 410 when it isn't; `{{ key }}` and `{{ write_id }}`
    /// stand for the write's own.
    pub get: Located<String>,
    /// Where the answer to the write says its key: a JSONPath (`$.id`), or `header:Name`. Not needed where the path
    /// has `{{ write_id }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Located<String>>,
}

impl Example for HttpLedger {
    const EXAMPLE: &'static str = "{ key: \"$.id\", get: \"/api/v1/tasks/{{ key }}\" }";
}
