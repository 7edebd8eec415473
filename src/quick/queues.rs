//! `slatest kafka` and `slatest amqp`: records and messages.

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use super::load::LoadArgs;
use super::secrets::Secrets;
use super::words::{contents, json_contents, login};
use super::{QuickError, Request, dsn};

/// What is sent where nothing was said.
const BYTES_DEFAULT: u64 = 300;

/// What a message holds.
#[derive(Clone, Debug, Args)]
#[group(multiple = false)]
pub struct Message {
    /// Its value as text, a template, or @FILE
    #[arg(long, value_name = "TEXT")]
    pub value: Option<String>,
    /// Its value as JSON, whose strings are templates, or @FILE
    #[arg(long, value_name = "JSON")]
    pub json: Option<String>,
    /// Random text of so many bytes [default: 300]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub size: Option<u64>,
}

impl Message {
    /// The key and the value of its section; text stands under `text_key`.
    fn section(&self, text_key: &str) -> Result<(String, Value), QuickError> {
        if let Some(written) = &self.json {
            return Ok(("json".into(), json_contents(written, "--json")?));
        }
        let text = match &self.value {
            Some(written) => contents(written, "--value")?,
            None => format!("{{{{ random.text({}) }}}}", self.size.unwrap_or(BYTES_DEFAULT)),
        };
        Ok((text_key.into(), json!(text)))
    }
}

/// Arguments of `slatest kafka`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest kafka localhost:9092 task-events -r 300/s --p99 1s
  slatest kafka localhost:9092 task-events --json '{\"type\":\"task.created\"}' --end-to-end
  slatest kafka b1.example.com:9094,b2.example.com:9094 task-events --allow b1.example.com \\
                --allow b2.example.com --tls -u slatest:PASSWORD

The topic must exist. Exit codes are those of `slatest run`.")]
pub struct KafkaArgs {
    /// Bootstrap brokers with their ports, separated by commas
    #[arg(value_name = "BROKERS")]
    pub brokers: String,
    /// The topic
    #[arg(value_name = "TOPIC")]
    pub topic: String,
    #[command(flatten)]
    pub load: LoadArgs,
    #[command(flatten)]
    pub message: Message,
    /// Key of the records, a template: decides the partition
    #[arg(long, value_name = "TEXT")]
    pub key: Option<String>,
    /// A record is done when it was read back, not when it was acknowledged
    #[arg(long)]
    pub end_to_end: bool,
    /// Connects by TLS
    #[arg(long)]
    pub tls: bool,
    /// SASL user and password
    #[arg(short, long, value_name = "USER:PASSWORD")]
    pub user: Option<String>,
    /// SASL mechanism
    #[arg(long, value_name = "NAME", default_value = "SCRAM-SHA-512", requires = "user")]
    pub mechanism: String,
    /// Certificates of the authority that signed the brokers', instead of the system's
    #[arg(long, visible_alias = "cacert", value_name = "FILE", requires = "tls")]
    pub ca: Option<String>,
}

impl KafkaArgs {
    /// What is sent.
    ///
    /// # Errors
    /// What can't be meant; a file that can't be read; a credential that can't be kept.
    pub fn request(&self, secrets: &Secrets) -> Result<Request, QuickError> {
        let written = self.brokers.strip_prefix("kafka://").unwrap_or(&self.brokers);
        let brokers: Vec<&str> = written.split(',').map(str::trim).filter(|broker| !broker.is_empty()).collect();
        if brokers.is_empty() {
            return Err(QuickError::usage("no broker is named: write host:port, several with commas between them"));
        }
        let mut endpoint = Map::new();
        endpoint.insert("kafka".into(), json!(brokers));
        let security = match (self.tls, self.user.is_some()) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        endpoint.insert("security".into(), json!(security));
        if let Some(typed) = &self.user {
            let (user, password) = login(typed)?;
            endpoint.insert("mechanism".into(), json!(self.mechanism));
            endpoint.insert("username".into(), json!(user));
            endpoint
                .insert("password".into(), secrets.section("KAFKA_PASSWORD", &SecretString::from(password), typed)?);
        }
        endpoint.extend(self.ca.as_ref().map(|ca| ("ca".to_owned(), json!(ca))));
        let mut produce = Map::new();
        produce.insert("topic".into(), json!(self.topic));
        produce.extend(self.key.as_ref().map(|key| ("key".to_owned(), json!(key))));
        produce.extend([self.message.section("value")?]);
        if self.end_to_end {
            produce.insert("until".into(), json!("consumed"));
        }
        Ok(Request {
            driver: "kafka",
            endpoint: Value::Object(endpoint),
            hosts: dsn::hosts(&brokers.join(",")),
            settings: Map::new(),
            operation: "produce".into(),
            request: json!({ "produce": produce }),
            check: None,
        })
    }
}

/// Arguments of `slatest amqp`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest amqp amqp://guest:guest@localhost jobs -r 50/s --p95 1s
  slatest amqp env:AMQP_URI jobs --end-to-end

The queue must exist, or is made by --declare. Exit codes are those of `slatest run`.")]
pub struct AmqpArgs {
    /// Where the broker is, or env:NAME, the variable that says it
    #[arg(value_name = "URI")]
    pub uri: String,
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub queue: String,
    #[command(flatten)]
    pub load: LoadArgs,
    #[command(flatten)]
    pub message: Message,
    /// Makes the queue when it is not there: durable and classic
    #[arg(long)]
    pub declare: bool,
    /// A message is done when it was received, not when it was confirmed
    #[arg(long)]
    pub end_to_end: bool,
}

impl AmqpArgs {
    /// What is sent.
    ///
    /// # Errors
    /// What can't be meant; a file that can't be read; a credential that can't be kept.
    pub fn request(&self, secrets: &Secrets) -> Result<Request, QuickError> {
        let (section, uri) = secrets.address(&self.uri, "AMQP_URI")?;
        let address = dsn::split(uri.expose_secret(), "amqp://user:password@localhost:5672/vhost")?;
        let mut publish = Map::new();
        publish.insert("queue".into(), json!(self.queue));
        publish.extend([self.message.section("body")?]);
        if self.end_to_end {
            publish.insert("until".into(), json!("consumed"));
        }
        let mut settings = Map::new();
        if self.declare {
            settings.insert("queues".into(), json!([{ "name": self.queue }]));
        }
        Ok(Request {
            driver: "amqp",
            endpoint: json!({ "amqp": section }),
            hosts: dsn::hosts(address.authority),
            settings,
            operation: "publish".into(),
            request: json!({ "publish": publish }),
            check: None,
        })
    }
}
