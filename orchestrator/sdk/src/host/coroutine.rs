//! A workflow's future as the replay machine's coroutine.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use millrace_core::{
    Blocked, Command, Coroutine, Event, EventKind, Fault, Offered, Payload, RunInfo, TimerStarted,
    WorkflowType,
};

use super::journal::Journal;
use super::scopes::ROOT;
use super::tasks::Together;
use super::waker::RootWaker;
use super::{foreign, sandbox};
use crate::error::Next;
use crate::hooks::Hooks;
use crate::intercept::{Interceptors, WorkflowRun};
use crate::{Workflow, WorkflowContext, WorkflowError};

/// A future that wakes itself this often in one turn will not stop.
const MOST_POLLS: u32 = 100_000;

/// A registered workflow, without its types.
#[derive(Clone, Copy)]
pub(crate) struct Code {
    accepts: &'static [&'static str],
    is_built_in: bool,
    begin: fn(WorkflowContext, &Payload) -> Result<WorkflowRun, Blocked>,
}

impl Code {
    pub(crate) fn of<W: Workflow>() -> Self {
        Self { accepts: W::ACCEPTS, is_built_in: W::IS_BUILT_IN, begin: begin::<W> }
    }
}

fn begin<W: Workflow>(context: WorkflowContext, input: &Payload) -> Result<WorkflowRun, Blocked> {
    let input = context.journal().read(input, || format!("the input of workflow `{}`", W::NAME))?;
    let run = W::run(context, input);
    Ok(Box::pin(async move { crate::call::plain(&run.await?, W::NAME).map_err(WorkflowError::from) }))
}

/// A run's code, suspended between events.
pub(crate) struct Host {
    code: Code,
    journal: Arc<Journal>,
    root: Option<WorkflowRun>,
    /// The input of code that waits for the time to begin.
    delayed: Option<Payload>,
    woken: Arc<RootWaker>,
    waker: Waker,
    replaying: bool,
    interceptors: Interceptors,
}

impl Host {
    pub(crate) fn new(code: Code, info: &RunInfo, hooks: &Hooks) -> Self {
        let (woken, waker) = RootWaker::new();
        let Hooks { codecs, interceptors } =
            if code.is_built_in { hooks.of_built_in() } else { hooks.clone() };
        let journal = Arc::new(Journal::new(info.clone(), code.accepts, codecs));
        Self { code, journal, root: None, delayed: None, woken, waker, replaying: false, interceptors }
    }

    #[cfg(feature = "test")]
    pub(crate) fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    fn step(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        self.journal.apply(event)?;
        self.go_on(event)
    }

    /// Lets the code take note of what has been applied.
    fn go_on(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        match &event.kind {
            EventKind::RunStarted(started) if started.begins_at.is_some() => {
                self.delayed = Some(started.input.clone());
            }
            EventKind::RunStarted(started) => self.begin(&started.input)?,
            EventKind::TimerFired(fired) if fired.timer_id == TimerStarted::BEGIN => {
                if let Some(input) = self.delayed.take() {
                    self.begin(&input)?;
                }
            }
            _ => {}
        }
        let ended = self.poll()?;
        let mut commands = self.journal.take_commands()?;
        if let Some(result) = ended {
            // What the code no longer waits for ends with the run.
            commands.retain(|command| match command {
                Command::CancelActivity(..) | Command::CancelTimer(_) => false,
                // One that was asked to stop hears of it, though nobody waits.
                Command::CancelChild(child, _) => !self.journal.is_dropped(*child),
                _ => true,
            });
            commands.push(self.end(result)?);
        }
        Ok(commands)
    }

    /// Nothing but an event wakes workflow code.
    fn is_asleep(&self) -> Result<(), Blocked> {
        if self.woken.take() {
            let on = "something that woke it from outside, between two events".to_owned();
            return Err(Blocked::Foreign { on, at: None });
        }
        Ok(())
    }

    fn begin(&mut self, input: &Payload) -> Result<(), Blocked> {
        let context = WorkflowContext::new(self.journal.clone());
        let run = (self.code.begin)(context.clone(), input)?;
        let root = Together::new(self.interceptors.workflow(&context, run), self.journal.clone());
        // The engine's task has a budget for tokio's own primitives; workflow code must not run out of it within a turn.
        self.root = Some(Box::pin(tokio::task::coop::unconstrained(root)));
        self.waker.wake_by_ref();
        Ok(())
    }

    /// Polls as long as the code wakes itself. Code that nothing has woken would only find what it left.
    fn poll(&mut self) -> Result<Option<Result<Payload, WorkflowError>>, Blocked> {
        let Some(root) = &mut self.root else { return Ok(None) };
        let mut polls = 0;
        while self.woken.take() {
            if let Poll::Ready(result) = root.as_mut().poll(&mut Context::from_waker(&self.waker)) {
                // Before the commands are taken: an update whose `Reply` is dropped here is refused. Tasks that were spawned
                // in this last poll are not yet the root's.
                self.root = None;
                drop(self.journal.take_spawned());
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
    fn end(&self, result: Result<Payload, WorkflowError>) -> Result<Command, Blocked> {
        Ok(match (result, self.journal.canceled(ROOT)) {
            (Ok(result), _) => Command::CompleteRun(self.journal.encode(result)?),
            (Err(WorkflowError::ContinueAsNew(next)), _) => {
                let Next { workflow, input } = *next;
                let workflow = WorkflowType::new(workflow)
                    .map_err(|error| Blocked::BadInput { message: format!("continue as new: {error}") })?;
                Command::ContinueAsNew { workflow, input, unread: self.journal.take_unread() }
            }
            (Err(WorkflowError::Failed(Fault::Canceled { .. })), Some(request)) => {
                Command::CancelRun(request.reason)
            }
            (Err(WorkflowError::Failed(fault)), _) => Command::FailRun(self.journal.seal(fault)?),
        })
    }
}

impl Coroutine for Host {
    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        self.is_asleep()?;
        sandbox::run(self.replaying, || self.step(event))
    }

    /// Refused is what a handler refuses, or nobody knows, if nothing else has come of it: the future is not polled then.
    fn offer(&mut self, event: &Event) -> Result<Offered, Blocked> {
        self.is_asleep()?;
        sandbox::run(false, || {
            let before = self.journal.trace();
            self.journal.apply(event)?;
            let is_stopped = self.woken.is_set() || self.journal.is_blocked();
            let refused = if is_stopped { None } else { self.journal.take_refusal(&before) };
            match refused {
                Some(reason) => Ok(Offered::Refused(reason)),
                None => Ok(Offered::Taken(self.go_on(event)?)),
            }
        })
    }

    fn patched(&mut self, patches: &[String]) {
        self.journal.was_patched(patches);
    }

    fn is_free(&mut self) {
        self.journal.is_free();
    }

    fn replaying(&mut self, yes: bool) {
        self.replaying = yes;
    }

    fn query(&self, name: &str, input: &Payload) -> Option<Result<Payload, String>> {
        let answer = || Ok(self.journal.query(name, input));
        sandbox::run(false, answer).unwrap_or_else(|blocked| Some(Err(blocked.to_string())))
    }

    fn published(&self, known: Option<&Payload>) -> Option<Payload> {
        sandbox::run(false, || Ok(self.journal.published(known))).unwrap_or_else(|error| {
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
