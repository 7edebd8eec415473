//! The layer that makes a route misbehave.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use serde_json::json;

use super::answer::blocked;
use crate::behaviour::{Behaviours, Ending};

#[derive(Clone)]
struct Layer {
    behaviours: Behaviours,
    operation: &'static str,
}

/// `route` under the behaviour of `operation`.
pub fn on<S: Clone + Send + Sync + 'static>(
    behaviours: &Behaviours,
    operation: &'static str,
    route: MethodRouter<S>,
) -> MethodRouter<S> {
    debug_assert!(super::super::behaviour::OPERATIONS.contains(&operation));
    let layer = Layer { behaviours: behaviours.clone(), operation };
    route.route_layer(from_fn_with_state(layer, misbehave))
}

/// `route` with only the errors and blocks of `operation`: what follows the door does the rest.
pub fn at_the_door<S: Clone + Send + Sync + 'static>(
    behaviours: &Behaviours,
    operation: &'static str,
    route: MethodRouter<S>,
) -> MethodRouter<S> {
    let layer = Layer { behaviours: behaviours.clone(), operation };
    route.route_layer(from_fn_with_state(layer, refuse))
}

async fn misbehave(State(layer): State<Layer>, request: Request, next: Next) -> Response {
    let Layer { behaviours, operation } = layer;
    let mut refused = None;
    if let Some(drawn) = behaviours.draw(operation) {
        behaviours.thaw(operation).await;
        drawn.wait().await;
        refused = refusal(drawn.ending);
    }
    let response = match refused {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    // A stall that began while we worked holds the answer too: it freezes the whole process.
    behaviours.thaw(operation).await;
    response
}

async fn refuse(State(layer): State<Layer>, request: Request, next: Next) -> Response {
    let drawn = layer.behaviours.draw(layer.operation);
    match drawn.and_then(|drawn| refusal(drawn.ending)) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

fn refusal(ending: Ending) -> Option<Response> {
    match ending {
        Ending::Work => None,
        Ending::Blocked => Some(blocked()),
        Ending::Error(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            Some((status, Json(json!({ "error": "misbehaviour on request" }))).into_response())
        }
    }
}
