//! Endpoints of this driver: Redis servers and clusters.
//!
//! Known to every build, so that one without the driver still reads a whole target file.

use slatest_core::source::Located;
use slatest_core::target::{Address, EndpointSection, Secret, SecretPart, TlsFiles};
use slatest_core::with_tls;

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

impl EndpointSection for RedisEndpoint {
    fn addresses(&self) -> Vec<(String, Address<'_>)> {
        self.redis.iter().enumerate().map(|(i, url)| (format!("redis[{i}]"), Address::Url(url))).collect()
    }

    fn secrets(&self) -> Vec<(String, SecretPart<'_>)> {
        self.password.iter().map(|secret| ("password".to_owned(), SecretPart::credential(secret))).collect()
    }

    fn tls_files(&self) -> TlsFiles<'_> {
        self.tls_files()
    }
}
