//! A worker's connections and their channels. Sessions share them in turn, and whoever finds one
//! broken makes it anew.

use std::sync::Arc;
use std::time::Duration;

use lapin::{Channel, Connection};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::broker::{self, Broker};
use super::failure::Failure;

/// Youngest age at which a channel that refuses messages is given up. A queue that is full refuses them on any.
const RENEWED_AFTER: Duration = Duration::from_secs(1);

/// A channel, and when it was opened.
struct Opened {
    channel: Channel,
    at: Instant,
}

/// A connection with its channels.
struct Line {
    connection: Mutex<Option<Arc<Connection>>>,
    channels: Vec<Mutex<Option<Opened>>>,
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
        let (line, slot) = self.place(session);
        let mut slot = slot.lock().await;
        if let Some(opened) = slot.as_ref().filter(|opened| opened.channel.status().connected()) {
            return Ok(opened.channel.clone());
        }
        let connection = self.connection(line).await?;
        let channel = broker::channel(&connection, true).await?;
        *slot = Some(Opened { channel: channel.clone(), at: Instant::now() });
        Ok(channel)
    }

    /// Notes that the broker refused what was published on a session's channel: the next message has a channel of
    /// its own. While a quorum queue elects a leader, RabbitMQ 3.10 ties a channel that begins to publish to the old
    /// one, and refuses all that comes on it for as long as that node is down; on a new channel it asks the new
    /// leader. Messages under way on the old one are not touched: it is closed when the last of them has ended.
    pub(super) async fn refused(&self, session: u64, channel: &Channel) {
        let mut slot = self.place(session).1.lock().await;
        let gone = |opened: &mut Opened| opened.channel.id() == channel.id() && opened.at.elapsed() >= RENEWED_AFTER;
        slot.take_if(gone);
    }

    /// The connection of a session, and the place of its channel.
    fn place(&self, session: u64) -> (&Line, &Mutex<Option<Opened>>) {
        let place = |count: usize, number: u64| usize::try_from(number % count.max(1) as u64).unwrap_or(0);
        let line = &self.lines[place(self.lines.len(), session)];
        let turn = session / self.lines.len().max(1) as u64;
        (line, &line.channels[place(line.channels.len(), turn)])
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
