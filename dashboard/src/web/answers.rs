//! Answers as JSON, and refusals.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error_chain::ErrorChain;
use crate::figures::ViewError;
use crate::mirror::MirrorError;

/// A request that is not answered, with the status and the reason for people.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) StatusCode, pub(super) String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, json(&serde_json::json!({ "error": self.1 }))).into_response()
    }
}

impl From<ViewError> for Refusal {
    fn from(error: ViewError) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl From<MirrorError> for Refusal {
    fn from(error: MirrorError) -> Self {
        // The reason stays in the log: it may name hosts.
        tracing::warn!(error = %ErrorChain(&error), "a request is not answered");
        Self(
            StatusCode::SERVICE_UNAVAILABLE,
            "the database cannot be read now".into(),
        )
    }
}

/// A value as JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

pub(super) async fn nothing_there() -> Refusal {
    Refusal(
        StatusCode::NOT_FOUND,
        "there is nothing here; see /api/openapi.json".into(),
    )
}
