//! What every driver has in common, held against real servers.
//!
//! `suite` holds the cases, written once over the driver traits; each driver's file says with which
//! workload and which server they run, and adds what only its protocol has. Servers come from the
//! stack (`tests/stack/stack up`); `relay` stands between where a test needs a server to fall
//! silent or to break off.

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(feature = "amqp")]
mod amqp_faults;
#[cfg(feature = "amqp")]
mod amqp_hostile;
#[cfg(feature = "amqp")]
mod amqp_takes;
#[cfg(all(feature = "amqp", feature = "http", feature = "redis", feature = "sql", feature = "websocket"))]
mod generator;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod http_deadlines;
#[cfg(feature = "http")]
mod http_faults;
#[cfg(feature = "http")]
mod http_headers;
#[cfg(feature = "http")]
mod http_log;
#[cfg(feature = "http")]
mod http_stale;
#[cfg(feature = "http")]
mod http_truths;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kafka")]
mod kafka_answers;
#[cfg(feature = "kafka")]
mod kafka_faults;
#[cfg(feature = "kafka")]
mod kafka_groups;
#[cfg(feature = "kafka")]
mod kafka_hostile;
#[cfg(feature = "kafka")]
mod kafka_limits;
#[cfg(feature = "kafka")]
mod kafka_mutated;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_faults;
mod relay;
mod scripted;
#[cfg(feature = "sql")]
mod sql;
#[cfg(feature = "sql")]
mod sql_faults;
#[cfg(feature = "sql")]
mod sql_hostile;
#[cfg(feature = "sql")]
mod sql_session;
mod stack;
mod suite;
#[cfg(all(feature = "http", feature = "sql", feature = "kafka", feature = "amqp"))]
mod unreachable;
#[cfg(feature = "websocket")]
mod websocket;
#[cfg(feature = "websocket")]
mod websocket_faults;
