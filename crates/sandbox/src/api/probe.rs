//! Probes: they do nothing but misbehave as told, so that what is measured of them is known.

use axum::Router;
use axum::routing::get;

use super::misbehave::on;
use crate::behaviour::{Behaviours, PROBES};

/// A route for each probe.
pub fn router(behaviours: &Behaviours) -> Router {
    PROBES.iter().fold(Router::new(), |router, &probe| {
        router.route(&format!("/{}", probe.replacen('-', "/", 1)), on(behaviours, probe, get(answer)))
    })
}

async fn answer() -> &'static str {
    "ok"
}
