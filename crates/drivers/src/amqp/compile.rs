//! From a workload file to what sessions execute.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::broker::Broker;
use super::file::{Check, File, Publish, QueueSpec, QueueType, Request, Until};
use super::frames::BODY_BYTES_MAX_DEFAULT;
use super::plan::{Action, Message, Plan, Route};
use super::workload::AmqpWorkload;
use crate::envelope::{Sender, is_reserved};
use crate::payload::Payload;
use crate::workload::{OperationSpec, SentValue, Template};
use crate::{CompileContext, Endpoint, Operation, Outline, outline};
use slatest_core::model::Problems;
use slatest_core::source::{Located, Source};

/// Longest name of anything, in bytes.
pub(super) const NAME_LENGTH_MAX: usize = 255;
const CONNECTIONS_MAX: u32 = 1000;
/// Connections of a scenario when nothing is said.
const CONNECTIONS_DEFAULT: u32 = 8;
const CHANNELS_DEFAULT: u32 = 16;
const ANSWER_MIB_DEFAULT: u32 = (BODY_BYTES_MAX_DEFAULT >> 20) as u32;
const ANSWER_MIB_MAX: u32 = 512;
/// RabbitMQ negotiates 2,047 channels a connection.
const CHANNELS_MAX: u32 = 1000;
const PREFETCH_DEFAULT: u32 = 256;

/// Compiles a workload file.
pub(super) fn compile(context: &CompileContext<'_>) -> Result<AmqpWorkload, Problems> {
    let source = context.source;
    let file = source.parse::<File>()?;
    let mut problems = Problems::default();
    let outline = problems.take(outline(context, &file));
    let Endpoint::Amqp(endpoint) = context.endpoint else {
        let (name, kind) = (context.endpoint_name, context.endpoint.kind());
        let message =
            format!("the driver `amqp` needs an endpoint that starts with `amqp`, and `{name}` starts with `{kind}`");
        problems.0.push(source.problem_at(&file.endpoint, "endpoint", message));
        return Err(problems);
    };
    let settings = file.settings.clone().unwrap_or_default();
    check_queues(&settings.queues, source, &mut problems);
    let mut bounded = |value: &Option<Located<u32>>, key: &str, default: u32, max: u32| {
        let Some(value) = value else { return default };
        if !(1..=max).contains(&value.value) {
            let message = format!("must lie from 1 to {max}, not {value}");
            problems.0.push(source.problem_at(value, format!("settings.{key}"), message));
        }
        value.value
    };
    let connections = bounded(&settings.connections, "connections", CONNECTIONS_DEFAULT, CONNECTIONS_MAX);
    let channels = bounded(&settings.channels, "channels", CHANNELS_DEFAULT, CHANNELS_MAX);
    let prefetch = bounded(&settings.prefetch, "prefetch", PREFETCH_DEFAULT, u32::from(u16::MAX));
    let answer_mib = bounded(&settings.answer_max_mib, "answer_max_mib", ANSWER_MIB_DEFAULT, ANSWER_MIB_MAX);
    let broker = problems.take(Broker::compile(endpoint, context, u64::from(answer_mib) << 20));
    let (Some(outline), Some(broker)) = (outline, broker) else { return Err(problems) };

    let mut operations = Vec::with_capacity(file.operations.len());
    let mut actions = Vec::with_capacity(file.operations.len());
    let mut queues = Queues::default();
    for (i, spec) in file.operations.iter().enumerate() {
        if let Some(action) = problems.take(action(spec, &format!("operations[{i}]"), &outline, source)) {
            queues.note(spec, &action);
            problems.take(queues.note_ledger(spec, &format!("operations[{i}]"), source));
            operations.push(operation(spec, &action));
            actions.push(action);
        }
    }
    let plan = Plan {
        endpoint: context.endpoint_name.to_owned(),
        operations,
        actions,
        flows: outline.flows,
        data: outline.data,
        broker: Arc::new(broker),
        sender: Arc::new(Sender::of(context)),
        declared: settings.queues,
        needed: queues.needed,
        ledger_queues: queues.ledger,
        exchanges: queues.exchanges,
        wanted: queues.taken.intersection(&queues.awaited).map(|queue| (queue.clone(), Arc::default())).collect(),
        awaited: queues.awaited,
        connections,
        channels,
        prefetch: u16::try_from(prefetch).unwrap_or(u16::MAX),
    };
    problems.or(AmqpWorkload::new(plan))
}

/// The queues and exchanges that operations use.
#[derive(Default)]
struct Queues {
    /// All of the queues.
    needed: BTreeSet<String>,
    /// Those that ledgered operations fill.
    ledger: BTreeSet<String>,
    /// All of the exchanges but the default one.
    exchanges: BTreeSet<String>,
    /// Queues in which messages are awaited.
    awaited: BTreeSet<String>,
    /// Queues from which operations take messages.
    taken: BTreeSet<String>,
}

impl Queues {
    /// What is drained in the end must be known by name.
    fn note_ledger(
        &mut self,
        spec: &OperationSpec<Request, Check>,
        key: &str,
        source: &Source,
    ) -> Result<(), Problems> {
        let Some(publish) = spec.request.publish.as_ref().filter(|_| spec.ledger.0) else { return Ok(()) };
        let Some(queue) = &publish.queue else {
            let message = "the ledger needs the `queue` in which the message ends up";
            return Err(source.problem_at(&spec.name, format!("{key}.ledger"), message).into());
        };
        self.needed.insert(queue.value.clone());
        self.ledger.insert(queue.value.clone());
        Ok(())
    }

    fn note(&mut self, spec: &OperationSpec<Request, Check>, action: &Action) {
        match action {
            Action::Publish(message) => {
                if !message.exchange.is_empty() {
                    self.exchanges.insert(message.exchange.clone());
                }
                let queue = spec.request.publish.as_ref().and_then(|p| p.queue.as_ref());
                if let Some(queue) = queue {
                    self.needed.insert(queue.value.clone());
                    if message.until == Until::Consumed {
                        self.awaited.insert(queue.value.clone());
                    }
                }
            }
            Action::Consume { queue } => {
                self.needed.insert(queue.clone());
                self.taken.insert(queue.clone());
            }
        }
    }
}

fn check_queues(queues: &[QueueSpec], source: &Source, problems: &mut Problems) {
    for (i, queue) in queues.iter().enumerate() {
        let key = format!("settings.queues[{i}]");
        problems.take(check_name(&queue.name, &format!("{key}.name"), "queue", source));
        if queue.kind == QueueType::Quorum && !queue.durable {
            problems.0.push(source.problem_at(
                &queue.name,
                format!("{key}.durable"),
                "a quorum queue is always durable",
            ));
        }
        if queues[..i].iter().any(|q| *q.name == *queue.name) {
            let message = format!("the queue `{}` is there twice", queue.name);
            problems.0.push(source.problem_at(&queue.name, format!("{key}.name"), message));
        }
    }
}

fn check_name(name: &Located<String>, key: &str, what: &str, source: &Source) -> Result<(), Problems> {
    if name.is_empty() || name.len() > NAME_LENGTH_MAX {
        let message = format!("the name of a {what} has 1 to {NAME_LENGTH_MAX} bytes");
        return Err(source.problem_at(name, key, message).into());
    }
    Ok(())
}

fn operation(spec: &OperationSpec<Request, Check>, action: &Action) -> Operation {
    let timings: &[&'static str] = match action {
        Action::Publish(Message { until: Until::Confirmed, .. }) => &["confirmed"],
        Action::Publish(Message { until: Until::Consumed, .. }) => &["confirmed", "consumed"],
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
        let message = "a message is confirmed without an answer, so there is nothing to capture";
        return Err(source.problem_at(written, format!("{key}.capture.{name}"), message).into());
    }
    let key = format!("{key}.request");
    match (&spec.request.publish, &spec.request.consume) {
        (Some(publish), None) => {
            message(publish, spec, &format!("{key}.publish"), outline, source).map(Action::Publish)
        }
        (None, Some(consume)) => {
            check_name(&consume.queue, &format!("{key}.consume.queue"), "queue", source)?;
            Ok(Action::Consume { queue: consume.queue.value.clone() })
        }
        _ => Err(source.problem_at(&spec.name, key, "needs exactly one of `publish` and `consume`").into()),
    }
}

fn message(
    publish: &Publish,
    spec: &OperationSpec<Request, Check>,
    key: &str,
    outline: &Outline,
    source: &Source,
) -> Result<Message, Problems> {
    let mut problems = Problems::default();
    let text = |written: &Located<String>, key: String| {
        Template::compile(source, written, &key, &outline.data, &outline.captures).map_err(Problems::from)
    };
    for (name, what) in [(&publish.exchange, "exchange"), (&publish.queue, "queue")] {
        if let Some(name) = name {
            problems.take(check_name(name, &format!("{key}.{what}"), what, source));
        }
    }
    let route = match (&publish.routing_key, &publish.queue) {
        (Some(written), _) => problems.take(text(written, format!("{key}.routing_key"))).map(Route::Template),
        (None, Some(queue)) => Some(Route::Queue(queue.value.clone())),
        (None, None) => {
            let message = "needs a `routing_key`, or a `queue` whose name is one";
            problems.0.push(source.problem_at(&spec.name, key, message));
            None
        }
    };
    if publish.until == Until::Consumed && publish.queue.is_none() {
        let message = "`until: consumed` needs the `queue` in which the message ends up";
        problems.0.push(source.problem_at(&spec.name, format!("{key}.until"), message));
    }
    let written = ("body", publish.body.as_ref());
    let body = Payload::compile(written, publish.json.as_ref(), (key, "a message"), source, outline);
    let body = problems.take(body).flatten();
    let mut headers = Vec::with_capacity(publish.headers.len());
    for (name, written) in &publish.headers {
        let key = format!("{key}.headers.{name}");
        if is_reserved(name) || name.is_empty() || name.len() > NAME_LENGTH_MAX {
            let message = "a header has a name of 1 to 255 bytes that doesn't start with `slatest-`";
            problems.0.push(source.problem_at(written, key, message));
        } else {
            let scope = (source, &*outline.data, outline.captures.as_slice());
            let value = SentValue::compile(scope, name, written, &key).map_err(Problems::from);
            headers.extend(problems.take(value).map(|value| (name.clone(), value)));
        }
    }
    let Some(route) = route.filter(|_| problems.0.is_empty()) else { return Err(problems) };
    let exchange = publish.exchange.as_ref().map(|e| e.value.clone()).unwrap_or_default();
    Ok(Message { exchange, route, body, headers, persistent: publish.persistent, until: publish.until })
}
