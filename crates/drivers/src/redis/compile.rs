//! From a workload file to what runs.

use std::sync::Arc;

use super::bounds::{REPLY_BYTES_MAX, ReplyLimits};
use super::client::Servers;
use super::command::Command;
use super::file::{File, RedisRequest, Reply};
use super::plan::{Action, Plan};
use crate::identity::Identity;
use crate::workload::Captures;
use crate::{CompileContext, Endpoint, Operation, Outline, outline};
use slatest_core::model::Problems;

/// Names of the parts of an operation's time, in the order of `session`'s indices.
const TIMINGS: [&str; 1] = ["fill"];
/// Names of an operation's ratios, in the order of `session`'s indices.
const RATIOS: [&str; 1] = ["hit_rate"];
/// Most connections of a scenario.
const CONNECTIONS_MAX: u64 = 10_000;
/// Connections of a scenario when nothing is said.
const CONNECTIONS_DEFAULT: u64 = 8;
/// Largest limit that can be set for one reply: what a server can have.
const REPLY_BYTES_SETTABLE: u64 = 512 * 1024 * 1024;
/// Most commands of one pipeline.
const PIPELINE_MAX: usize = 1000;

/// Compiles a workload file.
///
/// # Errors
/// Every mistake in it and in its endpoint.
pub fn compile(context: &CompileContext<'_>) -> Result<Plan, Problems> {
    let file: File = context.source.parse()?;
    let outline = outline(context, &file)?;
    let mut problems = Problems::default();
    let mut operations = Vec::with_capacity(file.operations.len());
    let mut actions = Vec::with_capacity(file.operations.len());
    for (index, spec) in file.operations.iter().enumerate() {
        let key = format!("operations[{index}]");
        let captures = Captures::compile(context.source, &spec.capture, &format!("{key}.capture"));
        let captures = problems.take(captures.map_err(Problems::from));
        let commands = problems.take(commands(context, &spec.request, &key, &outline));
        let (Some(captures), Some((commands, on_miss))) = (captures, commands) else { continue };
        let timings: &[&str] = if on_miss.is_some() { &TIMINGS } else { &[] };
        let ratios: &[&str] = if commands.iter().any(|c| c.reads().is_some()) { &RATIOS } else { &[] };
        let operation = Operation::of(spec, timings, ratios);
        operations.push(operation);
        let reply = spec.check.as_ref().and_then(|check| check.reply.clone()).unwrap_or(Reply::Any);
        if spec.ledger.0 {
            problems.take(check_ledger(context, &spec.request, &key));
        }
        actions.push(Action {
            commands,
            pipeline: !spec.request.pipeline.is_empty(),
            on_miss,
            reply,
            captures,
            ledger: spec.ledger.0,
        });
    }
    let connections = file.settings.as_ref().and_then(|s| s.connections.as_ref());
    if let Some(connections) = connections
        && !(1..=CONNECTIONS_MAX).contains(&connections.value)
    {
        let message = format!("a scenario has from 1 to {CONNECTIONS_MAX} connections, not {connections}");
        problems.0.push(context.source.problem_at(connections, "settings.connections", message));
    }
    let connections = connections.map_or(CONNECTIONS_DEFAULT, |c| c.value);
    let reply_bytes = file.settings.as_ref().and_then(|s| s.reply_bytes_max.as_ref());
    if let Some(bytes) = reply_bytes
        && !(1..=REPLY_BYTES_SETTABLE).contains(&bytes.value)
    {
        let message = format!("a reply has at most from 1 to {REPLY_BYTES_SETTABLE} bytes, not {bytes}");
        problems.0.push(context.source.problem_at(bytes, "settings.reply_bytes_max", message));
    }
    let reply_bytes = reply_bytes.and_then(|bytes| usize::try_from(bytes.value).ok()).unwrap_or(REPLY_BYTES_MAX);
    match problems.take(servers(context, ReplyLimits::new(reply_bytes))) {
        Some(servers) => problems.or(Plan {
            operations,
            actions,
            flows: outline.flows,
            data: outline.data,
            servers: Arc::new(servers),
            connections: usize::try_from(connections).unwrap_or(1),
            endpoint: context.endpoint_name.to_owned(),
            identity: Identity::of(context),
        }),
        None => Err(problems),
    }
}

fn commands(
    context: &CompileContext<'_>,
    request: &RedisRequest,
    key: &str,
    outline: &Outline,
) -> Result<(Vec<Command>, Option<Command>), Problems> {
    let source = context.source;
    let key = format!("{key}.request");
    let mut problems = Problems::default();
    let mut commands = Vec::new();
    match (request.command.as_slice(), request.pipeline.as_slice()) {
        ([], []) => {
            let message = "a request needs a command, like [GET, \"key\"], or a pipeline of several";
            problems.0.push(source.problem(&key, message));
        }
        (words, []) => {
            commands.extend(problems.take(Command::compile(source, words, &format!("{key}.command"), outline)));
        }
        ([], several) => {
            if several.len() > PIPELINE_MAX {
                let message = format!("a pipeline has at most {PIPELINE_MAX} commands");
                problems.0.push(source.problem(format!("{key}.pipeline"), message));
            }
            for (index, words) in several.iter().enumerate() {
                let key = format!("{key}.pipeline[{index}]");
                commands.extend(problems.take(Command::compile(source, words, &key, outline)));
            }
        }
        ([first, ..], _) => {
            let message = "a request has either a command or a pipeline";
            problems.0.push(source.problem_at(first, format!("{key}.command"), message));
        }
    }
    let mut on_miss = None;
    if let Some(first) = request.on_miss.first() {
        let key = format!("{key}.on_miss");
        if request.pipeline.is_empty() && commands.iter().all(|c| c.reads().is_some()) {
            on_miss = problems.take(Command::compile(source, &request.on_miss, &key, outline));
        } else {
            let message = "on_miss needs a command that can miss, like GET or HGETALL";
            problems.0.push(source.problem_at(first, key, message));
        }
    }
    problems.or((commands, on_miss))
}

/// A write is found again when it is a plain `SET` of a key that no other write has.
fn check_ledger(context: &CompileContext<'_>, request: &RedisRequest, key: &str) -> Result<(), Problems> {
    let words: Vec<&str> = request.command.iter().map(|word| word.0.trim()).collect();
    let fits = match words.as_slice() {
        [set, name, _, options @ ..] => {
            set.eq_ignore_ascii_case("set") && name.contains("write_id") && expiry_only(options)
        }
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let message = "only a plain SET of a key with its identifier is found again by the ledger";
    let help = "write it like [SET, \"order:{{ write_id }}\", \"…\"], with no more than an expiry";
    Err(context.source.problem(format!("{key}.ledger"), message).with_help(help).into())
}

/// Conditions would make `SET` answer without having written.
fn expiry_only(options: &[&str]) -> bool {
    match options {
        [] => true,
        [one] => one.eq_ignore_ascii_case("keepttl"),
        [unit, _] => ["ex", "px", "exat", "pxat"].iter().any(|known| unit.eq_ignore_ascii_case(known)),
        _ => false,
    }
}

fn servers(context: &CompileContext<'_>, limits: ReplyLimits) -> Result<Servers, Problems> {
    let key = format!("endpoints.{}", context.endpoint_name);
    match context.endpoint {
        Endpoint::Redis(endpoint) => {
            Servers::new(context, endpoint, limits).map_err(|e| context.target.problem(key, e).into())
        }
        other => {
            let message = format!("the driver redis needs a redis endpoint, not {}", other.kind());
            Err(context.target.problem(key, message).into())
        }
    }
}
