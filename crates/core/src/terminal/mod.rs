//! The terminal, or whatever stands in its place: the one door through which words leave this program.
//!
//! Nothing here panics when nobody listens (`2>&1 | head`, a full disk behind `2>`), and nothing that
//! comes from elsewhere (a name in a file, an answer of a target) reaches a terminal as a command to it.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{Write as _, stderr, stdout};

use crate::text::plain_lines;

/// Says a line on standard error, as `eprintln!` does. What a terminal would obey is escaped; a line that
/// can't be written is lost, and the program goes on.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => { $crate::terminal::say_line(format_args!($($words)*)) };
}

/// What [`say!`] does.
pub fn say_line(words: fmt::Arguments<'_>) {
    let mut text = plain_lines(&words.to_string());
    text.push('\n');
    say_as_it_is(&text);
}

/// Writes a text to standard error as it is: for what is already harmless and may have colours.
pub fn say_as_it_is(text: &str) {
    let mut out = stderr().lock();
    // Nobody listens: there is no other place to say so.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a text whole on standard output, as it is. A reader that has gone (`| head`) is no error: it has
/// what it wanted. What can't be printed for another reason is said on standard error.
pub fn print_all(text: &str) {
    let mut out = stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        say!("slatest: standard output can't be written: {error}");
    }
}
