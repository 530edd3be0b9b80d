//! Messages that do not fit: large ones through the bucket, odd characters, reasons.

use std::time::Duration;

use bytes::Bytes;
use millrace_engine::ports::{Condition, Delivery, OutMessage, QueueError, QueueName};
use sha2::{Digest as _, Sha256};

use crate::emulator::Stage;

const WAIT: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(60);

impl Stage {
    async fn send(&self, queue: &QueueName, message: OutMessage) -> Result<(), QueueError> {
        self.aws.queues.send(queue, vec![message]).await.remove(0)
    }

    /// Receives one message and deletes it.
    async fn take(&self, queue: &QueueName) -> Delivery {
        let mut received = self.aws.queues.receive(queue, 1, WAIT, LONG).await.unwrap();
        assert_eq!(received.len(), 1, "a message comes");
        let delivery = received.remove(0);
        self.aws.queues.delete(queue, std::slice::from_ref(&delivery.receipt)).await.unwrap();
        delivery
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        self.aws.store.list(prefix, None, None, 10).await.unwrap()
    }
}

fn hash(body: &str) -> String {
    Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn large() -> String {
    format!("\"{}\"", "0123456789abcdef".repeat(100_000))
}

#[tokio::test]
async fn a_large_body_travels_through_the_bucket() {
    let (events, inbox) = (QueueName::events(), QueueName::inbox());
    let Some(stage) = Stage::new(&[events.clone(), inbox.clone()], 3).await else { return };
    for (queue, folder) in [(&events, "message"), (&inbox, "inbox-payload")] {
        stage.send(queue, OutMessage::now(large())).await.unwrap();
        let key = format!("default/{folder}/{}", hash(&large()));
        assert_eq!(stage.keys(&format!("default/{folder}/")).await, [key]);
        assert!(stage.take(queue).await.body == large(), "the whole body comes out of {queue}");
    }
    let dead = inbox.dead_letters();
    let error = Some("too odd".to_owned());
    stage.send(&dead, OutMessage { error: error.clone(), ..OutMessage::now(large()) }).await.unwrap();
    let delivery = stage.take(&dead).await;
    assert!(delivery.body == large() && delivery.error == error, "a dead letter may be as large");
}

#[tokio::test]
async fn a_pointer_that_leads_nowhere_is_handed_on() {
    let inbox = QueueName::inbox();
    let Some(stage) = Stage::new(std::slice::from_ref(&inbox), 3).await else { return };
    let (sha256, wrong) = (hash("\"x\""), hash("\"y\""));
    for (sha256, body) in [(&sha256, "\"x\""), (&wrong, "\"z\"")] {
        for folder in ["message", "inbox-payload"] {
            let body = Bytes::copy_from_slice(body.as_bytes());
            stage
                .aws
                .store
                .put(&format!("default/{folder}/{sha256}"), body, Condition::Always)
                .await
                .unwrap();
        }
    }
    let pointer = |path: String| format!(r#"{{"v":1,"body":"{path}"}}"#);
    let followed = pointer(format!("inbox-payload/{sha256}"));
    let kept = [
        pointer(format!("message/{sha256}")),
        pointer(format!("inbox-payload/{wrong}")),
        pointer(format!("inbox-payload/{}", hash("\"nothing\""))),
        pointer("inbox-payload/../../history".to_owned()),
    ];
    assert_eq!(stage.aws.resolve(&inbox, followed.clone()).await, Ok("\"x\"".to_owned()));
    for pointer in kept {
        assert_eq!(stage.aws.resolve(&inbox, pointer.clone()).await, Ok(pointer), "as it came");
    }
    stage.send(&inbox, OutMessage::now(followed)).await.unwrap();
    assert_eq!(stage.take(&inbox).await.body, "\"x\"", "a stranger's pointer is followed");
}

#[tokio::test]
async fn a_body_of_more_than_17_mib_is_refused() {
    let events = QueueName::events();
    let Some(stage) = Stage::new(std::slice::from_ref(&events), 3).await else { return };
    let body = "x".repeat((17 << 20) + 1);
    let answers =
        stage.aws.queues.send(&events, vec![OutMessage::now(body), OutMessage::now("1".into())]).await;
    let Err(QueueError::Invalid { reason, .. }) = &answers[0] else { panic!("{answers:?}") };
    assert!(reason.starts_with("the body has 17825793 bytes, at most 17825792 are allowed"), "{reason}");
    assert_eq!(answers[1], Ok(()), "the others go");
}

#[tokio::test]
async fn ten_messages_of_200_kb_are_one_send() {
    let events = QueueName::events();
    let Some(stage) = Stage::new(std::slice::from_ref(&events), 3).await else { return };
    let body = |n: usize| format!("{n}{}", "x".repeat(200_000));
    let messages = (0..10).map(|n| OutMessage::now(body(n))).collect();
    assert_eq!(stage.aws.queues.send(&events, messages).await, vec![Ok(()); 10]);
    let mut bodies = Vec::new();
    for _ in 0..10 {
        bodies.push(stage.take(&events).await.body);
    }
    bodies.sort();
    assert!(bodies == (0..10).map(body).collect::<Vec<_>>(), "all ten come, whole");
}

#[tokio::test]
async fn characters_that_sqs_refuses_arrive_as_escapes() {
    let events = QueueName::events();
    let Some(stage) = Stage::new(std::slice::from_ref(&events), 3).await else { return };
    stage.send(&events, OutMessage::now("\"a\u{fffe}\u{ffff}b\u{85}\"".into())).await.unwrap();
    let body = stage.take(&events).await.body;
    assert_eq!(body, "\"a\\ufffe\\uffffb\u{85}\"");
    assert_eq!(serde_json::from_str::<String>(&body).unwrap(), "a\u{fffe}\u{ffff}b\u{85}");
}

#[tokio::test]
async fn a_reason_is_cut_and_cleaned() {
    let events = QueueName::events();
    let Some(stage) = Stage::new(std::slice::from_ref(&events), 3).await else { return };
    let dead = events.dead_letters();
    let long = format!("bad \u{0} {}", "\u{1f980}".repeat(2_000));
    stage.send(&dead, OutMessage { error: Some(long), ..OutMessage::now("{".into()) }).await.unwrap();
    let error = stage.take(&dead).await.error.unwrap();
    assert!(error.starts_with("bad \u{fffd} \u{1f980}") && error.chars().count() == 1_000, "{error}");
    stage
        .send(&dead, OutMessage { error: Some(String::new()), ..OutMessage::now("{".into()) })
        .await
        .unwrap();
    assert_eq!(stage.take(&dead).await.error.as_deref(), Some("no reason was given"));
}

#[tokio::test]
async fn a_long_poll_of_20_s_is_no_timeout() {
    let events = QueueName::events();
    let Some(stage) = Stage::new(std::slice::from_ref(&events), 3).await else { return };
    let received = stage.aws.queues.receive(&events, 10, Duration::from_secs(60), LONG).await;
    assert_eq!(received, Ok(vec![]));
}
