//! From a workload file to what is said.

use super::file::File;
use super::plan::Plan;
use crate::{CompileContext, Endpoint, Operation, outline};
use slatest_core::model::Problems;

/// Compiles a workload file.
pub(super) fn compile(context: &CompileContext<'_>) -> Result<Plan, Problems> {
    let file: File = context.source.parse()?;
    let outline = outline(context, &file)?;
    let Endpoint::Toy(endpoint) = context.endpoint else {
        let message = format!("the driver toy can't use an endpoint that starts with `{}`", context.endpoint.kind());
        return Err(context.source.problem_at(&file.endpoint, "endpoint", message).into());
    };
    let operations = file.operations.iter().map(|spec| Operation::of(spec, &[], &[])).collect();
    let requests = file.operations.iter().map(|spec| spec.request.say.clone()).collect();
    Ok(Plan { operations, flows: outline.flows, requests, address: endpoint.toy.value.clone() })
}
