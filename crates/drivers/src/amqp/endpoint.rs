//! Endpoints of this driver: AMQP brokers.
//!
//! Known to every build, so that one without the driver still reads a whole target file.

use slatest_core::target::{Address, EndpointSection, Secret, SecretPart, TlsFiles};
use slatest_core::with_tls;

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

impl EndpointSection for AmqpEndpoint {
    fn addresses(&self) -> Vec<(String, Address<'_>)> {
        Vec::new()
    }

    fn secrets(&self) -> Vec<(String, SecretPart<'_>)> {
        let nodes = self.nodes.iter().enumerate().map(|(i, uri)| (format!("nodes[{i}]"), SecretPart::address(uri)));
        std::iter::once(("amqp".to_owned(), SecretPart::address(&self.amqp))).chain(nodes).collect()
    }

    fn tls_files(&self) -> TlsFiles<'_> {
        self.tls_files()
    }
}
