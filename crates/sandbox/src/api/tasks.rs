//! The task service.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::Platform;
use super::answer::{Body, Parameters, Refusal, check_notes, check_one_of, check_text};
use crate::events::Topic;
use crate::store::{LONGEST_PAGE, NewTask, Page, Task};

/// What a task's priority may be.
pub const PRIORITIES: &[&str] = &["routine", "high", "urgent"];
/// What a task's status may be.
pub const STATUSES: &[&str] = &["open", "in-progress", "done", "cancelled"];
const USUAL_PAGE: u32 = 50;

#[derive(Deserialize)]
pub struct Filter {
    assignee: Option<String>,
    limit: Option<u32>,
}

pub async fn list(
    State(platform): State<Platform>,
    Parameters(filter): Parameters<Filter>,
) -> Result<Json<Page<Task>>, Refusal> {
    let limit = page_limit(filter.limit)?;
    Ok(Json(platform.store.tasks(filter.assignee.as_deref(), limit).await?))
}

/// How many rows to list.
pub fn page_limit(asked: Option<u32>) -> Result<u32, Refusal> {
    match asked.unwrap_or(USUAL_PAGE) {
        limit @ 1..=LONGEST_PAGE => Ok(limit),
        _ => Err(Refusal::bad_request(format!("`limit` must lie from 1 to {LONGEST_PAGE}"))),
    }
}

pub async fn create(
    State(platform): State<Platform>,
    Body(new): Body<NewTask>,
) -> Result<(StatusCode, Json<Task>), Refusal> {
    check_text("title", &new.title)?;
    check_text("assignee", &new.assignee)?;
    check_text("patient", &new.patient)?;
    if let Some(priority) = &new.priority {
        check_one_of("priority", priority, PRIORITIES)?;
    }
    if let Some(notes) = &new.notes {
        check_notes("notes", notes)?;
    }
    let task = platform.store.create_task(new).await?;
    platform.events.publish(Topic::TaskEvents, &task.id, "task-created", &task);
    Ok((StatusCode::CREATED, Json(task)))
}

pub async fn one(State(platform): State<Platform>, Path(id): Path<String>) -> Result<Json<Task>, Refusal> {
    if let Some(cache) = &platform.cache
        && let Some(task) = cache.task(&id).await
    {
        return Ok(Json(task));
    }
    let task = platform.store.task(&id).await?.ok_or_else(|| Refusal::not_found("task", &id))?;
    if let Some(cache) = &platform.cache {
        cache.keep(&task).await;
    }
    Ok(Json(task))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    status: String,
}

pub async fn update(
    State(platform): State<Platform>,
    Path(id): Path<String>,
    Body(Change { status }): Body<Change>,
) -> Result<Json<Task>, Refusal> {
    check_one_of("status", &status, STATUSES)?;
    let task = platform.store.set_task_status(&id, &status).await?.ok_or_else(|| Refusal::not_found("task", &id))?;
    if let Some(cache) = &platform.cache {
        cache.forget(&id).await;
    }
    platform.events.publish(Topic::TaskEvents, &task.id, "task-updated", &task);
    Ok(Json(task))
}
