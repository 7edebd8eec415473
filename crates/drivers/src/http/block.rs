//! Refusals by what stands in front of the endpoint: a firewall, a gateway that limits rates.

use http::header::{HeaderMap, HeaderName};
use regex::bytes;

use super::check::wrong_pattern;
use crate::failure::Failure;
use slatest_core::model::Outcome;
use slatest_core::target::{BlockSignature, BlockSignatures};
use slatest_core::text::is_harmful;

/// Longest name of who refuses.
const NAME_BYTES_MAX: usize = 60;

/// How one of those in front of the endpoint says no.
#[derive(Debug)]
struct Signature {
    /// The kind of what it refuses.
    kind: String,
    status: u16,
    header: Option<(HeaderName, Option<String>)>,
    body: Option<bytes::Regex>,
}

impl Signature {
    /// Compiles a signature.
    ///
    /// # Errors
    /// In words.
    fn compile(written: &BlockSignature) -> Result<Self, String> {
        let header = match &written.header {
            None => None,
            Some(text) => {
                let (name, value) = match text.split_once(':') {
                    Some((name, value)) => (name.trim(), Some(value.trim().to_owned())),
                    None => (text.trim(), None),
                };
                let name: HeaderName = name.parse().map_err(|_| format!("`{name}` can't be the name of a header"))?;
                Some((name, value))
            }
        };
        let body = written.body.as_ref().map(|text| bytes::Regex::new(&regex::escape(text)));
        let body = body.transpose().map_err(|e| wrong_pattern(&e))?;
        let who = written.name.as_deref().unwrap_or("the firewall");
        if who.trim().is_empty() || who.len() > NAME_BYTES_MAX || who.chars().any(is_harmful) {
            return Err(format!("a name of 1 to {NAME_BYTES_MAX} visible characters is needed"));
        }
        Ok(Self { kind: format!("blocked by {who}"), status: written.status, header, body })
    }

    fn fits(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> bool {
        let header = self.header.as_ref().is_none_or(|(name, wanted)| {
            headers.get_all(name).iter().any(|v| wanted.as_ref().is_none_or(|w| v.as_bytes() == w.as_bytes()))
        });
        status == self.status && header && self.body.as_ref().is_none_or(|b| b.is_match(body))
    }
}

/// How all of those in front of the endpoint say no, compiled.
#[derive(Debug)]
pub(super) struct Block(Vec<Signature>);

impl Block {
    /// Compiles signatures.
    ///
    /// # Errors
    /// In words.
    pub(super) fn compile(written: &BlockSignatures) -> Result<Self, String> {
        written.0.iter().map(Signature::compile).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the body of an answer with this status is looked at.
    pub(super) fn needs_body(&self, status: u16) -> bool {
        self.0.iter().any(|signature| signature.status == status && signature.body.is_some())
    }

    /// Whether this answer is a refusal by what stands in front of the endpoint.
    pub(super) fn test(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Result<(), Failure> {
        match self.0.iter().find(|signature| signature.fits(status, headers, body)) {
            Some(signature) => Err(Failure { outcome: Outcome::Blocked, ..Failure::rejected(signature.kind.clone()) }),
            None => Ok(()),
        }
    }
}
