//! `slatest sql` and `slatest redis`: statements and commands.

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use super::load::LoadArgs;
use super::secrets::Secrets;
use super::{QuickError, Request, dsn};

/// Arguments of `slatest sql`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest sql postgres://app:PASSWORD@localhost/app 'select 1' -r 500/s --p95 100ms
  slatest sql env:DATABASE_URL 'select * from tasks where id = $1' --param '{{ random.int(1, 150000) }}'
  slatest sql sqlite:app.db 'select count(*) from tasks'

Values are templates; the statement is none. Exit codes are those of `slatest run`.")]
pub struct SqlArgs {
    /// Where the database is, or env:NAME, the variable that says it
    #[arg(value_name = "DSN")]
    pub dsn: String,
    /// The statement, with placeholders $1, $2, …
    #[arg(value_name = "STATEMENT")]
    pub statement: String,
    #[command(flatten)]
    pub load: LoadArgs,
    /// Value of the next placeholder, a template; may be said again
    #[arg(long = "param", value_name = "TEXT")]
    pub params: Vec<String>,
    /// Connections in all [default: as many as there are sessions, at most 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub connections: Option<u64>,
}

impl SqlArgs {
    /// What is sent.
    ///
    /// # Errors
    /// What can't be meant; a credential that can't be kept.
    pub fn request(&self, secrets: &Secrets) -> Result<Request, QuickError> {
        let (endpoint, hosts) = match self.dsn.strip_prefix("sqlite:") {
            Some(path) => (json!({ "sqlite": path.trim_start_matches("//") }), vec!["localhost".to_owned()]),
            None => {
                let (section, dsn) = secrets.address(&self.dsn, "DATABASE_URL")?;
                let address = dsn::split(dsn.expose_secret(), "postgres://user:password@localhost/database")?;
                if !matches!(address.scheme.as_str(), "postgres" | "postgresql") {
                    let message = format!(
                        "`{}://` is not a database of slatest: there is postgres:// and sqlite:",
                        address.scheme
                    );
                    return Err(QuickError::usage(message));
                }
                (json!({ "postgres": section }), dsn::hosts(address.authority))
            }
        };
        let mut request = Map::new();
        request.insert("query".into(), json!(self.statement));
        if !self.params.is_empty() {
            request.insert("params".into(), json!(self.params));
        }
        let mut settings = Map::new();
        settings.extend(self.connections.map(|n| ("connections".to_owned(), json!(n))));
        Ok(Request {
            driver: "sql",
            endpoint,
            hosts,
            settings,
            operation: "statement".into(),
            request: Value::Object(request),
            check: None,
        })
    }
}

/// Arguments of `slatest redis`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest redis redis://localhost:6379 -r 1000/s --p99 100ms GET 'session:{{ random.int(1, 50000) }}'
  slatest redis rediss://cache.example.com:6379 --allow cache.example.com --cluster -u :TOKEN PING

The words of the command are templates; its name is none. Exit codes are those of `slatest run`.")]
pub struct RedisArgs {
    /// Where the server is: redis:// or rediss://
    #[arg(value_name = "URL")]
    pub url: String,
    /// The command with its words
    #[arg(value_name = "COMMAND", required = true, num_args = 1.., allow_hyphen_values = true, trailing_var_arg = true)]
    pub command: Vec<String>,
    #[command(flatten)]
    pub load: LoadArgs,
    /// It is a cluster
    #[arg(long)]
    pub cluster: bool,
    /// User and password; `:password` without a user
    #[arg(short, long, value_name = "USER:PASSWORD")]
    pub user: Option<String>,
    /// Connections in all [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub connections: Option<u64>,
}

impl RedisArgs {
    /// What is sent.
    ///
    /// # Errors
    /// What can't be meant; a credential that can't be kept.
    pub fn request(&self, secrets: &Secrets) -> Result<Request, QuickError> {
        let address = dsn::split(&self.url, "redis://localhost:6379")?;
        if !matches!(address.scheme.as_str(), "redis" | "rediss") {
            return Err(QuickError::usage(format!(
                "`{}://` is not Redis: write redis:// or rediss://",
                address.scheme
            )));
        }
        let login = match (&self.user, address.login) {
            (Some(_), Some(_)) => return Err(QuickError::usage("the URL and -u both name a user: leave one out")),
            (Some(user), None) => Some(user.as_str()),
            (None, login) => login,
        };
        let mut endpoint = Map::new();
        endpoint.insert("redis".into(), json!([format!("{}://{}{}", address.scheme, address.authority, address.rest)]));
        if self.cluster {
            endpoint.insert("cluster".into(), json!(true));
        }
        if let Some(login) = login {
            let (user, password) = login.split_once(':').ok_or_else(|| {
                QuickError::usage("a login is user and password with a colon between them; `:password` without a user")
            })?;
            if !user.is_empty() {
                endpoint.insert("username".into(), json!(user));
            }
            endpoint.insert(
                "password".into(),
                secrets.section(
                    "REDIS_PASSWORD",
                    &SecretString::from(password),
                    self.user.as_ref().unwrap_or(&self.url),
                )?,
            );
        }
        let mut settings = Map::new();
        settings.extend(self.connections.map(|n| ("connections".to_owned(), json!(n))));
        let name = self.command.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
        Ok(Request {
            driver: "redis",
            endpoint: Value::Object(endpoint),
            hosts: dsn::hosts(address.authority),
            settings,
            operation: name.chars().filter(|c| c.is_ascii_alphanumeric()).collect(),
            request: json!({ "command": self.command }),
            check: None,
        })
    }
}
