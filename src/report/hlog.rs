//! The interval log, for HdrHistogram's tools.

use std::io::{self, BufRead, BufReader, Read};

use super::Render;
use slatest_core::files::open_regular;
use slatest_engine::record::{LOG_FILE, RunRecord};

/// Longest line that is read, in bytes.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// The run's HdrHistogram interval log as it was written; a last line that is not whole (the run
/// was killed) is left out.
#[derive(Clone, Copy, Debug)]
pub struct Hlog;

impl Render for Hlog {
    fn render(&self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        let path = run.folder.join(LOG_FILE);
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        let mut lines = BufReader::new(open_regular(&path).map_err(named)?);
        let mut line = Vec::new();
        loop {
            line.clear();
            (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(named)?;
            if !line.ends_with(b"\n") {
                return Ok(());
            }
            out.write_all(&line)?;
        }
    }
}
