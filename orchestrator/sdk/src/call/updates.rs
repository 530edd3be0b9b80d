//! Updates as a stream: for workflows that take their time to answer.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::FusedFuture;
use millrace_core::{Blocked, Payload, RequestId};

use super::Within;
use super::arrival::{Arrival, Look};
use crate::codec::{self, Unwritten};
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
        RecvUpdate { arrival: Arrival::new(self.journal.clone(), self.scope), update: PhantomData }
    }
}

/// The next update of a type. Dropping it loses none.
#[must_use = "a durable call does nothing until it is awaited"]
pub struct RecvUpdate<U> {
    arrival: Arrival,
    update: PhantomData<fn() -> U>,
}

impl<U: Update> RecvUpdate<U> {
    /// Waits no longer than this: `Ok(None)` when time is up.
    pub fn within(self, limit: Duration) -> Within<Self> {
        let timer = self.arrival.limit(limit);
        Within::new(self, timer)
    }
}

impl<U: Update> Future for RecvUpdate<U> {
    type Output = Result<(U, Reply<U>), Canceled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.arrival.poll(WaitFor::Update(U::NAME), cx, |journal| {
            while let Some((request_id, input)) = journal.take_update(U::NAME) {
                match journal.codecs.read(&input, || format!("update `{}`", U::NAME)) {
                    Ok(update) => return Look::Found((update, Reply::new(journal.clone(), request_id))),
                    Err(codec::Unread::Shape(reason)) => journal.reply(&request_id, Err(reason)),
                    Err(codec::Unread::Codec(message)) => journal.block(Blocked::BadInput { message }),
                }
            }
            Look::Nothing
        })
    }
}

impl<U: Update> FusedFuture for RecvUpdate<U> {
    fn is_terminated(&self) -> bool {
        self.arrival.is_done()
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
