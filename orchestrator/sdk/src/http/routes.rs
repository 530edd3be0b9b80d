//! What each route does.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use millrace_engine::{DeadLetter, Listed, Treated};
use millrace_format::history::encode_event;
use millrace_format::message::{InboxMessage, SignalMessage};

use super::answer::{Answer, ApiError};
use super::guard::{Guard, guard};
use super::query::{
    Asked, Listing, Most, Send, Until, Wait, Which, Within, inbox_message, json, request_id, workflow_id,
};
use crate::Client;
use crate::client::{
    AnswerBody, Backend, Description, EngineInfo, ErrorKind, OutcomeBody, QueryBody, ResultBody, Sent,
    TreatBody, UpdateBody,
};
use crate::codec::Codecs;

/// What the routes work with.
pub(super) struct Service {
    pub(super) client: Client,
    pub(super) about: EngineInfo,
}

/// Set to `plain`, payloads are plain in the request and in the answer, as far as the app's codecs can say; else they are as
/// in the log.
const PAYLOADS: &str = "Millrace-Payloads";

/// How a request wants payloads.
struct Asks {
    backend: Arc<dyn Backend>,
    codecs: Option<Codecs>,
}

impl FromRequestParts<Arc<Service>> for Asks {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Answer<Self> {
        let client = &service.client;
        match parts.headers.get(PAYLOADS).map(|value| value.as_bytes()) {
            None | Some(b"stored") => Ok(Self { backend: client.raw().clone(), codecs: None }),
            Some(b"plain") => {
                Ok(Self { backend: client.backend().clone(), codecs: Some(client.hooks().codecs.clone()) })
            }
            Some(_) => Err(ApiError::invalid(format!("{PAYLOADS}: is `plain` or `stored`"))),
        }
    }
}

type Served = State<Arc<Service>>;

pub(super) fn router(service: Arc<Service>, guarded: Arc<Guard>) -> Router {
    Router::new()
        .route("/v1/engine", get(engine))
        .route("/v1/messages", post(send))
        .route("/v1/workflows", get(list))
        .route("/v1/dead-letters/{queue}", get(dead_letters).post(treat))
        .route("/v1/workflows/{id}", get(describe))
        .route("/v1/workflows/{id}/history", get(history))
        .route("/v1/workflows/{id}/result", get(result))
        .route("/v1/workflows/{id}/request/{request_id}", get(absorbed))
        .route("/v1/workflows/{id}/query", post(query))
        .route("/v1/workflows/{id}/update", post(update))
        .route("/v1/workflows/{id}/update/{request_id}", get(answer))
        .fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .with_state(service)
        .layer(from_fn_with_state(guarded, guard))
}

async fn no_route(method: Method, uri: Uri) -> ApiError {
    ApiError::new(ErrorKind::NotFound, format!("there is no `{method} {}` here", uri.path()))
}

async fn engine(State(service): Served) -> Json<EngineInfo> {
    Json(service.about.clone())
}

async fn send(asks: Asks, Asked(asked): Asked<Send>, body: Body) -> Answer<(StatusCode, Json<Sent>)> {
    let message = inbox_message(body).await?;
    let sent = match asked.wait {
        Some(Wait::Absorbed) => asks.backend.send(message).await?,
        None => asks.backend.enqueue(message).await?,
    };
    Ok(accepted(sent))
}

fn accepted(sent: Sent) -> (StatusCode, Json<Sent>) {
    let status = if sent.run_id.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, Json(sent))
}

async fn absorbed(
    asks: Asks,
    Path((id, request)): Path<(String, String)>,
    Asked(within): Asked<Within>,
) -> Answer<(StatusCode, Json<Sent>)> {
    let (id, request_id, wait) = (workflow_id(&id)?, request_id(&request)?, within.wait()?);
    let run_id = asks.backend.absorbed_by(&id, &request_id, wait).await?;
    Ok(accepted(Sent { request_id, run_id }))
}

async fn list(asks: Asks, Listing(filter): Listing) -> Answer<Json<Vec<Listed>>> {
    Ok(Json(asks.backend.list(&filter).await?))
}

async fn dead_letters(
    asks: Asks,
    Path(queue): Path<String>,
    Asked(most): Asked<Most>,
) -> Answer<Json<Vec<DeadLetter>>> {
    Ok(Json(asks.backend.dead_letters(&queue, most.limit).await?))
}

async fn treat(asks: Asks, Path(queue): Path<String>, body: Body) -> Answer<Json<Treated>> {
    let TreatBody { treatment, letters } = json(body).await?;
    Ok(Json(asks.backend.treat_dead_letters(&queue, treatment, &letters).await?))
}

async fn describe(
    asks: Asks,
    Path(id): Path<String>,
    Asked(which): Asked<Which>,
) -> Answer<Json<Description>> {
    Ok(Json(asks.backend.describe(&workflow_id(&id)?, which.run_id).await?))
}

async fn history(asks: Asks, Path(id): Path<String>, Asked(which): Asked<Which>) -> Answer<Response> {
    let events = asks.backend.history(&workflow_id(&id)?, which.run_id).await?;
    let mut lines = String::new();
    events.iter().for_each(|event| encode_event(event, &mut lines));
    let lines = match &asks.codecs {
        Some(codecs) => codecs.shown(&lines).into_owned(),
        None => lines,
    };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}

async fn result(asks: Asks, Path(id): Path<String>, Asked(until): Asked<Until>) -> Answer<Json<OutcomeBody>> {
    let wait = until.wait(Duration::ZERO)?;
    let outcome = asks.backend.outcome(&workflow_id(&id)?, until.run_id, wait).await?;
    Ok(Json(outcome.into()))
}

async fn query(
    asks: Asks,
    Path(id): Path<String>,
    Asked(which): Asked<Which>,
    body: Body,
) -> Answer<Json<ResultBody>> {
    let (id, QueryBody { name, input }) = (workflow_id(&id)?, json(body).await?);
    Ok(Json(ResultBody { result: asks.backend.query(&id, which.run_id, &name, &input).await? }))
}

async fn update(
    asks: Asks,
    Path(id): Path<String>,
    Asked(until): Asked<Until>,
    body: Body,
) -> Answer<(StatusCode, Json<AnswerBody>)> {
    let wait = until.wait(Duration::MAX)?;
    let (id, UpdateBody { name, input, request_id }) = (workflow_id(&id)?, json(body).await?);
    let message = SignalMessage {
        request_id,
        ..SignalMessage::new(id.clone(), name, input, None).of_run(until.run_id)
    };
    let Sent { request_id, run_id } = asks.backend.send(InboxMessage::Update(message)).await?;
    let answer = asks.backend.answer(&id, run_id.or(until.run_id), &request_id, wait).await?;
    Ok(answered(AnswerBody::new(request_id, run_id, answer)))
}

async fn answer(
    asks: Asks,
    Path((id, request)): Path<(String, String)>,
    Asked(until): Asked<Until>,
) -> Answer<(StatusCode, Json<AnswerBody>)> {
    let (id, request_id, wait) = (workflow_id(&id)?, request_id(&request)?, until.wait(Duration::ZERO)?);
    let answer = asks.backend.answer(&id, until.run_id, &request_id, wait).await?;
    Ok(answered(AnswerBody::new(request_id, until.run_id, answer)))
}

fn answered(body: AnswerBody) -> (StatusCode, Json<AnswerBody>) {
    let status = if body.is_answered() { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, Json(body))
}
