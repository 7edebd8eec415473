//! From a workload file to what its sessions share.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use super::budget::Budget;
use super::check::Expectations;
use super::connection::Gauges;
use super::dial::Dialer;
use super::document::REPLICAS_MAX;
use super::exchange::Call;
use super::file::{Check, Edit, File, Request, Settings};
use super::plan::{Mode, Shared, Sync, WAIT_MAX};
use super::sync::{EDIT_BYTES_MAX, Insert, TIMINGS};
use crate::identity::Identity;
use crate::workload::{Captures, Data, JsonPath, JsonTemplate, OperationSpec, Template};
use crate::{CONNECT_TIMEOUT, CompileContext, Endpoint, Operation, outline};
use slatest_core::model::{Nanos, Problem, Problems, Span};
use slatest_core::source::{Located, Source};

const PING_DEFAULT: Nanos = Nanos::from_secs(30);
const PONG_TIMEOUT_DEFAULT: Nanos = Nanos::from_secs(10);
const REPLICAS_DEFAULT: u64 = 4;
const DOCUMENT_BYTES_DEFAULT: u64 = 10 * 1024;
const DOCUMENT_BYTES_MAX: u64 = 1024 * 1024;

type Spec = OperationSpec<Request, Check>;

/// Compiles a workload. Contacts nobody.
///
/// # Errors
/// Every mistake.
pub(super) fn compile(context: &CompileContext<'_>) -> Result<Shared, Problems> {
    let source = context.source;
    let file: File = source.parse()?;
    let outline = outline(context, &file)?;
    let mut problems = Problems::default();
    let Endpoint::Websocket(endpoint) = context.endpoint else {
        let message = format!(
            "the endpoint `{}` is of the kind `{}`, not `websocket`",
            context.endpoint_name,
            context.endpoint.kind()
        );
        return Err(source.problem_at(&file.endpoint, "endpoint", message).into());
    };
    let settings = file.settings.clone().unwrap_or_default();
    let span = |span: Option<Span>, default: Nanos| span.map_or(default, |s| s.0).as_duration().min(WAIT_MAX);
    let connect_timeout = settings.connect_timeout.as_ref().map_or(CONNECT_TIMEOUT, |s| s.value.0);
    if let Some(written) = &settings.connect_timeout
        && connect_timeout > CONNECT_TIMEOUT
    {
        let message = format!("{written} is too long: no session waits longer than {}", Span(CONNECT_TIMEOUT));
        problems.0.push(source.problem_at(written, "settings.connect_timeout", message));
    }
    let dialer = problems.take(Dialer::new(context, endpoint, connect_timeout.as_duration()));
    let compiler = Compiler { source, data: &outline.data, captures: &outline.captures };
    let mode = problems.take(compiler.mode(context, &file, &settings));
    let sync = file.operations.iter().any(|o| o.request.edit.is_some());
    let path = problems.take(compiler.path(&settings, sync));
    let operations = file.operations.iter().map(|o| Operation::of(o, if sync { &TIMINGS } else { &[] }, &[])).collect();
    match (dialer, mode, path) {
        (Some(dialer), Some(mode), Some(path)) => problems.or(Shared {
            operations,
            flows: outline.flows,
            mode,
            data: outline.data,
            identity: Identity::of(context),
            endpoint: context.endpoint_name.to_owned(),
            path,
            dialer: Arc::new(dialer),
            ping: span(settings.ping, PING_DEFAULT),
            pong_timeout: span(settings.pong_timeout, PONG_TIMEOUT_DEFAULT),
            gauges: Arc::new(Gauges::default()),
        }),
        _ => Err(problems),
    }
}

struct Compiler<'a> {
    source: &'a Source,
    data: &'a Data,
    captures: &'a [String],
}

impl Compiler<'_> {
    fn path(&self, settings: &Settings, sync: bool) -> Result<Template, Problems> {
        let default = Located::from(if sync { "/{{ document }}".to_owned() } else { String::new() });
        let written = settings.path.as_ref().unwrap_or(&default);
        let names: &[String] = &if sync { vec!["document".to_owned(), "n".to_owned()] } else { Vec::new() };
        Ok(Template::compile(self.source, written, "settings.path", self.data, names)?)
    }

    fn mode(&self, context: &CompileContext<'_>, file: &File, settings: &Settings) -> Result<Mode, Problems> {
        let source = self.source;
        let mut problems = Problems::default();
        let sync = file.operations.iter().any(|o| o.request.edit.is_some());
        let mut inserts = Vec::new();
        let mut calls = Vec::new();
        for (i, operation) in file.operations.iter().enumerate() {
            let key = format!("operations[{i}]");
            if operation.ledger.0 && operation.request.edit.is_none() {
                let message = "only edits are found again by the ledger: nobody knows what a message did";
                problems.0.push(source.problem_at(&operation.name, format!("{key}.ledger"), message));
            }
            match (&operation.request.edit, &operation.request.send) {
                (Some(edit), None) => inserts.extend(problems.take(self.insert(operation, edit, &key))),
                (None, Some(_)) if sync => problems.0.push(
                    source
                        .problem_at(
                            &operation.name,
                            format!("{key}.request"),
                            "a workload either edits documents or sends requests, not both",
                        )
                        .with_help("put the requests into a workload of their own"),
                ),
                (None, Some(document)) => {
                    calls.extend(problems.take(self.call(operation, document, &key)).map(Arc::new))
                }
                _ => problems.0.push(
                    source
                        .problem_at(
                            &operation.name,
                            format!("{key}.request"),
                            "a request is either an edit or something to send",
                        )
                        .with_help("write `edit: { bytes: 40 }`, or `send: {…}` with `correlate: \"$.id\"`"),
                ),
            }
        }
        if !sync {
            self.only_for_edits(settings, &mut problems);
            return problems.or(Mode::Exchange(calls));
        }
        let replicas = self.within(settings.replicas.as_ref(), "replicas", REPLICAS_DEFAULT, 2..=REPLICAS_MAX as u64);
        let replicas = problems.take(replicas).unwrap_or(REPLICAS_DEFAULT);
        let bytes = settings.document_bytes.as_ref();
        let limit = self.within(bytes, "document_bytes", DOCUMENT_BYTES_DEFAULT, 1..=DOCUMENT_BYTES_MAX);
        let limit = problems.take(limit).unwrap_or(DOCUMENT_BYTES_DEFAULT);
        if let Some(sessions) = context.sessions
            && sessions % replicas == 1
        {
            let message = format!(
                "with {sessions} sessions and {replicas} replicas of each document, the last document has one replica, and its edits reach nobody"
            );
            let help = format!("make `sessions` of the scenario `{}` a multiple of {replicas}", context.scenario);
            let at = settings.replicas.clone().unwrap_or_default();
            problems.0.push(source.problem_at(&at, "settings.replicas", message).with_help(help));
        }
        let default = Located::from("{{ run }}-{{ n }}".to_owned());
        let written = settings.document.as_ref().unwrap_or(&default);
        let name = Template::compile(source, written, "settings.document", self.data, &["n".to_owned()]);
        let Some(name) = problems.take(name.map_err(Problems::from)) else { return Err(problems) };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let budget = Budget::of_workload(limit);
        problems.or(Mode::Sync(Sync { inserts, replicas, limit, budget, name, documents: Mutex::new(BTreeMap::new()) }))
    }

    fn insert(&self, operation: &Spec, edit: &Located<Edit>, key: &str) -> Result<Insert, Problems> {
        let request = &operation.request;
        let extra =
            |name: &str| format!("`{name}` goes with `send`; an edit is acknowledged by the replicas that have it");
        let mut problems = Problems::default();
        if let Some(written) = request.correlate.as_ref().or(request.value.as_ref()) {
            problems.0.push(self.source.problem_at(written, format!("{key}.request"), extra("correlate")));
        }
        if operation.check.is_some() {
            problems.0.push(self.source.problem_at(&operation.name, format!("{key}.check"), extra("check")));
        }
        if !operation.capture.is_empty() {
            problems.0.push(self.source.problem_at(&operation.name, format!("{key}.capture"), extra("capture")));
        }
        let insert = match &edit.value {
            Edit::Bytes(bytes) => {
                let bytes = Located { value: *bytes, line: edit.line, column: edit.column };
                let range = 1..=EDIT_BYTES_MAX as u64;
                self.within_at(&bytes, format!("{key}.request.edit.bytes"), range)
                    .map(|bytes| Insert::Bytes(usize::try_from(bytes).unwrap_or(EDIT_BYTES_MAX)))
            }
            Edit::Text(text) => {
                let text = Located { value: text.clone(), line: edit.line, column: edit.column };
                let key = format!("{key}.request.edit");
                Template::compile(self.source, &text, &key, self.data, self.captures)
                    .map(Insert::Text)
                    .map_err(Problems::from)
            }
        };
        match problems.take(insert) {
            Some(insert) => problems.or(insert),
            None => Err(problems),
        }
    }

    fn call(&self, operation: &Spec, document: &Located<serde_json::Value>, key: &str) -> Result<Call, Problems> {
        let source = self.source;
        let request = &operation.request;
        let mut problems = Problems::default();
        let document =
            JsonTemplate::compile(source, document, &format!("{key}.request.send"), self.data, self.captures);
        let document = problems.take(document.map_err(Problems::from));
        let at = format!("{key}.request.correlate");
        let correlate = match &request.correlate {
            Some(written) => JsonPath::compile(written).map_err(|e| source.problem_at(written, at, e)),
            None => Err(source
                .problem_at(&operation.name, at, "nothing says which message is the answer")
                .with_help("name the id's place in the answer, like `correlate: \"$.id\"`")),
        };
        let correlate = problems.take(correlate.map_err(Problems::from));
        let value = request.value.as_ref().map(|written| {
            Template::compile(source, written, &format!("{key}.request.value"), self.data, self.captures)
        });
        let value = problems.take(value.transpose().map_err(Problems::from)).flatten();
        let check = operation.check.clone().unwrap_or_default();
        let check = problems.take(Expectations::compile(source, &check.json, &format!("{key}.check.json")));
        let captures = self.captures_of(operation, key).map_err(Problems::from);
        let captures = problems.take(captures);
        match (document, correlate, check, captures) {
            (Some(document), Some(correlate), Some(check), Some(captures)) => {
                problems.or(Call { document, correlate, value, check, captures })
            }
            _ => Err(problems),
        }
    }

    fn captures_of(&self, operation: &Spec, key: &str) -> Result<Captures, Problem> {
        if let Some((name, written)) = operation.capture.iter().find(|(_, w)| w.starts_with("header:")) {
            let message = "a WebSocket message has no headers";
            return Err(self.source.problem_at(written, format!("{key}.capture.{name}"), message));
        }
        Captures::compile(self.source, &operation.capture, &format!("{key}.capture"))
    }

    fn only_for_edits(&self, settings: &Settings, problems: &mut Problems) {
        let mut refuse = |place: Problem| problems.0.push(place.with_help("remove it: no operation edits a document"));
        let message = "is only for workloads that edit documents";
        if let Some(written) = &settings.document {
            refuse(self.source.problem_at(written, "settings.document", message));
        }
        for (name, written) in [("replicas", &settings.replicas), ("document_bytes", &settings.document_bytes)] {
            if let Some(written) = written {
                refuse(self.source.problem_at(written, format!("settings.{name}"), message));
            }
        }
    }

    fn within(
        &self,
        written: Option<&Located<u64>>,
        name: &str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> Result<u64, Problems> {
        written.map_or(Ok(default), |w| self.within_at(w, format!("settings.{name}"), range))
    }

    fn within_at(&self, written: &Located<u64>, key: String, range: RangeInclusive<u64>) -> Result<u64, Problems> {
        if range.contains(&written.value) {
            Ok(written.value)
        } else {
            let message = format!("{written} is out of range: from {} to {}", range.start(), range.end());
            Err(self.source.problem_at(written, key, message).into())
        }
    }
}
