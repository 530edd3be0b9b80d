//! The backend over HTTP, to an engine in another process of this machine.
//!
//! The HTTP client is hyper's own: it is in the tree already, beneath the server, and a loopback address needs no TLS,
//! proxies or cookies.

use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use millrace_core::{Event, Payload, RequestId, RunId, WorkflowId};
use millrace_engine::{DeadLetter, Letters, Listed, Outcome, Treated, Treatment, origin};
use millrace_format::history::decode_event;
use millrace_format::message::{self, InboxMessage};
use serde::de::DeserializeOwned;

use super::backend::{Backend, Description, Filter, Sent};
use super::error::RunError;
use super::wire::{AnswerBody, EngineInfo, ErrorBody, OutcomeBody, QueryBody, ResultBody, TreatBody};

/// A client of the HTTP API. Its calls need a tokio runtime.
#[derive(Clone)]
pub(crate) struct Remote {
    http: Http<HttpConnector, Full<Bytes>>,
    url: String,
    token: String,
}

impl Remote {
    /// A client of the engine at `url` (`http://127.0.0.1:port`).
    pub(crate) fn new(url: String, token: String) -> Self {
        Self { http: Http::builder(TokioExecutor::new()).build_http(), url, token }
    }

    /// What the engine there can run.
    pub(crate) async fn engine(&self) -> Result<EngineInfo, RunError> {
        self.get("/v1/engine").await
    }

    async fn call(&self, method: Method, path: &str, body: String) -> Result<Bytes, RunError> {
        let unavailable = |what: &dyn std::fmt::Display| {
            RunError::Unavailable(format!("the engine at {} does not answer: {what}", self.url))
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| unavailable(&error))?;
        let response = self.http.request(request).await.map_err(|error| unavailable(&error))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| unavailable(&error))?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        Err(match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(error) => error.into(),
            Err(_) => unavailable(&describe(status)),
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RunError> {
        let body = self.call(Method::GET, path, String::new()).await?;
        self.read(&body)
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, RunError> {
        serde_json::from_slice(body).map_err(|error| self.strange(&error))
    }

    fn strange(&self, error: &dyn std::fmt::Display) -> RunError {
        let url = &self.url;
        RunError::Unavailable(format!(
            "the engine at {url} gave an answer that this build cannot read: {error}"
        ))
    }
}

fn describe(status: StatusCode) -> String {
    format!("it is no Millrace engine, or another version (HTTP {status})")
}

/// Every character that an id may have is allowed in a path as it is.
fn path(id: &WorkflowId, what: &str, query: &[(&str, Option<String>)]) -> String {
    let mut path = format!("/v1/workflows/{id}{what}");
    let given = query.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    for (i, (name, value)) in given.enumerate() {
        path.push(if i == 0 { '?' } else { '&' });
        path.push_str(name);
        path.push('=');
        path.push_str(value);
    }
    path
}

fn run_id(run: Option<RunId>) -> (&'static str, Option<String>) {
    ("run_id", run.map(|run| run.to_string()))
}

#[async_trait]
impl Backend for Remote {
    fn name(&self) -> String {
        format!("the engine at {}", self.url)
    }

    fn is_live(&self) -> bool {
        true
    }

    async fn send(&self, message: InboxMessage) -> Result<Sent, RunError> {
        let body = self.call(Method::POST, "/v1/messages?wait=absorbed", message::write(&message)).await?;
        self.read(&body)
    }

    async fn enqueue(&self, message: InboxMessage) -> Result<Sent, RunError> {
        let body = self.call(Method::POST, "/v1/messages", message::write(&message)).await?;
        self.read(&body)
    }

    async fn absorbed_by(
        &self,
        id: &WorkflowId,
        request: &RequestId,
        wait: Duration,
    ) -> Result<Option<RunId>, RunError> {
        let timeout = ("timeout_s", Some(wait.as_secs_f64().to_string()));
        let sent: Sent = self.get(&path(id, &format!("/request/{request}"), &[timeout])).await?;
        Ok(sent.run_id)
    }

    async fn describe(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Description, RunError> {
        self.get(&path(id, "", &[run_id(run)])).await
    }

    async fn history(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Vec<Event>, RunError> {
        let body = self.call(Method::GET, &path(id, "/history", &[run_id(run)]), String::new()).await?;
        let text = std::str::from_utf8(&body).map_err(|error| self.strange(&error))?;
        text.lines().map(|line| decode_event(line).map_err(|error| self.strange(&error))).collect()
    }

    async fn outcome(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        wait: Duration,
    ) -> Result<Option<Outcome>, RunError> {
        let timeout = ("timeout_s", Some(wait.as_secs_f64().to_string()));
        let body: OutcomeBody = self.get(&path(id, "/result", &[timeout, run_id(run)])).await?;
        Ok(body.into())
    }

    async fn answer(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        update: &RequestId,
        wait: Duration,
    ) -> Result<Option<Payload>, RunError> {
        let timeout = ("timeout_s", Some(wait.as_secs_f64().to_string()));
        let body: AnswerBody =
            self.get(&path(id, &format!("/update/{update}"), &[timeout, run_id(run)])).await?;
        Ok(body.answer())
    }

    async fn query(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        name: &str,
        input: &Payload,
    ) -> Result<Payload, RunError> {
        let asked = message::write(&QueryBody { name: name.to_owned(), input: input.clone() });
        let body = self.call(Method::POST, &path(id, "/query", &[run_id(run)]), asked).await?;
        Ok(self.read::<ResultBody>(&body)?.result)
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Listed>, RunError> {
        let query =
            serde_html_form::to_string(filter).map_err(|error| RunError::Rejected(error.to_string()))?;
        self.get(&format!("/v1/workflows?{query}")).await
    }

    async fn dead_letters(&self, queue: &str, limit: usize) -> Result<Vec<DeadLetter>, RunError> {
        let queue = origin(queue).map_err(RunError::Rejected)?;
        self.get(&format!("/v1/dead-letters/{queue}?limit={limit}")).await
    }

    async fn treat_dead_letters(
        &self,
        queue: &str,
        treatment: Treatment,
        letters: &Letters,
    ) -> Result<Treated, RunError> {
        let queue = origin(queue).map_err(RunError::Rejected)?;
        let asked = message::write(&TreatBody { treatment, letters: letters.clone() });
        let body = self.call(Method::POST, &format!("/v1/dead-letters/{queue}"), asked).await?;
        self.read(&body)
    }
}

#[cfg(test)]
mod tests {
    use millrace_format::message::StartMessage;

    use super::*;
    use crate::App;
    use crate::dev::{Dev, Options};

    /// A run of a workflow that nobody has the code of begins, too.
    #[tokio::test]
    async fn a_request_is_waited_for_over_http() {
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev::start(&App::new(), Options { port: Some(0), ..Options::new(folder.path()) }).unwrap();
        let api = crate::dev::ApiFile::read(folder.path()).unwrap();
        let remote = Remote::new(api.url, api.token);
        let (id, request) = (WorkflowId::new("a").unwrap(), RequestId::new("r:1").unwrap());
        assert_eq!(remote.absorbed_by(&id, &request, Duration::ZERO).await, Ok(None));
        let start = StartMessage::plain(id.clone(), "W".parse().unwrap(), Payload::null());
        let start = StartMessage { request_id: Some(request.clone()), ..start };
        remote.enqueue(InboxMessage::Start(start)).await.unwrap();
        let run = remote.absorbed_by(&id, &request, Duration::from_secs(60)).await.unwrap();
        assert_eq!(run, Some(remote.describe(&id, None).await.unwrap().run_id));
        dev.stop().await;
    }
}
