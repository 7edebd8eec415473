use proptest::prelude::*;

use crate::text::*;

#[test]
fn what_a_terminal_obeys_is_shown_as_what_it_is() {
    assert_eq!(plain("a\x1b[2J\u{9b}31m\nb\tc"), "a\\u{1b}[2J\\u{9b}31m b c");
    assert_eq!(plain("user\u{202e}nimda"), "user\\u{202e}nimda");
    assert_eq!(plain_lines("a\r\nb\x07"), "a \nb\\u{7}");
    assert_eq!(plain("grün µs · 日本 👩"), "grün µs · 日本 👩");
    assert!(matches!(harmless("fine"), std::borrow::Cow::Borrowed(_)));
}

proptest! {
    #[test]
    fn nothing_harmful_is_left(text in any::<String>()) {
        prop_assert!(!plain(&text).chars().any(is_harmful));
        prop_assert!(!plain_lines(&text).chars().any(|c| is_harmful(c) && c != '\n'));
        let same = plain_same_length(&text);
        prop_assert_eq!(same.len(), text.len());
        prop_assert!(!same.chars().any(|c| is_harmful(c) && !"\n\r\t".contains(c)));
    }
}
