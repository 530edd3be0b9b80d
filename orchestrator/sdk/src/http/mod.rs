//! The HTTP API: JSON on the loopback address, for the verbs and for programs on the same machine.
//!
//! | route | |
//! |---|---|
//! | `POST /v1/messages` | an inbox message as it is (DESIGN §5); `?wait=absorbed` also waits for the log |
//! | `GET /v1/workflows` | runs, newest first: `?status=`, `?workflow=`, `?blocked=true`, `?paused=true`, `?id_prefix=`, `?since=`, `?until=`, `?attribute=` (more than one), `?limit=` |
//! | `GET /v1/workflows/{id}` | where the run stands; here and below, `?run_id=` names an earlier run |
//! | `GET /v1/workflows/{id}/history` | its events, one JSON line each |
//! | `GET /v1/workflows/{id}/result` | how it ended; `?timeout_s=` waits for that |
//! | `POST /v1/workflows/{id}/query` | asks the code: `{"name":…,"input":…}` |
//! | `POST /v1/workflows/{id}/update` | asks for a change, and waits for the answer: `?timeout_s=`, 60 unless given |
//! | `GET /v1/workflows/{id}/request/{request_id}` | which run has absorbed a request; `?timeout_s=` waits for it |
//! | `GET /v1/workflows/{id}/update/{request_id}` | the answer to an update; `?timeout_s=` waits for it |
//! | `GET /v1/dead-letters/{queue}` | the dead letters of `inbox`, `events` or a task queue: `?limit=` |
//! | `POST /v1/dead-letters/{queue}` | `{"do":"redrive"}` or `"delete"`, `"letters"`: `"all"` or `{"ids":[…]}` |
//! | `GET /v1/engine` | what this engine can run |
//!
//! A request with `Millrace-Payloads: plain` speaks plain values, encoded and decoded by the app's codecs; without it payloads
//! are what the log has, so whoever has the key may do that himself.
//!
//! What holds: whoever cannot read `api.json` can do nothing here: each request needs its token, which is compared in
//! constant time. A web page cannot reach it by a name that it lets point to 127.0.0.1: the `Host` header must be ours.
//! Errors are `{"error":{"kind":"…","message":"…"}}` with the status that fits. It is not made to face a network.

mod answer;
mod guard;
mod query;
mod routes;
mod server;

pub(crate) use server::{Server, about};
