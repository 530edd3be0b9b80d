//! The numbered calls of a run: those whose futures wait, and the commands that they ask for.

use std::collections::BTreeMap;
use std::task::Waker;

use millrace_core::{ActivityFailure, Command, Payload};

use crate::Canceled;

/// How a numbered call ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Completed(Payload),
    Failed(Box<ActivityFailure>),
    Fired,
    Canceled(Canceled),
}

/// Calls by number, and the commands of the current resumption.
#[derive(Default)]
pub(super) struct Calls {
    pending: BTreeMap<u64, Pending>,
    commands: Vec<(u64, Command)>,
    resumptions: u64,
}

/// A call that has been issued and whose future is alive.
pub(super) struct Pending {
    shielded: bool,
    /// In which resumption it was issued: until that ends, its command can still be taken back.
    issued_in: u64,
    cancel: Command,
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
    }

    /// Issues a call's command; the call then waits for its end.
    pub(super) fn issue(
        &mut self,
        number: u64,
        start: Command,
        cancel: Command,
        shielded: bool,
        waker: Waker,
    ) {
        let pending = Pending { shielded, issued_in: self.resumptions, cancel, state: State::Waiting(waker) };
        self.commands.push((number, start));
        self.pending.insert(number, pending);
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
        if let State::Waiting(_) = dropped.state {
            let is_fresh = dropped.issued_in == self.resumptions;
            let fresh = is_fresh.then(|| self.commands.iter().rposition(|(n, _)| *n == number)).flatten();
            match fresh {
                Some(i) => drop(self.commands.swap_remove(i)),
                None => self.commands.push((number, dropped.cancel.clone())),
            }
        }
        Some(dropped)
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

    /// Ends every call in reach, by number.
    pub(super) fn cancel_all(&mut self, canceled: &Canceled) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for (number, pending) in self.pending.iter_mut().filter(|(_, pending)| !pending.shielded) {
            if let State::Ended(_) = pending.state {
                continue;
            }
            self.commands.push((*number, pending.cancel.clone()));
            let ended = State::Ended(Ended::Canceled(canceled.clone()));
            if let State::Waiting(waker) = std::mem::replace(&mut pending.state, ended) {
                wakers.push(waker);
            }
        }
        wakers
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
