//! The handover service.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::Platform;
use super::answer::{Body, Parameters, Refusal, check_one_of, check_text};
use super::tasks::page_limit;
use crate::events::Topic;
use crate::store::{Handover, NewHandover, Page};

/// The shifts of a day.
pub const SHIFTS: &[&str] = &["day", "night"];

#[derive(Deserialize)]
pub struct Filter {
    shift: Option<String>,
    limit: Option<u32>,
}

pub async fn list(
    State(platform): State<Platform>,
    Parameters(filter): Parameters<Filter>,
) -> Result<Json<Page<Handover>>, Refusal> {
    if let Some(shift) = &filter.shift {
        check_one_of("shift", shift, SHIFTS)?;
    }
    let limit = page_limit(filter.limit)?;
    Ok(Json(platform.store.handovers(filter.shift.as_deref(), limit).await?))
}

pub async fn create(
    State(platform): State<Platform>,
    Body(new): Body<NewHandover>,
) -> Result<(StatusCode, Json<Handover>), Refusal> {
    check_text("from", &new.from)?;
    check_text("to", &new.to)?;
    if let Some(task) = &new.task {
        check_text("task", task)?;
    }
    if let Some(shift) = &new.shift {
        check_one_of("shift", shift, SHIFTS)?;
    }
    let handover = platform.store.create_handover(new).await?;
    platform.events.publish(Topic::HandoverEvents, &handover.id, "handover-created", &handover);
    Ok((StatusCode::CREATED, Json(handover)))
}

pub async fn acknowledge(State(platform): State<Platform>, Path(id): Path<String>) -> Result<Json<Handover>, Refusal> {
    let handover =
        platform.store.acknowledge_handover(&id).await?.ok_or_else(|| Refusal::not_found("handover", &id))?;
    platform.events.publish(Topic::HandoverEvents, &handover.id, "handover-acknowledged", &handover);
    Ok(Json(handover))
}
