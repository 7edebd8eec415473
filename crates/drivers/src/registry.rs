//! Every protocol, one line each: its folder, its driver, and its endpoints by their first key.

#[cfg(test)]
use serde::de::IgnoredAny;

use super::Driver;

/// A protocol that this version knows, whether or not its driver was compiled in.
pub struct Protocol {
    /// The name that workload files use, and the feature that compiles its driver.
    pub name: &'static str,
    /// Kinds of endpoint (their first keys) that its driver can talk to.
    pub endpoint_kinds: &'static [&'static str],
    /// Its driver, where it was compiled in.
    pub driver: Option<&'static dyn Driver>,
}

protocols! {
    http::HttpDriver if (feature = "http") { Http(HttpEndpoint) = "http" }
    websocket::WebsocketDriver if (feature = "websocket") { Websocket(WebsocketEndpoint) = "websocket" }
    kafka::KafkaDriver if (feature = "kafka") { Kafka(KafkaEndpoint) = "kafka" }
    sql::SqlDriver if (feature = "sql") { Postgres(PostgresEndpoint) = "postgres", Sqlite(SqliteEndpoint) = "sqlite" }
    redis::RedisDriver if (feature = "redis") { Redis(RedisEndpoint) = "redis" }
    amqp::AmqpDriver if (feature = "amqp") { Amqp(AmqpEndpoint) = "amqp" }
    #[cfg(test)] toy::ToyDriver if (test) { Toy(ToyEndpoint) = "toy" }
}

/// A target file whose faults are left unread: what drivers need of it.
#[cfg(test)]
pub(crate) type Target = slatest_core::target::Target<Endpoint, IgnoredAny, IgnoredAny, IgnoredAny>;

/// The protocol of this name.
pub fn protocol(name: &str) -> Option<&'static Protocol> {
    PROTOCOLS.iter().find(|protocol| protocol.name == name)
}

/// Every driver that was compiled in.
pub fn drivers() -> impl Iterator<Item = &'static dyn Driver> {
    PROTOCOLS.iter().filter_map(|protocol| protocol.driver)
}

/// The driver of this name.
pub fn driver(name: &str) -> Option<&'static dyn Driver> {
    protocol(name)?.driver
}

/// The first keys of all endpoints, each in backticks.
pub(crate) fn kinds() -> Vec<String> {
    let kinds = PROTOCOLS.iter().flat_map(|protocol| protocol.endpoint_kinds);
    kinds.map(|kind| format!("`{kind}`")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocols_folder_has_its_drivers_name() {
        for protocol in PROTOCOLS {
            assert_eq!(protocol.driver.map_or(protocol.name, Driver::name), protocol.name);
        }
    }
}
