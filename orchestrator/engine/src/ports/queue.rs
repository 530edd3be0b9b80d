//! The queues: at-least-once, unordered, with delay, visibility, receive counts and dead letters.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millrace_core::{Payload, TaskQueue, Timestamp};

/// A queue of the system.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(Arc<str>);

impl QueueName {
    /// The public queue: starts, signals, cancels, terminates, resumes.
    pub fn inbox() -> Self {
        Self("inbox".into())
    }

    /// The internal queue: outcomes, timers, wakes.
    pub fn events() -> Self {
        Self("events".into())
    }

    /// The queue whose tasks wait for one kind of resource.
    pub fn task(queue: &TaskQueue) -> Self {
        Self(format!("task-{queue}").into())
    }

    /// The dead-letter queue of this queue.
    #[must_use]
    pub fn dead_letters(&self) -> Self {
        Self(format!("{}-dead", self.0).into())
    }

    /// Whether user code receives from this queue.
    pub fn carries_tasks(&self) -> bool {
        self.0.starts_with("task-")
    }

    /// The queue's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for QueueName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutMessage {
    /// The body: JSON text.
    pub body: String,
    /// How long it stays hidden first; at most `<dyn Queues>::LONGEST_DELAY`.
    pub delay: Duration,
    /// Why it is sent to a dead-letter queue.
    pub error: Option<String>,
}

impl OutMessage {
    /// A message to be delivered at once.
    pub fn now(body: String) -> Self {
        Self { body, delay: Duration::ZERO, error: None }
    }
}

/// What a receiver of a message answers with. It becomes void when the message's visibility lapses.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message as it was received. Until it is deleted, it is delivered again each time its visibility lapses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The message's id, the same at every delivery.
    pub message_id: String,
    /// For deleting it, or changing its visibility.
    pub receipt: Receipt,
    /// The body.
    pub body: String,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// How often it has been received, this time included.
    pub receive_count: u32,
    /// Why it is in a dead-letter queue, if it is.
    pub error: Option<String>,
}

/// A queue operation that did not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// Try again later.
    #[error("queue `{queue}` is unavailable: {reason}")]
    Unavailable {
        /// Which queue.
        queue: String,
        /// What went wrong.
        reason: String,
    },
    /// There is no such queue, or no permission: trying again will not help.
    #[error("queue `{queue}` refused: {reason}")]
    Invalid {
        /// Which queue.
        queue: String,
        /// What the queue service said.
        reason: String,
    },
    /// The receipt is void: somebody else may have the message now.
    #[error("the message's visibility has lapsed")]
    ReceiptVoid,
}

/// One message of a batch that was not sent.
pub type SendError = QueueError;

/// All queues of the system.
#[async_trait]
pub trait Queues: Send + Sync {
    /// How many messages one call of send, receive or delete may carry.
    fn batch_limit(&self) -> usize;

    /// Sends messages; the answer for each, in order. Any number may be given.
    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>>;

    /// Receives up to `max` messages, waiting up to `wait` for the first. Each stays hidden for `visibility`.
    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError>;

    /// Deletes received messages. One whose visibility has lapsed may come again all the same.
    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError>;

    /// Hides a received message for `visibility` from now, instead of what was set before; zero gives it back.
    async fn change_visibility(
        &self,
        queue: &QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<(), QueueError>;

    /// Returns when everything accepted so far, objects included, would survive a crash. Before something is told to
    /// the outside (a client's reply), this is waited for. SQS and S3 answer only then, so there it does nothing.
    async fn settle(&self) -> Result<(), QueueError>;
}

impl dyn Queues {
    /// The largest body that any queue takes, however it carries it: the largest payload, and what is around it. A larger one
    /// is refused as [`QueueError::Invalid`].
    pub const LARGEST_BODY_BYTES: usize = Payload::LARGEST_BYTES + (1 << 20);

    /// Refuses a body that is larger than that.
    ///
    /// # Errors
    /// [`QueueError::Invalid`], with what to do instead.
    pub fn accept(queue: &QueueName, body: &str) -> Result<(), QueueError> {
        let (bytes, most) = (body.len(), Self::LARGEST_BODY_BYTES);
        if bytes <= most {
            return Ok(());
        }
        let reason = format!(
            "the body has {bytes} bytes, at most {most} are allowed; put large data elsewhere and send its address"
        );
        Err(QueueError::Invalid { queue: queue.to_string(), reason })
    }

    /// The longest delay of a message, and the width of a timer bucket (§7): 15 minutes.
    pub const LONGEST_DELAY: Duration = Duration::from_secs(900);
}
