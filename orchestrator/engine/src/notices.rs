//! What an orchestrator tells clients in its own process, so that they need not poll. Only a shortcut: clients elsewhere
//! read the bucket.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::channel::oneshot;
use millrace_core::{RequestId, RunId, WorkflowId};

/// How many rejected, and how many settled requests are remembered for clients that ask later.
const REMEMBERED: usize = 10_000;
/// From how many waited-for workflows on those that nobody waits for any more are looked for.
const SWEEP_FROM: usize = 1 << 10;

/// Rejected requests, and who waits for a run to change.
#[derive(Default)]
pub struct Notices(Mutex<State>);

#[derive(Default)]
struct State {
    rejections: VecDeque<(RequestId, String)>,
    settled: VecDeque<RequestId>,
    absorbed: VecDeque<(RequestId, RunId)>,
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

    /// The run whose log absorbed a request lately; a client need not read the history to find it there.
    pub fn absorbed(&self, request_id: &RequestId) -> Option<RunId> {
        self.state().absorbed.iter().rev().find(|(id, _)| id == request_id).map(|(_, run_id)| *run_id)
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
        remember(&mut self.state().rejections, (request_id.clone(), reason.to_owned()));
    }

    pub(crate) fn settled(&self, request_id: &RequestId) {
        remember(&mut self.state().settled, request_id.clone());
    }

    pub(crate) fn has_absorbed(&self, request_id: &RequestId, run_id: RunId) {
        remember(&mut self.state().absorbed, (request_id.clone(), run_id));
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

fn remember<T>(remembered: &mut VecDeque<T>, news: T) {
    remembered.push_back(news);
    if remembered.len() > REMEMBERED {
        remembered.pop_front();
    }
}

/// Whoever waits for a workflow that never changes again leaves a canceled sender behind: once there are many
/// workflows, those are swept.
fn wait(waiting: &mut Waiting, id: &WorkflowId) -> oneshot::Receiver<()> {
    if waiting.len() >= SWEEP_FROM && waiting.len().is_power_of_two() {
        waiting.retain(|_, senders| {
            senders.retain(|sender| !sender.is_canceled());
            !senders.is_empty()
        });
    }
    let (sender, receiver) = oneshot::channel();
    let waiting = waiting.entry(id.clone()).or_default();
    waiting.retain(|sender| !sender.is_canceled());
    waiting.push(sender);
    receiver
}
