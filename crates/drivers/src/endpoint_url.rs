//! URLs of endpoints: what they ask for beyond a place is refused by name, because leaving it out would change what
//! they ask for.

use url::Url;

/// Why a URL isn't taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExtraError {
    /// It has parameters.
    #[error(
        "the URL's parameter `{0}` isn't known here: settings stand beside the URL in the endpoint, or in the workload"
    )]
    Parameter(String),
    /// It has a fragment.
    #[error("the URL has a fragment (`#…`), which no server is told; write # as %23")]
    Fragment,
}

/// Refuses parameters and fragments.
///
/// # Errors
/// Names the first parameter, never a value.
pub(crate) fn refuse_extras(url: &Url) -> Result<(), ExtraError> {
    if url.fragment().is_some() {
        return Err(ExtraError::Fragment);
    }
    if url.query().is_none() {
        return Ok(());
    }
    let name = url.query_pairs().next().map(|(name, _)| name.into_owned()).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_name = (1..=40).contains(&name.len()) && name.chars().all(plain);
    Err(ExtraError::Parameter(if is_name { name } else { "?".to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_place_is_taken() {
        let refused = |text: &str| refuse_extras(&Url::parse(text).unwrap()).err().map(|e| e.to_string());
        assert_eq!(refused("redis://h:6379/3"), None);
        for (text, words) in [
            ("redis://h?protocol=resp3", "`protocol`"),
            ("rediss://h/0?insecure=true&x=1", "`insecure`"),
            ("ws://h/a?token=secret", "`token`"),
            ("ws://h/a?", "`?`"),
            ("rediss://h/#insecure", "fragment"),
        ] {
            let error = refused(text).unwrap_or_default();
            assert!(error.contains(words) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
