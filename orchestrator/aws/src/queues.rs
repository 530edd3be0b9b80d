//! The queues on SQS: standard queues, long polls, batches.
//!
//! It keeps the queues' URLs and nothing else. Sending is in `batch`; what is too large for a message never comes here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use futures::StreamExt as _;
use futures::stream;
use millrace_core::Timestamp;
use millrace_engine::ports::{
    Clock, Delivery, OutMessage, QueueError, QueueName, Queues, Receipt, SendError,
};

use crate::batch::{ATTEMPTS, BATCH, CONCURRENCY, unavailable, whole_seconds};
use crate::fault::Fault;
use crate::tuning::{self, LONGEST_WAIT};
use crate::urls::Urls;

/// The longest that SQS hides a message, in all from its receipt.
const LONGEST_VISIBILITY: Duration = Duration::from_secs(12 * 3600);

/// All queues of one prefix.
pub(crate) struct SqsQueues {
    pub(crate) urls: Arc<Urls>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl SqsQueues {
    /// A message as it came.
    fn delivery(&self, message: Message) -> Delivery {
        let attribute = |name| message.attributes.as_ref().and_then(|all| all.get(&name));
        let number = |name| attribute(name).and_then(|text| text.parse::<i64>().ok());
        let receive_count = number(MessageSystemAttributeName::ApproximateReceiveCount);
        let sent_at = number(MessageSystemAttributeName::SentTimestamp);
        let error = message.message_attributes.as_ref().and_then(|all| all.get("error"));
        let error = error.and_then(|error| error.string_value.clone());
        Delivery {
            message_id: message.message_id.unwrap_or_default(),
            receipt: Receipt(message.receipt_handle.unwrap_or_default()),
            body: message.body.unwrap_or_default(),
            sent_at: sent_at.map_or_else(|| self.clock.now(), Timestamp::from_millis),
            receive_count: receive_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
            error,
        }
    }

    /// Deletes up to ten messages, and again what SQS was at fault for.
    async fn delete_batch(
        &self,
        queue: &QueueName,
        url: &str,
        receipts: &[Receipt],
    ) -> Result<(), QueueError> {
        let mut left: Vec<(usize, &Receipt)> = receipts.iter().enumerate().collect();
        let mut reason = String::new();
        for attempt in 1..=ATTEMPTS {
            if attempt > 1 {
                self.pause(attempt - 1).await;
            }
            let failed = self.delete_once(queue, url, &left).await?;
            left.retain(|(place, _)| failed.iter().any(|(id, _)| *id == place.to_string()));
            match failed.into_iter().next() {
                None => return Ok(()),
                Some((_, why)) => reason = why,
            }
        }
        Err(unavailable(queue, &format!("{} messages were not deleted: {reason}", left.len())))
    }

    /// The places of those that were not deleted, and why.
    async fn delete_once(
        &self,
        queue: &QueueName,
        url: &str,
        receipts: &[(usize, &Receipt)],
    ) -> Result<Vec<(String, String)>, QueueError> {
        let refused = |fault: &Fault| self.urls.refused("sqs:DeleteMessage", queue, fault);
        if let [(_, receipt)] = receipts {
            let delete =
                self.urls.client.delete_message().queue_url(url).receipt_handle(&receipt.0).send().await;
            return match delete.map_err(|error| Fault::of(&error)) {
                Err(fault) if !is_void(&fault.code) => Err(refused(&fault)),
                Ok(_) | Err(_) => Ok(Vec::new()),
            };
        }
        let entry = |(place, receipt): &(usize, &Receipt)| {
            DeleteMessageBatchRequestEntry::builder().id(place.to_string()).receipt_handle(&receipt.0).build()
        };
        let entries = receipts.iter().map(entry).collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(|error| unavailable(queue, &error.to_string()))?;
        let delete = self.urls.client.delete_message_batch().queue_url(url).set_entries(Some(entries)).send();
        let output = delete.await.map_err(|error| refused(&Fault::of(&error)))?;
        let failed = output.failed.into_iter().filter(|entry| !is_void(&entry.code));
        Ok(failed
            .map(|entry| (entry.id, format!("{} {}", entry.code, entry.message.unwrap_or_default())))
            .collect())
    }
}

/// A receipt that has lapsed, or whose message is deleted. Deleting by such a one is a success: SQS itself says so of
/// most of them, and the message comes again or has gone.
fn is_void(code: &str) -> bool {
    ["ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"]
        .iter()
        .any(|void| code.ends_with(void))
}

#[async_trait]
impl Queues for SqsQueues {
    fn batch_limit(&self) -> usize {
        BATCH
    }

    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>> {
        if messages.is_empty() { Vec::new() } else { self.send_all(queue, messages).await }
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let url = self.urls.of(queue).await?;
        // A wait of less than a second is rounded up: only a long poll asks all of SQS's servers.
        let timeouts = aws_sdk_sqs::config::Config::builder().timeout_config(tuning::poll_timeouts(wait));
        let receive = self
            .urls
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(i32::try_from(max.clamp(1, BATCH)).unwrap_or(1))
            .wait_time_seconds(whole_seconds(wait, LONGEST_WAIT))
            .visibility_timeout(whole_seconds(visibility, LONGEST_VISIBILITY))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_attribute_names("error")
            .customize()
            .config_override(timeouts);
        let output =
            receive.send().await.map_err(|error| self.urls.error("sqs:ReceiveMessage", queue, &error))?;
        let messages = output.messages.unwrap_or_default();
        Ok(messages.into_iter().map(|message| self.delivery(message)).collect())
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        if receipts.is_empty() {
            return Ok(());
        }
        let url = self.urls.of(queue).await?;
        let mut batches = Vec::with_capacity(receipts.len().div_ceil(BATCH));
        for batch in receipts.chunks(BATCH) {
            batches.push(self.delete_batch(queue, &url, batch));
        }
        let deleted: Vec<_> = stream::iter(batches).buffer_unordered(CONCURRENCY).collect().await;
        deleted.into_iter().collect()
    }

    async fn change_visibility(
        &self,
        queue: &QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        let url = self.urls.of(queue).await?;
        let change = self
            .urls
            .client
            .change_message_visibility()
            .queue_url(url)
            .receipt_handle(&receipt.0)
            .visibility_timeout(whole_seconds(visibility, LONGEST_VISIBILITY));
        match change.send().await.map_err(|error| Fault::of(&error)) {
            Ok(_) => Ok(()),
            // Beyond 12 hours in all, SQS refuses: the lease on the message cannot be kept.
            Err(fault) if is_void(&fault.code) => Err(QueueError::ReceiptVoid),
            Err(fault) => Err(self.urls.refused("sqs:ChangeMessageVisibility", queue, &fault)),
        }
    }

    /// SQS and S3 answer only when it is durable.
    async fn settle(&self) -> Result<(), QueueError> {
        Ok(())
    }
}
