//! Endpoints of this driver: HTTP origins.
//!
//! Known to every build, so that one without the driver still reads a whole target file.

use slatest_core::source::Located;
use slatest_core::target::{
    Address, BlockSignatures, Counted, EndpointSection, Secret, SecretPart, SourceLimit, TlsFiles,
};
use slatest_core::with_tls;

with_tls! {
    /// An HTTP origin.
    pub struct HttpEndpoint {
        /// Origin, with an optional path prefix: `https://api.example:8443/v2`.
        pub http: Located<String>,
        /// Bearer token sent with every request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub token: Option<Secret>,
        /// How the firewall in front of it refuses, or a list of who refuses how.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub block: Option<BlockSignatures>,
        /// What one source address may send: decides how many agents a run needs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub source_limit: Option<SourceLimit>,
    }
}

impl EndpointSection for HttpEndpoint {
    fn addresses(&self) -> Vec<(String, Address<'_>)> {
        vec![("http".to_owned(), Address::Url(&self.http))]
    }

    fn secrets(&self) -> Vec<(String, SecretPart<'_>)> {
        self.token.iter().map(|secret| ("token".to_owned(), SecretPart::credential(secret))).collect()
    }

    fn tls_files(&self) -> TlsFiles<'_> {
        self.tls_files()
    }

    fn source_limit(&self) -> Option<(SourceLimit, Counted)> {
        self.source_limit.map(|limit| (limit, Counted::Requests))
    }
}
