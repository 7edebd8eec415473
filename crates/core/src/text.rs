//! Text from elsewhere.

/// Text from elsewhere (a target's answer, a file) on one line, without anything that a terminal
/// would obey.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
