//! How agents learn where to go and how to get in.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::coordinate::JoinOptions;
use slatest_cluster::identity::{RunAuthority, Token};
use slatest_core::model::Span;
use slatest_core::say;

/// Where agents get in.
pub(super) struct JoinInfo<'a> {
    /// Where the coordinator listens.
    pub address: SocketAddr,
    /// What lets them in.
    pub token: Token,
    /// Who certifies them.
    pub authority: &'a RunAuthority,
}

/// Writes the token where only its owner reads it.
///
/// # Errors
/// When the file can't be written.
pub(super) fn write_token(join: &JoinInfo<'_>, path: &Path) -> Result<(), String> {
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
        // The mode above is for a file that is made: one that was there keeps its own.
        file.set_permissions(Permissions::from_mode(0o600))?;
        writeln!(file, "{}", join.token)
    };
    written().map_err(|error| format!("{}: the token can't be written: {error}", path.display()))
}

/// Tells a person how to start the agents, with a token or with certificates made beforehand.
///
/// # Errors
/// When token or certificates can't be written.
pub(super) fn hand_out(
    join: &JoinInfo<'_>,
    agents: u64,
    join_options: &JoinOptions,
    certificates: Option<&Path>,
) -> Result<(), String> {
    let address = join.address;
    let plural = if agents == 1 { "agent" } else { "agents" };
    say!("slatest: listening on {address}, waiting for {agents} {plural}");
    let host = if address.ip().is_unspecified() {
        format!("HOST:{} (this machine's name or address)", address.port())
    } else {
        address.to_string()
    };
    match &join_options.token_file {
        Some(path) => {
            write_token(join, path)?;
            let path = path.display();
            say!("  start each with: slatest agent --coordinator {host} --token-file {path}");
        }
        None => {
            say!("  start each with: SLATEST_TOKEN={} slatest agent --coordinator {host}", join.token);
        }
    }
    say!("  the token lets agents in for {}", Span(join_options.token_ttl.0));
    if address.ip().is_loopback() {
        say!("  agents of other machines can't get there: --listen 0.0.0.0:{} lets them", address.port());
    }
    if let Some(folder) = certificates {
        for number in 0..agents {
            let name = format!("agent-{number}");
            let identity = join.authority.identity(&name).map_err(|error| error.to_string())?;
            identity.write(&folder.join(&name)).map_err(|error| error.to_string())?;
        }
        say!(
            "  or with files of {0}/agent-N, another one each: --ca ca.pem --cert agent.pem --key agent.key",
            folder.display()
        );
    }
    Ok(())
}
