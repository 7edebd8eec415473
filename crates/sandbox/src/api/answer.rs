//! Reading requests and answering mistakes: always JSON, always with a message.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::store::StoreError;

/// The longest text that a field takes, in bytes.
pub const LONGEST_FIELD: usize = 512;
/// The longest notes of a task, in bytes.
pub const LONGEST_NOTES: usize = 16 << 10;

/// An answer that is not the work: a status and a message for the person who reads it.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    /// 400: the request is wrong.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// 401: nobody is logged in.
    pub fn unauthorized() -> Self {
        Self { status: StatusCode::UNAUTHORIZED, message: "log in first: POST /api/v1/auth/login".into() }
    }

    /// 404: there is no such record.
    pub fn not_found(kind: &str, id: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: format!("there is no {kind} `{id}`") }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::debug!(%error, "the store failed");
        let status = match &error {
            StoreError::Database(sqlx::Error::PoolTimedOut) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, message: error.to_string() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.message }))).into_response()
    }
}

/// A JSON body; anything else is a 400 that says where it goes wrong.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|e| Refusal::bad_request(format!("the body can't be read: {e}")))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|e| Refusal::bad_request(format!("the body is wrong: {e}")))
    }
}

/// Query parameters; a wrong one is a 400 that names it.
pub struct Parameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(parameters)| Self(parameters))
            .map_err(|e| Refusal::bad_request(format!("the query is wrong: {e}")))
    }
}

/// Refuses a text that is empty or too long.
///
/// # Errors
/// Names the field.
pub fn check_text(field: &str, text: &str) -> Result<(), Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::bad_request(format!("`{field}` is empty")));
    }
    if text.len() > LONGEST_FIELD {
        return Err(Refusal::bad_request(format!("`{field}` is longer than {LONGEST_FIELD} bytes")));
    }
    Ok(())
}

/// Refuses notes that are too long.
///
/// # Errors
/// Names the field and the limit.
pub fn check_notes(field: &str, text: &str) -> Result<(), Refusal> {
    if text.len() > LONGEST_NOTES {
        return Err(Refusal::bad_request(format!("`{field}` is longer than {LONGEST_NOTES} bytes")));
    }
    Ok(())
}

/// Refuses a text that is none of those allowed.
///
/// # Errors
/// Names the field and what it takes.
pub fn check_one_of(field: &str, text: &str, allowed: &[&str]) -> Result<(), Refusal> {
    if allowed.contains(&text) {
        return Ok(());
    }
    Err(Refusal::bad_request(format!("`{field}` must be one of {}", allowed.join(", "))))
}

/// What a web application firewall answers: 403, its header, a page that isn't JSON.
pub fn blocked() -> Response {
    (
        StatusCode::FORBIDDEN,
        [(header::SERVER, "awselb/2.0"), (header::CONTENT_TYPE, "text/html"), (BLOCK_HEADER, "block")],
        BLOCK_PAGE,
    )
        .into_response()
}

/// The header that tells a block from the platform's own 403.
pub const BLOCK_HEADER: header::HeaderName = header::HeaderName::from_static("x-waf-action");
const BLOCK_PAGE: &str = "<html>\n<head><title>403 Forbidden</title></head>\n<body>\n<center><h1>403 Forbidden</h1></center>\n<center>Request blocked by the web application firewall</center>\n</body>\n</html>\n";
