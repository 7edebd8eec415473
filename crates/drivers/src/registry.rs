//! Every driver, by name.

use super::Driver;

/// Every driver that was compiled in.
pub fn drivers() -> &'static [&'static dyn Driver] {
    &[
        #[cfg(feature = "amqp")]
        &super::amqp::AmqpDriver,
        #[cfg(feature = "http")]
        &super::http::HttpDriver,
        #[cfg(feature = "kafka")]
        &super::kafka::KafkaDriver,
        #[cfg(feature = "websocket")]
        &super::websocket::WebsocketDriver,
        #[cfg(feature = "sql")]
        &super::sql::Sql,
        #[cfg(feature = "redis")]
        &super::redis::Redis,
    ]
}

/// The driver of this name.
pub fn driver(name: &str) -> Option<&'static dyn Driver> {
    drivers().iter().copied().find(|d| d.name() == name)
}
