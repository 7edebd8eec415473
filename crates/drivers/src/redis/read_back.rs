//! Reading writes back: each under its own key, many at a time on one connection, then on every replica of the cluster.

use futures_util::future::join_all;
use redis::Value;
use tokio::time::timeout_at;

use super::client::Connection;
use super::plan::Plan;
use super::replicas::Replicas;
use crate::failure::Failure;
use crate::{ReadBack, ReadBackError};
use slatest_core::model::{Outcome, WriteId, WritePlace, value_digest};
use slatest_core::writes::{Found, Presence};

/// Keys that are asked for at a time.
const PAGE: usize = 256;

/// Asks for the key of every write in the ledger.
///
/// # Errors
/// Servers that don't answer within the patience, or refuse.
pub async fn read_back(plan: &Plan, reading: &mut ReadBack<'_>) -> Result<(), ReadBackError> {
    let servers = &plan.servers;
    let failed = |failure: &Failure| {
        ReadBackError::Store(format!("{}: {}", servers.addresses(), servers.redact(&failure.detail)))
    };
    let mut connection = servers.connect().await.map_err(|failure| failed(&failure))?;
    let mut replicas = Replicas::of(servers).await.map_err(|failure| failed(&failure))?;
    reading.set_readers(1 + replicas.most());
    let mut page: Vec<(WriteId, Box<str>)> = Vec::with_capacity(PAGE);
    let mut writes = reading.writes();
    loop {
        let next = writes.next().transpose()?;
        let over = next.is_none();
        match next.map(|write| (write.id, write.place)) {
            Some((id, Some(WritePlace::Key(key)))) => page.push((id, key)),
            // It was given up before anybody knew its key.
            Some((id, _)) => reading.found(&Found::unreadable(id))?,
            None => {}
        }
        if page.len() == PAGE || over {
            read_page(plan, &mut connection, &page, reading).await.map_err(|failure| match failure {
                Ended::Store(failure) => failed(&failure),
                Ended::Own(error) => error,
            })?;
            replicas.read(&page, reading).await?;
            page.clear();
        }
        if over {
            return Ok(());
        }
    }
}

enum Ended {
    Store(Failure),
    Own(ReadBackError),
}

/// Asks until each key of the page has an answer, on a new connection where the last one broke.
async fn read_page(
    plan: &Plan,
    connection: &mut Connection,
    page: &[(WriteId, Box<str>)],
    reading: &mut ReadBack<'_>,
) -> Result<(), Ended> {
    let deadline = reading.deadline();
    let mut left: Vec<_> = page.iter().collect();
    while !left.is_empty() {
        let replies = join_all(left.iter().map(|(_, key)| {
            let mut connection = connection.clone();
            async move { connection.send_one(redis::cmd("GET").arg(&**key)).await }
        }));
        let late = |_| Ended::Store(Failure::new(Outcome::TimedOut, "GET: no answer in time"));
        let replies = timeout_at(deadline, replies).await.map_err(late)?;
        let mut again = Vec::new();
        let mut last = None;
        for (asked, reply) in left.into_iter().zip(replies) {
            match reply {
                Ok(Value::Nil) => {}
                Ok(value) => {
                    // Another type than was written is another value.
                    let digest = match &value {
                        Value::BulkString(bytes) => value_digest(bytes),
                        Value::SimpleString(text) => value_digest(text.as_bytes()),
                        _ => 0,
                    };
                    let found = Found { value: Some(digest), presence: Presence::Present, ..Found::present(asked.0) };
                    reading.found(&found).map_err(Ended::Own)?;
                }
                Err(failure) => {
                    last = Some(failure);
                    again.push(asked);
                }
            }
        }
        left = again;
        if let Some(failure) = last {
            let renewed = timeout_at(deadline, async {
                loop {
                    if let Ok(renewed) = plan.servers.connect().await {
                        break renewed;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            });
            *connection = renewed.await.map_err(|_| Ended::Store(failure))?;
        }
    }
    Ok(())
}
