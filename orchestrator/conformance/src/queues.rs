//! What queues must do: at least once, with delay, visibility, receive counts and dead letters.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "an examination fails by panicking"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_engine::ports::{OutMessage, QueueError, Queues};

use crate::suite::{SECOND, Suite};

const LONG: Duration = Duration::from_secs(60);
/// One after the other, until it was long enough: a machine may stand still for longer than the first.
const TIMES: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(20), Duration::from_secs(100)];

impl Suite {
    /// A message is hidden while it is in flight, and gone once it is deleted.
    pub async fn delivers_once_and_deletes(&self) {
        let before = self.ports.clock.now();
        self.send(r#"{"n":1}"#).await;
        let delivery = self.receive_one(&self.queue, LONG).await;
        assert_eq!((delivery.body.as_str(), delivery.receive_count), (r#"{"n":1}"#, 1));
        assert_eq!(delivery.error, None, "an ordinary message carries no error");
        let skew = delivery.sent_at.since(before).max(before.since(delivery.sent_at));
        assert!(skew < LONG, "sent_at is when it was sent, not {skew:?} off");
        self.assert_empty(&self.queue, "a message in flight is hidden").await;
        self.delete(&self.queue, &delivery).await;
        self.pass(2 * SECOND).await;
        self.assert_empty(&self.queue, "a deleted message is gone").await;
    }

    /// A lapsed message comes again: same id, receive count + 1, and only the new receipt holds.
    pub async fn lapse_redelivers_and_voids_the_receipt(&self) {
        self.send("lapse").await;
        let first = self.receive_one(&self.queue, SECOND).await;
        self.pass(2 * SECOND).await;
        let second = self.receive_one(&self.queue, LONG).await;
        assert_eq!(second.message_id, first.message_id, "the id is the same at every delivery");
        assert_eq!(second.receive_count, 2);
        assert_ne!(second.receipt, first.receipt, "each delivery has a receipt of its own");
        let changed = self.ports.queues.change_visibility(&self.queue, &second.receipt, Duration::ZERO).await;
        assert_eq!(changed, Ok(()));
        let third = self.receive_one(&self.queue, LONG).await;
        assert_eq!(third.receive_count, 3);
        self.delete(&self.queue, &third).await;
    }

    /// A void receipt neither deletes nor hides. Not in [`Suite::all`]: SQS lets the receipt before the last do both.
    pub async fn void_receipts_do_nothing(&self) {
        self.send("void").await;
        let first = self.receive_one(&self.queue, SECOND).await;
        self.pass(2 * SECOND).await;
        let changed = self.ports.queues.change_visibility(&self.queue, &first.receipt, LONG).await;
        assert_eq!(changed, Err(QueueError::ReceiptVoid), "visibility has lapsed");
        let second = self.receive_one(&self.queue, LONG).await;
        let changed = self.ports.queues.change_visibility(&self.queue, &first.receipt, Duration::ZERO).await;
        assert_eq!(changed, Err(QueueError::ReceiptVoid), "somebody else has it");
        self.delete(&self.queue, &first).await;
        let changed = self.ports.queues.change_visibility(&self.queue, &second.receipt, Duration::ZERO).await;
        assert_eq!(changed, Ok(()), "a void receipt has deleted nothing");
        let third = self.receive_one(&self.queue, LONG).await;
        self.delete(&self.queue, &third).await;
        let changed = self.ports.queues.change_visibility(&self.queue, &third.receipt, LONG).await;
        assert_eq!(changed, Err(QueueError::ReceiptVoid), "a deleted message has no receipt");
    }

    /// A delayed message is not seen before its time, and soon after.
    pub async fn delays(&self) {
        for delay in TIMES {
            if self.is_delayed(delay).await {
                return;
            }
        }
        panic!("no look ended before its message was due");
    }

    /// Whether that could be seen.
    async fn is_delayed(&self, delay: Duration) -> bool {
        let sent = self.ports.clock.now();
        self.send_all(vec![OutMessage { delay, ..OutMessage::now("delayed".into()) }]).await;
        let early = self.ports.queues.receive(&self.queue, 1, Duration::ZERO, LONG).await;
        let early = early.expect("receive works").pop();
        let took = self.ports.clock.now().since(sent);
        let is_due = |took: Duration| took + SECOND / 2 >= delay;
        assert!(early.is_none() || is_due(took), "it came {took:?} after the send, {delay:?} were asked for");
        let was_in_time = early.is_none() && !is_due(took);
        let delivery = match early {
            Some(delivery) => delivery,
            None => self.receive_one(&self.queue, LONG).await,
        };
        let took = self.ports.clock.now().since(sent);
        assert!(is_due(took), "it came {took:?} after the send, {delay:?} were asked for");
        assert_eq!(delivery.receive_count, 1);
        self.delete(&self.queue, &delivery).await;
        was_in_time
    }

    /// Visibility zero gives the message back at once: a graceful return.
    pub async fn gives_back_at_once(&self) {
        self.send("give back").await;
        let first = self.receive_one(&self.queue, LONG).await;
        let changed = self.ports.queues.change_visibility(&self.queue, &first.receipt, Duration::ZERO).await;
        assert_eq!(changed, Ok(()));
        let second = self.receive_one(&self.queue, LONG).await;
        assert_eq!((second.message_id == first.message_id, second.receive_count), (true, 2));
        self.delete(&self.queue, &second).await;
    }

    /// A receiver that extends the visibility in time keeps the message.
    pub async fn extends_visibility(&self) {
        for visibility in TIMES {
            if self.is_extended(visibility).await {
                return;
            }
        }
        panic!("no visibility was extended before it lapsed");
    }

    /// Whether it could be extended in time.
    async fn is_extended(&self, visibility: Duration) -> bool {
        self.send("extend").await;
        let asked = self.ports.clock.now();
        let delivery = self.receive_one(&self.queue, visibility).await;
        let changed = self.ports.queues.change_visibility(&self.queue, &delivery.receipt, 10 * LONG).await;
        let was_in_time = self.ports.clock.now().since(asked) < visibility;
        if was_in_time {
            assert_eq!(changed, Ok(()));
            self.pass(visibility + SECOND).await;
            self.assert_empty(&self.queue, "the message is still hidden").await;
        }
        let last = if changed.is_ok() { delivery } else { self.receive_one(&self.queue, LONG).await };
        self.delete(&self.queue, &last).await;
        was_in_time
    }

    /// Receivers that wait are woken by messages, a delayed one included, and none waits in vain.
    pub async fn wakes_a_waiting_receiver(&self) {
        let mut took = Vec::new();
        // A machine that stands still for so long spoils a try.
        while took.last().is_none_or(|took| *took >= 8 * SECOND) {
            assert!(took.len() < 3, "waiting receivers were woken, not timed out after {took:?}");
            took.push(self.wakes_receivers().await);
        }
    }

    /// How long it took until each of three had its message.
    async fn wakes_receivers(&self) -> Duration {
        let receiver = |_| {
            let queue = self.queue.clone();
            self.task(|ports| async move {
                let mut received = Vec::new();
                while received.is_empty() {
                    received =
                        ports.queues.receive(&queue, 1, 10 * SECOND, LONG).await.expect("receive works");
                }
                ports.queues.delete(&queue, &[received[0].receipt.clone()]).await.expect("delete works");
            })
        };
        let queue = self.queue.clone();
        let sender = self.task(|ports| async move {
            ports.clock.sleep_until(ports.clock.now().plus(Duration::from_millis(300))).await;
            let delayed = OutMessage { delay: SECOND, ..OutMessage::now("delayed".into()) };
            let messages = vec![delayed, OutMessage::now("a".into()), OutMessage::now("b".into())];
            let sent = ports.queues.send(&queue, messages).await;
            assert!(sent.iter().all(Result::is_ok), "{sent:?}");
        });
        let began = self.ports.clock.now();
        self.together((0..3).map(receiver).chain([sender])).await;
        self.ports.clock.now().since(began)
    }

    /// Any number may be given to one send; all arrive.
    pub async fn sends_more_than_the_batch_limit(&self) {
        let count = self.ports.queues.batch_limit() * 2 + 3;
        let body = |n: usize| format!("{{\"n\":{n}}}");
        self.send_all((0..count).map(|n| OutMessage::now(body(n))).collect()).await;
        let mut found = BTreeMap::new();
        while found.len() < count {
            let limit = self.ports.queues.batch_limit();
            let received = self.ports.queues.receive(&self.queue, limit, 10 * SECOND, LONG).await;
            let received = received.expect("receive works");
            assert!(!received.is_empty(), "{} of {count} messages are missing", count - found.len());
            assert!(received.len() <= limit, "no more than asked for");
            let receipts: Vec<_> = received.iter().map(|delivery| delivery.receipt.clone()).collect();
            found.extend(received.into_iter().map(|delivery| (delivery.body, delivery.message_id)));
            self.ports.queues.delete(&self.queue, &receipts).await.expect("delete works");
        }
        assert!((0..count).all(|n| found.contains_key(&body(n))), "every message has come");
        let ids: std::collections::BTreeSet<_> = found.values().collect();
        assert_eq!(ids.len(), count, "every message has an id of its own");
    }

    /// All of Unicode as JSON text carries it: control characters escaped, everything else as it is.
    pub async fn carries_every_character_of_json(&self) {
        let odd =
            "\u{e9}\u{1f980}\u{1f468}\u{200d}\u{1f469}\u{65e5}\u{672c}\u{202e}\u{7f}\u{85}\u{fffd}\u{10fffd}";
        let bodies = [
            format!(r#"{{"text":"{odd}"}}"#),
            r#"{"nul":"\u0000","bell":"\u0007","non":"\uffff","quote":"\"\\"}"#.to_owned(),
            "{\n\t\"spaced\" : [ 1 ]\r\n}".to_owned(),
        ];
        for body in bodies {
            self.send(&body).await;
            let delivery = self.receive_one(&self.queue, LONG).await;
            self.delete(&self.queue, &delivery).await;
            assert_eq!(delivery.body, body, "the body arrives as it was sent");
        }
    }

    /// A body of 256 KiB.
    pub async fn carries_256_kib(&self) {
        let body = "0123456789abcdef".repeat(16 * 1024);
        self.send(&body).await;
        let delivery = self.receive_one(&self.queue, LONG).await;
        self.delete(&self.queue, &delivery).await;
        assert!(delivery.body == body, "the large body arrives as it was sent");
    }

    /// What is larger than any message may be is refused for good; the others of its batch go.
    pub async fn refuses_what_is_too_large(&self) {
        let large = OutMessage::now("x".repeat(<dyn Queues>::LARGEST_BODY_BYTES + 1));
        let answers = self.ports.queues.send(&self.queue, vec![large, OutMessage::now("small".into())]).await;
        assert!(matches!(&answers[..], [Err(QueueError::Invalid { .. }), Ok(())]), "{answers:?}");
        let delivery = self.receive_one(&self.queue, LONG).await;
        self.delete(&self.queue, &delivery).await;
        assert_eq!(delivery.body, "small");
    }

    /// What is sent to a dead-letter queue says why (G10).
    pub async fn dead_letters_carry_the_error(&self) {
        let dead = self.queue.dead_letters();
        let error = Some("line 1: expected `}` \u{2014} \u{1f980}".to_owned());
        let message = OutMessage { error: error.clone(), ..OutMessage::now("{".into()) };
        assert_eq!(self.ports.queues.send(&dead, vec![message]).await, vec![Ok(())]);
        let delivery = self.receive_one(&dead, LONG).await;
        self.delete(&dead, &delivery).await;
        assert_eq!((delivery.body.as_str(), delivery.error), ("{", error));
    }

    /// A message received too often moves to the dead-letter queue under its own id. SQS gives no error with it.
    pub async fn poison_goes_to_the_dead_letters(&self) {
        self.send("poison").await;
        let mut id = String::new();
        for count in 1..=self.max_receive {
            let delivery = self.receive_one(&self.queue, LONG).await;
            assert_eq!(delivery.receive_count, count);
            id = delivery.message_id;
            let changed =
                self.ports.queues.change_visibility(&self.queue, &delivery.receipt, Duration::ZERO).await;
            assert_eq!(changed, Ok(()));
        }
        self.assert_empty(&self.queue, "the message has been received often enough").await;
        let delivery = self.receive_one(&self.queue.dead_letters(), LONG).await;
        self.delete(&self.queue.dead_letters(), &delivery).await;
        assert_eq!((delivery.body.as_str(), delivery.message_id), ("poison", id));
        if let Some(error) = delivery.error {
            assert_eq!(error, format!("received {} times", self.max_receive));
        }
    }
}
