//! The control endpoint: what to misbehave in, and what became of the events.

use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::answer::{Body, Refusal};
use crate::behaviour::{Behaviour, Behaviours};
use crate::events::{Events, EventsCount};
use crate::serve::Peer;

pub fn router(behaviours: Behaviours, events: Events) -> Router {
    Router::new()
        .route("/control/behaviour", get(behaviour).put(replace))
        .with_state(behaviours)
        .merge(Router::new().route("/control/events", get(count)).with_state(events))
        .layer(from_fn(from_loopback))
}

async fn behaviour(State(behaviours): State<Behaviours>) -> Json<Behaviour> {
    Json(behaviours.given())
}

async fn replace(
    State(behaviours): State<Behaviours>,
    Body(behaviour): Body<Behaviour>,
) -> Result<Json<Behaviour>, Refusal> {
    behaviour.check().map_err(Refusal::bad_request)?;
    behaviours.replace(behaviour);
    Ok(Json(behaviours.given()))
}

async fn count(State(events): State<Events>) -> Json<EventsCount> {
    Json(events.count())
}

/// Whoever may break the platform sits on its machine.
async fn from_loopback(ConnectInfo(Peer(peer)): ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    if peer.ip().to_canonical().is_loopback() {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, Json(json!({ "error": "control is for this machine only" }))).into_response()
}
