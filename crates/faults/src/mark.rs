//! Whether a line of a journal was written by this user on this machine. `slatest drill heal` starts the programs that
//! a journal names, and a folder of results may come from anywhere.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::journal::Remedy;
use slatest_core::files::read_bytes;

const KEY_BYTES: usize = 32;

/// Marks what heals; none where this user has no place for a key.
pub(super) fn of(remedy: &Remedy) -> Option<String> {
    let tag = hmac::sign(&key(true)?, &serde_json::to_vec(remedy).ok()?);
    Some(tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a mark is of this remedy, by this user.
pub(super) fn fits(remedy: &Remedy, mark: Option<&str>) -> bool {
    let (Some(mark), Some(key), Ok(text)) = (mark, key(false), serde_json::to_vec(remedy)) else { return false };
    let byte = |at: usize| mark.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Option<Vec<u8>> = (0..mark.len()).step_by(2).map(byte).collect();
    bytes.is_some_and(|bytes| hmac::verify(&key, &text, &bytes).is_ok())
}

/// The key of this user on this machine.
fn key(make: bool) -> Option<hmac::Key> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || {
        std::env::var_os("HOME").filter(|path| !path.is_empty()).map(|home| PathBuf::from(home).join(".local/state"))
    };
    let folder = state.or_else(home)?.join("slatest");
    let path = folder.join("journal.key");
    if make && !path.exists() {
        let mut bytes = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut bytes).ok()?;
        std::fs::create_dir_all(&folder).ok()?;
        // Whole or not at all: somebody else may be making it now, and then theirs counts.
        let fresh = folder.join(format!("journal.key.{}", uuid::Uuid::new_v4().simple()));
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&fresh).ok()?;
        let made =
            file.write_all(&bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::hard_link(&fresh, &path));
        let _ = std::fs::remove_file(&fresh);
        if let Err(error) = made
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return None;
        }
    }
    let bytes = read_bytes(&path, KEY_BYTES as u64).ok().filter(|bytes| bytes.len() == KEY_BYTES)?;
    Some(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}
