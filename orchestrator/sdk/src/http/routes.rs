//! What each route does.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use millrace_engine::Listed;
use millrace_format::history::encode_event;

use super::answer::{Answer, ApiError};
use super::guard::{Guard, guard};
use super::query::{Asked, Send, Until, Wait, Which, inbox_message, workflow_id};
use crate::client::{Backend, Description, EngineInfo, ErrorKind, Filter, OutcomeBody, Sent};

/// The longest wait for a result in one request.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What the routes work with.
pub(super) struct Service {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) about: EngineInfo,
}

type Served = State<Arc<Service>>;

pub(super) fn router(service: Arc<Service>, guarded: Arc<Guard>) -> Router {
    Router::new()
        .route("/v1/engine", get(engine))
        .route("/v1/messages", post(send))
        .route("/v1/workflows", get(list))
        .route("/v1/workflows/{id}", get(describe))
        .route("/v1/workflows/{id}/history", get(history))
        .route("/v1/workflows/{id}/result", get(result))
        .fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .with_state(service)
        .layer(from_fn_with_state(guarded, guard))
}

async fn no_route(method: Method, uri: Uri) -> ApiError {
    ApiError(ErrorKind::NotFound, format!("there is no `{method} {}` here", uri.path()))
}

async fn engine(State(service): Served) -> Json<EngineInfo> {
    Json(service.about.clone())
}

async fn send(
    State(service): Served,
    Asked(asked): Asked<Send>,
    body: Body,
) -> Answer<(StatusCode, Json<Sent>)> {
    let message = inbox_message(body).await?;
    let sent = match asked.wait {
        Some(Wait::Absorbed) => service.backend.send(message).await?,
        None => service.backend.enqueue(message).await?,
    };
    let status = if sent.run_id.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(sent)))
}

async fn list(State(service): Served, Asked(filter): Asked<Filter>) -> Answer<Json<Vec<Listed>>> {
    Ok(Json(service.backend.list(&filter).await?))
}

async fn describe(
    State(service): Served,
    Path(id): Path<String>,
    Asked(which): Asked<Which>,
) -> Answer<Json<Description>> {
    Ok(Json(service.backend.describe(&workflow_id(&id)?, which.run_id).await?))
}

async fn history(
    State(service): Served,
    Path(id): Path<String>,
    Asked(which): Asked<Which>,
) -> Answer<Response> {
    let events = service.backend.history(&workflow_id(&id)?, which.run_id).await?;
    let mut lines = String::new();
    events.iter().for_each(|event| encode_event(event, &mut lines));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}

async fn result(
    State(service): Served,
    Path(id): Path<String>,
    Asked(until): Asked<Until>,
) -> Answer<Json<OutcomeBody>> {
    let wait = Duration::try_from_secs_f64(until.timeout_s).map_err(|_| {
        ApiError::invalid(format!("timeout_s: {} is not a number of seconds", until.timeout_s))
    })?;
    let outcome = service.backend.outcome(&workflow_id(&id)?, until.run_id, wait.min(LONGEST_WAIT)).await?;
    Ok(Json(outcome.into()))
}
