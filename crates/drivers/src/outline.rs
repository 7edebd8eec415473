//! What every driver does with a workload file before it looks at its own sections: names,
//! weights, feeds, captures, flows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{CompileContext, Flow, Once, Step, once};
use crate::captured::check_captured;
use crate::workload::{Data, FlowSpec, LedgerSpec, StepSpec, WorkloadFile};
use slatest_core::model::{Problems, suggest};
use slatest_core::source::{Located, Source};

/// Most steps of one flow after nested flows are unrolled.
const STEPS_MAX: usize = 1000;

/// The parts of a workload that are the same for all protocols.
#[derive(Debug)]
pub struct Outline {
    /// Its feeds.
    pub data: Arc<Data>,
    /// Every name that some operation captures.
    pub captures: Vec<String>,
    /// Its flows, unrolled.
    pub flows: Vec<Flow>,
    /// What each user does first.
    pub once: Option<Once>,
}

/// Checks and compiles those parts.
///
/// # Errors
/// Every mistake: no operation, a name twice, a weight below zero, a flow that names what isn't
/// there or itself, feeds that can't be loaded.
pub fn outline<S, R, C, L: LedgerSpec>(
    context: &CompileContext<'_>,
    file: &WorkloadFile<S, R, C, L>,
) -> Result<Outline, Problems> {
    let source = context.source;
    let mut problems = Problems::default();
    if file.operations.is_empty() {
        problems.0.push(source.problem("operations", "a workload needs at least one operation"));
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, operation) in file.operations.iter().enumerate() {
        let key = format!("operations[{i}]");
        check_name(source, &operation.name, &key, &mut problems);
        check_weight(source, operation.weight.as_ref(), &key, &mut problems);
        if names.insert(operation.name.as_str(), i).is_some() {
            let message = format!("the operation `{}` is there twice", operation.name);
            problems.0.push(source.problem_at(&operation.name, format!("{key}.name"), message));
        }
    }
    for (i, flow) in file.flows.iter().enumerate() {
        let key = format!("flows[{i}]");
        check_name(source, &flow.name, &key, &mut problems);
        check_weight(source, flow.weight.as_ref(), &key, &mut problems);
        if names.contains_key(flow.name.as_str()) || file.flows[..i].iter().any(|f| *f.name == *flow.name) {
            let message = format!("`{}` is already the name of an operation or flow", flow.name);
            problems.0.push(source.problem_at(&flow.name, format!("{key}.name"), message));
        }
    }
    let weights = file.operations.iter().map(|o| &o.weight).chain(file.flows.iter().map(|f| &f.weight));
    if !file.operations.is_empty() && weights.map(|w| w.as_ref().map_or(1.0, |w| w.value.max(0.0))).sum::<f64>() <= 0.0
    {
        problems.0.push(source.problem("operations", "every weight is 0, so nothing would ever be sent"));
    }
    let unroller = Unroller { source, names: &names, flows: &file.flows };
    let mut flows = Vec::with_capacity(file.flows.len());
    for (i, flow) in file.flows.iter().enumerate() {
        let mut steps = Vec::new();
        let mut path = vec![flow.name.as_str()];
        if let Some(()) = problems.take(unroller.unroll(flow, i, &mut path, &mut steps)) {
            let weight = flow.weight.as_ref().map_or(1.0, |w| w.value);
            flows.push(Flow { name: flow.name.value.clone(), weight, steps });
        }
    }
    let captures: BTreeSet<&String> = file.operations.iter().flat_map(|o| o.capture.keys()).collect();
    let captures = captures.into_iter().cloned().collect();
    // Where names are wrong, what they lead to is not known.
    let once = if problems.0.is_empty() {
        problems.take(check_captured(source));
        let once = file.once.as_ref().map(|written| once::compile(source, file, written, &flows));
        problems.take(once.transpose()).flatten()
    } else {
        None
    };
    match problems.take(Data::load(source, &file.data)) {
        Some(data) => problems.or(Outline { data: Arc::new(data), captures, flows, once }),
        None => Err(problems),
    }
}

fn check_name(source: &Source, name: &Located<String>, key: &str, problems: &mut Problems) {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(fits) {
        let message = format!("`{name}` can't be a name: use letters, digits, `-`, `_` and `.`");
        problems.0.push(source.problem_at(name, format!("{key}.name"), message));
    }
}

fn check_weight(source: &Source, weight: Option<&Located<f64>>, key: &str, problems: &mut Problems) {
    if let Some(weight) = weight
        && !(weight.is_finite() && weight.value >= 0.0)
    {
        let message = format!("a weight must be a number at or above 0, not {weight}");
        problems.0.push(source.problem_at(weight, format!("{key}.weight"), message));
    }
}

struct Unroller<'a> {
    source: &'a Source,
    names: &'a BTreeMap<&'a str, usize>,
    flows: &'a [FlowSpec],
}

impl<'a> Unroller<'a> {
    fn unroll(
        &self,
        flow: &'a FlowSpec,
        index: usize,
        path: &mut Vec<&'a str>,
        steps: &mut Vec<Step>,
    ) -> Result<(), Problems> {
        if !flow.steps.iter().any(|s| matches!(s.value, StepSpec::Name(_))) {
            let message = format!("the flow `{}` has no step that does anything", flow.name);
            return Err(self.source.problem_at(&flow.name, format!("flows[{index}].steps"), message).into());
        }
        for (i, step) in flow.steps.iter().enumerate() {
            let key = format!("flows[{index}].steps[{i}]");
            if steps.len() >= STEPS_MAX {
                let message = format!("the flow has more than {STEPS_MAX} steps");
                return Err(self.source.problem_at(step, key, message).into());
            }
            match &step.value {
                StepSpec::Think(span) => steps.push(Step::Think(span.0)),
                StepSpec::Name(name) => {
                    if let Some(&operation) = self.names.get(name.as_str()) {
                        steps.push(Step::Operation(operation));
                    } else if path.contains(&name.as_str()) {
                        let message = format!("the flow goes round in a circle: {} → {name}", path.join(" → "));
                        return Err(self.source.problem_at(step, key, message).into());
                    } else if let Some((at, inner)) = self.flows.iter().enumerate().find(|(_, f)| f.name.value == *name)
                    {
                        path.push(name);
                        self.unroll(inner, at, path, steps)?;
                        path.pop();
                    } else {
                        let message = format!("`{name}` is neither an operation nor a flow of this workload");
                        let flows = self.flows.iter().map(|flow| flow.name.as_str());
                        let help = suggest(name, self.names.keys().copied().chain(flows));
                        return Err(self.source.problem_at(step, key, message).with_help(help).into());
                    }
                }
            }
        }
        Ok(())
    }
}
