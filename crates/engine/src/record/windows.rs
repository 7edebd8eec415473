//! Reading windows back, line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{StoreError, WINDOWS_FILE};
use slatest_core::files::open_regular;
use slatest_core::intact::{has_turned, seal_end};
use slatest_core::measure::Window;

/// Longest line that is read, in bytes: far above what thousands of operations need.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// The windows of a run, one at a time.
pub(super) struct Windows {
    path: PathBuf,
    lines: BufReader<File>,
    line: u64,
    /// Whether the last line was torn (the run was killed while it was written).
    pub torn: bool,
}

impl Windows {
    /// Opens a run's windows; `None` when there is no such file yet.
    pub(super) fn open(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(WINDOWS_FILE);
        match open_regular(&path) {
            Ok(file) => Ok(Some(Self { path, lines: BufReader::new(file), line: 0, torn: false })),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io(&path, "read")(e)),
        }
    }

    /// The next window; `None` at the end. A last line that is not whole is the end.
    pub(super) fn next(&mut self) -> Result<Option<Window>, StoreError> {
        let mut text = Vec::new();
        let read = (&mut self.lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
        let read = read.map_err(StoreError::io(&self.path, "read"))? as u64;
        self.line += 1;
        if read == 0 {
            return Ok(None);
        }
        let malformed =
            |reason: &str| StoreError::malformed(&self.path, Some(self.line), format!("not a window: {reason}"));
        if !text.ends_with(b"\n") {
            if read == LINE_BYTES_MAX {
                return Err(StoreError::malformed(&self.path, Some(self.line), "the line is longer than any window"));
            }
            match seal_end(&text) {
                // Whole but for its end.
                Some(end) if end == text.len() => {}
                Some(_) => return Err(malformed("its end has changed since it was written")),
                None => {
                    self.torn = true;
                    return Ok(None);
                }
            }
        }
        if has_turned(&text) {
            return Err(malformed("its checksum is wrong, it has changed since it was written"));
        }
        let window: Window = serde_json::from_slice(&text).map_err(|e| malformed(&e.to_string()))?;
        if !window.is_possible() {
            return Err(malformed("no run can have counted these numbers"));
        }
        Ok(Some(window))
    }
}
