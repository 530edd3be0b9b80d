//! Stands right before the bucket and the queues, behind all faults, and sees what really comes about: histories that
//! only grow, with each turn, effects that a history has recorded before, and nothing that must stay hidden. What a message
//! points to is looked at in its place, and must be there before it is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_core::{ChildId, Parent, PendingEffect, RunId, WorkflowId};
use millrace_engine::ports::{
    Bodies, Condition, DeleteError, Delivery, ETag, ObjectStore, OutMessage, PutError, QueueError, QueueName,
    Queues, Receipt, SendError, StoreError, Stored, pointed_to,
};
use millrace_local::Memory;
use serde_json::Value;

use crate::bodies::{self, Bucket};
use crate::vocabulary::{Schemas, Words};
use crate::warrants::{self, EffectId, Told};

/// The bucket and the queues, watched.
pub struct Watch {
    memory: Arc<Memory>,
    bodies: Bodies<Bucket>,
    /// What nothing may show.
    hidden: &'static [&'static str],
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    runs: BTreeMap<String, Log>,
    /// The messages under which each effect was asked for: their deliveries do it.
    guards: BTreeMap<EffectId, BTreeSet<Told>>,
    /// The last run of each child: the one that tells the parent.
    children: BTreeMap<(RunId, ChildId), RunId>,
    turns: u64,
    /// How many messages were sent to each queue that only point to their bodies.
    pointers: BTreeMap<QueueName, u64>,
    violations: Vec<String>,
    /// What has been said, if somebody listens, by these schemas.
    heard: Option<(Arc<Schemas>, Words)>,
}

/// What has been committed of one run.
#[derive(Default)]
struct Log {
    /// Each event's line, as a number.
    lines: BTreeMap<u64, u64>,
    /// What the events ask for.
    asked: BTreeSet<(&'static str, u64)>,
    /// The last header, but for what every commit changes.
    header: Value,
}

/// The events that ask for an effect, and the field that tells which.
const ASKING: [(&str, &str); 3] =
    [("ActivityScheduled", "activity_id"), ("TimerStarted", "timer_id"), ("ChildScheduled", "child_id")];

/// What differs in a header although its turn has changed nothing: what was done is not pending any more, and a long tail is
/// sealed on the way.
const OF_THE_COMMIT: [&str; 7] = ["turn", "nonce", "build", "crc", "parts", "first", "effects"];

impl Watch {
    /// Watches this bucket and these queues.
    pub fn new(memory: Arc<Memory>) -> Arc<Self> {
        Self::hiding(memory, &[])
    }

    /// The same, where nothing may show any of this.
    pub fn hiding(memory: Arc<Memory>, hidden: &'static [&'static str]) -> Arc<Self> {
        let bodies = bodies::of(memory.clone());
        Arc::new(Self { memory, bodies, hidden, seen: Mutex::default() })
    }

    fn looks_at(&self, place: &dyn std::fmt::Display, body: &[u8]) {
        let shows = |text: &&&str| body.windows(text.len()).any(|part| part == text.as_bytes());
        if let Some(shown) = self.hidden.iter().find(shows) {
            self.seen().violations.push(format!("{place} shows `{shown}`"));
        }
    }

    /// What must not have happened, but did.
    pub fn violations(&self) -> Vec<String> {
        self.seen().violations.clone()
    }

    /// Listens to what histories and messages say.
    pub fn listens(&self, schemas: Arc<Schemas>) {
        self.seen().heard = Some((schemas, Words::new()));
    }

    /// What they have said since.
    pub fn heard(&self) -> Words {
        self.seen().heard.as_ref().map(|(_, words)| words.clone()).unwrap_or_default()
    }

    /// Whether this run has begun.
    pub fn has_committed(&self, run_id: &str) -> bool {
        self.seen().runs.contains_key(run_id)
    }

    /// Notes what somebody else has seen that must not be.
    pub fn blames(&self, what: String) {
        self.seen().violations.push(what);
    }

    /// The messages whose deliveries do this effect, as far as has been committed.
    pub fn guards_of(&self, effect: &EffectId) -> BTreeSet<Told> {
        self.seen().guards.get(effect).cloned().unwrap_or_default()
    }

    /// The run that tells this parent how its child ended, as far as has been committed.
    pub fn run_of(&self, parent: RunId, child_id: ChildId) -> Option<RunId> {
        self.seen().children.get(&(parent, child_id)).copied()
    }

    /// How many turns have been committed, and how many events with them.
    pub fn turns_and_events(&self) -> (u64, u64) {
        let seen = self.seen();
        (seen.turns, seen.runs.values().map(|log| log.lines.len() as u64).sum())
    }

    /// How many messages were sent to each queue that only point to their bodies.
    pub fn pointers(&self) -> BTreeMap<QueueName, u64> {
        self.seen().pointers.clone()
    }

    /// What a message says: the body that it points to, if it does.
    async fn said(&self, queue: &QueueName, body: &str) -> String {
        if pointed_to(queue, body).is_none() {
            return body.to_owned();
        }
        let said = self.bodies.resolve(queue, body.to_owned()).await.unwrap_or_default();
        let mut seen = self.seen();
        *seen.pointers.entry(queue.clone()).or_default() += 1;
        if said.is_empty() || said == body {
            seen.violations.push(format!("{queue}: `{body}` leaves before its body is there"));
        }
        said
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn hears(&mut self, name: &str, text: &str) {
        if let Some((schemas, words)) = &mut self.heard
            && let Ok(said) = serde_json::from_str(text)
        {
            schemas.hear(name, &said, words);
        }
    }

    /// G2: what is recorded once stays as it is, and nothing is left out between it and what follows.
    fn committed(&mut self, key: &str, body: &[u8]) {
        let Ok(text) = std::str::from_utf8(body) else { return };
        let mut lines = text.lines();
        self.hears("history-header", lines.clone().next().unwrap_or_default());
        lines.clone().skip(1).for_each(|line| self.hears("history-event", line));
        let mut header: Value =
            lines.next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        let Some(run_id) = header["run_id"].as_str().map(str::to_owned) else { return };
        self.guarded(&header);
        let log = self.runs.entry(run_id.clone()).or_default();
        let known = log.lines.last_key_value().map_or(0, |(n, _)| *n);
        let (first, last) = (header["first"].as_u64().unwrap_or(1), header["last"].as_u64().unwrap_or(0));
        let is_new = log.lines.is_empty();
        if last < known || (!is_new && first > known + 1) {
            self.violations.push(format!("G2: {key} goes from event {known} to events {first} to {last}"));
        }
        for (line, n) in lines.zip(first..) {
            let mut hasher = DefaultHasher::new();
            line.hash(&mut hasher);
            let hash = hasher.finish();
            match log.lines.insert(n, hash) {
                None => {
                    log.asked.extend(asks(line));
                    self.children.extend(begins_child(line).zip(run_id.parse().ok()));
                }
                Some(before) if before == hash => {}
                Some(_) => self.violations.push(format!("G2: {key}: event {n} is another now: {line}")),
            }
        }
        if let Some(header) = header.as_object_mut() {
            header.retain(|field, _| !OF_THE_COMMIT.contains(&field.as_str()));
        }
        let is_archive = key.ends_with(&format!("/{run_id}/history"));
        if !is_archive {
            self.turns += 1;
            if last == known && log.header == header {
                self.violations
                    .push(format!("cost: {key} is written again at event {last}, and says the same"));
            }
        }
        log.header = header;
    }

    /// G4: every effect has a guard.
    fn guarded(&mut self, header: &Value) {
        let of_run = (
            serde_json::from_value(header["run_id"].clone()),
            serde_json::from_value(header["workflow_id"].clone()),
        );
        let (Ok(run_id), Ok(workflow_id)): (Result<RunId, _>, Result<WorkflowId, _>) = of_run else { return };
        let pending =
            serde_json::from_value::<Vec<PendingEffect>>(header["effects"].clone()).unwrap_or_default();
        for PendingEffect { guard, effect } in pending {
            let effect = warrants::named(run_id, &effect);
            self.guards.entry(effect).or_default().insert(Told::new(&workflow_id, Some(run_id), guard));
        }
    }

    /// G1: an effect whose event is not in the bucket yet must not leave.
    fn sent(&mut self, queue: &QueueName, body: &str) {
        match serde_json::from_str::<Value>(body).unwrap_or_default()["type"].as_str() {
            _ if queue.carries_tasks() => self.hears("task", body),
            Some(kind) => self.hears(kind, body),
            None => {}
        }
        let is_ours = queue.carries_tasks() || *queue == QueueName::events();
        let Some(message) = serde_json::from_str::<Value>(body).ok().filter(|_| is_ours) else { return };
        let asked = match message["type"].as_str() {
            _ if queue.carries_tasks() => ("activity_id", &message["run_id"], &message["activity_id"]),
            Some("timer") => ("timer_id", &message["run_id"], &message["timer_id"]),
            Some("start_child") => ("child_id", &message["parent"]["run_id"], &message["parent"]["child_id"]),
            _ => return,
        };
        let (what, Some(run_id), Some(n)) = (asked.0, asked.1.as_str(), asked.2.as_u64()) else {
            return self.violations.push(format!("G1: it cannot be told what asked for {body}"));
        };
        if !self.runs.get(run_id).is_some_and(|log| log.asked.contains(&(what, n))) {
            self.violations.push(format!("G1: {what} {n} of run {run_id} leaves before its commit"));
        }
    }
}

/// Whose child begins with this event, and which.
fn begins_child(line: &str) -> Option<(RunId, ChildId)> {
    let event: Value =
        line.contains("\"type\":\"RunStarted\"").then(|| serde_json::from_str(line).ok())??;
    let parent: Parent = serde_json::from_value(event["parent"].clone()).ok()?;
    Some((parent.run_id, parent.child_id))
}

fn asks(line: &str) -> Option<(&'static str, u64)> {
    let (_, field) = ASKING.iter().find(|(kind, _)| line.contains(&format!("\"type\":\"{kind}\"")))?;
    let event: Value = serde_json::from_str(line).ok()?;
    Some((field, event[field].as_u64()?))
}

#[async_trait]
impl ObjectStore for Watch {
    async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.memory.get(key).await
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        self.looks_at(&key, &body);
        let etag = self.memory.put(key, body.clone(), condition).await?;
        if key.ends_with("/history") {
            self.seen().committed(key, &body);
        }
        Ok(etag)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        ObjectStore::delete(&*self.memory, key).await
    }

    async fn delete_if(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        self.memory.delete_if(key, version).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.memory.list(prefix, after, before, limit).await
    }
}

#[async_trait]
impl Queues for Watch {
    fn batch_limit(&self) -> usize {
        self.memory.batch_limit()
    }

    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>> {
        for message in &messages {
            let said = self.said(queue, &message.body).await;
            self.looks_at(queue, said.as_bytes());
            self.seen().sent(queue, &said);
        }
        self.memory.send(queue, messages).await
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        self.memory.receive(queue, max, wait, visibility).await
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        Queues::delete(&*self.memory, queue, receipts).await
    }

    async fn change_visibility(
        &self,
        queue: &QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        self.memory.change_visibility(queue, receipt, visibility).await
    }

    async fn settle(&self) -> Result<(), QueueError> {
        self.memory.settle().await
    }
}
