//! A plain request/response WebSocket: each JSON object is answered with its own `id`.

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::behaviour::{Behaviours, Ending};

const LARGEST_MESSAGE: usize = 256 << 10;

pub async fn connect(State(behaviours): State<Behaviours>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .read_buffer_size(1_024)
        .write_buffer_size(0)
        .max_message_size(LARGEST_MESSAGE)
        .max_frame_size(LARGEST_MESSAGE)
        .on_upgrade(move |socket| serve(socket, behaviours))
}

async fn serve(mut socket: WebSocket, behaviours: Behaviours) {
    while let Some(Ok(message)) = socket.recv().await {
        let reply = match message {
            Message::Text(text) => answer(text.as_bytes(), &behaviours).await,
            Message::Binary(data) => answer(&data, &behaviours).await,
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return,
        };
        let reply = match reply {
            Ok(Some(text)) => Message::Text(text.into()),
            Ok(None) => continue,
            Err(reason) => Message::Close(Some(CloseFrame { code: 1003, reason: reason.into() })),
        };
        let last = matches!(reply, Message::Close(_));
        if socket.send(reply).await.is_err() || last {
            return;
        }
    }
}

/// The answer; `None` where a block swallows the request.
async fn answer(request: &[u8], behaviours: &Behaviours) -> Result<Option<String>, String> {
    let request: Map<String, Value> = serde_json::from_slice(request).map_err(|_| "not a JSON object".to_owned())?;
    let Some(drawn) = behaviours.draw("echo") else { return Ok(Some(Value::Object(request).to_string())) };
    behaviours.thaw("echo").await;
    drawn.wait().await;
    behaviours.thaw("echo").await;
    Ok(match drawn.ending {
        Ending::Work => Some(Value::Object(request).to_string()),
        Ending::Blocked => None,
        Ending::Error(status) => {
            Some(json!({ "id": request.get("id"), "error": "misbehaviour on request", "status": status }).to_string())
        }
    })
}
