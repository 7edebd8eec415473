//! `slatest http`: curl's letters.

use clap::Args;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::load::LoadArgs;
use super::secrets::Secrets;
use super::words::{contents, json_contents, login};
use super::{QuickError, Request, dsn};

/// Methods that slatest sends.
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

/// Arguments of `slatest http`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest http localhost:8080/health
  slatest http http://localhost:8080/tasks -r 300/s -d 1m --p99 500ms --errors 0.1%
  slatest http http://localhost:8080/tasks --json '{\"title\":\"{{ fake.sentence }}\"}' -H 'X-Tenant: a'
  slatest http 'http://localhost:8080/tasks/{{ random.int(1, 1000) }}' -c 50
  slatest http https://api.example.com/ --allow api.example.com --save load-test

URL, headers and bodies are templates; docs/workloads.md says what they know.
Exit codes are those of `slatest run`.")]
pub struct HttpArgs {
    /// What to ask for; http:// when it names no scheme
    #[arg(value_name = "URL")]
    pub url: String,
    #[command(flatten)]
    pub load: LoadArgs,
    /// A header of each request, `Name: value`; may be said again
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub headers: Vec<String>,
    /// Method [default: GET, with a body POST]
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub method: Option<String>,
    /// A JSON body, or @FILE
    #[arg(long, value_name = "JSON", conflicts_with = "data")]
    pub json: Option<String>,
    /// A body as text, or @FILE
    #[arg(long, value_name = "TEXT")]
    pub data: Option<String>,
    /// Basic authentication, `user:password`
    #[arg(short, long, value_name = "USER:PASSWORD")]
    pub user: Option<String>,
    /// Follows redirects, at most 10
    #[arg(short = 'L', long)]
    pub location: bool,
    /// The status that is right: 200, 2xx [default: any 2xx or 3xx]
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Certificates of the authority that signed the server's, instead of the system's
    #[arg(long, visible_alias = "cacert", value_name = "FILE")]
    pub ca: Option<String>,
}

impl HttpArgs {
    /// What is sent.
    ///
    /// # Errors
    /// What can't be meant; a file that can't be read.
    pub fn request(&self, secrets: &Secrets) -> Result<Request, QuickError> {
        let url = if self.url.contains("://") { self.url.clone() } else { format!("http://{}", self.url) };
        let address = dsn::split(&url, "http://localhost:8080/tasks")?;
        if !matches!(address.scheme.as_str(), "http" | "https") {
            let verb = match address.scheme.as_str() {
                "ws" | "wss" => "; for WebSockets there is `slatest ws`",
                _ => "",
            };
            return Err(QuickError::usage(format!(
                "`{}://` is not HTTP: write http:// or https://{verb}",
                address.scheme
            )));
        }
        if address.login.is_some() {
            return Err(QuickError::usage(
                "a user in the URL would be written to results: say it with -u USER:PASSWORD",
            ));
        }
        let body = self.body()?;
        let method = match &self.method {
            Some(method) => method.to_ascii_uppercase(),
            None if body.is_some() => "POST".into(),
            None => "GET".into(),
        };
        if !METHODS.contains(&method.as_str()) {
            return Err(QuickError::usage(format!(
                "the method `{method}` is not sent: there is {}",
                METHODS.join(", ")
            )));
        }
        let path = match address.rest {
            "" => "/".to_owned(),
            rest if rest.starts_with('/') => rest.to_owned(),
            rest => format!("/{rest}"),
        };
        let mut request = Map::new();
        request.insert(method.to_ascii_lowercase(), json!(path));
        let headers = self.headers(secrets)?;
        if !headers.is_empty() {
            request.insert("headers".into(), Value::Object(headers));
        }
        request.extend(body);
        let mut settings = Map::new();
        if self.location {
            settings.insert("follow_redirects".into(), json!(10));
        }
        // The path itself is what must answer before load is sent: a service need not have a /health.
        if method == "GET" && !path.contains("{{") {
            settings.insert("health".into(), json!(path));
        } else {
            settings.insert("health".into(), json!("/"));
        }
        let mut endpoint = Map::new();
        endpoint.insert("http".into(), json!(format!("{}://{}", address.scheme, address.authority)));
        endpoint.extend(self.ca.as_ref().map(|ca| ("ca".to_owned(), json!(ca))));
        Ok(Request {
            driver: "http",
            endpoint: Value::Object(endpoint),
            hosts: dsn::hosts(address.authority),
            settings,
            operation: method.to_ascii_lowercase(),
            request: Value::Object(request),
            check: self.status.as_ref().map(|status| json!({ "status": status_value(status) })),
        })
    }

    fn body(&self) -> Result<Option<(String, Value)>, QuickError> {
        if let Some(written) = &self.json {
            return Ok(Some(("json".into(), json_contents(written, "--json")?)));
        }
        match &self.data {
            Some(written) => Ok(Some(("body".into(), json!(contents(written, "--data")?)))),
            None => Ok(None),
        }
    }

    fn headers(&self, secrets: &Secrets) -> Result<Map<String, Value>, QuickError> {
        let mut headers = Map::new();
        for written in &self.headers {
            let Some((name, value)) = written.split_once(':').filter(|(name, _)| !name.trim().is_empty()) else {
                return Err(QuickError::usage("a header is `Name: value`: -H 'Accept: application/json'"));
            };
            let (name, value) = (name.trim(), value.trim());
            if headers.keys().any(|known| known.eq_ignore_ascii_case(name)) {
                return Err(QuickError::usage(format!("the header `{name}` is said twice")));
            }
            // What the readers of files take for a credential is never written down.
            let value = match slatest_core::target::check_sent(name, value) {
                Ok(()) => json!(value),
                Err(_) => secrets.section(&variable(name), &SecretString::from(value), written)?,
            };
            headers.insert(name.to_owned(), value);
        }
        if let Some(user) = &self.user {
            if headers.keys().any(|known| known.eq_ignore_ascii_case("authorization")) {
                return Err(QuickError::usage("-u and the header `Authorization` say the same thing: leave one out"));
            }
            login(user)?;
            use base64::Engine as _;
            let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user));
            headers.insert("Authorization".into(), secrets.section("AUTHORIZATION", &SecretString::from(basic), user)?);
        }
        Ok(headers)
    }
}

/// The name of a variable for a header: `X-Api-Key` is `X_API_KEY`.
fn variable(header: &str) -> String {
    header.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// A number where it is one, so that the file says `status: 200`.
fn status_value(written: &str) -> Value {
    written.parse::<u16>().map_or_else(|_| json!(written), |number| json!(number))
}
