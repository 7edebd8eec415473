//! Endpoints: one kind per protocol, told apart by their first key.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Secret, TlsFiles};
use crate::model::Span;
use crate::source::Located;

/// Defines an endpoint that can speak TLS: what is written, then the files that secure it.
macro_rules! with_tls {
    ($(#[$about:meta])* pub struct $name:ident { $($(#[$attribute:meta])* pub $field:ident: $type:ty,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$attribute])* pub $field: $type,)+
            /// CA certificates (PEM) that replace the system's.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub ca: Option<String>,
            /// Client certificate (PEM); goes with `key`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub cert: Option<String>,
            /// Client key (PEM).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub key: Option<String>,
        }

        impl $name {
            /// The files that secure it, as written.
            pub fn tls_files(&self) -> TlsFiles<'_> {
                TlsFiles { ca: self.ca.as_deref(), cert: self.cert.as_deref(), key: self.key.as_deref() }
            }
        }
    };
}

/// How a firewall in front of an endpoint says no: an answer that matches is `blocked`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockSignature {
    /// Status of the answer, usually 403.
    pub status: u16,
    /// A header that it carries, as `name: value` or just `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Text that its body contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// What one source address may send before a firewall blocks it. Load past it measures the firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceLimit {
    /// Requests (of a WebSocket: connections) within any such time.
    pub requests: NonZeroU64,
    /// The time: `5m`.
    pub per: Span,
}

with_tls! {
    /// An HTTP origin.
    pub struct HttpEndpoint {
        /// Origin, with an optional path prefix: `https://api.example:8443/v2`.
        pub http: Located<String>,
        /// Bearer token sent with every request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub token: Option<Secret>,
        /// How the firewall in front of it refuses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub block: Option<BlockSignature>,
        /// What one source address may send: decides how many agents a run needs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub source_limit: Option<SourceLimit>,
    }
}

with_tls! {
    /// A WebSocket URL.
    pub struct WebsocketEndpoint {
        /// `ws://` or `wss://` URL; the workload's path is appended.
        pub websocket: Located<String>,
        /// Bearer token sent with the handshake.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub token: Option<Secret>,
        /// How many connections one source address may open: decides how many agents a run needs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub source_limit: Option<SourceLimit>,
    }
}

/// How Kafka connections are secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KafkaSecurity {
    /// Neither encrypted nor authenticated.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without TLS.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

with_tls! {
    /// Kafka brokers.
    pub struct KafkaEndpoint {
        /// Bootstrap brokers, `host:port`.
        pub kafka: Vec<Located<String>>,
        /// How connections are secured.
        #[serde(default)]
        pub security: KafkaSecurity,
        /// SASL mechanism: `SCRAM-SHA-512`, `SCRAM-SHA-256`, `PLAIN` or `OAUTHBEARER`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub mechanism: Option<Located<String>>,
        /// SASL user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub username: Option<String>,
        /// SASL password.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub password: Option<Secret>,
        /// OAUTHBEARER token (a JWT).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub token: Option<Secret>,
    }
}

with_tls! {
    /// A PostgreSQL primary with its read replicas.
    pub struct PostgresEndpoint {
        /// DSN of the primary (a secret, because it carries the password).
        pub postgres: Secret,
        /// DSNs of read replicas; reads go there in turn.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub replicas: Vec<Secret>,
        /// Whether named prepared statements work; `false` behind a pooler in transaction mode.
        #[serde(default = "yes")]
        pub prepared_statements: bool,
    }
}

/// A SQLite database file on this machine.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteEndpoint {
    /// Path of the file.
    pub sqlite: Located<String>,
}

with_tls! {
    /// A Redis server or cluster.
    pub struct RedisEndpoint {
        /// `redis://` or `rediss://` URLs without credentials; several for a cluster.
        pub redis: Vec<Located<String>>,
        /// Whether it is a cluster.
        #[serde(default)]
        pub cluster: bool,
        /// User, where ACLs are in use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub username: Option<String>,
        /// Password or auth token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub password: Option<Secret>,
    }
}

with_tls! {
    /// An AMQP 0-9-1 broker.
    pub struct AmqpEndpoint {
        /// URI (a secret, because it carries the password): `amqps://user:password@host:5671/vhost`.
        pub amqp: Secret,
        /// URIs of the cluster's other nodes. A connection is tried where the last one was made, then in this
        /// order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub nodes: Vec<Secret>,
    }
}

const fn yes() -> bool {
    true
}

/// Defines the enum from one list of kinds: its variants, the key that tells each apart, reading,
/// writing and the schema.
macro_rules! endpoints {
    ($($variant:ident($type:ident) = $key:literal),+ $(,)?) => {
        /// One place that a workload talks to. The first key of its section says which kind it is.
        #[derive(Clone, Debug, Serialize)]
        #[serde(untagged)]
        pub enum Endpoint {
            $(#[doc = concat!("Starts with `", $key, "`.")] $variant(Box<$type>),)+
        }

        impl Endpoint {
            /// The key that tells this kind apart, e.g. `http`.
            pub const fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $key,)+ }
            }
        }

        impl<'de> Deserialize<'de> for Endpoint {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Kinds;
                impl<'de> Visitor<'de> for Kinds {
                    type Value = Endpoint;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an endpoint, like { http: https://api.example }")
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Endpoint, A::Error> {
                        let kind: String = map.next_key()?.ok_or_else(|| {
                            serde::de::Error::custom(concat!("an endpoint needs one of the keys", $(" `", $key, "`",)+))
                        })?;
                        match kind.as_str() {
                            $($key => {
                                let rest = MapAccessDeserializer::new(Replay { first: Some(kind), rest: map });
                                $type::deserialize(rest).map(|e| Endpoint::$variant(Box::new(e)))
                            })+
                            other => Err(serde::de::Error::custom(format!(
                                concat!("`{}` can't come first in an endpoint: start with one of", $(" `", $key, "`",)+),
                                other
                            ))),
                        }
                    }
                }
                deserializer.deserialize_map(Kinds)
            }
        }

        impl JsonSchema for Endpoint {
            fn schema_name() -> Cow<'static, str> {
                "Endpoint".into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let kinds: Vec<Schema> = vec![$(generator.subschema_for::<$type>(),)+];
                let mut schema = Schema::default();
                schema.insert("oneOf".into(), serde_json::Value::Array(kinds.into_iter().map(Into::into).collect()));
                schema
            }
        }
    };
}

endpoints! {
    Http(HttpEndpoint) = "http",
    Websocket(WebsocketEndpoint) = "websocket",
    Kafka(KafkaEndpoint) = "kafka",
    Postgres(PostgresEndpoint) = "postgres",
    Sqlite(SqliteEndpoint) = "sqlite",
    Redis(RedisEndpoint) = "redis",
    Amqp(AmqpEndpoint) = "amqp",
}

impl Endpoint {
    /// What one source address may send to it, where something in front of it counts.
    pub const fn source_limit(&self) -> Option<SourceLimit> {
        match self {
            Self::Http(endpoint) => endpoint.source_limit,
            Self::Websocket(endpoint) => endpoint.source_limit,
            Self::Kafka(_) | Self::Postgres(_) | Self::Sqlite(_) | Self::Redis(_) | Self::Amqp(_) => None,
        }
    }
}

/// A map whose first key was already read: gives it once more, then the rest.
struct Replay<A> {
    first: Option<String>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Replay<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(key) => seed.deserialize(StringDeserializer::new(key)).map(Some),
            None => self.rest.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.rest.next_value_seed(seed)
    }
}
