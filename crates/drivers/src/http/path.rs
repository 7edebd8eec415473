//! Paths and queries: written as people read them, sent as RFC 3986 wants them.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::uri::PathAndQuery;

/// Longest path that can be sent: the library's own limit on a URI.
pub(super) const PATH_BYTES_MAX: usize = u16::MAX as usize - 1;

/// Why a text can't be sent as a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathError {
    #[error("a path must start with `/`")]
    NoSlash,
    #[error("the path has a `#`: a fragment is never sent (write %23, or encode values with `urlencode`)")]
    Fragment,
    #[error("the path is longer than 65,534 bytes")]
    TooLong,
    #[error(
        "the path has a character that can't be sent (write it percent-encoded, or encode values with `urlencode`)"
    )]
    Character,
}

/// A path with its query, ready to be sent. What isn't ASCII is percent-encoded as UTF-8; everything else goes as it
/// is written, or not at all.
///
/// # Errors
/// Why it can't be sent.
pub(super) fn path(written: &str) -> Result<PathAndQuery, PathError> {
    if !written.starts_with('/') {
        return Err(PathError::NoSlash);
    }
    // The library would cut the path there.
    if written.contains('#') {
        return Err(PathError::Fragment);
    }
    let encoded = encoded(written);
    if encoded.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong);
    }
    let parsed: PathAndQuery = encoded.parse().map_err(|_| PathError::Character)?;
    // What the library changes would be sent otherwise than it is written.
    if parsed.as_str() == encoded { Ok(parsed) } else { Err(PathError::Character) }
}

fn encoded(written: &str) -> Cow<'_, str> {
    let as_it_is = |byte: &u8| byte.is_ascii() && *byte != 0x7f;
    if written.as_bytes().iter().all(as_it_is) {
        return Cow::Borrowed(written);
    }
    let mut out = String::with_capacity(written.len() + 16);
    for c in written.chars() {
        if c.is_ascii() && c != '\x7f' {
            out.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string can't fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_sent_as_it_is_written_and_otherwise_as_utf_8() {
        for (written, sent) in [
            ("/feed?after=1", "/feed?after=1"),
            ("/feed/grün?q=日", "/feed/gr%C3%BCn?q=%E6%97%A5"),
            ("/a%2Fb%20c", "/a%2Fb%20c"),
            ("/a/../b//c?", "/a/../b//c?"),
            ("/x\u{7f}", "/x%7F"),
        ] {
            assert_eq!(path(written).unwrap().as_str(), sent);
        }
    }

    #[test]
    fn what_can_not_be_sent_as_it_is_written_is_refused() {
        assert_eq!(path("/feed/a#b?after=1"), Err(PathError::Fragment));
        assert_eq!(path("feed"), Err(PathError::NoSlash));
        assert_eq!(path(""), Err(PathError::NoSlash));
        for written in ["/a b", "/a\r\nhost: x", "/a\tb", "/a\0"] {
            assert_eq!(path(written), Err(PathError::Character), "{written:?}");
        }
        assert_eq!(path(&format!("/{}", "a".repeat(PATH_BYTES_MAX))), Err(PathError::TooLong));
        assert!(path(&format!("/{}", "a".repeat(PATH_BYTES_MAX - 1))).is_ok());
        assert_eq!(path(&format!("/{}", "ü".repeat(20_000))), Err(PathError::TooLong));
    }

    proptest! {
        #[test]
        fn every_text_is_sent_as_written_or_refused(written in "/?\\PC{0,60}") {
            if let Ok(sent) = path(&written) {
                prop_assert!(sent.as_str().is_ascii());
                let decoded: String = percent_decoded(sent.as_str());
                prop_assert_eq!(decoded, percent_decoded(&written));
            }
        }
    }

    /// Both sides with every percent-encoding undone.
    fn percent_decoded(text: &str) -> String {
        let mut out = Vec::new();
        let mut bytes = text.as_bytes().iter().copied();
        let mut at = 0;
        while let Some(byte) = bytes.next() {
            at += 1;
            let rest = &text.as_bytes()[at..];
            let hex = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
            match hex.filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit())).and_then(|h| u8::from_str_radix(h, 16).ok())
            {
                Some(value) if byte == b'%' => {
                    out.push(value);
                    bytes.nth(1);
                    at += 2;
                }
                _ => out.push(byte),
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }
}
