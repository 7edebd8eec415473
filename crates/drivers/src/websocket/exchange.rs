//! Request and response by correlation id: an operation is a JSON document sent, over when a
//! message comes that carries its id.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::check::Expectations;
use super::connection::{Heard, Inbox};
use super::failure;
use super::session::Line;
use crate::Session;
use crate::failure::Failure;
use crate::workload::{Captures, JsonPath, JsonTemplate, Template};
use slatest_core::model::{Arrival, Clock, Completion, Nanos, Outcome};

/// One kind of request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) document: JsonTemplate,
    pub(super) correlate: JsonPath,
    /// The id, where it isn't taken from the document sent.
    pub(super) value: Option<Template>,
    pub(super) check: Expectations,
    pub(super) captures: Captures,
}

struct Waiting {
    call: Arc<Call>,
    id: String,
    answer: oneshot::Sender<Result<(Nanos, Value), Failure>>,
}

/// Finds the answer to the request that is in flight.
pub(super) struct Mailbox {
    waiting: RefCell<Option<Waiting>>,
    clock: Arc<dyn Clock>,
}

impl Mailbox {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Rc<Self> {
        Rc::new(Self { waiting: RefCell::new(None), clock })
    }
}

/// A value as it is compared: text without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Inbox for Mailbox {
    fn greeting(&self) -> Option<Message> {
        None
    }

    fn receive(&self, message: Message) -> Result<Heard, Failure> {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(open) = &*waiting
            && let Ok(document) = serde_json::from_slice::<Value>(&message.into_data())
            && open.call.correlate.first(&document).is_some_and(|found| plain(found) == open.id)
            && let Some(open) = waiting.take()
        {
            // Nobody listens any more where the operation was given up.
            let _ = open.answer.send(Ok((self.clock.now(), document)));
        }
        // Anything else is a late answer, or news that nobody asked for.
        Ok(Heard::default())
    }

    fn lost(&self, reason: &Failure) {
        if let Some(open) = self.waiting.borrow_mut().take() {
            let _ = open.answer.send(Err(reason.clone()));
        }
    }
}

/// One user's session.
pub(super) struct ExchangeSession {
    pub(super) line: Line,
    pub(super) mailbox: Rc<Mailbox>,
}

impl ExchangeSession {
    async fn call(&mut self, arrival: &Arrival) -> Completion {
        let line = &self.line;
        let Some(call) = line.shared.mode.call(arrival.operation) else { return line.refused("operation: unknown") };
        let (call, patience) = (Arc::clone(call), line.patience(arrival));
        if let Err(completion) = line.ready(&patience).await {
            return completion;
        }
        let (text, id) = match self.render(&call, arrival) {
            Ok(rendered) => rendered,
            Err(kind) => return line.refused(kind),
        };
        let (answer, mut receiver) = oneshot::channel();
        *self.mailbox.waiting.borrow_mut() = Some(Waiting { call: Arc::clone(&call), id, answer });
        let sent = line.context.clock.now();
        if let Err(reason) = line.connection.send(Message::text(text)) {
            return line.failed(Some(sent), &reason);
        }
        let (done, document) = match timeout_at(patience.answer_by(), &mut receiver).await {
            Ok(Ok(Ok(answered))) => answered,
            Ok(Ok(Err(reason))) => return line.failed(Some(sent), &reason),
            Ok(Err(_)) => return line.failed(Some(sent), &Failure::new(Outcome::Unknown, "answer: given up")),
            Err(_) => return line.failed(Some(sent), &failure::timed_out("answer")),
        };
        if let Err(kind) = call.check.hold(&document) {
            return Completion::failed(Outcome::Rejected, Some(sent), done, kind);
        }
        match call.captures.take(Some(&document), |_| None, &mut self.line.captured) {
            Ok(()) => Completion::ok(sent, done),
            Err(e) => Completion::failed(Outcome::Rejected, Some(sent), done, e.to_string()),
        }
    }

    /// The document for one execution, and the id that its answer will carry.
    fn render(&self, call: &Call, arrival: &Arrival) -> Result<(String, String), String> {
        let values = self.line.values(arrival);
        let text = call.document.render(&values).map_err(|e| e.to_string())?.into_owned();
        let id = match &call.value {
            Some(value) => value.render(&values).map_err(|e| e.to_string())?.into_owned(),
            None => {
                let document: Value = serde_json::from_str(&text).map_err(|_| "request: not JSON".to_owned())?;
                call.correlate.first(&document).map(plain).ok_or("request: no correlation id")?
            }
        };
        Ok((text, id))
    }
}

impl Session for ExchangeSession {
    fn execute<'a>(&'a mut self, arrival: &'a Arrival) -> LocalBoxFuture<'a, Completion> {
        Box::pin(self.call(arrival))
    }

    fn close(self: Box<Self>) -> LocalBoxFuture<'static, ()> {
        Box::pin(async move { self.line.connection.close().await })
    }
}
