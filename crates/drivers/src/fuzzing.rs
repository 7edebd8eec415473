//! Readers of what comes from outside, as the targets in `fuzz/` and `tests/mutations` reach them. Not compiled otherwise.

pub use super::amqp::fuzz as frames;
pub use super::envelope::fuzz as headers;
pub use super::http::fuzz as http;
pub use super::kafka::fuzz as kafka;
pub use super::redis::fuzz as resp;
pub use super::sql::fuzz as sql;
pub use super::websocket::fuzz as sync;
