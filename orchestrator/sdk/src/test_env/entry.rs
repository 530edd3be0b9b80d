//! One workflow id of the world: its current run, the code of it, and the runs before.

use millrace_core::{
    Blocked, BlockedMark, Event, EventKind, Live, Payload, Replay, Run, RunId, Status, WorkflowCode,
};
use millrace_engine::is_meant;

/// Up to so many events every turn is replayed from the start; above, whenever the history has grown by a tenth. Else a
/// run of many events would take quadratic time.
const ALWAYS_CHECKED: usize = 500;

/// A workflow's runs.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) live: Option<Live>,
    pub(super) history: Vec<Event>,
    /// Runs before the current one, oldest first.
    pub(super) archive: Vec<(Run, Vec<Event>)>,
    /// Set for good once a replay came out otherwise.
    pub(super) broken: Option<BlockedMark>,
    /// The run was closed before its code could see anything.
    pub(super) never_began: bool,
    checked: usize,
}

/// A run, wherever it lies.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) run: &'a Run,
    pub(super) history: &'a [Event],
    pub(super) blocked: Option<&'a BlockedMark>,
}

impl Entry {
    /// The current run.
    pub(super) fn current(&self) -> Option<Record<'_>> {
        let run = &self.live.as_ref()?.run;
        let blocked = self.broken.as_ref().or(run.blocked.as_ref());
        Some(Record { run, history: &self.history, blocked })
    }

    /// The run that is named: the first of the runs that continue one another means the last.
    pub(super) fn find(&self, wanted: Option<RunId>) -> Option<Record<'_>> {
        let current = self.current()?;
        if is_meant(current.run, wanted) {
            return Some(current);
        }
        self.runs().find(|record| Some(record.run.info.run_id) == wanted)
    }

    /// All runs, oldest first.
    pub(super) fn runs(&self) -> impl Iterator<Item = Record<'_>> {
        let earlier = self.archive.iter().map(|(run, history)| Record { run, history, blocked: None });
        earlier.chain(self.current())
    }

    /// Code that is not at hand is brought up by the turn, which needs the history for that.
    pub(super) fn prepare(&mut self) {
        if let Some(live) = &mut self.live {
            live.history = if live.replay.is_none() { self.history.clone() } else { Vec::new() };
        }
    }

    /// Another run has begun in the place of the one before.
    pub(super) fn replaced(&mut self, earlier: Run) {
        self.archive.push((earlier, std::mem::take(&mut self.history)));
        (self.checked, self.never_began) = (0, false);
    }

    /// Fresh code asks for exactly what the history records, and shows the same state. It then makes the next turn.
    pub(super) fn check(&mut self, code: &dyn WorkflowCode, keeps_code: bool) {
        if !self.is_to_be_checked() {
            return;
        }
        self.checked = self.history.len();
        let (Some(live), history) = (&mut self.live, &self.history) else { return };
        let replayed = replay(code, &live.run, history);
        if live.run.blocked.is_some() {
            return;
        }
        // The code of a paused run has yet to see what it was told: it is brought up when that is over.
        let keeps_code = keeps_code || live.run.paused.is_some();
        match replayed {
            Ok(replay) => {
                if live.run.status.is_open() && live.run.begins_at().is_none() && !keeps_code {
                    live.replay = Some(replay);
                }
            }
            Err(reason) => {
                let (build, since) = (super::world::BUILD.to_owned(), live.run.last_time);
                self.broken = Some(BlockedMark { reason, build, since });
            }
        }
    }

    fn is_to_be_checked(&self) -> bool {
        let Some(Live { run, .. }) = &self.live else { return false };
        let by_force = matches!(run.status, Status::Terminated | Status::TimedOut);
        if by_force || self.never_began || closed_before_it_began(run, &self.history) {
            return false;
        }
        let events = self.history.len();
        !run.status.is_open() || events <= ALWAYS_CHECKED || events * 10 > self.checked * 11
    }
}

/// A run with a start delay that was canceled within it: no code has seen that.
fn closed_before_it_began(run: &Run, history: &[Event]) -> bool {
    let is_delayed = run.started.as_ref().is_some_and(|started| started.begins_at.is_some());
    is_delayed
        && !run.status.is_open()
        && !history.iter().any(|event| matches!(event.kind, EventKind::TimerFired(_)))
}

/// Fresh code over a whole history that must come out the same.
fn replay(code: &dyn WorkflowCode, run: &Run, history: &[Event]) -> Result<Replay, Blocked> {
    let mut replay = Replay::new(code.instantiate(&run.info)?);
    replay.follow(history)?;
    if run.paused.is_some() {
        // What it asks for and shows is of facts that its code has yet to see.
        return Ok(replay);
    }
    let differs = |expected: String, got: String| {
        Err(Blocked::Nondeterminism { event: run.last_event + 1, expected, got })
    };
    if let Some(command) = replay.next_command() {
        return differs("nothing".to_owned(), command.describe());
    }
    let shown = replay.published(run.published.as_ref());
    if shown != run.published {
        let text = |state: &Option<Payload>| match state {
            Some(state) => format!("the published state {state}"),
            None => "no published state".to_owned(),
        };
        return differs(text(&run.published), text(&shown));
    }
    Ok(replay)
}
