//! Endpoints of this driver: WebSocket URLs.
//!
//! Known to every build, so that one without the driver still reads a whole target file.

use slatest_core::source::Located;
use slatest_core::target::{Address, Counted, EndpointSection, Secret, SecretPart, SourceLimit, TlsFiles};
use slatest_core::with_tls;

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

impl EndpointSection for WebsocketEndpoint {
    fn addresses(&self) -> Vec<(String, Address<'_>)> {
        vec![("websocket".to_owned(), Address::Url(&self.websocket))]
    }

    fn secrets(&self) -> Vec<(String, SecretPart<'_>)> {
        self.token.iter().map(|secret| ("token".to_owned(), SecretPart::credential(secret))).collect()
    }

    fn tls_files(&self) -> TlsFiles<'_> {
        self.tls_files()
    }

    fn source_limit(&self) -> Option<(SourceLimit, Counted)> {
        self.source_limit.map(|limit| (limit, Counted::Connections))
    }
}
