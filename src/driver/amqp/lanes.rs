//! A worker's connections and their channels. Sessions share them in turn, and whoever finds one
//! broken makes it anew.

use std::sync::Arc;

use lapin::{Channel, Connection};
use tokio::sync::Mutex;

use super::broker::{self, Broker};
use super::failure::Failure;

/// A connection with its channels.
struct Line {
    connection: Mutex<Option<Arc<Connection>>>,
    channels: Vec<Mutex<Option<Channel>>>,
}

/// A worker's connections.
pub(super) struct Lanes {
    broker: Arc<Broker>,
    lines: Vec<Line>,
}

impl Lanes {
    /// None is opened yet.
    pub(super) fn new(broker: Arc<Broker>, connections: u32, channels: u32) -> Self {
        let line =
            |_| Line { connection: Mutex::new(None), channels: (0..channels).map(|_| Mutex::new(None)).collect() };
        Self { broker, lines: (0..connections).map(line).collect() }
    }

    /// The channel of a session, open; opened again where it broke.
    ///
    /// # Errors
    /// Why it can't be opened.
    pub(super) async fn channel(&self, session: u64) -> Result<Channel, Failure> {
        let place = |count: usize, number: u64| usize::try_from(number % count.max(1) as u64).unwrap_or(0);
        let line = &self.lines[place(self.lines.len(), session)];
        let turn = session / self.lines.len().max(1) as u64;
        let mut channel = line.channels[place(line.channels.len(), turn)].lock().await;
        if let Some(channel) = channel.as_ref().filter(|c| c.status().connected()) {
            return Ok(channel.clone());
        }
        let connection = self.connection(line).await?;
        let opened = broker::channel(&connection, true).await?;
        *channel = Some(opened.clone());
        Ok(opened)
    }

    async fn connection(&self, line: &Line) -> Result<Arc<Connection>, Failure> {
        let mut connection = line.connection.lock().await;
        if let Some(connection) = connection.as_ref().filter(|c| c.status().connected()) {
            return Ok(Arc::clone(connection));
        }
        let opened = Arc::new(self.broker.connect().await?);
        *connection = Some(Arc::clone(&opened));
        Ok(opened)
    }
}
