//! `slatest ws`: a message and its answer, or edits of shared documents.

use clap::Args;
use serde_json::{Map, json};

use super::load::LoadArgs;
use super::words::json_contents;
use super::{QuickError, Request, dsn};

/// Arguments of `slatest ws`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest ws ws://localhost:8080/echo --send '{\"id\":\"{{ seq }}\"}' --correlate '$.id'
  slatest ws ws://localhost:8080/sync --edit 40 -r 20/s --p95 500ms

An answer belongs to the message whose correlation id it carries. With --edit, sessions share documents
(Yjs, as y-websocket speaks it), and an edit is over when every other session of the document has it.
Exit codes are those of `slatest run`.")]
pub struct WebsocketArgs {
    /// Where to connect: ws:// or wss://
    #[arg(value_name = "URL")]
    pub url: String,
    #[command(flatten)]
    pub load: LoadArgs,
    /// A JSON message, or @FILE; its strings are templates
    #[arg(
        long,
        value_name = "JSON",
        requires = "correlate",
        required_unless_present = "edit",
        conflicts_with = "edit"
    )]
    pub send: Option<String>,
    /// JSONPath of the correlation id, in the message and in its answer
    #[arg(long, value_name = "JSONPATH")]
    pub correlate: Option<String>,
    /// Edits shared documents by so many bytes of text
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub edit: Option<u64>,
}

impl WebsocketArgs {
    /// What is sent.
    ///
    /// # Errors
    /// What can't be meant; a file that can't be read.
    pub fn request(&self) -> Result<Request, QuickError> {
        let address = dsn::split(&self.url, "ws://localhost:8080/sync")?;
        if !matches!(address.scheme.as_str(), "ws" | "wss") {
            return Err(QuickError::usage(format!(
                "`{}://` is not a WebSocket: write ws:// or wss://",
                address.scheme
            )));
        }
        if address.login.is_some() {
            return Err(QuickError::usage(
                "a user in the URL would be written to results: name a token in a target file instead",
            ));
        }
        let (operation, request) = match (&self.send, self.edit) {
            (Some(send), _) => {
                let message = json_contents(send, "--send")?;
                ("message", json!({ "send": message, "correlate": self.correlate }))
            }
            (None, bytes) => ("edit", json!({ "edit": { "bytes": bytes.unwrap_or(40) } })),
        };
        Ok(Request {
            driver: "websocket",
            endpoint: json!({ "websocket": self.url }),
            hosts: dsn::hosts(address.authority),
            settings: Map::new(),
            operation: operation.into(),
            request,
            check: None,
        })
    }
}
