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

/// Most threads that understand windows.
const THREADS_MAX: usize = 8;
/// Windows of one batch for each thread.
const BATCH: usize = 16;
/// Bytes after which a batch takes no more lines.
const BATCH_BYTES: usize = 32 << 20;

/// The windows of a run, one at a time.
#[derive(Debug)]
pub struct Windows {
    path: PathBuf,
    lines: BufReader<File>,
    line: u64,
    /// Whether the last line was torn (the run was killed while it was written).
    pub torn: bool,
}

impl Windows {
    /// Opens a run's windows; `None` when there is no such file yet.
    ///
    /// # Errors
    /// When there is one and it can't be read.
    pub fn open(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(WINDOWS_FILE);
        match open_regular(&path) {
            Ok(file) => Ok(Some(Self { path, lines: BufReader::new(file), line: 0, torn: false })),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io(&path, "read")(e)),
        }
    }

    /// The next window; `None` at the end. A last line that is not whole is the end.
    ///
    /// # Errors
    /// When the next line is no window, or can't be read.
    #[expect(clippy::should_implement_trait, reason = "it can fail, and an iterator would go on after that")]
    pub fn next(&mut self) -> Result<Option<Window>, StoreError> {
        match self.line()? {
            Some((number, text)) => self.understood(number, &text).map(Some),
            None => Ok(None),
        }
    }

    /// The next windows, understood by all processors at once: what takes long of a run of a day is to unpack its
    /// histograms. Whether there may be more; an error comes with the windows before it.
    pub fn next_batch(&mut self) -> (Vec<Window>, Result<bool, StoreError>) {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let (mut lines, mut bytes, mut end) = (Vec::new(), 0, Ok(true));
        while lines.len() < threads * BATCH && bytes < BATCH_BYTES {
            match self.line() {
                Ok(Some(line)) => {
                    bytes += line.1.len();
                    lines.push(line);
                }
                Ok(None) => {
                    end = Ok(false);
                    break;
                }
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
        }
        let this = &*self;
        let understand = |lines: &[(u64, Vec<u8>)]| -> Vec<Result<Window, StoreError>> {
            lines.iter().map(|(number, text)| this.understood(*number, text)).collect()
        };
        let understood: Vec<Result<Window, StoreError>> = if threads < 2 || lines.len() < 2 {
            understand(&lines)
        } else {
            std::thread::scope(|scope| {
                let parts = lines.chunks(lines.len().div_ceil(threads));
                let others: Vec<_> = parts.map(|part| scope.spawn(move || understand(part))).collect();
                others
                    .into_iter()
                    .flat_map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                    .collect()
            })
        };
        let mut windows = Vec::with_capacity(understood.len());
        for window in understood {
            match window {
                Ok(window) => windows.push(window),
                Err(error) => return (windows, Err(error)),
            }
        }
        (windows, end)
    }

    /// The next line with its number; `None` at the end.
    fn line(&mut self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let mut text = Vec::new();
        let read = (&mut self.lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
        let read = read.map_err(StoreError::io(&self.path, "read"))? as u64;
        self.line += 1;
        if read == 0 {
            return Ok(None);
        }
        if !text.ends_with(b"\n") {
            if read == LINE_BYTES_MAX {
                return Err(self.malformed(self.line, "the line is longer than any window", true));
            }
            match seal_end(&text) {
                // Whole but for its end.
                Some(end) if end == text.len() => {}
                Some(_) => return Err(self.malformed(self.line, "its end has changed since it was written", false)),
                None => {
                    self.torn = true;
                    return Ok(None);
                }
            }
        }
        Ok(Some((self.line, text)))
    }

    fn malformed(&self, line: u64, reason: &str, whole: bool) -> StoreError {
        let reason = if whole { reason.to_owned() } else { format!("not a window: {reason}") };
        StoreError::malformed(&self.path, Some(line), reason)
    }

    fn understood(&self, line: u64, text: &[u8]) -> Result<Window, StoreError> {
        if has_turned(text) {
            return Err(self.malformed(line, "its checksum is wrong, it has changed since it was written", false));
        }
        let window: Window =
            serde_json::from_slice(text).map_err(|error| self.malformed(line, &error.to_string(), false))?;
        if !window.is_possible() {
            return Err(self.malformed(line, "no run can have counted these numbers", false));
        }
        Ok(window)
    }
}
