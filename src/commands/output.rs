//! Standard output, which may be a pipe that somebody closes.

use std::io::{Write as _, stdout};

/// Prints a text whole. A reader that has gone (`| head`) is no error: it has what it wanted.
pub fn print_all(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
