//! A compiled workload: what all of its sessions share.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, LocalBoxFuture};
use rdkafka::ClientConfig;
use tokio::sync::OnceCell;

use super::cluster::{Cluster, Refusal, Topology};
use super::compile::Action;
use super::consumer::{Destination, Group, GroupConsumer};
use super::producer::Producer;
use super::session::KafkaSession;
use crate::awaited::{Awaited, Intake};
use crate::envelope::Sender;
use crate::workload::Data;
use crate::{
    ConnectError, Finding, Flow, Health, Operation, ReadBack, ReadBackError, Seat, Session, Unreachable, Workload,
};
use slatest_core::model::{Nanos, Outcome};

/// What was compiled.
pub(super) struct Plan {
    /// Name of the endpoint.
    pub(super) endpoint: String,
    pub(super) operations: Vec<Operation>,
    /// As `operations`.
    pub(super) actions: Vec<Action>,
    pub(super) flows: Vec<Flow>,
    pub(super) data: Arc<Data>,
    pub(super) cluster: Cluster,
    pub(super) producer: ClientConfig,
    pub(super) sender: Arc<Sender>,
    pub(super) group: Group,
    /// Topics that are consumed.
    pub(super) consumed: BTreeSet<String>,
    /// Topics whose records operations take.
    pub(super) intakes: Arc<HashMap<String, Intake>>,
}

/// What sessions share.
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) awaited: Arc<Awaited>,
    topology: OnceCell<Topology>,
    consumer: OnceCell<GroupConsumer>,
    /// By worker.
    producers: Mutex<HashMap<usize, Arc<Producer>>>,
}

impl Shared {
    /// The brokers, looked at once; every host that they advertise is allowed.
    async fn topology(self: &Arc<Self>) -> Result<&Topology, Refusal> {
        self.topology.get_or_try_init(|| self.inspect()).await
    }

    async fn inspect(self: &Arc<Self>) -> Result<Topology, Refusal> {
        let shared = Arc::clone(self);
        let looking = tokio::task::spawn_blocking(move || shared.plan.cluster.inspect());
        looking.await.unwrap_or_else(|_| {
            Err(Refusal {
                outcome: Outcome::Disconnected,
                kind: "connect: interrupted".into(),
                reason: "the look at the brokers was interrupted".into(),
            })
        })
    }

    /// The consumer with its partitions, where the workload consumes.
    async fn consume(self: &Arc<Self>, seat: &Seat) -> Result<(), Refusal> {
        let plan = &self.plan;
        if plan.consumed.is_empty() {
            return Ok(());
        }
        let topology = self.topology().await?;
        let start = async || {
            let destination = Destination {
                clock: Arc::clone(&seat.clock),
                sender: Arc::clone(&plan.sender),
                awaited: Arc::clone(&self.awaited),
                intakes: Arc::clone(&plan.intakes),
            };
            let topics: Vec<&str> = plan.consumed.iter().map(String::as_str).collect();
            GroupConsumer::start(&plan.cluster, &plan.group, &topics, destination)
        };
        let consumer = self.consumer.get_or_try_init(start).await?;
        let partitions = plan.consumed.iter().filter_map(|t| topology.partitions.get(t)).sum();
        consumer.ready(&plan.group, partitions).await
    }

    /// The producer of a worker; a new one where the last can't go on.
    pub(super) fn producer(&self, seat: &Seat) -> Result<Arc<Producer>, Refusal> {
        let mut producers = self.producers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = producers.get(&seat.worker).filter(|p| !p.fatal()) {
            return Ok(Arc::clone(producer));
        }
        let plan = &self.plan;
        let producer = Producer::new(&plan.producer, &plan.cluster, Arc::clone(&seat.clock), &self.awaited);
        let producer = Arc::new(producer.map_err(|e| Refusal {
            outcome: Outcome::Disconnected,
            kind: "producer configuration".into(),
            reason: plan.cluster.security.redact(&e.to_string()),
        })?);
        producers.insert(seat.worker, Arc::clone(&producer));
        Ok(producer)
    }
}

/// A compiled workload.
pub(super) struct KafkaWorkload {
    shared: Arc<Shared>,
}

impl KafkaWorkload {
    pub(super) fn new(plan: Plan) -> Self {
        let shared = Shared {
            plan,
            awaited: Arc::default(),
            topology: OnceCell::new(),
            consumer: OnceCell::new(),
            producers: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    fn detail(topology: &Topology) -> String {
        let topics: Vec<String> =
            topology.partitions.iter().map(|(topic, count)| format!("{topic} ({count} partitions)")).collect();
        let elapsed = Nanos::from(topology.elapsed);
        format!("{} brokers; {}; answered in {elapsed}", topology.brokers, topics.join(", "))
    }
}

impl Workload for KafkaWorkload {
    fn operations(&self) -> &[Operation] {
        &self.shared.plan.operations
    }

    fn flows(&self) -> &[Flow] {
        &self.shared.plan.flows
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Unreachable>> {
        Box::pin(async move {
            let plan = &self.shared.plan;
            match self.shared.inspect().await {
                Ok(topology) => Ok(Health { detail: Self::detail(&topology) }),
                Err(refusal) => Err(Unreachable {
                    endpoint: plan.endpoint.clone(),
                    address: plan.cluster.brokers.join(","),
                    reason: refusal.reason,
                }),
            }
        })
    }

    fn prepare<'a>(&'a self, seat: &'a Seat) -> LocalBoxFuture<'a, Result<(), ConnectError>> {
        Box::pin(async move {
            if self.shared.plan.consumed.is_empty() {
                // Whether the brokers can be reached shows when a session is opened.
                return Ok(());
            }
            self.shared.consume(seat).await?;
            Ok(())
        })
    }

    fn connect<'a>(&'a self, seat: &'a Seat) -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>> {
        Box::pin(async move {
            self.shared.topology().await?;
            self.shared.consume(seat).await?;
            let producer = self.shared.producer(seat)?;
            let session = KafkaSession::new(Arc::clone(&self.shared), seat.clone(), producer);
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    /// Every awaited record that was acknowledged must come back.
    fn settle(&self, patience: Nanos) -> LocalBoxFuture<'_, Vec<Finding>> {
        Box::pin(async move {
            let mut findings = self.shared.plan.cluster.dial.findings();
            if self.shared.consumer.get().is_some() && self.shared.plan.group.own {
                findings.extend(self.shared.awaited.settle(patience).await);
            }
            findings
        })
    }

    fn read_back<'a>(&'a self, reading: &'a mut ReadBack<'_>) -> LocalBoxFuture<'a, Result<(), ReadBackError>> {
        Box::pin(async move { super::read_back::read_back(&self.shared.plan, reading) })
    }

    fn gauges(&self) -> Vec<(String, f64)> {
        let mut gauges = Vec::new();
        let producers = self.shared.producers.lock().unwrap_or_else(PoisonError::into_inner);
        if !producers.is_empty() {
            let queued: u64 = producers.values().map(|p| p.queued()).sum();
            gauges.push(("producer_queue".to_owned(), queued as f64));
        }
        drop(producers);
        let lags = self.shared.consumer.get().map(GroupConsumer::lags).unwrap_or_default();
        if !lags.is_empty() {
            gauges.push(("consumer_lag".to_owned(), lags.values().sum::<u64>() as f64));
            gauges.extend(lags.into_iter().map(|(topic, lag)| (format!("consumer_lag.{topic}"), lag as f64)));
        }
        gauges
    }
}
