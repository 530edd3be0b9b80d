//! A workflow's future as the replay machine's coroutine.

use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use millrace_core::{Blocked, Command, Coroutine, Event, EventKind, Fault, Payload, RunInfo};

use super::journal::Journal;
use super::waker::RootWaker;
use super::{foreign, sandbox};
use crate::{Workflow, WorkflowContext, WorkflowError};

/// A future that wakes itself this often in one turn will not stop.
const MOST_POLLS: u32 = 100_000;

type Root = Pin<Box<dyn Future<Output = Result<Payload, WorkflowError>> + Send>>;

/// A registered workflow, without its types.
#[derive(Clone, Copy)]
pub(crate) struct Code {
    accepts: &'static [&'static str],
    begin: fn(WorkflowContext, &Payload) -> Result<Root, Blocked>,
}

impl Code {
    pub(crate) fn of<W: Workflow>() -> Self {
        Self { accepts: W::ACCEPTS, begin: begin::<W> }
    }
}

fn begin<W: Workflow>(context: WorkflowContext, input: &Payload) -> Result<Root, Blocked> {
    let input = crate::call::read(input, || format!("the input of workflow `{}`", W::NAME))?;
    let run = W::run(context, input);
    let root = async move { crate::call::written(run.await?, W::NAME).map_err(WorkflowError::from) };
    // The engine's task has a budget for tokio's own primitives; workflow code must not run out of it within a turn.
    Ok(Box::pin(tokio::task::coop::unconstrained(root)))
}

/// A run's code, suspended between events.
pub(crate) struct Host {
    code: Code,
    journal: Arc<Journal>,
    root: Option<Root>,
    woken: Arc<RootWaker>,
    waker: Waker,
    replaying: bool,
}

impl Host {
    pub(crate) fn new(code: Code, info: &RunInfo) -> Self {
        let (woken, waker) = RootWaker::new();
        let journal = Arc::new(Journal::new(info.clone(), code.accepts));
        Self { code, journal, root: None, woken, waker, replaying: false }
    }

    fn step(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        self.journal.apply(event)?;
        if let EventKind::RunStarted(started) = &event.kind {
            self.root = Some((self.code.begin)(WorkflowContext::new(self.journal.clone()), &started.input)?);
            self.waker.wake_by_ref();
        }
        let ended = self.poll()?;
        let mut commands = self.journal.take_commands()?;
        if let Some(result) = ended {
            // What the code no longer waits for ends with the run.
            commands.retain(|c| !matches!(c, Command::CancelActivity(_) | Command::CancelTimer(_)));
            commands.push(self.end(result));
        }
        Ok(commands)
    }

    /// Polls as long as the code wakes itself. Code that nothing has woken would only find what it left.
    fn poll(&mut self) -> Result<Option<Result<Payload, WorkflowError>>, Blocked> {
        let Some(root) = &mut self.root else { return Ok(None) };
        let mut polls = 0;
        while self.woken.take() {
            if let Poll::Ready(result) = root.as_mut().poll(&mut Context::from_waker(&self.waker)) {
                self.root = None;
                return Ok(Some(result));
            }
            polls += 1;
            if polls == MOST_POLLS {
                return Err(Blocked::Foreign {
                    on: "a future that wakes itself without an end".into(),
                    at: None,
                });
            }
        }
        if polls > 0 && !self.journal.waits() && !self.journal.is_blocked() {
            return Err(foreign::find(|waker| {
                let _still_pending = root.as_mut().poll(&mut Context::from_waker(waker));
            }));
        }
        Ok(None)
    }

    /// A cancellation is how a canceled run ends only if somebody asked for it.
    fn end(&self, result: Result<Payload, WorkflowError>) -> Command {
        match (result, self.journal.canceled(false)) {
            (Ok(result), _) => Command::CompleteRun(result),
            (Err(WorkflowError::Failed(Fault::Canceled { .. })), Some(request)) => {
                Command::CancelRun(request.reason)
            }
            (Err(WorkflowError::Failed(fault)), _) => Command::FailRun(fault),
        }
    }
}

impl Coroutine for Host {
    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        if self.woken.take() {
            let on = "something that woke it from outside, between two events".to_owned();
            return Err(Blocked::Foreign { on, at: None });
        }
        sandbox::run(self.replaying, || self.step(event))
    }

    fn replaying(&mut self, yes: bool) {
        self.replaying = yes;
    }

    fn published(&self) -> Option<Payload> {
        sandbox::run(false, || Ok(self.journal.published())).unwrap_or_else(|error| {
            tracing::error!(%error, "the published state cannot be shown");
            None
        })
    }
}

impl Drop for Host {
    /// The run leaves the cache: nothing is canceled, nothing is said.
    fn drop(&mut self) {
        let root = self.root.take();
        // Each on its own: the future is dropped safely even if what the code published panics.
        let let_go = panic::catch_unwind(AssertUnwindSafe(|| self.journal.let_go()));
        let dropped = panic::catch_unwind(AssertUnwindSafe(|| drop(root)));
        if let_go.and(dropped).is_err() {
            tracing::error!(run_id = %self.journal.info.run_id, "the workflow code panicked while it was dropped");
        }
    }
}
