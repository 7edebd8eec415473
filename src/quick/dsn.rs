//! Addresses as they are typed: scheme, hosts, what follows.

use super::QuickError;

/// An address in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address<'a> {
    /// Before `://`, in small letters.
    pub(super) scheme: String,
    /// What stands before `@`: user and password as written.
    pub(super) login: Option<&'a str>,
    /// Hosts with their ports, as written.
    pub(super) authority: &'a str,
    /// From the first `/`, `?` or `#` on.
    pub(super) rest: &'a str,
}

/// Takes an address apart. Nothing is decoded and nothing is changed: what follows the host may be a template.
///
/// # Errors
/// An address without scheme or host.
pub(super) fn split<'a>(written: &'a str, example: &str) -> Result<Address<'a>, QuickError> {
    // The address is not quoted: it may hold a password.
    let Some((scheme, after)) = written.split_once("://") else {
        return Err(QuickError::usage(format!("the address has no scheme: write it like {example}")));
    };
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    let (login, authority) = match authority.rsplit_once('@') {
        Some((login, authority)) => (Some(login), authority),
        None => (None, authority),
    };
    // Databases are asked on this machine where no host is named; URLs name one.
    let may_be_left_out = matches!(scheme, "postgres" | "postgresql");
    if authority.is_empty() && !may_be_left_out {
        return Err(QuickError::usage(format!("the address names no host: write it like {example}")));
    }
    Ok(Address { scheme: scheme.to_ascii_lowercase(), login, authority, rest })
}

/// The hosts of an authority, without ports and brackets; one that is empty is this machine.
pub(super) fn hosts(authority: &str) -> Vec<String> {
    authority.split(',').map(host).collect()
}

fn host(with_port: &str) -> String {
    let host = match with_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => with_port.split_once(':').map_or(with_port, |(host, _)| host),
    };
    if host.is_empty() { "localhost".to_owned() } else { host.to_ascii_lowercase() }
}

/// Whether a host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
