//! What each step does.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::action::{Action, Fault};
use crate::bucket::Put;
use crate::decide::{Decision, Received, decide};
use crate::history::Head;
use crate::model::Protocol;
use crate::process::{Attempt, Phase, Process, ProcessId, Settling};
use crate::queues::{Message, Queue};
use crate::state::State;
use crate::variant::Variant;
use crate::workload::{Effect, Fact};

/// After this many lost races the messages are given back, so that the next receive is a fuller batch.
const MOST_CONFLICTS: u8 = 2;

impl Protocol {
    /// Does one step.
    pub fn step(&self, state: &mut State, action: &Action) {
        match action {
            Action::Receive(process, batch) => receive(state, *process, batch),
            Action::Decide(process) => self.decide(state, *process),
            Action::Archive(process) => self.archive(state, *process),
            Action::Commit(process) => commit(state, *process),
            Action::ReadAgain(process) => self.read_again(state, *process),
            Action::Dispatch(process, effect) => dispatch(state, *process, *effect),
            Action::Keep(process, effect) => keep_task(state, *process, *effect),
            Action::Acknowledge(process, received, deletes) => {
                acknowledge(state, *process, received, *deletes);
            }
            Action::Work(task) => {
                state.queues.remove(*task);
                state.queues.send(Queue::Events, task.fact);
            }
            Action::Start(request) => {
                state.starts = *request;
                state.queues.send(Queue::Events, Fact::Start(*request));
            }
            Action::Land(late) => {
                let put = state.bucket.late.remove(*late);
                state.bucket.put(put);
            }
            Action::Vanish(late) => drop(state.bucket.late.remove(*late)),
            Action::Fault(fault) => {
                state.faults += 1;
                break_down(state, fault);
            }
        }
    }

    /// Load and decide. What a cached run makes of a turn counts only if it leads to a commit: that is refused if the cache
    /// was stale. A turn that would change nothing is decided again on a fresh read (G12).
    fn decide(&self, state: &mut State, process: ProcessId) {
        let Process { cache, phase } = std::mem::take(state.process(process));
        let Phase::Received(batch) = phase else { return };
        if let Some(cached) = cache {
            let decision = self.decision(state, Some(&cached), &batch);
            if decision.commit.is_some() || self.variant == Variant::NothingToDoByTheCache {
                return decided(state, process, (batch, 0), Some(cached), decision);
            }
        }
        let read = state.bucket.head.clone();
        let decision = self.decision(state, read.as_ref(), &batch);
        decided(state, process, (batch, 0), read, decision);
    }

    fn decision(&self, state: &State, head: Option<&Head>, batch: &[Received]) -> Decision {
        let run = head.map(|head| &head.run);
        decide((self.code, self.variant), run, &state.bucket.archive, batch)
    }

    /// Close, then replace: nothing is lost with a closed run whose place is taken.
    fn archive(&self, state: &mut State, process: ProcessId) {
        let Phase::Archiving(attempt) = std::mem::take(&mut state.process(process).phase) else { return };
        if let Some(closed) = &attempt.replaces {
            state.bucket.archive(closed.clone());
            if self.variant == Variant::ReplacingSendsAgain {
                closed
                    .effects()
                    .filter(|effect| closed.is_open(*effect))
                    .for_each(|effect| state.send(effect));
            }
        }
        state.process(process).phase = Phase::Committing(attempt);
    }

    /// G5: our nonce is the last commit's: the turn is in the log. Else it is decided again on what was read: messages that
    /// are found absorbed, be it by our own late write, fall under G4.
    fn read_again(&self, state: &mut State, process: ProcessId) {
        let Phase::Unsure(attempt) = std::mem::take(&mut state.process(process).phase) else { return };
        let is_ours = state.bucket.nonce == Some(process);
        state.bucket.forget(process);
        if is_ours {
            return committed(state, process, attempt);
        }
        let Attempt { batch, conflicts, .. } = attempt;
        let from_events = batch.iter().all(|received| received.queue == Queue::Events);
        if conflicts + 1 == MOST_CONFLICTS && from_events {
            return give_back(state, process, &batch);
        }
        let read = state.bucket.head.clone();
        let decision = self.decision(state, read.as_ref(), &batch);
        decided(state, process, (batch, (conflicts + 1).min(MOST_CONFLICTS)), read, decision);
    }
}

fn receive(state: &mut State, process: ProcessId, batch: &[Message]) {
    let mut received = Vec::new();
    for message in batch {
        let Message { queue, fact, received: again, .. } = *message;
        received.push(Received { queue, message: fact, fact, earlier: BTreeSet::new(), again });
        state.queues.change(*message, |message| {
            message.received = true;
            message.holder = Some(process);
        });
    }
    state.process(process).phase = Phase::Received(received);
}

/// A turn is decided on `head`: it goes on to its commit, or has none to make.
fn decided(
    state: &mut State,
    process: ProcessId,
    (batch, conflicts): (Vec<Received>, u8),
    head: Option<Head>,
    decision: Decision,
) {
    let Decision { commit, replaces, effects, done, again } = decision;
    let then = Settling { effects, done, again, kept: None };
    let Some(run) = commit.map(Arc::new) else {
        state.keep(process, head);
        return settle(state, process, then);
    };
    let condition = head.map(|head| head.version);
    let attempt = Attempt { batch, condition, run, replaces, conflicts, then };
    state.process(process).phase = match &attempt.replaces {
        Some(_) => Phase::Archiving(attempt),
        None => Phase::Committing(attempt),
    };
}

fn put_of(process: ProcessId, attempt: &Attempt) -> Put {
    Put { condition: attempt.condition, run: attempt.run.clone(), known_to: Some(process) }
}

fn commit(state: &mut State, process: ProcessId) {
    let Phase::Committing(attempt) = std::mem::take(&mut state.process(process).phase) else { return };
    if state.bucket.put(put_of(process, &attempt)) {
        state.bucket.forget(process);
        committed(state, process, attempt);
    } else {
        state.process(process).phase = Phase::Unsure(attempt);
    }
}

/// Only a successful commit validates a cache (G12).
fn committed(state: &mut State, process: ProcessId, attempt: Attempt) {
    let head = state.bucket.head.clone();
    state.keep(process, head);
    settle(state, process, attempt.then);
}

/// Goes on with what is left: an eager worker with the task that it has kept, others with messages that had to wait.
fn settle(state: &mut State, process: ProcessId, settling: Settling) {
    let Settling { effects, done, again, kept } = &settling;
    let next = match (kept, done.first()) {
        _ if !effects.is_empty() => Phase::Settling(settling),
        (Some(fact), Some(held)) => Phase::Received(vec![held.clone().goes_on_with(*fact)]),
        (_, Some(_)) => Phase::Settling(settling),
        _ if !again.is_empty() => Phase::Received(settling.again),
        _ => return state.rest(process),
    };
    state.process(process).phase = next;
}

/// Sends an effect, regularly after the commit (G1).
fn dispatch(state: &mut State, process: ProcessId, effect: Effect) {
    state.send(effect);
    match std::mem::take(&mut state.process(process).phase) {
        Phase::Settling(mut settling) => {
            take(&mut settling.effects, effect);
            settle(state, process, settling);
        }
        Phase::Committing(mut attempt) => {
            take(&mut attempt.then.effects, effect);
            state.process(process).phase = Phase::Committing(attempt);
        }
        phase => state.process(process).phase = phase,
    }
}

/// An eager turn: no message, no hop. The worker still holds the first task of its chain.
fn keep_task(state: &mut State, process: ProcessId, effect: Effect) {
    *state.sent.entry(effect).or_default() += 1;
    if let Phase::Settling(mut settling) = std::mem::take(&mut state.process(process).phase) {
        take(&mut settling.effects, effect);
        settling.kept = effect.outcome();
        settle(state, process, settling);
    }
}

fn take(effects: &mut Vec<Effect>, effect: Effect) {
    if let Some(i) = effects.iter().position(|other| *other == effect) {
        effects.remove(i);
    }
}

fn acknowledge(state: &mut State, process: ProcessId, received: &Received, deletes: bool) {
    if let Some(message) = state.queues.receipt(process, received.queue, received.message).filter(|_| deletes)
    {
        state.queues.remove(message);
    }
    if let Phase::Settling(mut settling) = std::mem::take(&mut state.process(process).phase) {
        settling.done.remove(0);
        settle(state, process, settling);
    }
}

/// Fresh copies, whose receives nobody counts; then the originals are deleted, if the receipts still hold.
fn give_back(state: &mut State, process: ProcessId, batch: &[Received]) {
    for received in batch {
        state.queues.send(received.queue, received.message);
        let original = state.queues.receipt(process, received.queue, received.message);
        if let Some(message) = original.filter(|message| message.holder == Some(process)) {
            state.queues.remove(message);
        }
    }
    state.rest(process);
}

fn break_down(state: &mut State, fault: &Fault) {
    match fault {
        Fault::Crash(process) => {
            if let Phase::Committing(attempt) = &state.process(*process).phase {
                let put = put_of(*process, attempt);
                state.bucket.delay(put);
            }
            state.bucket.forget(*process);
            state.rest(*process);
            *state.process(*process) = Process::default();
        }
        Fault::Lapse(process, message) => state.queues.change(*message, |message| {
            message.holder = None;
            message.lapsed[process.index()] = true;
        }),
        Fault::Duplicate(message) => {
            state.queues.send(message.queue, message.fact);
        }
        Fault::DeleteIneffective(process, received) => {
            acknowledge(state, *process, received, false);
        }
        Fault::ReplyLost(process) => {
            let Phase::Committing(attempt) = std::mem::take(&mut state.process(*process).phase) else {
                return;
            };
            state.bucket.put(put_of(*process, &attempt));
            state.process(*process).phase = Phase::Unsure(attempt);
        }
        Fault::PutLate(process) => {
            let Phase::Committing(attempt) = std::mem::take(&mut state.process(*process).phase) else {
                return;
            };
            state.bucket.delay(put_of(*process, &attempt));
            state.process(*process).phase = Phase::Unsure(attempt);
        }
        Fault::WorkerCrash(task) => {
            state.queues.change(*task, |task| task.received = true);
            state.queues.send(Queue::Events, task.fact);
        }
    }
}
