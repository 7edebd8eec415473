//! The endpoint of this driver.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use slatest_core::source::Located;
use slatest_core::target::{Address, EndpointSection, Secret, SecretPart};

/// A server that isn't there.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToyEndpoint {
    /// `host:port`.
    pub toy: Located<String>,
    /// What it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
}

impl EndpointSection for ToyEndpoint {
    fn addresses(&self) -> Vec<(String, Address<'_>)> {
        vec![("toy".to_owned(), Address::HostPort(&self.toy))]
    }

    fn secrets(&self) -> Vec<(String, SecretPart<'_>)> {
        self.password.iter().map(|secret| ("password".to_owned(), SecretPart::credential(secret))).collect()
    }
}
