//! Publishing to AMQP: a topic exchange, the topic's name as the routing key.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind, PublisherConfirm};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Tally, Topic};

/// The exchange; who wants the events binds a queue to it.
pub const EXCHANGE: &str = "platform-events";
const QUEUE: usize = 10_000;
/// Messages whose confirmation is awaited at once.
const MOST_UNCONFIRMED: usize = 256;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
const RECONNECT_AFTER: Duration = Duration::from_secs(1);
/// Makes a message survive the broker's restart.
const PERSISTENT: u8 = 2;

/// A bounded queue before a connection that is opened again when it breaks.
pub struct AmqpPublisher {
    queue: mpsc::Sender<(Topic, String)>,
    tally: Arc<Tally>,
}

impl AmqpPublisher {
    /// Connects and declares the exchange.
    ///
    /// # Errors
    /// When the broker can't be reached or refuses; the URL is never quoted.
    pub async fn start(url: SecretString, tally: Arc<Tally>) -> Result<Self, String> {
        let channel = connect(&url).await?;
        let (queue, events) = mpsc::channel(QUEUE);
        tokio::spawn(publish_all(url, channel, events, tally.clone()));
        Ok(Self { queue, tally })
    }

    /// Queues one event; a full queue drops it.
    pub fn publish(&self, topic: Topic, payload: String) {
        if self.queue.try_send((topic, payload)).is_err() {
            Tally::add(&self.tally.dropped);
        }
    }
}

struct Link {
    // The channel's connection ends when it is dropped.
    _connection: Connection,
    channel: Channel,
}

async fn connect(url: &SecretString) -> Result<Link, String> {
    let open = async {
        let connection = Connection::connect(url.expose_secret(), ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, FieldTable::default()).await?;
        Ok::<_, lapin::Error>(Link { _connection: connection, channel })
    };
    match timeout(CONNECT_TIMEOUT, open).await {
        Ok(Ok(link)) => Ok(link),
        Ok(Err(error)) => Err(format!("the AMQP broker can't be used: {error}")),
        Err(_) => Err(format!("the AMQP broker did not answer within {} s", CONNECT_TIMEOUT.as_secs())),
    }
}

async fn publish_all(url: SecretString, link: Link, mut events: mpsc::Receiver<(Topic, String)>, tally: Arc<Tally>) {
    let mut link = Some(link);
    let mut unconfirmed = FuturesUnordered::new();
    loop {
        let (topic, payload) = tokio::select! {
            event = events.recv(), if unconfirmed.len() < MOST_UNCONFIRMED => match event {
                Some(event) => event,
                None => return,
            },
            Some(confirmed) = unconfirmed.next() => {
                count(&tally, confirmed);
                continue;
            }
        };
        if link.as_ref().is_none_or(|link| !link.channel.status().connected()) {
            link = match connect(&url).await {
                Ok(fresh) => Some(fresh),
                Err(error) => {
                    tracing::warn!(error, "events for AMQP are lost");
                    tokio::time::sleep(RECONNECT_AFTER).await;
                    None
                }
            };
        }
        match &link {
            Some(link) => match publish(&link.channel, topic, &payload).await {
                Some(confirm) => unconfirmed.push(async move {
                    let confirmed = timeout(CONFIRM_TIMEOUT, confirm).await;
                    matches!(confirmed, Ok(Ok(Confirmation::Ack(_) | Confirmation::NotRequested)))
                }),
                None => count(&tally, false),
            },
            None => count(&tally, false),
        }
    }
}

fn count(tally: &Tally, confirmed: bool) {
    Tally::add(if confirmed { &tally.published } else { &tally.failed });
}

/// Sends one message; what comes back says later whether the broker has it.
async fn publish(channel: &Channel, topic: Topic, payload: &str) -> Option<PublisherConfirm> {
    let properties =
        BasicProperties::default().with_delivery_mode(PERSISTENT).with_content_type("application/json".into());
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish(EXCHANGE.into(), topic.name().into(), options, payload.as_bytes(), properties);
    timeout(CONFIRM_TIMEOUT, sent).await.ok()?.ok()
}
