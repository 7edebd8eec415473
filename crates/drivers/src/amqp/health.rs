//! Whether the broker answers, has what must be there already, and gives what is asked for.

use std::time::Instant;

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;

use super::connection::{Connected, Purpose};
use super::workload::{Shared, bounded};
use crate::failure::Failure;
use crate::{Health, Unreachable};
use slatest_core::model::Nanos;

/// Looks, within the patience of a connection.
///
/// # Errors
/// What is missing, and what to do.
pub(super) async fn health(shared: &Shared) -> Result<Health, Unreachable> {
    let plan = &shared.plan;
    match bounded("health", inspect(shared)).await {
        Ok(detail) => Ok(Health { detail }),
        Err(failure) => Err(Unreachable {
            endpoint: plan.endpoint.clone(),
            address: plan.broker.address(),
            reason: plan.broker.redacted(failure).detail,
        }),
    }
}

/// Signs in and looks for what must be there already.
async fn inspect(shared: &Shared) -> Result<String, Failure> {
    let plan = &shared.plan;
    let started = Instant::now();
    let connection = shared.any_connection().await?;
    let elapsed = Nanos::from(started.elapsed());
    let mut found = Vec::new();
    let declared = |name: &String| plan.declared.iter().any(|q| q.name.value == *name);
    for queue in plan.needed.iter().filter(|name| !declared(name)) {
        let (messages, consumers) = look_for_queue(&connection, queue).await?;
        found.push(format!("queue {queue} ({messages} messages, {consumers} consumers)"));
    }
    for exchange in &plan.exchanges {
        look_for_exchange(&connection, exchange).await?;
        found.push(format!("exchange {exchange}"));
    }
    for pool in shared.pools() {
        pool.open_all().await;
        found.extend(pool.shortage());
    }
    let found = if found.is_empty() { String::new() } else { format!("; {}", found.join(", ")) };
    Ok(format!("{} virtual host {}; signed in after {elapsed}{found}", plan.broker.address(), plan.broker.vhost()))
}

/// A look that fails closes its channel, so each has its own.
async fn look_for_queue(connection: &Connected, queue: &str) -> Result<(u32, u32), Failure> {
    let channel = connection.channel(Purpose::Ask).await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let found = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
    let found = found.map_err(|e| missing(&e, &format!("the queue `{queue}`")))?;
    Ok((found.message_count(), found.consumer_count()))
}

async fn look_for_exchange(connection: &Connected, exchange: &str) -> Result<(), Failure> {
    let channel = connection.channel(Purpose::Ask).await?;
    let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let found = channel.exchange_declare(exchange.into(), ExchangeKind::Direct, options, FieldTable::default()).await;
    found.map_err(|e| missing(&e, &format!("the exchange `{exchange}`")))
}

fn missing(error: &lapin::Error, what: &str) -> Failure {
    let failure = Failure::from(error);
    let reason = match failure.kind.as_str() {
        "NOT_FOUND" => format!("{what} doesn't exist; create it before the run, or name a queue under settings.queues"),
        _ => format!("{what} can't be used: {}", failure.detail),
    };
    Failure { detail: reason, ..failure }
}
