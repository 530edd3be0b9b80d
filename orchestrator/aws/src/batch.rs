//! Sending: batches of at most ten messages and one MiB, each message answered for.

use std::time::Duration;

use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{BatchResultErrorEntry, MessageAttributeValue, SendMessageBatchRequestEntry};
use futures::StreamExt as _;
use futures::stream;
use millrace_engine::ports::{OutMessage, QueueError, QueueName, Queues, SendError};

use crate::characters;
use crate::fault::Fault;
use crate::queues::SqsQueues;
use crate::urls;

/// The largest message that is sent as it is, its attributes included: SQS takes 1,048,576 bytes.
const LARGEST_MESSAGE: usize = 1_000_000;
/// How many messages one call carries.
pub(crate) const BATCH: usize = 10;
/// How many bytes one call carries, attributes included.
const BATCH_BYTES: usize = 1 << 20;
/// How many calls are under way for one send.
pub(crate) const CONCURRENCY: usize = 4;
/// How often a message that SQS could not take is offered in all.
pub(crate) const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

const ERROR: &str = "error";
/// An attribute's name and type count towards the message's size.
const ATTRIBUTE_BYTES: usize = ERROR.len() + "String".len();

/// A message in the shape that SQS takes.
#[derive(Clone)]
struct Outgoing {
    /// Its place among the messages to send.
    place: usize,
    body: String,
    delay_s: i32,
    error: Option<String>,
}

impl Outgoing {
    fn new(place: usize, message: OutMessage) -> Self {
        Self {
            place,
            body: characters::escaped(&message.body).into_owned(),
            delay_s: whole_seconds(message.delay, <dyn Queues>::LONGEST_DELAY),
            error: message.error.map(|error| characters::reason(&error)),
        }
    }

    fn size(&self) -> usize {
        size(&self.body, self.error.as_deref())
    }

    fn entry(&self) -> Result<SendMessageBatchRequestEntry, BuildError> {
        let entry = SendMessageBatchRequestEntry::builder()
            .id(self.place.to_string())
            .message_body(&self.body)
            .delay_seconds(self.delay_s);
        let Some(error) = &self.error else { return entry.build() };
        let value = MessageAttributeValue::builder().data_type("String").string_value(error).build()?;
        entry.message_attributes(ERROR, value).build()
    }
}

/// Whether a message needs more room than SQS gives it.
pub(crate) fn is_large(message: &OutMessage) -> bool {
    let error = message.error.as_deref().map(characters::reason);
    size(&characters::escaped(&message.body), error.as_deref()) > LARGEST_MESSAGE
}

fn size(body: &str, error: Option<&str>) -> usize {
    body.len() + error.map_or(0, |error| error.len() + ATTRIBUTE_BYTES)
}

type Answers = Vec<(usize, Result<(), SendError>)>;

impl SqsQueues {
    pub(crate) async fn send_all(
        &self,
        queue: &QueueName,
        messages: Vec<OutMessage>,
    ) -> Vec<Result<(), SendError>> {
        let unanswered = || Err(unavailable(queue, "SQS did not answer for this message"));
        let mut answers: Vec<Result<(), SendError>> = messages.iter().map(|_| unanswered()).collect();
        let url = match self.urls.of(queue).await {
            Ok(url) => url,
            Err(error) => return vec![Err(error); messages.len()],
        };
        let mut answer = |place: usize, result| {
            if let Some(answer) = answers.get_mut(place) {
                *answer = result;
            }
        };
        let outgoing =
            messages.into_iter().enumerate().map(|(place, message)| Outgoing::new(place, message)).collect();
        let batches = batches(outgoing).into_iter().map(|batch| self.send_batch(queue, &url, batch));
        let mut sent = stream::iter(batches).buffer_unordered(CONCURRENCY);
        while let Some(batch) = sent.next().await {
            batch.into_iter().for_each(|(place, result)| answer(place, result));
        }
        answers
    }

    /// Sends one batch, and again what SQS was at fault for.
    async fn send_batch(&self, queue: &QueueName, url: &str, mut batch: Vec<Outgoing>) -> Answers {
        let mut answers = Vec::with_capacity(batch.len());
        for attempt in 1..=ATTEMPTS {
            let failed = match self.send_once(url, &batch).await {
                Ok(failed) => failed,
                Err(fault) => {
                    answers.extend(self.each_alone(queue, url, batch, &fault).await);
                    return answers;
                }
            };
            let mut again = Vec::new();
            for message in batch {
                let entry = failed.iter().find(|entry| entry.id == message.place.to_string());
                match entry {
                    None => answers.push((message.place, Ok(()))),
                    Some(entry) if !entry.sender_fault && attempt < ATTEMPTS => again.push(message),
                    Some(entry) => answers.push((message.place, Err(not_taken(queue, entry)))),
                }
            }
            if again.is_empty() {
                break;
            }
            batch = again;
            self.pause(attempt).await;
        }
        answers
    }

    /// A batch that is refused as a whole, for what is wrong with one message perhaps: only that one is to be refused.
    async fn each_alone(&self, queue: &QueueName, url: &str, batch: Vec<Outgoing>, fault: &Fault) -> Answers {
        let refused = |fault: &Fault| self.urls.refused("sqs:SendMessage", queue, fault);
        let error = refused(fault);
        if batch.len() == 1 || urls::is_missing(fault) || !matches!(error, QueueError::Invalid { .. }) {
            return batch.into_iter().map(|message| (message.place, Err(error.clone()))).collect();
        }
        let mut answers = Vec::with_capacity(batch.len());
        for message in batch {
            let place = message.place;
            let answer = match self.send_once(url, &[message]).await {
                Ok(failed) => failed.first().map_or(Ok(()), |entry| Err(not_taken(queue, entry))),
                Err(fault) => Err(refused(&fault)),
            };
            answers.push((place, answer));
        }
        answers
    }

    async fn send_once(&self, url: &str, batch: &[Outgoing]) -> Result<Vec<BatchResultErrorEntry>, Fault> {
        let entries = batch.iter().map(Outgoing::entry).collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(|error| Fault::unsent(error.to_string()))?;
        let send = self.urls.client.send_message_batch().queue_url(url).set_entries(Some(entries));
        Ok(send.send().await.map_err(|error| Fault::of(&error))?.failed)
    }

    /// Waits before attempt `attempt + 1` at what SQS could not do.
    pub(crate) async fn pause(&self, attempt: u32) {
        let pause = PAUSE * 2_u32.saturating_pow(attempt.saturating_sub(1));
        self.clock.sleep_until(self.clock.now().plus(pause)).await;
    }
}

/// Fills batches in order.
fn batches(messages: Vec<Outgoing>) -> Vec<Vec<Outgoing>> {
    let mut batches: Vec<Vec<Outgoing>> = Vec::new();
    let mut room = 0;
    for message in messages {
        let size = message.size();
        match batches.last_mut().filter(|batch| batch.len() < BATCH && size <= room) {
            Some(batch) => batch.push(message),
            None => {
                batches.push(vec![message]);
                room = BATCH_BYTES;
            }
        }
        room = room.saturating_sub(size);
    }
    batches
}

/// Rounded up: a message may come late, but a timer never early, and nobody loses a message sooner than asked.
pub(crate) fn whole_seconds(time: Duration, longest: Duration) -> i32 {
    let time = time.min(longest);
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

fn not_taken(queue: &QueueName, entry: &BatchResultErrorEntry) -> SendError {
    let said = entry.message.as_deref().map(|said| format!(": {said}")).unwrap_or_default();
    let reason = format!("{}{said}", entry.code);
    if entry.sender_fault {
        QueueError::Invalid { queue: queue.to_string(), reason }
    } else {
        QueueError::Unavailable { queue: queue.to_string(), reason }
    }
}

pub(crate) fn unavailable(queue: &QueueName, reason: &str) -> QueueError {
    QueueError::Unavailable { queue: queue.to_string(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
