//! The sync service's request/response side: operations that a client recorded while offline.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Platform;
use super::answer::{Body, Refusal, check_text};
use crate::events::Topic;
use crate::store::SyncState;

/// Operations that one request brings.
const MOST_OPERATIONS: usize = 1_000;

pub async fn state(State(platform): State<Platform>, Path(client): Path<String>) -> Result<Json<SyncState>, Refusal> {
    check_text("client", &client)?;
    Ok(Json(platform.store.sync_state(&client).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    client: String,
    operations: Vec<Map<String, Value>>,
}

pub async fn operations(
    State(platform): State<Platform>,
    Body(batch): Body<Batch>,
) -> Result<(StatusCode, Json<SyncState>), Refusal> {
    check_text("client", &batch.client)?;
    let count = match u32::try_from(batch.operations.len()) {
        Ok(count @ 1..) if batch.operations.len() <= MOST_OPERATIONS => count,
        _ => return Err(Refusal::bad_request(format!("`operations` must have from 1 to {MOST_OPERATIONS} entries"))),
    };
    let state = platform.store.apply_operations(&batch.client, count).await?;
    platform.events.publish(Topic::SyncOperations, &batch.client, "operations-applied", &state);
    Ok((StatusCode::ACCEPTED, Json(state)))
}
