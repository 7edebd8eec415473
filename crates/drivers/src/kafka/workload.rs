//! A workload that runs: what all of its sessions share, and how they are opened.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, LocalBoxFuture};
use tokio::sync::OnceCell;

use super::cluster::Topology;
use super::consumer::{Destination, GroupConsumer, watch_for};
use super::health::health;
use super::limits;
use super::plan::Plan;
use super::producer::{BATCH_BYTES_DEFAULT, Producer};
use super::session::KafkaSession;
use super::taking::Taking;
use crate::awaited::Awaited;
use crate::failure::Failure;
use crate::{
    ConnectError, Finding, Flow, Health, Operation, ReadBack, ReadBackError, Session, SessionContext, Unreachable,
    Workload,
};
use slatest_core::model::{Nanos, Outcome};

/// What sessions share.
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) awaited: Arc<Awaited>,
    topology: OnceCell<Topology>,
    awaiting: OnceCell<GroupConsumer>,
    taking: OnceCell<Taking>,
    /// By worker.
    producers: Mutex<HashMap<usize, Arc<Producer>>>,
}

impl Shared {
    /// The brokers, looked at once; every host that they advertise is allowed.
    async fn topology(self: &Arc<Self>) -> Result<&Topology, Failure> {
        self.topology.get_or_try_init(|| self.inspect()).await
    }

    /// Looks at the brokers, whatever was seen before.
    ///
    /// # Errors
    /// Why they can't be used.
    pub(super) async fn inspect(self: &Arc<Self>) -> Result<Topology, Failure> {
        let shared = Arc::clone(self);
        let looking = tokio::task::spawn_blocking(move || shared.plan.cluster.inspect());
        let mut topology = looking.await.unwrap_or_else(|_| {
            Err(Failure {
                outcome: Outcome::Disconnected,
                kind: "connect: interrupted".into(),
                detail: "the look at the brokers was interrupted".into(),
                broken: true,
            })
        })?;
        let plan = &self.plan;
        topology.batch_bytes = limits::batch_bytes(&plan.cluster, &plan.produced()).await;
        Ok(topology)
    }

    /// The members of groups with their partitions, where the workload consumes.
    async fn consume(self: &Arc<Self>, context: &SessionContext) -> Result<(), Failure> {
        let plan = &self.plan;
        if !plan.consumes() {
            return Ok(());
        }
        let topology = self.topology().await?;
        let partitions = |topics: &BTreeSet<String>| topics.iter().filter_map(|t| topology.partitions.get(t)).sum();
        if !plan.awaited.is_empty() {
            let destination = Destination {
                clock: Arc::clone(&context.clock),
                sender: Arc::clone(&plan.sender),
                awaited: Arc::clone(&self.awaited),
            };
            let start = async || {
                let topics: Vec<&str> = plan.awaited.iter().map(String::as_str).collect();
                let body = move |member: &_, stop: &_| watch_for(&destination, member, stop);
                GroupConsumer::start(&plan.cluster, &plan.awaiting, &topics, false, body)
            };
            let member = self.awaiting.get_or_try_init(start).await?;
            member.ready(&plan.awaiting, partitions(&plan.awaited)).await?;
        }
        if !plan.taken.is_empty() {
            let start = async || {
                let topics: Vec<&str> = plan.taken.iter().map(String::as_str).collect();
                Taking::start(&plan.cluster, &plan.group, &topics, Arc::clone(&context.clock))
            };
            let taking = self.taking.get_or_try_init(start).await?;
            taking.member.ready(&plan.group, partitions(&plan.taken)).await?;
        }
        Ok(())
    }

    /// From whom operations take.
    pub(super) fn taking(&self) -> Option<&Taking> {
        self.taking.get()
    }

    /// The producer of a worker; a new one where the last can't go on.
    pub(super) fn producer(&self, context: &SessionContext) -> Result<Arc<Producer>, Failure> {
        let mut producers = self.producers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = producers.get(&context.worker).filter(|p| !p.fatal()) {
            return Ok(Arc::clone(producer));
        }
        let plan = &self.plan;
        let mut config = plan.producer.clone();
        let batch = self.topology.get().and_then(|t| t.batch_bytes);
        if let (None, Some(batch)) = (config.get("batch.size"), batch) {
            config.set("batch.size", batch.min(BATCH_BYTES_DEFAULT).to_string());
        }
        let producer = Producer::new(&config, &plan.cluster, Arc::clone(&context.clock), &self.awaited);
        let producer = Arc::new(producer.map_err(|e| Failure {
            outcome: Outcome::Disconnected,
            kind: "producer configuration".into(),
            detail: plan.cluster.security.redact(&e.to_string()),
            broken: true,
        })?);
        producers.insert(context.worker, Arc::clone(&producer));
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
            awaiting: OnceCell::new(),
            taking: OnceCell::new(),
            producers: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
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
        Box::pin(health(&self.shared))
    }

    fn prepare<'a>(&'a self, context: &'a SessionContext) -> LocalBoxFuture<'a, Result<(), ConnectError>> {
        Box::pin(async move {
            if !self.shared.plan.consumes() {
                // Whether the brokers can be reached shows when a session is opened.
                return Ok(());
            }
            self.shared.consume(context).await?;
            Ok(())
        })
    }

    fn connect<'a>(
        &'a self,
        context: &'a SessionContext,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>> {
        Box::pin(async move {
            self.shared.topology().await?;
            self.shared.consume(context).await?;
            let producer = self.shared.producer(context)?;
            let session = KafkaSession::new(Arc::clone(&self.shared), context.clone(), producer);
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    /// Every awaited record that was acknowledged must come back.
    fn settle(&self, patience: Nanos) -> LocalBoxFuture<'_, Vec<Finding>> {
        Box::pin(async move {
            let mut findings = self.shared.plan.cluster.dial.findings();
            if self.shared.awaiting.get().is_some() {
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
        let mut lags = self.shared.taking().map(|taking| taking.member.lags()).unwrap_or_default();
        lags.extend(self.shared.awaiting.get().map(GroupConsumer::lags).unwrap_or_default());
        if !lags.is_empty() {
            gauges.push(("consumer_lag".to_owned(), lags.values().sum::<u64>() as f64));
            gauges.extend(lags.into_iter().map(|(topic, lag)| (format!("consumer_lag.{topic}"), lag as f64)));
        }
        gauges
    }
}
