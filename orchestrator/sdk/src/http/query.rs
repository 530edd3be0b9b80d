//! What is asked, read and checked; an error names the field.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use millrace_core::{RequestId, RunId, WorkflowId};
use millrace_format::message::{self, BadMessage, InboxMessage};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answer::{Answer, ApiError};
use crate::client::{ErrorKind, Filter};

/// The longest body that is taken.
const MOST_BODY_BYTES: usize = <dyn millrace_engine::ports::Queues>::LARGEST_BODY_BYTES;

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

/// `?limit=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Most {
    #[serde(default = "most")]
    pub(super) limit: usize,
}

fn most() -> usize {
    100
}

/// `?run_id=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    pub(super) run_id: Option<RunId>,
}

/// The longest wait in one request.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// `?run_id=&timeout_s=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Until {
    #[serde(default)]
    pub(super) run_id: Option<RunId>,
    #[serde(default)]
    timeout_s: Option<f64>,
}

impl Until {
    /// How long to wait; no longer than one request may.
    pub(super) fn wait(&self, default: Duration) -> Answer<Duration> {
        waiting(self.timeout_s, default)
    }
}

/// `?timeout_s=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Within {
    #[serde(default)]
    timeout_s: Option<f64>,
}

impl Within {
    /// How long to wait; not at all unless that is asked for.
    pub(super) fn wait(&self) -> Answer<Duration> {
        waiting(self.timeout_s, Duration::ZERO)
    }
}

fn waiting(timeout_s: Option<f64>, default: Duration) -> Answer<Duration> {
    let Some(seconds) = timeout_s else { return Ok(default.min(LONGEST_WAIT)) };
    let wait = Duration::try_from_secs_f64(seconds)
        .map_err(|_| ApiError::invalid(format!("timeout_s: {seconds} is not a number of seconds")))?;
    Ok(wait.min(LONGEST_WAIT))
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

/// Which runs to list. `attribute` may come more than once, which axum's own form does not read.
pub(super) struct Listing(pub(super) Filter);

impl<S: std::marker::Send + Sync> FromRequestParts<S> for Listing {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        let form =
            serde_html_form::Deserializer::from_bytes(parts.uri.query().unwrap_or_default().as_bytes());
        serde_path_to_error::deserialize(form).map(Self).map_err(|bad| ApiError::invalid(bad.to_string()))
    }
}

pub(super) fn workflow_id(text: &str) -> Answer<WorkflowId> {
    WorkflowId::new(text).map_err(|bad| ApiError::invalid(format!("id: {bad}")))
}

pub(super) fn request_id(text: &str) -> Answer<RequestId> {
    RequestId::new(text).map_err(|bad| ApiError::invalid(format!("request_id: {bad}")))
}

/// Reads an inbox message.
pub(super) async fn inbox_message(body: Body) -> Answer<InboxMessage> {
    message::read_request(&text(body).await?).map_err(|BadMessage(reason)| ApiError::invalid(reason))
}

/// Reads a body of any other shape; an error names the field.
pub(super) async fn json<T: DeserializeOwned>(body: Body) -> Answer<T> {
    let text = text(body).await?;
    let mut json = serde_json::Deserializer::from_str(&text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| ApiError::invalid(error.to_string()))
}

async fn text(body: Body) -> Answer<String> {
    let bytes = to_bytes(body, MOST_BODY_BYTES).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        if source.is_some_and(|source| source.is::<http_body_util::LengthLimitError>()) {
            let message =
                format!("the body is larger than {MOST_BODY_BYTES} bytes; put large data elsewhere and send its address");
            return ApiError::new(ErrorKind::TooLarge, message);
        }
        ApiError::invalid(format!("the body did not arrive whole: {error}"))
    })?;
    String::from_utf8(bytes.into()).map_err(|_| ApiError::invalid("the body is not UTF-8"))
}
