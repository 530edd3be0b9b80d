//! What is asked, read and checked; an error names the field.

use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use millrace_core::{RunId, WorkflowId};
use millrace_format::message::{self, BadMessage, InboxMessage};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answer::{Answer, ApiError};
use crate::client::ErrorKind;

/// The longest body that is taken.
const MOST_BODY_BYTES: usize = 1 << 20;

/// `?wait=absorbed`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    #[serde(default)]
    pub(super) wait: Option<Wait>,
}

/// What a sender waits for.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wait {
    Absorbed,
}

/// `?run_id=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    pub(super) run_id: Option<RunId>,
}

/// `?run_id=&timeout_s=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Until {
    #[serde(default)]
    pub(super) run_id: Option<RunId>,
    #[serde(default)]
    pub(super) timeout_s: f64,
}

/// A query whose errors are ours.
pub(super) struct Asked<T>(pub(super) T);

impl<S: std::marker::Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let asked: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        match asked {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(bad) => Err(ApiError::invalid(bad.body_text())),
        }
    }
}

pub(super) fn workflow_id(text: &str) -> Answer<WorkflowId> {
    WorkflowId::new(text).map_err(|bad| ApiError::invalid(format!("id: {bad}")))
}

/// Reads an inbox message.
pub(super) async fn inbox_message(body: Body) -> Answer<InboxMessage> {
    let bytes = to_bytes(body, MOST_BODY_BYTES).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        if source.is_some_and(|source| source.is::<http_body_util::LengthLimitError>()) {
            let message =
                format!("the body is larger than {MOST_BODY_BYTES} bytes; put large data elsewhere and send its address");
            return ApiError(ErrorKind::TooLarge, message);
        }
        ApiError::invalid(format!("the body did not arrive whole: {error}"))
    })?;
    let body = std::str::from_utf8(&bytes).map_err(|_| ApiError::invalid("the body is not UTF-8"))?;
    typed(body).map_err(|BadMessage(reason)| ApiError::invalid(reason))
}

/// The door's own checks name the field; then the body is known to fit its type.
fn typed(body: &str) -> Result<InboxMessage, BadMessage> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "type")]
        kind: String,
    }
    message::read_inbox(body, "unused")?;
    let bad = |error: serde_json::Error| BadMessage(error.to_string());
    let Kind { kind } = serde_json::from_str(body).map_err(bad)?;
    match kind.as_str() {
        "start" => serde_json::from_str(body).map(InboxMessage::Start),
        "signal" => serde_json::from_str(body).map(InboxMessage::Signal),
        "cancel" => serde_json::from_str(body).map(InboxMessage::Cancel),
        "terminate" => serde_json::from_str(body).map(InboxMessage::Terminate),
        "resume" => serde_json::from_str(body).map(InboxMessage::Resume),
        other => return Err(BadMessage(format!("type: `{other:.100}` is unknown"))),
    }
    .map_err(bad)
}
