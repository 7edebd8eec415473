//! What the sandbox says when it is ready.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::api::BLOCK_HEADER;

/// The version of the line that programs read.
pub const VERSION: u32 = 1;

/// Where everything is. Parts that were not started, or that a real server stands in for, are
/// absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Always true.
    pub ready: bool,
    /// Version of this record.
    pub version: u32,
    /// The sandbox's process.
    pub pid: u32,
    /// Origin of the HTTP interface; health and control are always there.
    pub http: String,
    /// The Yjs sync endpoint; the document's name is appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<String>,
    /// The request/response WebSocket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<String>,
    /// The embedded brokers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kafka: Vec<String>,
    /// The embedded database's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlite: Option<String>,
    /// The embedded RESP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<String>,
}

impl Ready {
    /// For people: each address, and a target file that points to them.
    pub fn to_text(&self) -> String {
        let mut text = String::from("The sandbox is ready; Ctrl-C ends it.\n\n");
        let kafka = (!self.kafka.is_empty()).then(|| self.kafka.join(","));
        let control = format!("{}/control/behaviour", self.http);
        let openapi = format!("{}/openapi.json", self.http);
        let rows = [
            ("http", Some(&self.http)),
            ("openapi", Some(&openapi)),
            ("control", Some(&control)),
            ("websocket", self.websocket.as_ref()),
            ("echo", self.echo.as_ref()),
            ("kafka", kafka.as_ref()),
            ("sqlite", self.sqlite.as_ref()),
            ("redis", self.redis.as_ref()),
        ];
        for (name, address) in rows {
            if let Some(address) = address {
                // Writing to a string can't fail.
                let _ = writeln!(text, "  {name:<10} {address}");
            }
        }
        text.push_str("\nA target file for it:\n\n");
        text.push_str(&self.to_target());
        text
    }

    /// A target file that points here.
    pub fn to_target(&self) -> String {
        let mut text = String::from(
            "name: sandbox\nenvironment: sandbox\nallow: { hosts: [\"127.0.0.1\"], drills: true }\nendpoints:\n",
        );
        let block = format!("{{ status: 403, header: \"{BLOCK_HEADER}: block\" }}");
        let brokers = self.kafka.iter().map(|b| format!("\"{b}\"")).collect::<Vec<_>>().join(", ");
        let endpoints = [
            Some(format!("api:      {{ http: \"{}\", block: {block} }}", self.http)),
            self.websocket.as_ref().map(|url| format!("sync:     {{ websocket: \"{url}\" }}")),
            self.echo.as_ref().map(|url| format!("echo:     {{ websocket: \"{url}\" }}")),
            (!self.kafka.is_empty()).then(|| format!("events:   {{ kafka: [{brokers}] }}")),
            self.sqlite.as_ref().map(|file| format!("database: {{ sqlite: \"{file}\" }}")),
            self.redis.as_ref().map(|url| format!("cache:    {{ redis: [\"{url}\"] }}")),
        ];
        for endpoint in endpoints.into_iter().flatten() {
            let _ = writeln!(text, "  {endpoint}");
        }
        let absent = [
            (self.websocket.is_none(), "sync", "this sandbox was started without its sync part"),
            (self.kafka.is_empty(), "events", "this sandbox has no embedded Kafka"),
            (self.sqlite.is_none(), "database", "this sandbox has no embedded database"),
            (self.redis.is_none(), "cache", "this sandbox has no embedded Redis"),
            (true, "queue", "AMQP can't be embedded; give a target with a real broker"),
        ];
        text.push_str("absent:\n");
        for (_, endpoint, reason) in absent.iter().filter(|a| a.0) {
            let _ = writeln!(text, "  {endpoint}: \"{reason}\"");
        }
        text
    }
}
