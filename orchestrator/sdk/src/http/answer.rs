//! What is answered: JSON, or an error of a kind that has one status.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::RunError;
use crate::client::{ErrorBody, ErrorKind};

/// An error as it goes out.
pub(super) struct ApiError(ErrorBody);

pub(super) type Answer<T> = Result<T, ApiError>;

impl ApiError {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(ErrorBody::new(kind, message))
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    #[cfg(test)]
    pub(super) fn kind(&self) -> ErrorKind {
        self.0.error.kind
    }
}

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        Self(ErrorBody::from(error))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = match self.0.error.kind {
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Rejected | ErrorKind::Blocked => StatusCode::CONFLICT,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(self.0)).into_response()
    }
}
