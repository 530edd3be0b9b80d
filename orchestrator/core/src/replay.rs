//! Drives workflow code over a history and checks that it asks again for what the history records.

use std::collections::VecDeque;

use crate::{Blocked, Command, Event, EventKind, Payload, RunId, Timestamp, WorkflowId, WorkflowType};

/// What workflow code may know of its run before the first event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// The user's id.
    pub workflow_id: WorkflowId,
    /// This execution; also the seed of the code's random numbers.
    pub run_id: RunId,
    /// Which code.
    pub workflow: WorkflowType,
    /// When the run began.
    pub started_at: Timestamp,
}

/// Workflow code that has been started and is suspended between events. A host implements this over whatever its
/// language suspends: futures, coroutines, a state machine.
pub trait Coroutine: Send {
    /// Gives the code one event and runs it until it waits again. Returns what it asked for, in an order that
    /// depends on nothing but the events given so far.
    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked>;

    /// Says whether the events that follow are gone over again: what the code tells the world on the side (its log
    /// lines) was told when they happened.
    fn replaying(&mut self, _yes: bool) {}

    /// The state that the code shows to anyone who asks, if it shows any.
    fn published(&self) -> Option<Payload> {
        None
    }
}

/// Where workflow code comes from.
pub trait WorkflowCode: Send + Sync {
    /// Code for a run; it does nothing before its first event.
    fn instantiate(&self, info: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked>;
}

/// Workflow code on its way through a history.
///
/// Commands are matched with the history by their own order, not by their place among the facts: a run that was
/// blocked has facts in its log that its code has not seen, and the commands they lead to are recorded later.
pub struct Replay {
    code: Box<dyn Coroutine>,
    issued: VecDeque<Command>,
    ended: bool,
}

impl Replay {
    /// Begins with fresh code.
    pub fn new(code: Box<dyn Coroutine>) -> Self {
        Self { code, issued: VecDeque::new(), ended: false }
    }

    /// Goes over events that code has seen before: facts resume the code, recorded commands must be the ones that it
    /// issues. The code knows that this is a replay.
    pub fn follow(&mut self, history: &[Event]) -> Result<(), Blocked> {
        self.code.replaying(true);
        let followed = self.go_on(history);
        self.code.replaying(false);
        followed
    }

    /// The same for events that are new to all code: those of the turn itself, when its code had to be brought up.
    pub fn go_on(&mut self, history: &[Event]) -> Result<(), Blocked> {
        for event in history {
            if event.kind.resumes_code() {
                self.resume(event)?;
            } else if event.kind.records_command() {
                self.expect(event)?;
            }
        }
        Ok(())
    }

    /// Resumes the code with one fact.
    pub fn resume(&mut self, event: &Event) -> Result<(), Blocked> {
        if self.ended {
            return Ok(());
        }
        for command in self.code.resume(event)? {
            self.ended |= command.ends_run();
            self.issued.push_back(command);
            if self.ended {
                break;
            }
        }
        Ok(())
    }

    /// The next command that the history does not record yet.
    pub fn next_command(&mut self) -> Option<Command> {
        self.issued.pop_front()
    }

    /// What the code shows of its state.
    pub fn published(&self) -> Option<Payload> {
        self.code.published()
    }

    fn expect(&mut self, event: &Event) -> Result<(), Blocked> {
        let got = self.issued.pop_front();
        if got.as_ref().is_some_and(|command| command.matches(&event.kind)) {
            return Ok(());
        }
        Err(Blocked::Nondeterminism {
            event: event.n,
            expected: event.kind.describe(),
            got: got.map_or_else(|| "nothing".to_owned(), |command| command.describe()),
        })
    }
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("issued", &self.issued)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// Lets a recorded event name what it is, wherever only the kind is at hand.
impl std::fmt::Display for EventKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}
