//! How agents learn where to go and how to get in.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::agents::JoinOptions;
use slatest_cluster::lead::{BringError, JoinInfo};
use slatest_core::model::Span;
use slatest_core::say;

/// Writes the token where only its owner reads it.
///
/// # Errors
/// When the file can't be written.
pub(super) fn write_token(join: &JoinInfo<'_>, path: &Path) -> Result<(), BringError> {
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
        // The mode above is for a file that is made: one that was there keeps its own.
        file.set_permissions(Permissions::from_mode(0o600))?;
        writeln!(file, "{}", join.token)
    };
    written().map_err(|error| BringError::Token { path: path.display().to_string(), error })
}

/// Tells a person how to start the agents, with a token or with certificates made beforehand.
///
/// # Errors
/// When token or certificates can't be written.
pub(super) fn hand_out(
    join: &JoinInfo<'_>,
    join_options: &JoinOptions,
    certificates: Option<&Path>,
) -> Result<(), BringError> {
    let (address, agents) = (join.address, join.agents);
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
            let identity = join.authority.identity(&name)?;
            identity.write(&folder.join(&name))?;
        }
        say!(
            "  or with files of {0}/agent-N, another one each: --ca ca.pem --cert agent.pem --key agent.key",
            folder.display()
        );
    }
    Ok(())
}
