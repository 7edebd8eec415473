//! What every driver has in common, held against real servers.
//!
//! `suite` holds the cases, written once over the driver traits; each driver's file says with which
//! workload and which server they run, and adds what only its protocol has. Servers come from the
//! stack (`tests/stack/stack up`); `relay` stands between where a test needs a server to fall
//! silent or to break off.

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(all(feature = "amqp", feature = "http", feature = "redis", feature = "sql", feature = "websocket"))]
mod generator;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod http_faults;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "redis")]
mod redis;
mod relay;
#[cfg(feature = "http")]
mod scripted;
#[cfg(feature = "sql")]
mod sql;
mod stack;
mod suite;
#[cfg(feature = "websocket")]
mod websocket;
