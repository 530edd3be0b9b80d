//! The suite: which ports are examined, with which names, and all the examinations in a row.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "an examination fails by panicking"
)]

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use millrace_engine::ports::{Delivery, OutMessage, Ports, QueueName};

/// Long enough for a message to be on its way, short enough for a test on a real clock. SQS counts whole seconds.
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// How long a receive waits for a message that must be there.
const POLL: Duration = Duration::from_secs(10);
/// After so many of them it does not come.
const POLLS: u32 = 18;

/// One adapter under examination.
pub struct Suite {
    /// The adapter.
    pub ports: Ports,
    /// A queue that nobody else uses, with a dead-letter queue. It is empty before and after each examination.
    pub queue: QueueName,
    /// How often a message of this queue may be received. Keep it small where time is real: 3, say.
    pub max_receive: u32,
    /// All objects are written under keys that begin with this.
    pub prefix: String,
}

impl Suite {
    /// Every examination, one after the other.
    pub async fn all(&self) {
        self.all_objects().await;
        self.all_queues().await;
    }

    /// Every examination of the object store.
    pub async fn all_objects(&self) {
        self.reads_what_was_written().await;
        self.many_writers_one_winner().await;
        self.counts_to_400_by_compare_and_swap().await;
        self.matching_a_missing_object_is_gone().await;
        self.lost_reply_then_conflict_with_the_own_nonce().await;
        self.lists_by_prefix_in_pages().await;
        self.deletes_twice().await;
        self.deletes_only_the_version_that_was_read().await;
        self.a_write_and_a_delete_of_one_version_have_one_winner().await;
        self.keeps_large_and_empty_bodies().await;
    }

    /// Every examination of the queues.
    pub async fn all_queues(&self) {
        self.delivers_once_and_deletes().await;
        self.lapse_redelivers_and_voids_the_receipt().await;
        self.delays().await;
        self.gives_back_at_once().await;
        self.extends_visibility().await;
        self.wakes_a_waiting_receiver().await;
        self.sends_more_than_the_batch_limit().await;
        self.carries_every_character_of_json().await;
        self.carries_256_kib().await;
        self.refuses_what_is_too_large().await;
        self.dead_letters_carry_the_error().await;
        self.poison_goes_to_the_dead_letters().await;
    }

    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(crate) async fn pass(&self, time: Duration) {
        self.ports.clock.sleep_until(self.ports.clock.now().plus(time)).await;
    }

    /// Runs all of them at the same time.
    pub(crate) async fn together(&self, futures: impl IntoIterator<Item = BoxFuture<'static, ()>>) {
        let running: Vec<_> = futures.into_iter().map(|future| self.ports.spawn.spawn(future)).collect();
        for ended in futures::future::join_all(running).await {
            assert_eq!(ended, Ok(()), "a task of the examination failed");
        }
    }

    pub(crate) async fn send(&self, body: &str) {
        self.send_all(vec![OutMessage::now(body.to_owned())]).await;
    }

    pub(crate) async fn send_all(&self, messages: Vec<OutMessage>) {
        let count = messages.len();
        let results = self.ports.queues.send(&self.queue, messages).await;
        assert_eq!(results, vec![Ok(()); count], "every message is sent, and answered for");
    }

    /// Receives exactly one message, which must come soon.
    pub(crate) async fn receive_one(&self, queue: &QueueName, visibility: Duration) -> Delivery {
        for _ in 0..POLLS {
            let received = self.ports.queues.receive(queue, 1, POLL, visibility).await;
            if let Some(delivery) = received.expect("receive works").pop() {
                return delivery;
            }
        }
        panic!("no message comes within {POLLS} polls of {POLL:?}");
    }

    /// Nothing can be received now.
    pub(crate) async fn assert_empty(&self, queue: &QueueName, why: &str) {
        let received =
            self.ports.queues.receive(queue, 1, Duration::ZERO, SECOND).await.expect("receive works");
        assert_eq!(received, vec![], "{why}");
    }

    pub(crate) async fn delete(&self, queue: &QueueName, delivery: &Delivery) {
        let deleted = self.ports.queues.delete(queue, std::slice::from_ref(&delivery.receipt)).await;
        assert_eq!(deleted, Ok(()), "a received message can be deleted");
    }

    /// The same ports, for a task of its own.
    pub(crate) fn task<F>(&self, run: impl FnOnce(Ports) -> F) -> BoxFuture<'static, ()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        run(self.ports.clone()).boxed()
    }
}
