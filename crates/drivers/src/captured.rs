//! Captures that a request needs and that nothing can have captured before it.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::once::OnceSpec;
use crate::workload::{FlowSpec, StepSpec, names_in};
use slatest_core::model::{Problem, Problems};
use slatest_core::source::{Located, Source};

/// A workload file, as far as this is concerned.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    once: Option<Located<OnceSpec>>,
    #[serde(default)]
    operations: Vec<Located<Map<String, Value>>>,
    #[serde(default)]
    flows: Vec<FlowSpec>,
}

/// What an operation needs and gives.
struct Operation {
    name: String,
    weight: f64,
    needs: BTreeSet<String>,
    gives: BTreeSet<String>,
}

impl Operation {
    fn of(written: &Map<String, Value>, captures: &BTreeSet<String>) -> Self {
        let mut needs = BTreeSet::new();
        if let Some(request) = written.get("request") {
            collect(request, captures, &mut needs);
        }
        let gives = written.get("capture").and_then(Value::as_object);
        Self {
            name: written.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
            weight: written.get("weight").and_then(Value::as_f64).unwrap_or(1.0),
            needs,
            gives: gives.into_iter().flat_map(Map::keys).cloned().collect(),
        }
    }
}

/// Finds every request that can never be built: a capture that it needs is of no earlier step of its flow, and of
/// nothing else that a user does.
///
/// # Errors
/// Each of them, at the operation or the step of the flow.
pub(crate) fn check_captured(source: &Source) -> Result<(), Problems> {
    // What is wrong with the file itself is said by whoever reads it whole.
    let Ok(written) = source.parse::<Written>() else { return Ok(()) };
    let captures: BTreeSet<String> = written
        .operations
        .iter()
        .filter_map(|operation| operation.get("capture")?.as_object())
        .flat_map(Map::keys)
        .cloned()
        .collect();
    let operations: Vec<Operation> = written.operations.iter().map(|one| Operation::of(one, &captures)).collect();
    let mut problems = Problems::default();
    let flows: Vec<Vec<(usize, usize)>> = written.flows.iter().map(|f| steps(f, &written.flows, &operations)).collect();
    // What each user does first; what it captures is there for all that follows.
    let once = written.once.as_ref().map(|once| first_act(once, &written.flows, &operations)).unwrap_or_default();
    let first: BTreeSet<&str> =
        once.iter().flat_map(|&number| operations[number].gives.iter().map(String::as_str)).collect();
    let done = |flow: &FlowSpec| flow.weight.as_ref().is_none_or(|weight| weight.value > 0.0);
    // Who gives a capture, but for one item: (operations by themselves, flows).
    let elsewhere = |capture: &str, but: (Option<usize>, Option<usize>)| {
        if first.contains(capture) {
            return true;
        }
        let alone = operations
            .iter()
            .enumerate()
            .any(|(i, operation)| Some(i) != but.0 && operation.weight > 0.0 && operation.gives.contains(capture));
        let in_flows = written.flows.iter().zip(&flows).enumerate().any(|(i, (flow, steps))| {
            Some(i) != but.1 && done(flow) && steps.iter().any(|&(_, o)| operations[o].gives.contains(capture))
        });
        alone || in_flows
    };
    let problem = |operation: &Operation, capture: &str, place: Problem| {
        let givers: Vec<String> = operations
            .iter()
            .filter(|giver| giver.gives.contains(capture))
            .map(|giver| format!("`{}`", giver.name))
            .collect();
        let message = format!(
            "`{}` needs {{{{ {capture} }}}}, which nothing captures before it: {} does, and no user comes to that first",
            operation.name,
            givers.join(" or ")
        );
        Problem { message, ..place }
    };
    for (i, (operation, at)) in operations.iter().zip(&written.operations).enumerate() {
        for capture in operation.needs.iter().filter(|_| operation.weight > 0.0) {
            if !elsewhere(capture, (Some(i), None)) {
                let place = source.problem_at(at, format!("operations[{i}].request"), "");
                let help = "put it in a flow after the operation that captures it, with `weight: 0` for itself";
                problems.0.push(problem(operation, capture, place).with_help(help));
            }
        }
    }
    for (i, (flow, steps)) in written.flows.iter().zip(&flows).enumerate().filter(|(_, (flow, _))| done(flow)) {
        let mut captured: BTreeSet<&str> = BTreeSet::new();
        for &(step, number) in steps {
            let operation = &operations[number];
            for capture in &operation.needs {
                if !captured.contains(capture.as_str()) && !elsewhere(capture, (None, Some(i))) {
                    let place = source.problem_at(&flow.steps[step], format!("flows[{i}].steps[{step}]"), "");
                    let help = "put a step before it that captures it";
                    problems.0.push(problem(operation, capture, place).with_help(help));
                }
            }
            captured.extend(operation.gives.iter().map(String::as_str));
        }
    }
    let mut captured: BTreeSet<&str> = BTreeSet::new();
    for (operation, at) in once.iter().filter_map(|&number| Some((&operations[number], written.once.as_ref()?))) {
        for capture in operation.needs.iter().filter(|capture| !captured.contains(capture.as_str())) {
            let place = source.problem_at(at, "once", "");
            let help = "what a user does first can use only what an earlier step of it captures";
            problems.0.push(problem(operation, capture, place).with_help(help));
        }
        captured.extend(operation.gives.iter().map(String::as_str));
    }
    problems.or(())
}

/// The operations of what each user does first, in their order.
fn first_act(once: &Located<OnceSpec>, flows: &[FlowSpec], operations: &[Operation]) -> Vec<usize> {
    let name = once.step.clone();
    let flow = FlowSpec { name: name.clone().into(), weight: None, steps: vec![StepSpec::Name(name).into()] };
    steps(&flow, flows, operations).into_iter().map(|(_, number)| number).collect()
}

/// Most steps that are looked at; a flow that has more is refused elsewhere.
const STEPS_MAX: usize = 1000;
/// Deepest nesting of flows that is looked at; flows that go round are refused elsewhere.
const DEPTH_MAX: usize = 20;

/// The operations of a flow in their order, each with the step of the flow itself that leads to it.
fn steps(flow: &FlowSpec, flows: &[FlowSpec], operations: &[Operation]) -> Vec<(usize, usize)> {
    fn walk(name: &str, flows: &[FlowSpec], operations: &[Operation], depth: usize, found: &mut Vec<usize>) {
        if found.len() >= STEPS_MAX || depth > DEPTH_MAX {
            return;
        }
        if let Some(number) = operations.iter().position(|operation| operation.name == name) {
            found.push(number);
        } else if let Some(inner) = flows.iter().find(|flow| flow.name.value == name) {
            for step in &inner.steps {
                if let StepSpec::Name(name) = &step.value {
                    walk(name, flows, operations, depth + 1, found);
                }
            }
        }
    }
    let mut all = Vec::new();
    for (i, step) in flow.steps.iter().enumerate() {
        if let StepSpec::Name(name) = &step.value {
            let mut found = Vec::new();
            walk(name, flows, operations, 0, &mut found);
            all.extend(found.into_iter().map(|number| (i, number)));
        }
    }
    all.truncate(STEPS_MAX);
    all
}

/// The captures that the templates of a value name.
fn collect(value: &Value, captures: &BTreeSet<String>, needs: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => needs.extend(names_in(text).into_iter().filter(|name| captures.contains(name))),
        Value::Array(values) => values.iter().for_each(|value| collect(value, captures, needs)),
        Value::Object(map) => {
            for (key, value) in map {
                needs.extend(names_in(key).into_iter().filter(|name| captures.contains(name)));
                collect(value, captures, needs);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
operations:
  - { name: login, weight: 0, request: { post: /login }, capture: { token: $.token } }
  - { name: create, weight: 0, request: { post: /orders }, capture: { order: $.id } }
  - { name: read, weight: 0, request: { get: '/orders/{{ order }}' } }
";

    fn check(flows: &str) -> Result<(), String> {
        let source = Source::new("w.yaml", format!("{FILE}{flows}"), "");
        check_captured(&source).map_err(|problems| problems.to_string())
    }

    #[test]
    fn what_no_earlier_step_captures_is_found_at_its_step() {
        let said = check("flows:\n  - { name: day, steps: [login, read] }\n").unwrap_err();
        assert!(said.contains("w.yaml:6:33") && said.contains("flows[0].steps[1]"), "{said}");
        assert!(said.contains("`create` does"), "{said}");
        assert!(check("flows:\n  - { name: day, steps: [read, create] }\n").is_err(), "too late");
        assert!(check("flows:\n  - { name: day, steps: [create, read] }\n").is_ok());
        let nested = "flows:\n  - { name: in, weight: 0, steps: [create] }\n  - { name: day, steps: [in, read] }\n";
        assert!(check(nested).is_ok());
        // A user may have come by it before.
        let other = "flows:\n  - { name: a, steps: [create] }\n  - { name: day, steps: [login, read] }\n";
        assert!(check(other).is_ok());
        assert!(check("flows:\n  - { name: day, weight: 0, steps: [login, read] }\n").is_ok(), "never done");
        assert!(check("flows:\n  - { name: a, steps: [a, b] }\n  - { name: b, steps: [a, read] }\n").is_err());
    }

    #[test]
    fn an_operation_by_itself_needs_somebody_else() {
        let file = |text: &str| check_captured(&Source::new("w.yaml", format!("operations:\n{text}"), ""));
        let own = "  - { name: a, request: { get: '/x?after={{ next }}' }, capture: { next: $.next } }\n";
        assert!(file(own).is_err(), "its first one can't be built");
        let optional = own.replace("{{ next }}", "{{ next | default(0) }}");
        assert!(file(&optional).is_ok());
        let other = format!("{own}  - {{ name: b, request: {{ get: / }}, capture: {{ next: $.first }} }}\n");
        assert!(file(&other).is_ok());
        assert!(file("  - { name: a, request: { get: '/{{ \"next\" }}/{{ seq }}' } }\n").is_ok());
    }
}
