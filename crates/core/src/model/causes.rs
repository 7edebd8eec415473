//! Errors with what they come from.

use std::error::Error;

use super::redact;

/// An error with everything that it says it comes from, each once and without credentials.
pub fn error_chain(error: &dyn Error) -> String {
    with_causes(error.to_string(), error)
}

/// What is said of an error, with everything that the error says it comes from: what was said already is not said
/// again, and credentials are left out.
pub fn with_causes(said: impl Into<String>, error: &dyn Error) -> String {
    let mut text = said.into();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    redact(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Link(&'static str, #[source] Option<Box<Link>>);

    #[test]
    fn causes_are_said_once_and_without_credentials() {
        let last = Link("no route to postgres://u:geheim@db/x", None);
        let error = Link("can't connect", Some(Box::new(Link("connect", Some(Box::new(last))))));
        assert_eq!(error_chain(&error), "can't connect: no route to postgres://***@db/x");
        assert_eq!(with_causes("signing in", &error), "signing in: connect: no route to postgres://***@db/x");
    }
}
