//! From a workload file to what sessions execute.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::KafkaEndpoint;
use super::cluster::{Cluster, split};
use super::consumer::Group;
use super::file::{Check, Consume, Produce, Request, Settings, Start, Until};
use super::plan::{Action, Plan, Record};
use super::producer;
use super::security::Security;
use super::workload::KafkaWorkload;
use crate::dial::Dial;
use crate::envelope::{Sender, is_reserved};
use crate::payload::Payload;
use crate::workload::{OperationSpec, SentValue, Template, WorkloadFile};
use crate::{CompileContext, Endpoint, Operation, Outline, TIMEOUT_DEFAULT, outline};
use slatest_core::model::{Nanos, Problems};
use slatest_core::source::{Located, Source};

/// A workload file of this driver.
pub(super) type File = WorkloadFile<Settings, Request, Check>;

/// Compiles a workload file.
pub(super) fn compile(context: &CompileContext<'_>) -> Result<KafkaWorkload, Problems> {
    let file = context.source.parse::<File>()?;
    let mut problems = Problems::default();
    let outline = problems.take(outline(context, &file));
    let Endpoint::Kafka(endpoint) = context.endpoint else {
        let message = format!(
            "the driver `kafka` needs an endpoint that starts with `kafka`, and `{}` starts with `{}`",
            context.endpoint_name,
            context.endpoint.kind()
        );
        problems.0.push(context.source.problem_at(&file.endpoint, "endpoint", message));
        return Err(problems);
    };
    let brokers = problems.take(brokers(endpoint, context));
    let security = problems.take(Security::compile(endpoint, context));
    let (Some(outline), Some(brokers), Some(security)) = (outline, brokers, security) else { return Err(problems) };

    let settings = file.settings.clone().unwrap_or_default();
    let mut operations = Vec::with_capacity(file.operations.len());
    let mut actions = Vec::with_capacity(file.operations.len());
    for (i, spec) in file.operations.iter().enumerate() {
        let key = format!("operations[{i}]");
        let timeout = spec.timeout.map_or(TIMEOUT_DEFAULT, |t| t.0);
        check_linger(&settings, timeout, spec, context.source, &mut problems);
        if let Some(action) = problems.take(action(spec, &key, &outline, context.source)) {
            operations.push(operation(spec, &action));
            actions.push(action);
        }
    }
    check_sizes(&settings, context.source, &mut problems);
    let group = problems.take(group(&settings, context));
    let Some(group) = group.filter(|_| problems.0.is_empty()) else { return Err(problems) };

    let (mut topics, mut awaited, mut taken) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for action in &actions {
        let topic = match action {
            Action::Produce(record) => {
                if record.until == Until::Consumed {
                    awaited.insert(record.topic.clone());
                }
                &record.topic
            }
            Action::Consume { topic } => {
                taken.insert(topic.clone());
                topic
            }
        };
        topics.insert(topic.clone());
    }
    let timeout = operations.iter().map(|o| o.timeout).max().unwrap_or(TIMEOUT_DEFAULT);
    let dial = Arc::new(Dial::new(context.guard.clone()));
    let cluster = Cluster { brokers, guard: context.guard.clone(), dial, security: Arc::new(security), topics };
    Ok(KafkaWorkload::new(Plan {
        endpoint: context.endpoint_name.to_owned(),
        operations,
        actions,
        flows: outline.flows,
        data: outline.data,
        producer: producer::config(&cluster, &settings, timeout),
        cluster,
        sender: Arc::new(Sender::of(context)),
        group,
        awaiting: own_group(context, Start::Latest),
        awaited,
        taken,
    }))
}

fn brokers(endpoint: &KafkaEndpoint, context: &CompileContext<'_>) -> Result<Vec<String>, Problems> {
    let mut problems = Problems::default();
    let key = format!("endpoints.{}.kafka", context.endpoint_name);
    if endpoint.kafka.is_empty() {
        problems.0.push(context.target.problem(&key, "needs at least one broker, like b1.example:9094"));
    }
    for (i, broker) in endpoint.kafka.iter().enumerate() {
        if split(broker).is_none() {
            let message = format!("`{broker}` is not a broker: write it like b1.example:9094");
            problems.0.push(context.target.problem_at(broker, format!("{key}[{i}]"), message));
        }
    }
    problems.or(endpoint.kafka.iter().map(|b| b.value.clone()).collect())
}

/// A group that nobody else is in.
fn own_group(context: &CompileContext<'_>, start: Start) -> Group {
    let unique = Uuid::new_v4().simple();
    Group { name: format!("slatest-{}-{}-{unique}", context.run, context.scenario), own: true, start }
}

/// The group that the settings name, else one that nobody else has.
fn group(settings: &Settings, context: &CompileContext<'_>) -> Result<Group, Problems> {
    match &settings.group {
        None => Ok(own_group(context, settings.start)),
        Some(name) if name.trim().is_empty() => {
            Err(context.source.problem_at(name, "settings.group", "a consumer group needs a name").into())
        }
        Some(name) => Ok(Group { name: name.value.clone(), own: false, start: settings.start }),
    }
}

/// A producer that waits longer than an operation may take would time out every one.
fn check_linger(
    settings: &Settings,
    timeout: Nanos,
    spec: &OperationSpec<Request, Check>,
    source: &Source,
    problems: &mut Problems,
) {
    if let Some(linger) = settings.linger
        && spec.request.produce.is_some()
        && linger.0 >= timeout
    {
        let message = format!("linger ({linger}) must be shorter than the timeout of `{}` ({timeout})", spec.name);
        problems.0.push(source.problem("settings.linger", message));
    }
}

/// librdkafka's own bounds, told in our words.
fn check_sizes(settings: &Settings, source: &Source, problems: &mut Problems) {
    let sizes =
        [("message_max_bytes", &settings.message_max_bytes, 1000), ("batch_size_bytes", &settings.batch_size_bytes, 1)];
    for (key, written, least) in sizes {
        if let Some(written) = written
            && !(least..=producer::MESSAGE_BYTES_MAX).contains(&written.value)
        {
            let message = format!("must be from {least} to {} bytes", producer::MESSAGE_BYTES_MAX);
            problems.0.push(source.problem_at(written, format!("settings.{key}"), message));
        }
    }
}

fn operation(spec: &OperationSpec<Request, Check>, action: &Action) -> Operation {
    let timings: &[&'static str] = match action {
        Action::Produce(Record { until: Until::Acknowledged, .. }) => &["acknowledged"],
        Action::Produce(Record { until: Until::Consumed, .. }) => &["acknowledged", "consumed"],
        Action::Consume { .. } => &[],
    };
    Operation::of(spec, timings, &[])
}

fn action(
    spec: &OperationSpec<Request, Check>,
    key: &str,
    outline: &Outline,
    source: &Source,
) -> Result<Action, Problems> {
    if let Some((name, written)) = spec.capture.iter().next() {
        let message = "a Kafka record is acknowledged without an answer, so there is nothing to capture";
        return Err(source.problem_at(written, format!("{key}.capture.{name}"), message).into());
    }
    let key = format!("{key}.request");
    match (&spec.request.produce, &spec.request.consume) {
        (Some(produce), None) => record(produce, &format!("{key}.produce"), outline, source).map(Action::Produce),
        (None, Some(Consume { topic })) => {
            check_topic(topic, &format!("{key}.consume"), source)?;
            Ok(Action::Consume { topic: topic.value.clone() })
        }
        _ => Err(source.problem_at(&spec.name, key, "needs exactly one of `produce` and `consume`").into()),
    }
}

fn record(produce: &Produce, key: &str, outline: &Outline, source: &Source) -> Result<Record, Problems> {
    let mut problems = Problems::default();
    problems.take(check_topic(&produce.topic, key, source));
    let text = |written: &Located<String>, key: String| {
        Template::compile(source, written, &key, &outline.data, &outline.captures).map_err(Problems::from)
    };
    let record_key = produce.key.as_ref().and_then(|k| problems.take(text(k, format!("{key}.key"))));
    let written = ("value", produce.value.as_ref());
    let value = Payload::compile(written, produce.json.as_ref(), (key, "a record"), source, outline);
    let value = problems.take(value).flatten();
    let mut headers = Vec::with_capacity(produce.headers.len());
    for (name, written) in &produce.headers {
        let key = format!("{key}.headers.{name}");
        if is_reserved(name) {
            let message = "headers that start with `slatest-` are slatest's own: name it otherwise";
            problems.0.push(source.problem_at(written, key, message));
        } else {
            let scope = (source, &*outline.data, outline.captures.as_slice());
            let value = SentValue::compile(scope, name, written, &key).map_err(Problems::from);
            headers.extend(problems.take(value).map(|value| (name.clone(), value)));
        }
    }
    problems.or(Record { topic: produce.topic.value.clone(), key: record_key, value, headers, until: produce.until })
}

fn check_topic(topic: &Located<String>, key: &str, source: &Source) -> Result<(), Problems> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let named = (1..=249).contains(&topic.len()) && topic.chars().all(fits) && !matches!(topic.as_str(), "." | "..");
    if named {
        return Ok(());
    }
    let message = format!("`{topic}` can't be a topic: use at most 249 letters, digits, `.`, `_` and `-`");
    Err(source.problem_at(topic, format!("{key}.topic"), message).into())
}
