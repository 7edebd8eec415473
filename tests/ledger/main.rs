//! Runs write into real servers with a ledger; something is taken away behind their back; the read-back says exactly
//! what. Servers come from the stack (`tests/stack/stack up`).

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(all(feature = "amqp", feature = "http", feature = "redis", feature = "sql", feature = "websocket"))]
mod declared;
mod harness;
#[cfg(all(feature = "http", feature = "sandbox"))]
mod http;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sql")]
mod sql;
#[expect(dead_code, reason = "the conformance suite asks the stack for more")]
#[path = "../conformance/stack.rs"]
mod stack;
