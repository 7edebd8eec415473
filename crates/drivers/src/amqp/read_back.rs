//! Reading writes back: what consumers of the run took is in the ledger already; the rest is drained from the queues.
//!
//! Nothing is acknowledged: the messages of others go back where they were, and what was read once can be read again.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use tokio::time::{Instant, timeout};

use super::connection::Purpose;
use super::envelope::write_id;
use super::workload::Shared;
use crate::failure::Failure;
use crate::{ReadBack, ReadBackError};
use slatest_core::writes::Found;

/// A queue with nothing ready is drained when nothing more came for so long: what another consumer gave back shows
/// up again only after its connection is gone.
const QUIET: Duration = Duration::from_secs(2);
/// How often a queue that is silent is asked what it holds.
const LOOK: Duration = Duration::from_millis(250);

/// Drains every queue that the workload's ledgered operations fill.
///
/// # Errors
/// A broker that doesn't answer within the patience, or refuses.
pub(super) async fn read_back(shared: &Shared, reading: &mut ReadBack<'_>) -> Result<(), ReadBackError> {
    shared.stop_consumers();
    for queue in &shared.plan.ledger_queues {
        let drained = drain(shared, queue, reading).await;
        drained.map_err(|ended| match ended {
            Ended::Broker(failure) => {
                let failure = shared.plan.broker.redacted(failure);
                ReadBackError::Store(format!("{} queue {queue}: {}", shared.plan.broker.address(), failure.detail))
            }
            Ended::Own(error) => error,
        })?;
    }
    Ok(())
}

enum Ended {
    Broker(Failure),
    Own(ReadBackError),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Broker(failure)
    }
}

async fn drain(shared: &Shared, queue: &str, reading: &mut ReadBack<'_>) -> Result<(), Ended> {
    let connection = shared.plan.broker.connect().await?;
    let channel = connection.channel(Purpose::Ask).await?;
    // A look has a channel of its own: the other one is busy with deliveries.
    let looks = connection.channel(Purpose::Ask).await?;
    let failed = |error: lapin::Error| Ended::Broker(Failure::from(&error));
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await;
    let mut messages = consumer.map_err(failed)?;
    let patience = reading.patience().as_duration();
    let mut last = Instant::now();
    loop {
        match timeout(LOOK, messages.next()).await {
            Ok(Some(Ok(message))) => {
                last = Instant::now();
                connection.inbound.took();
                if let Some(id) = write_id(&message.properties) {
                    reading.found(&Found::present(id)).map_err(Ended::Own)?;
                }
            }
            Ok(Some(Err(error))) => return Err(failed(error)),
            Ok(None) => {
                let reason = "the broker ended the consumer before the queue was drained".to_owned();
                let failure = Failure::new(slatest_core::model::Outcome::Disconnected, "consumer cancelled");
                return Err(Failure { detail: reason, ..failure }.into());
            }
            Err(_) => {
                let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
                let found = looks.queue_declare(queue.into(), passive, FieldTable::default()).await.map_err(failed)?;
                let quiet = last.elapsed();
                if found.message_count() == 0 && quiet >= QUIET {
                    return Ok(());
                }
                if quiet >= patience.max(QUIET) {
                    let reason = format!("{} messages are ready and none is delivered", found.message_count());
                    let failure = Failure::new(slatest_core::model::Outcome::TimedOut, "not drained");
                    return Err(Failure { detail: reason, ..failure }.into());
                }
            }
        }
    }
}
