//! How connections to the brokers are secured: TLS, which ends in front of librdkafka, and SASL in librdkafka's words.

use std::fmt;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rdkafka::ClientConfig;
use rdkafka::client::OAuthToken;
use rustls_pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::KafkaEndpoint;
use super::endpoint::KafkaSecurity;
use crate::CompileContext;
use crate::dial::TlsFailure;
use slatest_core::model::Problems;
use slatest_core::model::hide;
use slatest_core::target::{Secret, client_config};

/// SASL mechanisms, and whether they take a user and a password (else a token).
const MECHANISMS: [(&str, bool); 4] =
    [("SCRAM-SHA-512", true), ("SCRAM-SHA-256", true), ("PLAIN", true), ("OAUTHBEARER", false)];
/// How long a token counts as valid that doesn't say itself.
const TOKEN_LIFETIME_SECS: i64 = 3600;

/// Where an OAUTHBEARER token comes from; read again when librdkafka wants a fresh one.
#[derive(Clone, Debug)]
pub(super) struct TokenSource {
    secret: Secret,
    folder: PathBuf,
}

/// Everything that secures a connection.
#[derive(Debug)]
pub(super) struct Security {
    properties: Vec<(&'static str, String)>,
    username: Option<String>,
    password: Option<SecretString>,
    token: Option<TokenSource>,
    tls: Option<Tls>,
}

/// Begins TLS with brokers.
pub(super) struct Tls(TlsConnector);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Begins it on a connection to `host`.
    ///
    /// # Errors
    /// In words, why the broker isn't trusted or doesn't speak TLS.
    pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let name = host.trim_matches(['[', ']']).to_owned();
        let name =
            ServerName::try_from(name).map_err(|_| format!("`{host}` is no name that a certificate can have"))?;
        self.0.connect(name, stream).await.map_err(|error| TlsFailure::of(&error).words)
    }
}

impl Security {
    /// Reads it from the endpoint and resolves its secrets.
    ///
    /// # Errors
    /// What is missing, contradictory or unreadable, with its place.
    pub(super) fn compile(endpoint: &KafkaEndpoint, context: &CompileContext<'_>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let name = context.endpoint_name;
        let mut problem = |key: &str, message: String| {
            problems.0.push(context.target.problem(format!("endpoints.{name}.{key}"), message));
        };
        let (tls, sasl) = match endpoint.security {
            KafkaSecurity::Plaintext => (false, false),
            KafkaSecurity::Ssl => (true, false),
            KafkaSecurity::SaslPlaintext => (false, true),
            KafkaSecurity::SaslSsl => (true, true),
        };
        // What librdkafka sees: TLS ends in front of it.
        let mut properties = vec![("security.protocol", if sasl { "sasl_plaintext" } else { "plaintext" }.to_owned())];
        let files = endpoint.tls_files();
        let mut connector = None;
        if tls {
            match client_config(files, context.target_folder, &[]) {
                Ok(config) => connector = Some(Tls(TlsConnector::from(config))),
                Err(error) => problem(error.key(), error.to_string()),
            }
        } else {
            for (key, _) in files.named() {
                problem(key, "has no effect without TLS: say `security: ssl` or `security: sasl_ssl`".into());
            }
        }
        let credentials = [
            ("mechanism", endpoint.mechanism.is_some()),
            ("username", endpoint.username.is_some()),
            ("password", endpoint.password.is_some()),
            ("token", endpoint.token.is_some()),
        ];
        let mut security = Self { properties: Vec::new(), username: None, password: None, token: None, tls: connector };
        if !sasl {
            for (key, _) in credentials.iter().filter(|(_, there)| *there) {
                problem(key, "has no effect without SASL: say `security: sasl_ssl` or `sasl_plaintext`".into());
            }
            security.properties = properties;
            return problems.or(security);
        }
        let mechanism = endpoint.mechanism.as_ref().map(|m| m.as_str());
        let Some((mechanism, by_password)) = MECHANISMS.into_iter().find(|(name, _)| Some(*name) == mechanism) else {
            let known: Vec<&str> = MECHANISMS.iter().map(|(name, _)| *name).collect();
            let known = known.join(", ");
            match &endpoint.mechanism {
                None => problem("mechanism", format!("SASL needs a mechanism: one of {known}")),
                Some(written) => {
                    let message = format!("`{written}` is not a mechanism that can be used: take one of {known}");
                    problems.0.push(context.target.problem_at(written, format!("endpoints.{name}.mechanism"), message));
                }
            }
            return Err(problems);
        };
        properties.push(("sasl.mechanism", mechanism.to_owned()));
        let needed: &[&str] = if by_password { &["username", "password"] } else { &["token"] };
        for (key, there) in &credentials[1..] {
            match (needed.contains(key), *there) {
                (true, false) => problem(key, format!("is missing: {mechanism} needs it")),
                (false, true) if *key != "username" => problem(key, format!("has no effect with {mechanism}")),
                _ => {}
            }
        }
        security.properties = properties;
        security.username = endpoint.username.clone();
        if let (true, Some(password)) = (by_password, &endpoint.password) {
            match password.resolve(context.target_folder) {
                Ok(password) => security.password = Some(password),
                Err(e) => problem("password", e),
            }
        }
        if let (false, Some(secret)) = (by_password, &endpoint.token) {
            let source = TokenSource { secret: secret.clone(), folder: context.target_folder.to_path_buf() };
            match source.secret.resolve(&source.folder) {
                Ok(_) => security.token = Some(source),
                Err(e) => problem("token", e),
            }
        }
        problems.or(security)
    }

    /// Adds it to a client's configuration.
    pub(super) fn apply(&self, config: &mut ClientConfig) {
        for (property, value) in &self.properties {
            config.set(*property, value);
        }
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            config.set("sasl.username", username);
            config.set("sasl.password", password.expose_secret());
        }
    }

    /// Begins TLS, where the brokers want it.
    pub(super) const fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// A fresh OAUTHBEARER token.
    ///
    /// # Errors
    /// In words, without the token.
    pub(super) fn token(&self) -> Result<OAuthToken, String> {
        let source = self.token.as_ref().ok_or("the endpoint has no token")?;
        let token = source.secret.resolve(&source.folder)?;
        let now = jiff::Timestamp::now().as_second();
        let claims = Claims::of(token.expose_secret());
        let principal = claims.subject.or_else(|| self.username.clone()).unwrap_or_else(|| "slatest".into());
        let expires = claims.expires.unwrap_or(now.saturating_add(TOKEN_LIFETIME_SECS));
        if expires <= now {
            return Err("the token has expired; get a new one before the run".into());
        }
        Ok(OAuthToken {
            token: token.expose_secret().to_owned(),
            principal_name: principal,
            lifetime_ms: expires.saturating_mul(1000),
        })
    }

    /// A text of librdkafka without any credential in it.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let token = self.token.as_ref().and_then(|t| t.secret.resolve(&t.folder).ok());
        for secret in self.password.iter().chain(token.iter()) {
            text = hide(&text, secret.expose_secret());
        }
        text
    }
}

/// What slatest wants to know of a token; the brokers verify it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Claims {
    subject: Option<String>,
    expires: Option<i64>,
}

impl Claims {
    /// The claims of a JWT; none of an opaque token.
    fn of(token: &str) -> Self {
        let claims = token.split('.').nth(1).and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
        let claims = claims.and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
        let Some(claims) = claims else { return Self::default() };
        let subject = claims.get("sub").and_then(|v| v.as_str()).filter(|s| !s.is_empty()).map(str::to_owned);
        // Some issuers write seconds with a fraction.
        let expires = claims.get("exp").and_then(|v| v.as_i64().or_else(|| v.as_f64().map(|secs| secs as i64)));
        Self { subject, expires }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    fn bearer(folder: &Path, token: &str) -> Security {
        std::fs::write(folder.join("token"), token).unwrap();
        let source = TokenSource { secret: Secret::File("token".into()), folder: folder.to_path_buf() };
        Security { properties: Vec::new(), username: None, password: None, token: Some(source), tls: None }
    }

    #[test]
    fn a_token_says_whose_it_is_and_until_when() {
        let folder = tempfile::tempdir().unwrap();
        let token = bearer(folder.path(), &jwt(r#"{"sub":"load","exp":4102444800.5}"#)).token().unwrap();
        assert_eq!((token.principal_name.as_str(), token.lifetime_ms), ("load", 4_102_444_800_000));
        let opaque = bearer(folder.path(), "opaque").token().unwrap();
        assert_eq!(opaque.principal_name, "slatest");
        assert!(opaque.lifetime_ms > jiff::Timestamp::now().as_millisecond());
    }

    #[test]
    fn an_expired_token_is_refused_without_being_shown() {
        let folder = tempfile::tempdir().unwrap();
        let expired = jwt(r#"{"sub":"load","exp":1}"#);
        let Err(said) = bearer(folder.path(), &expired).token() else { panic!("it expired") };
        assert!(said.contains("expired") && !said.contains(&expired), "{said}");
    }

    #[test]
    fn credentials_are_taken_out_of_texts() {
        let folder = tempfile::tempdir().unwrap();
        let mut security = bearer(folder.path(), "to-k-en");
        security.password = Some(SecretString::from("pass-word".to_owned()));
        assert_eq!(security.redact("a pass-word and a to-k-en"), "a *** and a ***");
    }
}
