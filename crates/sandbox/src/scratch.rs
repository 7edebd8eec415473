//! A temporary folder that goes when its process goes, even when that is killed: then the next
//! sandbox removes it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

const PREFIX: &str = "slatest-sandbox-";
const LOCK: &str = "lock";

/// A folder of this process. Removed when dropped.
pub struct Scratch {
    folder: TempDir,
    // Locked as long as the process lives, however it ends: who can lock it knows that it is over.
    _lock: File,
}

impl Scratch {
    /// Makes a folder, and removes those of sandboxes that were killed.
    ///
    /// # Errors
    /// When the system's temporary folder can't be written.
    pub fn new() -> io::Result<Self> {
        Self::within(&std::env::temp_dir())
    }

    fn within(parent: &Path) -> io::Result<Self> {
        remove_abandoned(parent);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A folder without a lock file is one that is being made: it is left alone.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = parent.read_dir() else { return };
    let ours =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
    for folder in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(ours) {
        let Ok(lock) = File::open(folder.join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            // Another user's, or someone else was faster: neither is our concern.
            let _ = std::fs::remove_dir_all(&folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abandoned_folders_go_and_living_ones_stay() {
        let parent = tempfile::tempdir().unwrap();
        let abandoned = parent.path().join("slatest-sandbox-dead");
        std::fs::create_dir(&abandoned).unwrap();
        std::fs::write(abandoned.join(LOCK), "").unwrap();
        let foreign = parent.path().join("something-else");
        std::fs::create_dir(&foreign).unwrap();

        let first = Scratch::within(parent.path()).unwrap();
        let second = Scratch::within(parent.path()).unwrap();
        assert!(!abandoned.exists() && foreign.exists());
        assert!(first.path().exists() && second.path().exists());
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists());
    }
}
