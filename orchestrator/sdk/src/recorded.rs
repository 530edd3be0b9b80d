//! Recorded histories: what is kept of runs, and whether today's code could go on with them.

use millrace_core::{Blocked, Command, Event, EventKind, Replay, RunId, RunInfo, WorkflowCode, WorkflowId};
use millrace_format::Recording;

use crate::client::Handle;
use crate::{App, Client, RunError, Workflow};

impl App {
    /// Replays a run's history with the code that is registered here: whether the run could go on with it. Nothing is sent,
    /// no activity is run. An error is why the run would be blocked; for code that goes another way, where.
    ///
    /// ```
    /// # use millrace::{Recording, prelude::*};
    /// # fn check(app: App) -> Result<(), Box<dyn std::error::Error>> {
    /// for recording in Recording::read(&std::fs::read_to_string("tests/histories/ordered.ndjson")?)? {
    ///     app.replay(&recording)?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn replay(&self, recording: &Recording) -> Result<(), Blocked> {
        replay(self.workflow_code().as_ref(), &recording.info, &recording.events)
    }
}

impl Client {
    /// The whole history of a run, to be written to a file; of the current run if none is named.
    pub async fn record(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Recording, RunError> {
        let run = self.backend().describe(id, run).await?;
        let events = self.backend().history(id, Some(run.run_id)).await?;
        let info = RunInfo::new(run.workflow_id, run.run_id, run.workflow, run.started_at);
        Ok(Recording::new(info, events))
    }
}

impl<W: Workflow> Handle<W> {
    /// The whole history of the run, to be written to a file; of the last one, if the workflow continued as new.
    pub async fn record(&self) -> Result<Recording, RunError> {
        let run = self.describe().await?.run_id;
        Client::new(self.backend().clone()).record(self.id(), Some(run)).await
    }
}

/// Whether code could have made this history, as far as it goes.
pub(crate) fn replay(code: &dyn WorkflowCode, info: &RunInfo, history: &[Event]) -> Result<(), Blocked> {
    let by_force = history.last().is_some_and(|event| ends_by_force(&event.kind));
    if by_force && !history.iter().any(|event| is_asked_for(&event.kind)) {
        return Ok(()); // Perhaps its code never ran: a child that was to be terminated before it began.
    }
    let mut replay = Replay::new(code.instantiate(info)?);
    replay.follow(history)?;
    // The code of a run that was held back may well go on from there; that of one that was ended will not.
    if by_force || history.iter().any(|event| holds_back(&event.kind)) {
        return Ok(());
    }
    // Code that has ended lets go of local calls that still ran.
    let is_open = history.last().is_none_or(|event| !closes(&event.kind));
    let more = match replay.next_command() {
        None if is_open => replay.take_locals().into_iter().next().map(Command::RunLocal),
        command => command,
    };
    more.map_or(Ok(()), |command| {
        Err(Blocked::Nondeterminism {
            event: history.last().map_or(0, |event| event.n) + 1,
            expected: "nothing".to_owned(),
            got: command.describe(),
        })
    })
}

fn holds_back(event: &EventKind) -> bool {
    matches!(event, EventKind::RunBlocked(_) | EventKind::RunPaused(_))
}

fn ends_by_force(event: &EventKind) -> bool {
    match event {
        EventKind::RunTerminated(_) | EventKind::RunTimedOut(_) => true,
        EventKind::RunCanceled(canceled) => canceled.before_start,
        _ => false,
    }
}

fn closes(event: &EventKind) -> bool {
    event.outcome().is_some() || matches!(event, EventKind::RunContinuedAsNew(_))
}

/// Whether the code has asked for it.
fn is_asked_for(event: &EventKind) -> bool {
    event.records_command() || event.local_activity().is_some()
}
