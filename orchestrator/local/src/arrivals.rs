//! Who waits for which queue, and the long poll that both adapters share.
//!
//! What holds: no wake-up is lost. A receiver that leaves something ready behind wakes the next one, so one
//! notification per send is enough. It needs no runtime: only a waker and the [`Clock`] port.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};
use millrace_core::Timestamp;
use millrace_engine::ports::{Clock, QueueName};
use tokio::sync::Notify;

/// The longest a receiver waits for a first message: SQS's limit. A caller that asks for more gets an empty answer.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// One try to receive.
pub(crate) enum Attempt<T> {
    /// There was something, or it failed: answer with this.
    Done(T),
    /// Nothing is ready; the next hidden message will be at this time.
    Empty(Option<Timestamp>),
}

/// The waiting receivers, by queue.
#[derive(Default)]
pub(crate) struct Arrivals {
    queues: Mutex<BTreeMap<QueueName, Arc<Notify>>>,
}

impl Arrivals {
    /// Something became ready.
    pub(crate) fn one(&self, queue: &QueueName) {
        self.of(queue).notify_one();
    }

    /// The time of the next hidden message moved nearer: every waiting receiver must look at its alarm clock again.
    pub(crate) fn all(&self, queue: &QueueName) {
        self.of(queue).notify_waiters();
    }

    /// Tells the right receivers of a message that becomes visible at `visible_at`, where the nearest was `before`.
    pub(crate) fn hidden_until(
        &self,
        queue: &QueueName,
        visible_at: Timestamp,
        before: Option<Timestamp>,
        now: Timestamp,
    ) {
        if visible_at <= now {
            self.one(queue);
        } else if visible_at < now.plus(LONGEST_WAIT) && before.is_none_or(|before| visible_at < before) {
            self.all(queue);
        }
    }

    /// Tries, and tries again on every arrival, until something is there or the wait is over.
    pub(crate) async fn long_poll<T: Default>(
        &self,
        queue: &QueueName,
        clock: &dyn Clock,
        wait: Duration,
        mut attempt: impl FnMut(Timestamp) -> Attempt<T>,
    ) -> T {
        let began = clock.now();
        if let Attempt::Done(answer) = attempt(began) {
            return answer;
        }
        let deadline = began.plus(wait.min(LONGEST_WAIT));
        let notify = self.of(queue);
        loop {
            let mut notified = pin!(notify.notified());
            // Registered before looking: what arrives between the look and the wait still wakes us.
            notified.as_mut().enable();
            let now = clock.now();
            let next_due = match attempt(now) {
                Attempt::Done(answer) => return answer,
                Attempt::Empty(next_due) => next_due,
            };
            if now >= deadline {
                return T::default();
            }
            let alarm = clock.sleep_until(next_due.map_or(deadline, |due| due.min(deadline)));
            if let Either::Left(_) = select(notified, alarm).await {}
        }
    }

    fn of(&self, queue: &QueueName) -> Arc<Notify> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        match queues.get(queue) {
            Some(notify) => notify.clone(),
            None => queues.entry(queue.clone()).or_default().clone(),
        }
    }
}
