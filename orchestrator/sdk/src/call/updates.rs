//! Updates as a stream: for workflows that take their time to answer.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::FusedFuture;
use millrace_core::{Blocked, Payload, RequestId};

use super::Within;
use crate::codec::{Unread, Unwritten};
use crate::host::{Journal, ScopeId, WaitFor};
use crate::{Canceled, Update};

/// The updates of one type, in the order in which they arrived: see
/// [`WorkflowContext::updates`](crate::WorkflowContext::updates).
pub struct Updates<U> {
    journal: Arc<Journal>,
    scope: ScopeId,
    update: PhantomData<fn() -> U>,
}

impl<U: Update> Updates<U> {
    pub(crate) fn new(journal: Arc<Journal>, scope: ScopeId) -> Self {
        Self { journal, scope, update: PhantomData }
    }

    /// The next one, and the way to answer it.
    pub fn recv(&self) -> RecvUpdate<U> {
        let journal = self.journal.clone();
        RecvUpdate { journal, scope: self.scope, wait: None, done: false, update: PhantomData }
    }
}

/// The next update of a type. Dropping it loses none.
#[must_use = "a durable call does nothing until it is awaited"]
pub struct RecvUpdate<U> {
    journal: Arc<Journal>,
    scope: ScopeId,
    wait: Option<u64>,
    done: bool,
    update: PhantomData<fn() -> U>,
}

impl<U: Update> RecvUpdate<U> {
    /// Waits no longer than this: `Ok(None)` when time is up.
    pub fn within(self, limit: Duration) -> Within<Self> {
        let timer = super::sleep(&self.journal, self.scope, limit);
        Within::new(self, timer)
    }

    fn end<T>(&mut self, result: T) -> Poll<T> {
        self.done = true;
        self.stop_waiting();
        Poll::Ready(result)
    }
}

impl<U> RecvUpdate<U> {
    fn stop_waiting(&mut self) {
        if let Some(key) = self.wait.take() {
            self.journal.unwait(key);
        }
    }
}

impl<U: Update> Future for RecvUpdate<U> {
    type Output = Result<(U, Reply<U>), Canceled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.done {
            return Poll::Pending;
        }
        if let Some(canceled) = self.journal.canceled(self.scope) {
            return self.end(Err(canceled));
        }
        while let Some((request_id, input)) = self.journal.take_update(U::NAME) {
            match self.journal.codecs.read(&input, || format!("update `{}`", U::NAME)) {
                Ok(update) => {
                    let reply = Reply::new(self.journal.clone(), request_id);
                    return self.end(Ok((update, reply)));
                }
                Err(Unread::Shape(reason)) => self.journal.reply(&request_id, Err(reason)),
                Err(Unread::Codec(message)) => self.journal.block(Blocked::BadInput { message }),
            }
        }
        let wait = self.journal.wait(self.wait, WaitFor::Update(U::NAME), self.scope, cx.waker());
        self.wait = Some(wait);
        Poll::Pending
    }
}

impl<U: Update> FusedFuture for RecvUpdate<U> {
    fn is_terminated(&self) -> bool {
        self.done
    }
}

impl<U> Drop for RecvUpdate<U> {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

/// The way to answer an update. One that is dropped refuses it: whoever asked need not wait for ever.
#[must_use = "whoever asked waits for the answer"]
pub struct Reply<U> {
    journal: Arc<Journal>,
    request_id: Option<RequestId>,
    update: PhantomData<fn() -> U>,
}

impl<U: Update> Reply<U> {
    fn new(journal: Arc<Journal>, request_id: RequestId) -> Self {
        Self { journal, request_id: Some(request_id), update: PhantomData }
    }

    /// Answers.
    pub fn ok(mut self, output: U::Output) {
        match self.journal.codecs.write(&output) {
            Ok(answer) => self.send(Ok(answer)),
            Err(unwritten @ Unwritten::Json(_)) => self.send(Err(format!("the answer {unwritten}"))),
            Err(unwritten @ Unwritten::Codec(_)) => {
                self.request_id = None;
                self.journal
                    .block(Blocked::BadInput { message: format!("the answer to an update {unwritten}") });
            }
        }
    }

    /// Refuses.
    pub fn reject(mut self, reason: impl Into<String>) {
        self.send(Err(reason.into()));
    }
}

impl<U> Reply<U> {
    fn send(&mut self, answer: Result<Payload, String>) {
        if let Some(request_id) = self.request_id.take() {
            self.journal.reply(&request_id, answer);
        }
    }
}

impl<U> Drop for Reply<U> {
    fn drop(&mut self) {
        self.send(Err("the workflow gave no answer".to_owned()));
    }
}

impl<U: Update> std::fmt::Debug for Updates<U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Updates").field("name", &U::NAME).finish_non_exhaustive()
    }
}

impl<U: Update> std::fmt::Debug for RecvUpdate<U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecvUpdate").field("name", &U::NAME).finish_non_exhaustive()
    }
}

impl<U> std::fmt::Debug for Reply<U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}
