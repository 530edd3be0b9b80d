//! What an orchestrator tells clients in its own process, so that they need not poll. Only a shortcut: clients elsewhere
//! read the bucket.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::channel::oneshot;
use millrace_core::{RequestId, WorkflowId};

/// How many rejected, and how many settled requests are remembered for clients that ask later.
const REMEMBERED: usize = 10_000;

/// Rejected requests, and who waits for a run to change.
#[derive(Default)]
pub struct Notices(Mutex<State>);

#[derive(Default)]
struct State {
    rejections: VecDeque<(RequestId, String)>,
    settled: VecDeque<RequestId>,
    waiting: Waiting,
    waiting_for_rest: Waiting,
}

type Waiting = HashMap<WorkflowId, Vec<oneshot::Sender<()>>>;

impl Notices {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a request was rejected, if it was.
    pub fn rejection(&self, request_id: &RequestId) -> Option<String> {
        self.state()
            .rejections
            .iter()
            .rev()
            .find(|(id, _)| id == request_id)
            .map(|(_, reason)| reason.clone())
    }

    /// Whether a request was dealt with without a trace in the log: it changed nothing.
    pub fn is_settled(&self, request_id: &RequestId) -> bool {
        self.state().settled.contains(request_id)
    }

    /// Resolves at the workflow's next commit or rejection. Register first, then look, then wait.
    pub fn changed(&self, id: &WorkflowId) -> oneshot::Receiver<()> {
        wait(&mut self.state().waiting, id)
    }

    /// Resolves when the workflow's run has closed or is blocked: whoever waits for a result need not look at every
    /// commit on the way.
    pub fn at_rest(&self, id: &WorkflowId) -> oneshot::Receiver<()> {
        wait(&mut self.state().waiting_for_rest, id)
    }

    pub(crate) fn rejected(&self, request_id: &RequestId, reason: &str) {
        let mut state = self.state();
        state.rejections.push_back((request_id.clone(), reason.to_owned()));
        if state.rejections.len() > REMEMBERED {
            state.rejections.pop_front();
        }
    }

    pub(crate) fn settled(&self, request_id: &RequestId) {
        let mut state = self.state();
        state.settled.push_back(request_id.clone());
        if state.settled.len() > REMEMBERED {
            state.settled.pop_front();
        }
    }

    /// A commit of the workflow, or a rejection; `at_rest` if its run is not going on by itself.
    pub(crate) fn committed(&self, id: &WorkflowId, at_rest: bool) {
        let mut state = self.state();
        let waiting = state.waiting.remove(id);
        let for_rest = if at_rest { state.waiting_for_rest.remove(id) } else { None };
        drop(state);
        for sender in waiting.into_iter().chain(for_rest).flatten() {
            let _ = sender.send(());
        }
    }
}

fn wait(waiting: &mut Waiting, id: &WorkflowId) -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    let waiting = waiting.entry(id.clone()).or_default();
    waiting.retain(|sender| !sender.is_canceled());
    waiting.push(sender);
    receiver
}
