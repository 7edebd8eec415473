//! What is said in one conversation.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::wire::ToAgent;

/// Messages, then perhaps the words with which the conversation ends.
pub(super) struct Outbound {
    messages: mpsc::Receiver<ToAgent>,
    end: Option<oneshot::Receiver<Status>>,
}

impl Outbound {
    pub(super) const fn new(messages: mpsc::Receiver<ToAgent>, end: oneshot::Receiver<Status>) -> Self {
        Self { messages, end: Some(end) }
    }
}

impl Stream for Outbound {
    type Item = Result<ToAgent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(message) = ready!(self.messages.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(message)));
        }
        // Words are given before the sender of messages is dropped, or never.
        let words = self.end.take().and_then(|mut end| end.try_recv().ok());
        Poll::Ready(words.map(Err))
    }
}
