//! What the contexts and calls of one run share.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use millrace_core::{Blocked, Command, Event, EventKind, RunInfo, Timestamp};

use super::calls::{Calls, Ended};
use super::random::Random;
use super::signals::{Inbox, Publisher};
use crate::Canceled;

/// What a wait without a number waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitFor {
    /// A signal of this name.
    Signal(&'static str),
    /// A change of this state cell.
    Cell(u64),
}

struct Wait {
    on: WaitFor,
    shielded: bool,
    waker: Waker,
}

/// The shared state of one run; contexts, calls and cells hold it by `Arc`.
///
/// User code (futures, wakers, handlers) is never run or dropped while the lock is held: dropping a call takes it.
pub(crate) struct Journal {
    pub(crate) info: RunInfo,
    /// The messages that the workflow declares.
    pub(crate) accepts: &'static [&'static str],
    inner: Mutex<Inner>,
}

pub(super) struct Inner {
    next_number: u64,
    next_wait: u64,
    calls: Calls,
    waits: BTreeMap<u64, Wait>,
    now: Timestamp,
    random: Random,
    canceled: Option<Canceled>,
    blocked: Option<Blocked>,
    dropping: bool,
    pub(super) inbox: Inbox,
    pub(super) publisher: Publisher,
}

impl Journal {
    pub(crate) fn new(info: RunInfo, accepts: &'static [&'static str]) -> Self {
        let inner = Inner {
            next_number: 1,
            next_wait: 1,
            calls: Calls::default(),
            waits: BTreeMap::new(),
            now: info.started_at,
            random: Random::of(info.run_id),
            canceled: None,
            blocked: None,
            dropping: false,
            inbox: Inbox::default(),
            publisher: Publisher::default(),
        };
        Self { info, accepts, inner: Mutex::new(inner) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next call's number.
    pub(crate) fn number(&self) -> u64 {
        let mut inner = self.lock();
        inner.next_number += 1;
        inner.next_number - 1
    }

    /// The next state cell's number; not recorded.
    pub(crate) fn number_cell(&self) -> u64 {
        let mut inner = self.lock();
        inner.next_wait += 1;
        inner.next_wait - 1
    }

    /// Whoever sends goes by the declaration, so a signal that is read must be in it.
    #[allow(clippy::panic, reason = "a mistake in workflow code; it blocks the run and names the line")]
    #[track_caller]
    pub(crate) fn expect_accepted(&self, name: &str) {
        if !self.accepts.contains(&name) {
            let workflow = &self.info.workflow;
            panic!(
                "workflow `{workflow}` reads the signal `{name}`, which its `#[workflow(accepts(..))]` does not list"
            )
        }
    }

    /// The time of the fact that the code was resumed with.
    pub(crate) fn now(&self) -> Timestamp {
        self.lock().now
    }

    pub(crate) fn random(&self) -> u64 {
        self.lock().random.next()
    }

    /// The cancel request that reaches this scope, if any.
    pub(crate) fn canceled(&self, shielded: bool) -> Option<Canceled> {
        if shielded { None } else { self.lock().canceled.clone() }
    }

    /// Stops the run with a reason; the first one counts.
    pub(crate) fn block(&self, reason: Blocked) {
        self.lock().blocked.get_or_insert(reason);
    }

    /// Issues a call's command; the call then waits for its end.
    pub(crate) fn issue(&self, number: u64, start: Command, cancel: Command, shielded: bool, waker: Waker) {
        self.lock().calls.issue(number, start, cancel, shielded, waker);
    }

    /// How the call ended, once; until then `waker` is woken at its end.
    pub(crate) fn ended(&self, number: u64, waker: &Waker) -> Option<Ended> {
        let mut inner = self.lock();
        if let Some(ended) = inner.calls.take_ended(number) {
            return Some(ended);
        }
        let renews = inner.calls.wakes_another(number, waker);
        drop(inner);
        if renews {
            let waker = waker.clone();
            let old = self.lock().calls.rewake(number, waker);
            drop(old);
        }
        None
    }

    /// The future of an issued call was dropped.
    pub(crate) fn abandon(&self, number: u64) {
        let mut inner = self.lock();
        let dropped = if inner.dropping { None } else { inner.calls.abandon(number) };
        drop(inner);
        drop(dropped);
    }

    /// Registers a wait, or renews its waker; returns its key.
    pub(crate) fn wait(&self, key: Option<u64>, on: WaitFor, shielded: bool, waker: &Waker) -> u64 {
        let wait = Wait { on, shielded, waker: waker.clone() };
        let mut inner = self.lock();
        let key = key.unwrap_or_else(|| {
            inner.next_wait += 1;
            inner.next_wait - 1
        });
        let old = inner.waits.insert(key, wait);
        drop(inner);
        drop(old);
        key
    }

    /// Ends a wait.
    pub(crate) fn unwait(&self, key: u64) {
        let old = self.lock().waits.remove(&key);
        drop(old);
    }

    /// Wakes those who wait for this, in the order in which they began to.
    pub(crate) fn wake(&self, on: WaitFor) {
        let wakers: Vec<Waker> =
            self.lock().waits.values().filter(|w| w.on == on).map(|w| w.waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether the code waits for anything that the history can bring.
    pub(super) fn waits(&self) -> bool {
        let inner = self.lock();
        !inner.waits.is_empty() || inner.calls.wait()
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.lock().blocked.is_some()
    }

    /// Takes a fact into account and wakes whom it concerns.
    pub(super) fn apply(&self, event: &Event) -> Result<(), Blocked> {
        let mut inner = self.lock();
        inner.now = event.t;
        inner.calls.resume();
        let wakers = match &event.kind {
            EventKind::ActivityCompleted(e) => {
                inner.calls.end(e.activity_id, || Ended::Completed(e.result.clone()))
            }
            EventKind::ActivityFailed(e) => {
                inner.calls.end(e.activity_id, || Ended::Failed(Box::new(e.failure.clone())))
            }
            EventKind::TimerFired(e) => inner.calls.end(e.timer_id, || Ended::Fired),
            EventKind::CancelRequested(e) => inner.cancel(Canceled { reason: e.reason.clone() }),
            EventKind::SignalReceived(e) => {
                drop(inner);
                return self.signal(&e.name, &e.input);
            }
            _ => Vec::new(),
        };
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// What the code has asked for since the last time, ordered by the calls' numbers; or why it cannot go on.
    pub(super) fn take_commands(&self) -> Result<Vec<Command>, Blocked> {
        let mut inner = self.lock();
        if let Some(reason) = inner.blocked.take() {
            return Err(reason);
        }
        Ok(inner.calls.take_commands())
    }

    /// From here on, dropped calls cancel nothing: the host lets go of the run. What could hold the run in a circle
    /// (handlers that own a context) is dropped.
    pub(super) fn let_go(&self) {
        let mut inner = self.lock();
        inner.dropping = true;
        let held = (std::mem::take(&mut inner.inbox), std::mem::take(&mut inner.publisher));
        drop(inner);
        drop(held);
    }
}

impl Inner {
    /// Cancels what is in reach; the first request counts.
    fn cancel(&mut self, canceled: Canceled) -> Vec<Waker> {
        if self.canceled.is_some() {
            return Vec::new();
        }
        let mut wakers = self.calls.cancel_all(&canceled);
        wakers.extend(self.waits.values().filter(|wait| !wait.shielded).map(|wait| wait.waker.clone()));
        self.canceled = Some(canceled);
        wakers
    }
}
