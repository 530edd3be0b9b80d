//! What the contexts and calls of one run share.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use millrace_core::{
    ApplicationFailure, Blocked, Command, Event, EventKind, Fault, Headers, Payload, RunInfo, Timestamp,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::calls::{Call, Calls, Ended};
use super::messages::{Inbox, Publisher};
use super::patches::Patches;
use super::random::Random;
use super::scopes::{ROOT, ScopeId, Scopes};
use super::tasks::Spawned;
use crate::Canceled;
use crate::codec::{CodecError, Codecs};

/// From how many events on a run is advised to continue as new: replaying them takes some milliseconds.
const LONG_HISTORY: u64 = 4_000;

/// What a wait without a number waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitFor {
    /// A signal of this name.
    Signal(&'static str),
    /// An update of this name.
    Update(&'static str),
    /// A change of this state cell.
    Cell(u64),
}

struct Wait {
    on: WaitFor,
    scope: ScopeId,
    waker: Waker,
}

/// The shared state of one run; contexts, calls and cells hold it by `Arc`.
///
/// User code (futures, wakers, handlers) is never run or dropped while the lock is held: dropping a call takes it.
pub(crate) struct Journal {
    pub(crate) info: RunInfo,
    /// The messages that the workflow declares.
    pub(crate) accepts: &'static [&'static str],
    pub(crate) codecs: Codecs,
    headers: OnceLock<Headers>,
    inner: Mutex<Inner>,
}

pub(super) struct Inner {
    next_number: u64,
    next_wait: u64,
    calls: Calls,
    waits: BTreeMap<u64, Wait>,
    now: Timestamp,
    /// How many events the history has, up to the one that the code was resumed with.
    events: u64,
    history_limit: u64,
    random: Random,
    scopes: Scopes,
    blocked: Option<Blocked>,
    dropping: bool,
    pub(super) inbox: Inbox,
    pub(super) publisher: Publisher,
    /// What the run last showed, and how that was written.
    pub(super) said: Option<(Payload, Payload)>,
    pub(super) patches: Patches,
    pub(super) spawned: Vec<Spawned>,
}

/// Where a run's code stands, but for its futures.
#[derive(Debug, PartialEq)]
pub(super) struct Trace {
    numbers: (u64, u64),
    random: Random,
    commands: usize,
    scopes: usize,
    patches: usize,
}

impl Journal {
    pub(crate) fn new(info: RunInfo, accepts: &'static [&'static str], codecs: Codecs) -> Self {
        let inner = Inner {
            next_number: 1,
            next_wait: 1,
            calls: Calls::default(),
            waits: BTreeMap::new(),
            now: info.started_at,
            events: 0,
            history_limit: LONG_HISTORY,
            random: Random::of(info.seed),
            scopes: Scopes::default(),
            blocked: None,
            dropping: false,
            inbox: Inbox::default(),
            publisher: Publisher::default(),
            said: None,
            patches: Patches::default(),
            spawned: Vec::new(),
        };
        Self { info, accepts, codecs, headers: OnceLock::new(), inner: Mutex::new(inner) }
    }

    /// A value that the code asks something with; `of` says whose it is. One that cannot be encoded here stops the run.
    pub(crate) fn write<T: Serialize + ?Sized>(
        &self,
        value: &T,
        of: &str,
    ) -> Result<Payload, ApplicationFailure> {
        crate::call::plain(value, of).map(|plain| {
            self.encode(plain).unwrap_or_else(|reason| {
                self.block(reason);
                Payload::null()
            })
        })
    }

    /// JSON on its way out.
    pub(crate) fn encode(&self, plain: Payload) -> Result<Payload, Blocked> {
        self.codecs.encode(plain).map_err(|error| stuck("a value cannot be encoded", &error))
    }

    /// A failure on its way out.
    pub(super) fn seal(&self, fault: Fault) -> Result<Fault, Blocked> {
        self.codecs.seal(fault).map_err(|error| stuck("the details of a failure cannot be encoded", &error))
    }

    /// A failure that the code is to see.
    pub(crate) fn open(&self, fault: Fault) -> Result<Fault, Blocked> {
        self.codecs.open(fault).map_err(|error| stuck("the details of a failure cannot be decoded", &error))
    }

    /// Reads a recorded value; `what` says in whose place it stands.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        payload: &Payload,
        what: impl FnOnce() -> String,
    ) -> Result<T, Blocked> {
        self.codecs.read(payload, what).map_err(|unread| Blocked::BadInput { message: unread.into_message() })
    }

    /// What the run was started with.
    pub(crate) fn headers(&self) -> &Headers {
        static NONE: Headers = Headers::new();
        self.headers.get().unwrap_or(&NONE)
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

    /// Whoever sends goes by the declaration, so a message that is read must be in it.
    #[allow(clippy::panic, reason = "a mistake in workflow code; it blocks the run and names the line")]
    #[track_caller]
    pub(crate) fn expect_accepted(&self, name: &str) {
        if !self.accepts.contains(&name) {
            let workflow = &self.info.workflow;
            panic!(
                "workflow `{workflow}` reads the message `{name}`, which its `#[workflow(accepts(..))]` does not list"
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

    /// The cancellation that reaches this scope, if any.
    pub(crate) fn canceled(&self, scope: ScopeId) -> Option<Canceled> {
        self.lock().scopes.canceled(scope).cloned()
    }

    /// How long the history is.
    pub(crate) fn events(&self) -> u64 {
        self.lock().events
    }

    /// From how many events on the run is advised to continue as new.
    pub(crate) fn history_limit(&self) -> u64 {
        self.lock().history_limit
    }

    #[cfg(feature = "test")]
    pub(crate) fn set_history_limit(&self, events: u64) {
        self.lock().history_limit = events;
    }

    /// What the code waits for beside its calls, in words.
    #[cfg(feature = "test")]
    pub(crate) fn waiting(&self) -> Vec<String> {
        let word = |wait: &Wait| match wait.on {
            WaitFor::Signal(name) => format!("signal `{name}`"),
            WaitFor::Update(name) => format!("update `{name}`"),
            WaitFor::Cell(_) => "a change of its state".to_owned(),
        };
        self.lock().waits.values().map(word).collect()
    }

    /// A scope within another.
    pub(crate) fn open_scope(&self, within: ScopeId) -> ScopeId {
        self.lock().scopes.open(within)
    }

    /// Cancels a scope and all within; the first time counts.
    pub(crate) fn cancel(&self, scope: ScopeId, canceled: Canceled) {
        let wakers = self.lock().cancel(scope, canceled);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Stops the run with a reason; the first one counts.
    pub(crate) fn block(&self, reason: Blocked) {
        self.lock().blocked.get_or_insert(reason);
    }

    /// Issues a call's command; the call then waits for its end.
    pub(crate) fn issue(&self, call: Call, start: Command, waker: Waker) {
        self.lock().calls.issue(call, start, waker);
    }

    /// Issues a command that has no end to wait for.
    pub(crate) fn say(&self, number: u64, command: Command) {
        self.lock().calls.say(number, command);
    }

    /// Issues a command without a number of its own: it goes before the calls that are yet to come.
    pub(crate) fn say_next(&self, command: Command) {
        let mut inner = self.lock();
        let number = inner.next_number;
        if !inner.dropping {
            inner.calls.say(number, command);
        }
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
    pub(crate) fn wait(&self, key: Option<u64>, on: WaitFor, scope: ScopeId, waker: &Waker) -> u64 {
        let wait = Wait { on, scope, waker: waker.clone() };
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

    /// What an update that is refused must leave as it was.
    pub(super) fn trace(&self) -> Trace {
        let inner = self.lock();
        Trace {
            numbers: (inner.next_number, inner.next_wait),
            random: inner.random,
            commands: inner.calls.commands(),
            scopes: inner.scopes.len(),
            patches: inner.patches.len(),
        }
    }

    /// Why the update just applied is refused, if nothing but that has come of it.
    pub(super) fn take_refusal(&self, before: &Trace) -> Option<String> {
        let after = Trace { commands: before.commands, ..self.trace() };
        let mut inner = self.lock();
        if after != *before || inner.calls.commands() != before.commands + 1 {
            return None;
        }
        inner.calls.take_refusal()
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.lock().blocked.is_some()
    }

    /// Takes a fact into account and wakes whom it concerns.
    pub(super) fn apply(&self, event: &Event) -> Result<(), Blocked> {
        let mut inner = self.lock();
        (inner.now, inner.events) = (event.t, event.n);
        inner.calls.resume();
        let wakers = match &event.kind {
            EventKind::ActivityCompleted(e) => {
                inner.calls.end(e.activity_id, || Ended::Completed(e.result.clone()))
            }
            EventKind::ActivityFailed(e) => {
                inner.calls.end(e.activity_id, || Ended::Failed(Box::new(e.failure.clone())))
            }
            EventKind::LocalActivityCompleted(e) => {
                inner.calls.end(e.activity_id, || Ended::Completed(e.result.clone()))
            }
            EventKind::LocalActivityFailed(e) => {
                inner.calls.end(e.activity_id, || Ended::Failed(Box::new(e.failure.clone())))
            }
            EventKind::TimerFired(e) => inner.calls.end(e.timer_id, || Ended::Fired),
            EventKind::ChildCompleted(e) => {
                inner.calls.end(e.child_id, || Ended::Completed(e.result.clone()))
            }
            EventKind::ChildFailed(e) => {
                inner.calls.end(e.child_id, || Ended::ChildFailed(Box::new(e.failure.clone())))
            }
            EventKind::CancelRequested(e) => inner.cancel(ROOT, Canceled { reason: e.reason.clone() }),
            EventKind::RunStarted(e) => {
                let _ = self.headers.set(e.headers.clone());
                inner.inbox.begin_with(&e.unread);
                Vec::new()
            }
            EventKind::SignalReceived(e) => {
                drop(inner);
                return self.signal(e);
            }
            EventKind::UpdateReceived(e) => {
                drop(inner);
                return self.update(e);
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

    /// Whether the call was given up just now because nobody holds its future any more.
    pub(super) fn is_dropped(&self, number: u64) -> bool {
        self.lock().calls.is_dropped(number)
    }

    /// From here on, dropped calls cancel nothing: the host lets go of the run. What could hold the run in a circle
    /// (handlers that own a context) is dropped.
    pub(super) fn let_go(&self) {
        let mut inner = self.lock();
        inner.dropping = true;
        let spawned = std::mem::take(&mut inner.spawned);
        let held = (std::mem::take(&mut inner.inbox), std::mem::take(&mut inner.publisher), spawned);
        drop(inner);
        drop(held);
    }
}

impl Inner {
    /// Cancels what is in reach; the first request counts.
    fn cancel(&mut self, scope: ScopeId, canceled: Canceled) -> Vec<Waker> {
        if !self.scopes.cancel(scope, canceled.clone()) {
            return Vec::new();
        }
        let scopes = &self.scopes;
        let mut wakers = self.calls.cancel_all(&canceled, |inner| scopes.reaches(scope, inner));
        let waits = self.waits.values().filter(|wait| scopes.reaches(scope, wait.scope));
        wakers.extend(waits.map(|wait| wait.waker.clone()));
        wakers
    }
}

/// A build with the right key goes on from there.
fn stuck(what: &str, error: &CodecError) -> Blocked {
    Blocked::BadInput { message: format!("{what}: {error}") }
}
