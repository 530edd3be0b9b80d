//! The numbered calls of a run: those whose futures wait, and the commands that they ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;

use millrace_core::{ActivityFailure, Command, Payload, WorkflowFailure};

use super::scopes::ScopeId;
use crate::{Canceled, OnCancel};

/// How a numbered call ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Completed(Payload),
    Failed(Box<ActivityFailure>),
    ChildFailed(Box<WorkflowFailure>),
    Fired,
    Canceled(Canceled),
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Activity,
    LocalActivity,
    Timer,
    Child,
}

/// How a call behaves when it is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    pub(crate) scope: ScopeId,
    /// What becomes of it when its scope is canceled.
    pub(crate) on_cancel: OnCancel,
    /// Whether it goes on when nobody holds its future any more.
    pub(crate) detached: bool,
}

impl Call {
    /// What says that it is given up. A local activity has ended before anybody could say so.
    fn cancel(self, waits: bool, reason: &str) -> Option<(u64, Command)> {
        let command = match self.kind {
            Kind::Activity => Command::CancelActivity(self.number, waits),
            Kind::LocalActivity => return None,
            Kind::Timer => Command::CancelTimer(self.number),
            Kind::Child => Command::CancelChild(self.number, reason.to_owned()),
        };
        Some((self.number, command))
    }
}

/// Why a call is canceled whose future was dropped.
const DROPPED: &str = "the workflow no longer waits for it";

/// Calls by number, and the commands of the current resumption.
#[derive(Default)]
pub(super) struct Calls {
    pending: BTreeMap<u64, Pending>,
    commands: Vec<(u64, Command)>,
    /// Calls whose futures were dropped in this resumption.
    dropped: BTreeSet<u64>,
    resumptions: u64,
}

/// A call that has been issued and whose future is alive.
pub(super) struct Pending {
    call: Call,
    /// In which resumption it was issued: until that ends, its command can still be taken back.
    issued_in: u64,
    /// It was asked to stop, and is waited for.
    asked: bool,
    state: State,
}

enum State {
    Waiting(Waker),
    Ended(Ended),
}

impl Calls {
    /// The code is resumed: what it asked for before has been taken.
    pub(super) fn resume(&mut self) {
        self.resumptions += 1;
        self.dropped.clear();
    }

    /// Issues a call's command; the call then waits for its end.
    pub(super) fn issue(&mut self, call: Call, start: Command, waker: Waker) {
        let state = State::Waiting(waker);
        let pending = Pending { call, issued_in: self.resumptions, asked: false, state };
        self.commands.push((call.number, start));
        self.pending.insert(call.number, pending);
    }

    /// Issues a command that has no end to wait for.
    pub(super) fn say(&mut self, number: u64, command: Command) {
        self.commands.push((number, command));
    }

    /// How the call ended, once.
    pub(super) fn take_ended(&mut self, number: u64) -> Option<Ended> {
        match self.pending.remove(&number)? {
            Pending { state: State::Ended(ended), .. } => Some(ended),
            waiting => {
                self.pending.insert(number, waiting);
                None
            }
        }
    }

    /// Whether a call that waits would wake another than `waker`.
    pub(super) fn wakes_another(&self, number: u64, waker: &Waker) -> bool {
        let state = self.pending.get(&number).map(|pending| &pending.state);
        matches!(state, Some(State::Waiting(known)) if !known.will_wake(waker))
    }

    /// Changes whom a call wakes; gives back who it was.
    pub(super) fn rewake(&mut self, number: u64, waker: Waker) -> Option<Waker> {
        match &mut self.pending.get_mut(&number)?.state {
            State::Waiting(known) => Some(std::mem::replace(known, waker)),
            State::Ended(_) => Some(waker),
        }
    }

    /// The future was dropped: if the call has not ended, it is canceled, or taken back if it is not yet recorded.
    pub(super) fn abandon(&mut self, number: u64) -> Option<Pending> {
        let dropped = self.pending.remove(&number)?;
        let (call, waits) = (dropped.call, matches!(dropped.state, State::Waiting(_)));
        if waits && !call.detached && !self.take_back(&dropped) && call.on_cancel != OnCancel::Abandon {
            self.commands.extend(call.cancel(false, DROPPED));
            self.dropped.insert(number);
        }
        Some(dropped)
    }

    /// Whether the call was given up in this resumption because nobody holds its future any more.
    pub(super) fn is_dropped(&self, number: u64) -> bool {
        self.dropped.contains(&number)
    }

    /// Takes back the command of a call that was issued in this resumption.
    fn take_back(&mut self, pending: &Pending) -> bool {
        let is_fresh = pending.issued_in == self.resumptions;
        let number = pending.call.number;
        let fresh = is_fresh.then(|| self.commands.iter().rposition(|(n, _)| *n == number)).flatten();
        fresh.map(|i| self.commands.remove(i)).is_some()
    }

    /// The history says that a call ended. A run that was blocked has the ends of calls that its code has since
    /// abandoned; they are none of its business.
    pub(super) fn end(&mut self, number: u64, ended: impl FnOnce() -> Ended) -> Vec<Waker> {
        let Some(Pending { state: state @ State::Waiting(_), .. }) = self.pending.get_mut(&number) else {
            return Vec::new();
        };
        match std::mem::replace(state, State::Ended(ended())) {
            State::Waiting(waker) => vec![waker],
            State::Ended(_) => Vec::new(),
        }
    }

    /// Ends every call in reach, by number; those that wait for how they end are only asked to.
    pub(super) fn cancel_all(
        &mut self,
        canceled: &Canceled,
        reaches: impl Fn(ScopeId) -> bool,
    ) -> Vec<Waker> {
        let in_reach = |pending: &Pending| {
            matches!(pending.state, State::Waiting(_)) && !pending.asked && reaches(pending.call.scope)
        };
        let numbers: Vec<u64> =
            self.pending.iter().filter(|(_, pending)| in_reach(pending)).map(|(number, _)| *number).collect();
        numbers.into_iter().filter_map(|number| self.cancel(number, canceled)).collect()
    }

    fn cancel(&mut self, number: u64, canceled: &Canceled) -> Option<Waker> {
        let mut pending = self.pending.remove(&number)?;
        let call = pending.call;
        let taken_back = self.take_back(&pending);
        if call.on_cancel == OnCancel::Wait && !taken_back {
            self.commands.extend(call.cancel(true, &canceled.reason));
            pending.asked = true;
            self.pending.insert(number, pending);
            return None;
        }
        if call.on_cancel != OnCancel::Abandon && !taken_back {
            self.commands.extend(call.cancel(false, &canceled.reason));
        }
        let ended = State::Ended(Ended::Canceled(canceled.clone()));
        let was = std::mem::replace(&mut pending.state, ended);
        self.pending.insert(number, pending);
        match was {
            State::Waiting(waker) => Some(waker),
            State::Ended(_) => None,
        }
    }

    /// How many commands have been asked for and not taken.
    pub(super) fn commands(&self) -> usize {
        self.commands.len()
    }

    /// Takes back a refusal, if that is the last thing that was asked for.
    pub(super) fn take_refusal(&mut self) -> Option<String> {
        match self.commands.pop()? {
            (_, Command::RejectUpdate(_, reason)) => Some(reason),
            other => {
                self.commands.push(other);
                None
            }
        }
    }

    /// Whether any call waits.
    pub(super) fn wait(&self) -> bool {
        self.pending.values().any(|pending| matches!(pending.state, State::Waiting(_)))
    }

    /// What was asked for, by number.
    pub(super) fn take_commands(&mut self) -> Vec<Command> {
        let mut commands = std::mem::take(&mut self.commands);
        commands.sort_by_key(|(number, _)| *number);
        commands.into_iter().map(|(_, command)| command).collect()
    }
}
