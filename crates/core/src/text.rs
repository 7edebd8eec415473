//! Texts from elsewhere without anything that a terminal, a browser or a reader's eyes would obey.

use std::borrow::Cow;

/// Whether a character changes more than the place where it stands: a control character (C0, C1, DEL), one
/// that turns the direction of text, one that breaks lines behind a reader's back, or one that can't be seen.
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text on one line: line breaks and tabs become spaces, everything else that is harmful is shown as what it is,
/// `\u{1b}`.
pub fn plain(text: &str) -> String {
    escape(text, |_| false)
}

/// The text with its line breaks, everything else as by [`plain`].
pub fn plain_lines(text: &str) -> String {
    escape(text, |c| c == '\n')
}

/// The same, borrowed where nothing had to change.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_harmful) { Cow::Owned(plain(text)) } else { Cow::Borrowed(text) }
}

/// A count with its thousands apart: `84,000`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escape(text: &str, kept: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if kept(c) || !is_harmful(c) => out.push(c),
            '\n' | '\r' | '\t' => out.push(' '),
            c => out.extend(c.escape_unicode()),
        }
    }
    out
}

/// The text with its line breaks and tabs, and as long in bytes as it was: places in it stay where they are.
pub fn plain_same_length(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match (c, c.len_utf8()) {
            ('\n' | '\r' | '\t', _) => out.push(c),
            _ if !is_harmful(c) => out.push(c),
            (_, 2) => out.push('·'),
            (_, 3) => out.push(char::REPLACEMENT_CHARACTER),
            (_, length) => out.extend(std::iter::repeat_n('?', length)),
        }
    }
    out
}
