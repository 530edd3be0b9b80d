//! The names and URLs of the queues in SQS, and what a refused call to one of them means.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use millrace_engine::ports::{QueueError, QueueName};

use crate::fault::{Fault, Kind};

/// SQS takes no longer name.
const LONGEST_NAME: usize = 80;

/// Codes which say that this request will never work, whoever asks. With any other, it is tried again: a broken policy
/// or a lapsed key must lose no message.
const HOPELESS: &[&str] = &[
    "BatchRequestTooLong",
    "InvalidAddress",
    "InvalidAttributeName",
    "InvalidAttributeValue",
    "InvalidMessageContents",
    "InvalidParameterValue",
    "MissingParameter",
    "UnsupportedOperation",
    "ValidationError",
    "ValidationException",
];

/// What SQS adds when it does not say whether the queue is missing or the caller may not ask for it. Who may ask is told
/// plainly "does not exist". A missing queue fails activities for good, a permission that is late must not.
const OR_DENIED: &str = "do not have access";

/// Finds the URL of each queue once.
#[derive(Debug)]
pub(crate) struct Urls {
    pub(crate) client: Client,
    pub(crate) prefix: String,
    pub(crate) region: String,
    known: Mutex<BTreeMap<QueueName, String>>,
}

impl Urls {
    pub(crate) fn new(client: Client, prefix: String, region: String) -> Self {
        Self { client, prefix, region, known: Mutex::default() }
    }

    /// What the queue is called in SQS.
    pub(crate) fn name(&self, queue: &QueueName) -> String {
        format!("{}-{queue}", self.prefix)
    }

    pub(crate) async fn of(&self, queue: &QueueName) -> Result<String, QueueError> {
        if let Some(url) = self.lock().get(queue) {
            return Ok(url.clone());
        }
        let url = self.ask(queue).await.map_err(|fault| self.refused("sqs:GetQueueUrl", queue, &fault))?;
        self.lock().insert(queue.clone(), url.clone());
        Ok(url)
    }

    /// Asks SQS, and so finds out whether the queue is there.
    pub(crate) async fn ask(&self, queue: &QueueName) -> Result<String, Fault> {
        let name = self.name(queue);
        if name.len() > LONGEST_NAME {
            let text = format!("`{name}` is longer than the {LONGEST_NAME} characters of a queue's name");
            return Err(Fault { code: "InvalidParameterValue".to_owned(), ..Fault::unsent(text) });
        }
        let output = self.client.get_queue_url().queue_name(name).send().await;
        Ok(output.map_err(|error| Fault::of(&error))?.queue_url.unwrap_or_default())
    }

    /// The same for an SDK error.
    pub(crate) fn error<E>(
        &self,
        action: &str,
        queue: &QueueName,
        error: &SdkError<E, HttpResponse>,
    ) -> QueueError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.refused(action, queue, &Fault::of(error))
    }

    /// What a refused call means, with what was tried and what would help.
    pub(crate) fn refused(&self, action: &str, queue: &QueueName, fault: &Fault) -> QueueError {
        let name = self.name(queue);
        let is_missing = is_missing(fault);
        if is_missing {
            // One that is created later, perhaps in its place, is to be found.
            self.lock().remove(queue);
        }
        if is_missing && !fault.text.contains(OR_DENIED) {
            let reason = format!("there is no such queue: {name} in {}", self.region);
            return QueueError::Invalid { queue: queue.to_string(), reason };
        }
        let hint = match (is_missing, fault.is_denied()) {
            (true, _) => format!("; create it in {}, or allow {action} on {name}", self.region),
            (false, true) => format!("; allow {action} on {name}"),
            (false, false) => String::new(),
        };
        let reason = match fault.kind {
            Kind::Credentials => fault.text.clone(),
            Kind::NoAnswer | Kind::Refused => format!("{action} on {name}: {}{hint}", fault.text),
        };
        if is_hopeless(&fault.code) {
            QueueError::Invalid { queue: queue.to_string(), reason }
        } else {
            QueueError::Unavailable { queue: queue.to_string(), reason }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<QueueName, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the queue is missing, perhaps only for this caller. SQS has an old and a new name for most codes:
/// `AWS.SimpleQueueService.NonExistentQueue`, `QueueDoesNotExist`.
pub(crate) fn is_missing(fault: &Fault) -> bool {
    fault.code.ends_with("NonExistentQueue") || fault.code.ends_with("QueueDoesNotExist")
}

fn is_hopeless(code: &str) -> bool {
    let code = code.rsplit(['.', '#']).next().unwrap_or(code);
    HOPELESS.contains(&code)
}
