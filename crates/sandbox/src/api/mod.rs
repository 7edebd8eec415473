//! The platform's HTTP interface: routes, one file per service.

mod answer;
mod control;
mod echo;
mod gateway;
mod handovers;
mod misbehave;
mod patients;
mod probe;
mod synchronisation;
mod tasks;
mod verifications;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::routing::{MethodRouter, get, patch, post};
use tower_http::compression::CompressionLayer;

use super::behaviour::Behaviours;
use super::cache::Cache;
use super::events::Events;
use super::store::Store;
use super::sync::{Sync, connect};

pub use answer::BLOCK_HEADER;

/// The interface's description; a test holds it to the truth.
pub const OPENAPI: &str = include_str!("../openapi.json");
/// The largest body that is read, in bytes.
const LARGEST_BODY: usize = 256 << 10;

/// What the services work with.
#[derive(Clone)]
pub struct Platform {
    /// Where records are kept.
    pub store: Arc<dyn Store>,
    /// In front of it, where there is a real Redis.
    pub cache: Option<Cache>,
    /// Where events go.
    pub events: Events,
}

/// The routes: `platform` for the services, `sync` for the WebSockets, each where it is wanted.
/// Health, probes and control are always there.
pub fn router(platform: Option<Platform>, sync: bool, events: &Events, behaviours: &Behaviours) -> Router {
    let on = |operation: &'static str, route: MethodRouter<Platform>| misbehave::on(behaviours, operation, route);
    let mut router = Router::new()
        .route("/health", misbehave::on(behaviours, "health", get(gateway::health)))
        .route("/openapi.json", get(openapi))
        .merge(probe::router(behaviours))
        .merge(control::router(behaviours.clone(), events.clone()));
    if let Some(platform) = platform {
        let services = Router::new()
            .route("/api/v1/auth/login", on("login", post(gateway::login)))
            .route("/api/v1/me", on("me", get(gateway::me)))
            .route("/api/v1/tasks", on("list-tasks", get(tasks::list)).merge(on("create-task", post(tasks::create))))
            .route("/api/v1/tasks/{id}", on("get-task", get(tasks::one)).merge(on("update-task", patch(tasks::update))))
            .route("/api/v1/emr/verifications", on("create-verification", post(verifications::create)))
            .route("/api/v1/emr/verifications/{id}", on("get-verification", get(verifications::one)))
            .route("/api/v1/emr/patients/{id}", on("get-patient", get(patients::one)))
            .route(
                "/api/v1/handovers",
                on("list-handovers", get(handovers::list)).merge(on("create-handover", post(handovers::create))),
            )
            .route("/api/v1/handovers/{id}/acknowledge", on("acknowledge-handover", post(handovers::acknowledge)))
            .route("/api/v1/sync/state/{client}", on("get-sync-state", get(synchronisation::state)))
            .route("/api/v1/sync/operations", on("post-sync-operations", post(synchronisation::operations)))
            .layer(CompressionLayer::new())
            .with_state(platform);
        router = router.merge(services);
    }
    if sync {
        let sockets = Router::new()
            .route("/sync/{document}", misbehave::at_the_door(behaviours, "sync", get(connect)))
            .with_state(Sync::new(behaviours.clone()))
            .merge(Router::new().route("/echo", get(echo::connect)).with_state(behaviours.clone()));
        router = router.merge(sockets);
    }
    router.layer(DefaultBodyLimit::max(LARGEST_BODY))
}

async fn openapi() -> ([(header::HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}
