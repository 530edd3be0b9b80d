//! Dead letters, as a person deals with them: look, send again, throw away.
//!
//! What holds: looking takes nothing out of the queue. A letter is received, which hides it for a minute at most and counts a
//! receive that nobody limits there, and is given back. What somebody else has in hand at that moment is not seen, so a
//! list is as exact as the queue: what is shown is there, what is not shown may be. A redrive sends before it deletes, only
//! to the queue that the letter comes from, and only what its door takes; one that dies in between leaves a letter whose
//! second redrive counts once, because the message keeps its identity (G2).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millrace_core::{Namespace, TaskQueue, Timestamp};
use millrace_format::message;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Client, ClientError};
use crate::dispatch::send_one;
use crate::ports::{Delivery, OutMessage, QueueError, QueueName};

/// How long a letter is hidden while it is looked at.
const HIDDEN: Duration = Duration::from_secs(60);
/// A long poll asks all of a queue's servers.
const POLL: Duration = Duration::from_secs(1);

/// A message that nobody could do anything with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The queue it comes from: `inbox`, `events`, or `task-` and the task queue's name.
    pub queue: String,
    /// Names it in that queue's dead-letter queue.
    pub message_id: String,
    /// Why it is there; absent where it was received too often without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it came there.
    pub sent_at: Timestamp,
    /// How often it has been received there, this look included.
    pub receive_count: u32,
    /// The message.
    pub body: String,
}

/// Which dead letters of a queue are meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Letters {
    /// All that can be received.
    All,
    /// These, by their message ids.
    Ids(BTreeSet<String>),
}

impl Letters {
    fn include(&self, message_id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Ids(ids) => ids.contains(message_id),
        }
    }
}

/// What is done with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// They go back to the queue they come from.
    Redrive,
    /// They are thrown away.
    Delete,
}

/// What became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Treated {
    /// These were sent again, or thrown away.
    pub done: Vec<String>,
    /// These stay, because their queue's door would refuse them again.
    pub refused: Vec<RefusedLetter>,
    /// These were asked for and not found: gone, or in somebody's hands at the moment.
    pub missing: Vec<String>,
}

/// A dead letter that cannot be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedLetter {
    /// Which.
    pub message_id: String,
    /// Why.
    pub reason: String,
}

/// The queue whose dead letters a person means by `inbox`, `events`, a task queue's name, or `task-` and that.
pub fn origin(name: &str) -> Result<QueueName, String> {
    match name {
        "inbox" => Ok(QueueName::inbox()),
        "events" => Ok(QueueName::events()),
        task => {
            let task = TaskQueue::new(task.strip_prefix("task-").unwrap_or(task));
            task.map(|task| QueueName::task(&task)).map_err(|bad| format!("queue: {bad}"))
        }
    }
}

impl Client {
    /// Up to `limit` dead letters of a queue.
    pub async fn dead_letters(
        &self,
        queue: &QueueName,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, ClientError> {
        let held = self.hold(queue, limit).await?;
        self.give_back(queue, &held).await;
        let letter = |delivery: Delivery| DeadLetter {
            queue: queue.to_string(),
            message_id: delivery.message_id,
            error: delivery.error,
            sent_at: delivery.sent_at,
            receive_count: delivery.receive_count,
            body: delivery.body,
        };
        Ok(held.into_iter().map(letter).collect())
    }

    /// Sends dead letters back to their queue, or throws them away.
    pub async fn treat_dead_letters(
        &self,
        queue: &QueueName,
        treatment: Treatment,
        letters: &Letters,
    ) -> Result<Treated, ClientError> {
        let mut held = self.hold(queue, usize::MAX).await?;
        let mut treated = Treated::default();
        if let Letters::Ids(ids) = letters {
            let found: BTreeSet<_> = held.iter().map(|delivery| delivery.message_id.clone()).collect();
            treated.missing = ids.difference(&found).cloned().collect();
        }
        let meant = held.extract_if(.., |delivery| letters.include(&delivery.message_id)).collect::<Vec<_>>();
        let mut meant = meant.into_iter();
        let mut failed = None;
        for delivery in meant.by_ref() {
            match self.treat(queue, treatment, &delivery).await {
                Ok(None) => treated.done.push(delivery.message_id),
                Ok(Some(reason)) => {
                    treated.refused.push(RefusedLetter { message_id: delivery.message_id.clone(), reason });
                    held.push(delivery);
                }
                Err(error) => {
                    failed = Some(error);
                    held.push(delivery);
                    break;
                }
            }
        }
        held.extend(meant);
        self.give_back(queue, &held).await;
        self.ports.queues.settle().await?;
        failed.map_or(Ok(treated), |error| Err(error.into()))
    }

    /// `Some` is why it was refused.
    async fn treat(
        &self,
        queue: &QueueName,
        treatment: Treatment,
        delivery: &Delivery,
    ) -> Result<Option<String>, QueueError> {
        if treatment == Treatment::Redrive {
            let body = match admitted(queue, delivery, self.reader.keys.namespace()) {
                Ok(body) => body.into_owned(),
                Err(reason) => return Ok(Some(reason)),
            };
            match send_one(&self.ports, queue, OutMessage::now(body)).await {
                Err(QueueError::Invalid { reason, .. }) => return Ok(Some(reason)),
                sent => sent?,
            }
        }
        let receipt = std::slice::from_ref(&delivery.receipt);
        self.ports.queues.delete(&queue.dead_letters(), receipt).await?;
        Ok(None)
    }

    /// Receives what can be received of a queue's dead letters.
    async fn hold(&self, queue: &QueueName, limit: usize) -> Result<Vec<Delivery>, ClientError> {
        let (dead, most) = (queue.dead_letters(), self.ports.queues.batch_limit());
        let (mut held, mut seen): (Vec<Delivery>, _) = (Vec::new(), BTreeSet::new());
        while held.len() < limit {
            let max = most.min(limit - held.len());
            let batch = self.ports.queues.receive(&dead, max, POLL, HIDDEN).await?;
            let before = held.len();
            held.extend(batch.into_iter().filter(|delivery| seen.insert(delivery.message_id.clone())));
            // None is left, or the first ones come again because so many took more than a minute.
            if held.len() == before {
                break;
            }
        }
        Ok(held)
    }

    /// Makes them visible again. One that cannot be given back comes by itself when its visibility lapses.
    async fn give_back(&self, queue: &QueueName, held: &[Delivery]) {
        let dead = queue.dead_letters();
        for delivery in held {
            let given = self.ports.queues.change_visibility(&dead, &delivery.receipt, Duration::ZERO).await;
            if let Err(error) = given {
                tracing::debug!(%error, "a dead letter could not be given back");
            }
        }
    }
}

/// The message as it goes back to its queue, if the door takes it.
fn admitted<'a>(queue: &QueueName, delivery: &'a Delivery, own: &Namespace) -> Result<Cow<'a, str>, String> {
    let (body, namespace) = if *queue == QueueName::inbox() {
        let body = with_request_id(&delivery.body, &delivery.message_id);
        let read = message::read_inbox(&body, &delivery.message_id).map_err(|bad| bad.to_string())?;
        (body, read.namespace)
    } else if *queue == QueueName::events() {
        let read = message::read_event(&delivery.body).map_err(|bad| bad.to_string())?;
        (Cow::Borrowed(delivery.body.as_str()), read.namespace)
    } else {
        let task = message::read_task(&delivery.body).map_err(|bad| format!("not a task: {bad}"))?;
        (Cow::Borrowed(delivery.body.as_str()), task.namespace)
    };
    if namespace == *own {
        return Ok(body);
    }
    Err(format!("namespace: it is of `{namespace}`, and this is `{own}`"))
}

/// A request without an id goes by its message's. A copy of the message has another: so it is given the id of the first. What is
/// no request stays as it came.
pub(crate) fn with_request_id<'a>(body: &'a str, message_id: &str) -> Cow<'a, str> {
    let fields = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(body);
    let Ok(mut fields) = fields else { return body.into() };
    let kind = fields.get("type").and_then(|kind| serde_json::from_str::<Cow<'_, str>>(kind.get()).ok());
    if !kind.is_some_and(|kind| message::comes_through_inbox(&kind)) {
        return body.into();
    }
    let id = serde_json::Value::from(message_id).to_string();
    match fields.get("request_id").map(|given| given.get()) {
        None => body.replacen('{', &format!("{{\"request_id\":{id},"), 1).into(),
        // The same as none.
        Some("null") => {
            let Ok(id) = serde_json::from_str(&id) else { return body.into() };
            fields.insert("request_id".into(), id);
            message::write(&fields).into()
        }
        Some(_) => body.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_an_id_gets_that_of_its_message() {
        for (body, expected) in [
            (r#"{"type":"resume","id":"a"}"#, r#"{"request_id":"m-1","type":"resume","id":"a"}"#),
            (
                " {\"type\":\"start\",\"id\":\"{\"}",
                " {\"request_id\":\"m-1\",\"type\":\"start\",\"id\":\"{\"}",
            ),
            (r#"{"Records":[{}]}"#, r#"{"Records":[{}]}"#),
            (r#"{"type":"outcome"}"#, r#"{"type":"outcome"}"#),
            (
                r#"{"type":"start","input":{"n":1.0e400},"request_id": null}"#,
                r#"{"input":{"n":1.0e400},"request_id":"m-1","type":"start"}"#,
            ),
            (r#"{"request_id":"r","type":"resume"}"#, r#"{"request_id":"r","type":"resume"}"#),
            (r#"{"request_id":"r","id":"a"}"#, r#"{"request_id":"r","id":"a"}"#),
            ("[{}]", "[{}]"),
            ("{oops", "{oops"),
        ] {
            assert_eq!(with_request_id(body, "m-1"), expected);
        }
    }

    #[test]
    fn a_queue_is_named_as_people_do() {
        for (name, queue) in
            [("inbox", "inbox"), ("events", "events"), ("cpu", "task-cpu"), ("task-gpu", "task-gpu")]
        {
            assert_eq!(origin(name).unwrap().as_str(), queue);
        }
        assert!(origin("a/b").unwrap_err().starts_with("queue: "));
    }
}
