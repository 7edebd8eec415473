//! One user: produces through its worker's producer, takes from the workload's consumer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::file::Until;
use super::plan::{Action, Record};
use super::producer::{Delivered, Flight, Position, Producer};
use super::workload::Shared;
use super::{failure, headers};
use crate::awaited::{MessageId, Waiting};
use crate::envelope::WRITE;
use crate::workload::{RenderError, Values};
use crate::{Limit, Session, SessionContext};
use slatest_core::model::{Arrival, Completion, Nanos, Outcome, WORKLOAD_FAULT, WriteOutcome, WritePlace, Written};

/// Index of the timing from sent until acknowledged.
const ACKNOWLEDGED: u8 = 0;
/// Index of the timing from sent until polled back.
const CONSUMED: u8 = 1;

pub(super) struct KafkaSession {
    shared: Arc<Shared>,
    context: SessionContext,
    producer: Arc<Producer>,
    captured: BTreeMap<String, String>,
    limit: Limit,
}

impl KafkaSession {
    pub(super) fn new(shared: Arc<Shared>, context: SessionContext, producer: Arc<Producer>) -> Self {
        Self { shared, context, producer, captured: BTreeMap::new(), limit: Limit::default() }
    }

    fn now(&self) -> Nanos {
        self.context.clock.now()
    }

    fn failed(&self, sent: Option<Nanos>, (outcome, kind): (Outcome, String)) -> Completion {
        Completion::failed(outcome, sent, self.now(), kind)
    }

    async fn produce(&mut self, arrival: &Arrival, record: &Record, ledger: bool) -> Completion {
        if self.producer.fatal() {
            match self.shared.producer(&self.context) {
                Ok(producer) => self.producer = producer,
                Err(refusal) => return self.failed(None, (refusal.outcome, refusal.kind)),
            }
        }
        let rendered = match self.render(arrival, record) {
            Ok(rendered) => rendered,
            Err(error) => return self.failed(None, (Outcome::Rejected, error.to_string())),
        };
        let awaited = record.until == Until::Consumed;
        let (report, delivered) = oneshot::channel();
        let sent = self.now();
        let id = MessageId { seq: arrival.seq, sent };
        let waiting = if awaited { self.shared.awaited.begin(id) } else { None };
        if awaited && waiting.is_none() {
            return self.failed(None, (Outcome::Rejected, "too many records awaited".into()));
        }
        let mut headers = headers::headers(&self.shared.plan.sender, id, awaited, rendered.headers.len());
        if ledger {
            let write = self.shared.plan.sender.identity.execution(arrival, self.context.index).write_id().to_string();
            headers = headers.insert(Header { key: WRITE, value: Some(&write) });
        }
        for (name, value) in &rendered.headers {
            headers = headers.insert(Header { key: name, value: Some(value) });
        }
        let handing = rendered.hand_over(record, headers, Flight { report, awaited }, &self.producer);
        let left = self.left(arrival);
        match self.limit.hold(left, handing).await {
            Ok(Ok(())) => {}
            Ok(Err(code)) => return self.failed(None, failure::refused(&self.producer.troubles, code)),
            Err(_) => return self.failed(Some(sent), failure::overdue(&self.producer.troubles, "QueueFull")),
        }
        let mut progress = Progress::default();
        let left = self.left(arrival);
        let end = self.limit.hold(left, progress.follow(delivered, waiting)).await;
        let completion = self.conclude(sent, &progress, end.ok());
        if ledger { completion.with_written(self.written(record, &progress)) } else { completion }
    }

    /// What is known of the write: the brokers' word alone counts, whatever became of the wait for its return.
    fn written(&self, record: &Record, progress: &Progress) -> Written {
        let acknowledged = progress.acknowledged.zip(progress.position).filter(|(_, at)| at.offset >= 0);
        let Some((at, Position { partition, offset })) = acknowledged else {
            return Written { outcome: Some(WriteOutcome::Unknown), ..Written::default() };
        };
        let place = self.shared.plan.cluster.log(&record.topic);
        let place = place.map(|log| WritePlace::Offset { log, partition, offset });
        Written { outcome: Some(WriteOutcome::Acknowledged), acknowledged: Some(at), place, value: None }
    }

    /// What it came to; `end` is `None` where the time ran out.
    fn conclude(&self, sent: Nanos, progress: &Progress, end: Option<Result<Nanos, Lost>>) -> Completion {
        let completion = match (end, progress.consumed) {
            (Some(Ok(done)), _) => Completion::ok(sent, done.max(sent)),
            // It came back, so it was written: the report alone is missing.
            (_, Some(consumed)) => Completion::ok(sent, consumed.max(sent)),
            (Some(Err(Lost::Report(report))), None) => match report {
                Some(Delivered { at, result: Err(code) }) => {
                    let (outcome, kind) = failure::judge(&self.producer.troubles, code);
                    Completion::failed(outcome, Some(sent), at.max(sent), kind)
                }
                _ => self.failed(Some(sent), (Outcome::Unknown, "the producer was closed".into())),
            },
            (Some(Err(Lost::Consumer)), None) => {
                self.failed(Some(sent), (Outcome::Unknown, "the consumer was closed".into()))
            }
            (None, None) => {
                let kind = if progress.acknowledged.is_some() { "not consumed" } else { "not acknowledged" };
                self.failed(Some(sent), failure::overdue(&self.producer.troubles, kind))
            }
        };
        let timing = |completion: Completion, index, at: Option<Nanos>| match at {
            Some(at) => completion.with_timing(index, at.since(sent)),
            None => completion,
        };
        timing(timing(completion, ACKNOWLEDGED, progress.acknowledged), CONSUMED, progress.consumed)
    }

    async fn consume(&self, arrival: &Arrival, topic: &str) -> Completion {
        let sent = self.now();
        let Some(taking) = self.shared.taking() else {
            return self.failed(None, (Outcome::Rejected, "topic not consumed".into()));
        };
        match timeout(self.left(arrival), taking.ask(topic)).await {
            Ok(Ok(at)) => Completion::ok(sent, at.max(sent)),
            Ok(Err(_)) => self.failed(Some(sent), (Outcome::Unknown, "the consumer was closed".into())),
            // There was nobody to ask: no broker is to blame.
            Err(_) if taking.member.idle() => {
                let kind = format!("{WORKLOAD_FAULT}the group has more members than partitions");
                self.failed(None, (Outcome::Rejected, kind))
            }
            Err(_) => self.failed(Some(sent), (Outcome::TimedOut, "no record".into())),
        }
    }

    fn left(&self, arrival: &Arrival) -> Duration {
        arrival.left(self.now()).as_duration()
    }

    fn render(&self, arrival: &Arrival, record: &Record) -> Result<Rendered, RenderError> {
        let plan = &self.shared.plan;
        let id = plan.sender.identity.execution(arrival, self.context.index);
        let values = Values { id, data: &plan.data, captured: &self.captured };
        let key = record.key.as_ref().map(|k| k.render(&values)).transpose()?;
        let value = record.value.as_ref().map(|payload| payload.render(&values)).transpose()?;
        let mut headers = Vec::with_capacity(record.headers.len());
        for (name, template) in &record.headers {
            headers.push((name.clone(), template.render(&values)?.into_owned()));
        }
        Ok(Rendered { key: key.map(Into::into), value: value.map(Into::into), headers })
    }
}

/// The texts of one record.
struct Rendered {
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, String)>,
}

impl Rendered {
    async fn hand_over(
        &self,
        record: &Record,
        headers: OwnedHeaders,
        flight: Flight,
        producer: &Producer,
    ) -> Result<(), rdkafka::error::RDKafkaErrorCode> {
        let mut message = BaseRecord::with_opaque_to(&record.topic, Box::new(flight)).headers(headers);
        message.key = self.key.as_deref();
        message.payload = self.value.as_deref();
        producer.send(message).await
    }
}

/// How far a record got.
#[derive(Debug, Default)]
struct Progress {
    acknowledged: Option<Nanos>,
    position: Option<Position>,
    consumed: Option<Nanos>,
}

/// Why the end of a record won't be known.
#[derive(Debug)]
enum Lost {
    /// It was reported as failed, or never will be.
    Report(Option<Delivered>),
    /// The consumer is gone.
    Consumer,
}

impl Progress {
    /// Follows it until the brokers acknowledged it and, where it is awaited, until it was polled
    /// back; gives the instant at which it was done.
    async fn follow(
        &mut self,
        mut delivered: oneshot::Receiver<Delivered>,
        mut waiting: Option<Waiting>,
    ) -> Result<Nanos, Lost> {
        while self.acknowledged.is_none() || (waiting.is_some() && self.consumed.is_none()) {
            let consumed = async {
                match &mut waiting {
                    Some(waiting) => (&mut waiting.consumed).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                report = &mut delivered, if self.acknowledged.is_none() => match report {
                    Ok(Delivered { at, result: Ok(position) }) => {
                        (self.acknowledged, self.position) = (Some(at), Some(position));
                    }
                    report => return Err(Lost::Report(report.ok())),
                },
                at = consumed, if self.consumed.is_none() => self.consumed = Some(at.map_err(|_| Lost::Consumer)?),
            }
        }
        Ok(self.consumed.or(self.acknowledged).unwrap_or_default())
    }
}

impl Session for KafkaSession {
    fn execute<'a>(&'a mut self, arrival: &'a Arrival) -> LocalBoxFuture<'a, Completion> {
        Box::pin(async move {
            let shared = Arc::clone(&self.shared);
            let plan = &shared.plan;
            let (Some(operation), Some(action)) =
                (plan.operations.get(arrival.operation), plan.actions.get(arrival.operation))
            else {
                return self.failed(None, (Outcome::Rejected, "no such operation".into()));
            };
            match action {
                Action::Produce(record) => self.produce(arrival, record, operation.ledger).await,
                Action::Consume { topic } => self.consume(arrival, topic).await,
            }
        })
    }
}
