//! Endpoints of this driver: Kafka brokers.
//!
//! Known to every build, so that one without the driver still reads a whole target file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use slatest_core::source::Located;
use slatest_core::target::{Address, EndpointSection, Secret, SecretPart, TlsFiles};
use slatest_core::with_tls;

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

impl EndpointSection for KafkaEndpoint {
    fn addresses(&self) -> Vec<(String, Address<'_>)> {
        let brokers = self.kafka.iter().enumerate();
        brokers.map(|(i, broker)| (format!("kafka[{i}]"), Address::HostPort(broker))).collect()
    }

    fn secrets(&self) -> Vec<(String, SecretPart<'_>)> {
        let named = [("password", &self.password), ("token", &self.token)].into_iter();
        named.filter_map(|(key, secret)| Some((key.to_owned(), SecretPart::credential(secret.as_ref()?)))).collect()
    }

    fn tls_files(&self) -> TlsFiles<'_> {
        self.tls_files()
    }
}
