//! URLs that faults and alerts call.

use slatest_core::source::CREDENTIAL_WRITTEN;
use slatest_core::target::{Guard, holds_credential};
use url::Url;

/// What is wrong with a URL that will be called. No credential in it is quoted.
pub(crate) fn url_mistake(url: &str, guard: &Guard) -> Option<String> {
    match Url::parse(url) {
        Err(e) => Some(format!("is not a URL: {e}")),
        Ok(parsed) if !parsed.username().is_empty() || parsed.password().is_some() || holds_credential(url) => {
            Some(format!("{CREDENTIAL_WRITTEN}: send it as a header, by where it comes from"))
        }
        Ok(url) if !["http", "https"].contains(&url.scheme()) => Some(format!("`{}` is not HTTP", url.scheme())),
        Ok(url) => match url.host_str() {
            Some(host) => guard.check(host).err(),
            None => Some("names no host".into()),
        },
    }
}
