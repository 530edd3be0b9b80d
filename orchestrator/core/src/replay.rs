//! Drives workflow code over a history and checks that it asks again for what the history records.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    ActivityId, Blocked, Command, Event, EventKind, LocalActivity, Payload, RequestId, RunId, Timestamp,
    Unread, UnreadMessage, WorkflowId, WorkflowType,
};

/// What workflow code may know of its run before the first event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// The user's id.
    pub workflow_id: WorkflowId,
    /// This execution.
    pub run_id: RunId,
    /// What the code's random numbers are made of: its own id, but for a run that has taken over another's events.
    pub seed: RunId,
    /// Which code.
    pub workflow: WorkflowType,
    /// Which version of it, if the run is pinned to one.
    pub version: Option<String>,
    /// When the run began.
    pub started_at: Timestamp,
}

impl RunInfo {
    /// A run that has no events yet.
    pub fn new(
        workflow_id: WorkflowId,
        run_id: RunId,
        workflow: WorkflowType,
        started_at: Timestamp,
    ) -> Self {
        Self { workflow_id, run_id, seed: run_id, workflow, version: None, started_at }
    }
}

/// Workflow code that has been started and is suspended between events. A host implements this over whatever its
/// language suspends: futures, coroutines, a state machine.
pub trait Coroutine: Send {
    /// Gives the code one event and runs it until it waits again. Returns what it asked for, in an order that
    /// depends on nothing but the events given so far.
    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked>;

    /// Gives the code an update that is recorded only if the code takes it. Code that refuses one is as it was before.
    fn offer(&mut self, event: &Event) -> Result<Offered, Blocked> {
        Ok(Offered::Taken(self.resume(event)?))
    }

    /// Tells, before the first event, which changes the history was made with: see [`Command::Patch`].
    fn patched(&mut self, _patches: &[String]) {}

    /// Tells that nothing which the code asks for from here on is recorded: see [`Command::Patch`].
    fn is_free(&mut self) {}

    /// Answers a question without changing anything. `None` if the code knows no query of this name.
    fn query(&self, _name: &str, _input: &Payload) -> Option<Result<Payload, String>> {
        None
    }

    /// Says whether the events that follow are gone over again: what the code tells the world on the side (its log
    /// lines) was told when they happened.
    fn replaying(&mut self, _yes: bool) {}

    /// The state that the code shows to anyone who asks, if it shows any. `known` is what it showed last: given back as it is if
    /// it says the same, because what is encrypted has other bits each time.
    fn published(&self, _known: Option<&Payload>) -> Option<Payload> {
        None
    }
}

/// What becomes of an update that code is offered.
#[derive(Debug)]
pub enum Offered {
    /// The code refuses it, for this reason, and has not moved.
    Refused(String),
    /// The code has been resumed with it.
    Taken(Vec<Command>),
}

/// Where workflow code comes from.
pub trait WorkflowCode: Send + Sync {
    /// Code for a run; it does nothing before its first event.
    fn instantiate(&self, info: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked>;

    /// The version of this workflow's code that new runs are pinned to, if they are.
    fn version(&self, _workflow: &WorkflowType) -> Option<String> {
        None
    }

    /// Why no run of this workflow may begin with this input. It is asked before a run begins, and never of one that has.
    fn refuses(&self, _workflow: &WorkflowType, _input: &Payload) -> Option<String> {
        None
    }
}

/// Workflow code on its way through a history.
///
/// Commands are matched with the history by their own order, not by their place among the facts: a run that was
/// blocked has facts in its log that its code has not seen, and the commands they lead to are recorded later.
pub struct Replay {
    code: Box<dyn Coroutine>,
    issued: VecDeque<Command>,
    /// Local activities without an end in the history; those that were handed out are being run.
    locals: BTreeMap<ActivityId, Local>,
    ended: bool,
    /// What was recorded behind the code's end, while it was held: nobody has read it.
    missed: Unread,
}

struct Local {
    activity: LocalActivity,
    handed_out: bool,
}

impl Replay {
    /// Begins with fresh code.
    pub fn new(code: Box<dyn Coroutine>) -> Self {
        Self {
            code,
            issued: VecDeque::new(),
            locals: BTreeMap::new(),
            ended: false,
            missed: Unread::default(),
        }
    }

    /// Goes over events that code has seen before: facts resume the code, recorded commands must be the ones that it
    /// issues. The code knows that this is a replay.
    pub fn follow(&mut self, history: &[Event]) -> Result<(), Blocked> {
        let patch = |event: &Event| match &event.kind {
            EventKind::Patched(e) => Some(e.patch.clone()),
            _ => None,
        };
        let patches: Vec<String> = history.iter().filter_map(patch).collect();
        self.code.patched(&patches);
        self.code.replaying(true);
        let followed = self.go_over(history);
        self.code.replaying(false);
        followed
    }

    /// Where no command is recorded any more, the code is free: facts that came while it was blocked, it has not seen.
    fn go_over(&mut self, history: &[Event]) -> Result<(), Blocked> {
        let records = |event: &Event| event.kind.records_command() || event.kind.local_activity().is_some();
        let recorded = history.iter().rposition(records).map_or(0, |last| last + 1);
        let (recorded, free) = history.split_at(recorded);
        self.go_on(recorded)?;
        self.code.is_free();
        self.go_on(free)
    }

    /// The same for events that are new to all code: those of the turn itself, when its code had to be brought up.
    pub fn go_on(&mut self, history: &[Event]) -> Result<(), Blocked> {
        for event in history {
            if let Some((activity_id, activity)) = event.kind.local_activity() {
                self.expect_local(event, activity_id, activity)?;
            }
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
            self.miss(event);
            return Ok(());
        }
        if let Some((activity_id, _)) = event.kind.local_activity() {
            self.locals.remove(&activity_id);
        }
        let commands = self.code.resume(event)?;
        self.take(commands);
        Ok(())
    }

    fn take(&mut self, commands: Vec<Command>) {
        for command in commands {
            self.ended |= command.ends_run();
            match command {
                Command::RunLocal(activity) => {
                    let local = Local { handed_out: false, activity };
                    self.locals.insert(local.activity.activity_id, local);
                }
                command => self.issued.push_back(command),
            }
            if self.ended {
                break;
            }
        }
    }

    /// Code that was held may end before facts that were recorded meanwhile. If it continues as new, the signals and
    /// updates among them go over to the next run (G10).
    fn miss(&mut self, event: &Event) {
        let message = |name: &str, input: &Payload, request_id: &RequestId| UnreadMessage {
            name: name.to_owned(),
            input: input.clone(),
            request_id: request_id.clone(),
        };
        match &event.kind {
            EventKind::SignalReceived(e) => {
                self.missed.signals.push(message(&e.name, &e.input, &e.request_id));
            }
            EventKind::UpdateReceived(e) => {
                self.missed.updates.push(message(&e.name, &e.input, &e.request_id));
            }
            EventKind::CancelRequested(e) => {
                self.missed.cancel.get_or_insert_with(|| e.clone());
            }
            _ => {}
        }
    }

    /// Offers the code an update that is not recorded yet. Gives the reason if the code refuses it without having moved: then
    /// it is as if the update had never come.
    pub fn offer(&mut self, event: &Event) -> Result<Option<String>, Blocked> {
        if self.ended {
            self.miss(event);
            return Ok(None);
        }
        match self.code.offer(event)? {
            Offered::Refused(reason) => Ok(Some(reason)),
            Offered::Taken(commands) => {
                self.take(commands);
                Ok(None)
            }
        }
    }

    /// Why what the code asks for, and the history does not record yet, cannot be recorded.
    pub fn too_large(&self) -> Option<Blocked> {
        self.issued.iter().find_map(Command::too_large)
    }

    /// The next command that the history does not record yet.
    pub fn next_command(&mut self) -> Option<Command> {
        let mut command = self.issued.pop_front()?;
        if let Command::ContinueAsNew { unread, .. } = &mut command {
            unread.signals.append(&mut self.missed.signals);
            unread.updates.append(&mut self.missed.updates);
            unread.cancel = self.missed.cancel.take();
        }
        Some(command)
    }

    /// The local activities that the code has asked for since the last time.
    pub fn take_locals(&mut self) -> Vec<LocalActivity> {
        let fresh = self.locals.values_mut().filter(|local| !local.handed_out);
        let hand_out = |local: &mut Local| {
            local.handed_out = true;
            local.activity.clone()
        };
        fresh.map(hand_out).collect()
    }

    /// Whether the code waits for local activities that are being run.
    pub fn runs_locals(&self) -> bool {
        !self.locals.is_empty()
    }

    /// Asks the code something that changes nothing.
    pub fn query(&self, name: &str, input: &Payload) -> Option<Result<Payload, String>> {
        self.code.query(name, input)
    }

    /// What the code shows of its state.
    pub fn published(&self, known: Option<&Payload>) -> Option<Payload> {
        self.code.published(known)
    }

    fn expect_local(&self, event: &Event, activity_id: ActivityId, name: &str) -> Result<(), Blocked> {
        match self.locals.get(&activity_id).map(|local| local.activity.activity.as_str()) {
            Some(asked) if asked == name => Ok(()),
            asked => Err(Blocked::Nondeterminism {
                event: event.n,
                expected: event.kind.describe(),
                got: asked.map_or_else(|| "nothing".to_owned(), |asked| format!("a call of `{asked}`")),
            }),
        }
    }

    fn expect(&mut self, event: &Event) -> Result<(), Blocked> {
        if let EventKind::Patched(patched) = &event.kind
            && !matches!(self.issued.front(), Some(Command::Patch(patch)) if *patch == patched.patch)
        {
            // Code that no longer asks takes the new way everywhere: that is how a change is finished.
            return Ok(());
        }
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
