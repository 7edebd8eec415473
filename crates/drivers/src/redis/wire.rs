//! One connection to one server: dialled here, with bounds on what comes; the library speaks on it.

use std::sync::Arc;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, Pipeline, RedisConnectionInfo, RedisError, RedisFuture, RedisResult, Value,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

use super::bounds::{Bounded, Replies, ReplyLimits};

/// A connection that many may use at once. Clones share it; with the last of them it is closed.
#[derive(Clone)]
pub struct Wire {
    connection: MultiplexedConnection,
    replies: Arc<Replies>,
    _driver: Arc<AbortOnDropHandle<()>>,
}

impl Wire {
    /// Logs in on `stream`.
    ///
    /// # Errors
    /// The connection's, or what the server says to the credentials.
    pub async fn open<S>(stream: S, login: &RedisConnectionInfo, limits: ReplyLimits) -> RedisResult<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = Bounded::new(stream, limits);
        let replies = stream.replies();
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let (connection, driver) = MultiplexedConnection::new_with_config(login, stream, config).await?;
        replies.all_taken();
        let driver = Arc::new(AbortOnDropHandle::new(tokio::spawn(driver)));
        Ok(Self { connection, replies, _driver: driver })
    }
}

impl Replies {
    /// Why an exchange failed. The library says of a pipeline that was under way only that its connection is gone.
    fn reason(&self, error: RedisError) -> RedisError {
        if error.kind() == ErrorKind::Io { self.refusal().map_or(error, RedisError::from) } else { error }
    }
}

/// Replies that somebody waits for; given up when dropped, as when they were taken.
struct Awaited<'w> {
    replies: &'w Replies,
    count: usize,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.replies.taken(self.count);
    }
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let _awaited = Awaited { replies: &self.replies, count: 1 };
            let result = self.connection.req_packed_command(command).await;
            result.map_err(|error| self.replies.reason(error))
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let _awaited = Awaited { replies: &self.replies, count: offset + count };
            let result = self.connection.req_packed_commands(pipeline, offset, count).await;
            result.map_err(|error| self.replies.reason(error))
        })
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}
