//! Request and response by correlation id: an operation is a JSON document sent, over when a
//! message comes that carries its id.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::check::Expectations;
use super::connection::{Heard, Inbox};
use super::failure;
use super::session::Line;
use crate::Session;
use crate::failure::Failure;
use crate::large::{self, CHECK_EXTRA, SMALL_BYTES, off_worker};
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

impl Call {
    /// Holds an answer against the checks, and takes the captures.
    fn look(&self, document: &Value, captured: &mut BTreeMap<String, String>) -> Result<(), String> {
        self.check.hold(document)?;
        self.captures.take(Some(document), |_| None, captured).map_err(|error| error.to_string())
    }
}

struct Waiting {
    call: Arc<Call>,
    id: String,
    answer: oneshot::Sender<Result<Answer, Failure>>,
}

/// An answer, when it came, and its length in bytes.
struct Answer {
    done: Nanos,
    document: Value,
    bytes: usize,
}

impl Answer {
    /// Ends one that nobody waits for any more. A large one is many values to let go.
    fn forget(self) {
        if self.bytes > SMALL_BYTES {
            drop(tokio::task::spawn_blocking(move || drop(self)));
        }
    }
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

impl Mailbox {
    async fn take(&self, text: Bytes) {
        let done = self.clock.now();
        let Some((call, id)) = self.waiting.borrow().as_ref().map(|open| (Arc::clone(&open.call), open.id.clone()))
        else {
            return;
        };
        let (bytes, wanted) = (text.len(), id.clone());
        let find = move || {
            let document = large::json(&text).ok()?;
            let found = call.correlate.first(&document).is_some_and(|found| plain(found) == wanted);
            found.then_some(document)
        };
        let found = if bytes > SMALL_BYTES { off_worker(find).await.flatten() } else { find() };
        let Some(answer) = found.map(|document| Answer { done, document, bytes }) else { return };
        // Meanwhile it may have been given up for the next one.
        let open = self.waiting.borrow_mut().take_if(|open| open.id == id);
        if let Some(Err(Ok(unheard))) = open.map(|open| open.answer.send(Ok(answer))) {
            unheard.forget();
        }
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

    fn receive(&self, message: Message) -> LocalBoxFuture<'_, Result<Heard, Failure>> {
        Box::pin(async move {
            self.take(message.into_data()).await;
            // Anything but the answer is a late one, or news that nobody asked for.
            Ok(Heard::default())
        })
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
        let answer = match timeout_at(patience.answer_by(), &mut receiver).await {
            Ok(Ok(Ok(answered))) => answered,
            Ok(Ok(Err(reason))) => return line.failed(Some(sent), &reason),
            Ok(Err(_)) => return line.failed(Some(sent), &Failure::new(Outcome::Unknown, "answer: given up")),
            Err(_) => return line.failed(Some(sent), &failure::timed_out("answer")),
        };
        let done = answer.done;
        let looked = match answer.bytes {
            0..=SMALL_BYTES => call.look(&answer.document, &mut self.line.captured),
            _ => {
                let mut captured = self.line.captured.clone();
                let looking = off_worker(move || {
                    let looked = call.look(&answer.document, &mut captured);
                    (looked, captured)
                });
                match timeout_at(patience.answer_by() + CHECK_EXTRA, looking).await {
                    Ok(Some((looked, captured))) => {
                        self.line.captured = captured;
                        looked
                    }
                    Ok(None) => Err("answer: can't be read".into()),
                    Err(_) => Err("generator: no time to look at large answers".into()),
                }
            }
        };
        match looked {
            Ok(()) => Completion::ok(sent, done),
            Err(kind) => Completion::failed(Outcome::Rejected, Some(sent), done, kind),
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
