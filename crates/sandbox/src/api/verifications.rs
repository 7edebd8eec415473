//! Verifications against the medical record systems.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::Platform;
use super::answer::{Body, Refusal, check_text};
use crate::events::Topic;
use crate::store::{NewVerification, Verification};

pub async fn create(
    State(platform): State<Platform>,
    Body(new): Body<NewVerification>,
) -> Result<(StatusCode, Json<Verification>), Refusal> {
    check_text("patient", &new.patient)?;
    check_text("task", &new.task)?;
    if let Some(system) = &new.system {
        check_text("system", system)?;
    }
    let verification = platform.store.create_verification(new).await?;
    platform.events.publish(Topic::EmrVerifications, &verification.patient, "verification-created", &verification);
    Ok((StatusCode::CREATED, Json(verification)))
}

pub async fn one(State(platform): State<Platform>, Path(id): Path<String>) -> Result<Json<Verification>, Refusal> {
    let verification = platform.store.verification(&id).await?;
    verification.map(Json).ok_or_else(|| Refusal::not_found("verification", &id))
}
