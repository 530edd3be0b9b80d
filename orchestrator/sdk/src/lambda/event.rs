//! A batch of messages as Lambda hands it over.

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use millrace_core::Timestamp;
use millrace_engine::ports::{Delivery, QueueName, Receipt};

use crate::deployment::{Deployment, Error};

/// How much of bodies one invocation takes on, beyond a single one: several large ones at once would not fit.
const MOST_HELD: usize = 16 << 20;

/// The messages of one invocation, all from one queue.
pub(super) struct Batch {
    pub(super) queue: QueueName,
    pub(super) messages: Vec<Delivery>,
    /// Ids of messages whose body could not be fetched now, or is one too many.
    pub(super) unread: Vec<String>,
}

impl Batch {
    /// Reads an invocation. Bodies that lie in the bucket are fetched.
    pub(super) async fn read(event: SqsEvent, deployment: &Deployment) -> Result<Self, Error> {
        let arn = event.records.first().and_then(|record| record.event_source_arn.clone());
        let arn = arn.ok_or("the invocation carries no message of a queue: this function is called by SQS event source mappings")?;
        let queue = queue(&arn, &deployment.settings.queue_prefix)?;
        let (mut messages, mut unread, mut held) = (Vec::new(), Vec::new(), 0);
        for record in event.records {
            let mut message = delivery(record)?;
            match deployment.aws.resolve(&queue, message.body).await {
                Ok(body) if held > 0 && held + body.len() > MOST_HELD => unread.push(message.message_id),
                Ok(body) => {
                    held += body.len();
                    message.body = body;
                    messages.push(message);
                }
                Err(error) => {
                    tracing::warn!(%queue, message_id = message.message_id, %error, "a message's body cannot be fetched now; it comes again");
                    unread.push(message.message_id);
                }
            }
        }
        Ok(Self { queue, messages, unread })
    }
}

/// The queue's name within the deployment, from `arn:aws:sqs:<region>:<account>:<prefix>-<name>`.
fn queue(arn: &str, prefix: &str) -> Result<QueueName, Error> {
    let name = arn.rsplit(':').next().and_then(|name| name.strip_prefix(prefix)?.strip_prefix('-'));
    name.map(QueueName::from).ok_or_else(|| {
        format!("the queue `{arn}` is none of this deployment: its name must begin with `{prefix}-` (MILLRACE_QUEUE_PREFIX)")
            .into()
    })
}

fn delivery(record: SqsMessage) -> Result<Delivery, Error> {
    let number = |name: &str| record.attributes.get(name).and_then(|value| value.parse::<i64>().ok());
    let receive_count = number("ApproximateReceiveCount").and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
    let sent_at = Timestamp::from_millis(number("SentTimestamp").unwrap_or_default());
    let error = record.message_attributes.get("error").and_then(|attribute| attribute.string_value.clone());
    Ok(Delivery {
        message_id: record.message_id.ok_or("a record has no messageId")?,
        receipt: Receipt(record.receipt_handle.ok_or("a record has no receiptHandle")?),
        body: record.body.unwrap_or_default(),
        sent_at,
        receive_count,
        error,
    })
}

/// Reads an invocation up to where bodies in the bucket are fetched.
#[cfg(feature = "fuzz")]
pub(crate) fn read(event: SqsEvent, prefix: &str) -> Result<Vec<(QueueName, Delivery)>, Error> {
    let read = |record: SqsMessage| {
        let arn = record.event_source_arn.clone().unwrap_or_default();
        Ok((queue(&arn, prefix)?, delivery(record)?))
    };
    event.records.into_iter().map(read).collect()
}

/// The answer: these messages come again, the others are deleted.
pub(super) fn answer(come_again: Vec<String>) -> SqsBatchResponse {
    let mut answer = SqsBatchResponse::default();
    answer.batch_item_failures = come_again
        .into_iter()
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect();
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_told_by_its_arn() {
        let arn = "arn:aws:sqs:eu-west-1:000000000000:shop-task-cpu";
        assert_eq!(queue(arn, "shop").unwrap(), QueueName::from("task-cpu"));
        let error = queue(arn, "shoes").unwrap_err().to_string();
        assert!(error.contains("must begin with `shoes-`"), "{error}");
    }

    #[test]
    fn a_record_becomes_a_delivery() {
        let record = serde_json::json!({
            "messageId": "m1", "receiptHandle": "r1", "body": "{}",
            "attributes": { "ApproximateReceiveCount": "3", "SentTimestamp": "1700000000123" },
            "messageAttributes": { "error": { "stringValue": "why", "dataType": "String" } },
            "eventSourceARN": "arn:aws:sqs:eu-west-1:0:x-inbox"
        });
        let read = delivery(serde_json::from_value(record).unwrap()).unwrap();
        assert_eq!((read.receive_count, read.sent_at.as_millis()), (3, 1_700_000_000_123));
        assert_eq!((read.message_id.as_str(), read.error.as_deref()), ("m1", Some("why")));
    }

    #[test]
    fn an_answer_names_what_comes_again() {
        let text = serde_json::to_string(&answer(vec!["m1".into()])).unwrap();
        assert_eq!(text, r#"{"batchItemFailures":[{"itemIdentifier":"m1"}]}"#);
        assert_eq!(serde_json::to_string(&answer(Vec::new())).unwrap(), r#"{"batchItemFailures":[]}"#);
    }
}
