//! The smallest protocol: a server that isn't there answers at once. For tests alone, it shows what a protocol takes.

mod endpoint;
mod file;
mod tests;

pub use endpoint::ToyEndpoint;

use std::sync::Arc;

use futures_util::future::{BoxFuture, LocalBoxFuture};
use schemars::{Schema, schema_for};

use self::file::File;
use crate::{
    CompileContext, ConnectError, Driver, Endpoint, Flow, Health, Operation, Session, SessionContext, Unreachable,
    Workload, outline,
};
use slatest_core::model::{Arrival, Clock, Completion, Outcome, Problems};

/// The driver.
pub(super) struct ToyDriver;

impl Driver for ToyDriver {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn compile(&self, context: &CompileContext<'_>) -> Result<Arc<dyn Workload>, Problems> {
        let file: File = context.source.parse()?;
        let outline = outline(context, &file)?;
        let Endpoint::Toy(endpoint) = context.endpoint else {
            let message =
                format!("the driver toy can't use an endpoint that starts with `{}`", context.endpoint.kind());
            return Err(context.source.problem_at(&file.endpoint, "endpoint", message).into());
        };
        let operations = file.operations.iter().map(|spec| Operation::of(spec, &[], &[])).collect();
        let requests = file.operations.iter().map(|spec| spec.request.say.clone()).collect();
        Ok(Arc::new(ToyWorkload { operations, flows: outline.flows, requests, address: endpoint.toy.value.clone() }))
    }

    fn schema(&self) -> Schema {
        schema_for!(File)
    }
}

struct ToyWorkload {
    operations: Vec<Operation>,
    flows: Vec<Flow>,
    /// What each operation says.
    requests: Arc<[String]>,
    address: String,
}

impl Workload for ToyWorkload {
    fn operations(&self) -> &[Operation] {
        &self.operations
    }

    fn flows(&self) -> &[Flow] {
        &self.flows
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Unreachable>> {
        Box::pin(std::future::ready(Ok(Health { detail: format!("nobody at {}", self.address) })))
    }

    fn connect<'a>(
        &'a self,
        context: &'a SessionContext,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>> {
        let session = ToySession { requests: Arc::clone(&self.requests), clock: Arc::clone(&context.clock) };
        Box::pin(std::future::ready(Ok(Box::new(session) as Box<dyn Session>)))
    }
}

struct ToySession {
    requests: Arc<[String]>,
    clock: Arc<dyn Clock>,
}

impl Session for ToySession {
    /// The answer is what was said; an empty one is refused.
    fn execute<'a>(&'a mut self, arrival: &'a Arrival) -> LocalBoxFuture<'a, Completion> {
        let now = self.clock.now();
        let completion = match self.requests.get(arrival.operation).map(String::as_str) {
            Some("") | None => Completion::failed(Outcome::Rejected, Some(now), now, "check: nothing said"),
            Some(_) => Completion::ok(now, now),
        };
        Box::pin(std::future::ready(completion))
    }
}
