//! What is answered: JSON, or an error of a kind that has one status.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::RunError;
use crate::client::{ErrorBody, ErrorKind};

/// An error as it goes out.
pub(super) struct ApiError(pub(super) ErrorKind, pub(super) String);

pub(super) type Answer<T> = Result<T, ApiError>;

impl ApiError {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self(ErrorKind::Invalid, message.into())
    }
}

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        let body = ErrorBody::from(error).error;
        Self(body.kind, body.message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = match self.0 {
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Rejected => StatusCode::CONFLICT,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(ErrorBody::new(self.0, self.1))).into_response()
    }
}
