//! Child workflows: runs that a run starts.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::FusedFuture;
use millrace_core::{
    ApplicationFailure, Blocked, ChildOptions, Command, Fault, IdReuse, ParentClose, Payload,
    WorkflowFailure, WorkflowId, WorkflowType,
};
use millrace_format::Attributes;
use serde::Serialize;

use super::invalid;
use super::numbered::Numbered;
use crate::codec::Unread;
use crate::host::Ended;
use crate::workflow::AcceptedBy;
use crate::{Canceled, OnCancel, Signal, Workflow, WorkflowError};

/// A call of a child workflow: see [`WorkflowContext::child`](crate::WorkflowContext::child). Its setters count until it is
/// started: by the first poll, which also waits for the result, or by [`start`](Self::start).
#[must_use = "a durable call does nothing until it is awaited or started"]
pub struct ChildCall<W> {
    call: Numbered,
    asked: Option<Result<Box<Asked>, ApplicationFailure>>,
    workflow: PhantomData<fn() -> W>,
}

struct Asked {
    workflow: WorkflowType,
    workflow_id: WorkflowId,
    input: Payload,
    options: ChildOptions,
}

impl Asked {
    fn command(self, child_id: u64) -> Command {
        let Self { workflow, workflow_id, input, options } = self;
        Command::StartChild { child_id, workflow, workflow_id, input, options }
    }
}

fn failure<W: Workflow>(fault: Fault) -> WorkflowFailure {
    WorkflowFailure { workflow: W::NAME.to_owned(), fault }
}

impl<W: Workflow> ChildCall<W> {
    pub(crate) fn new(call: Numbered, input: W::Input) -> Self {
        let asked = || {
            let workflow = WorkflowType::new(W::NAME).map_err(invalid)?;
            // Unique for ever: a child of an earlier run may still be open.
            let workflow_id = format!("{}:{}", call.journal.info.run_id, call.number());
            let workflow_id = WorkflowId::new(workflow_id).map_err(invalid)?;
            let (input, options) = (super::input_of::<W>(&call.journal, &input)?, ChildOptions::default());
            Ok(Box::new(Asked { workflow, workflow_id, input, options }))
        };
        let asked = Some(asked());
        Self { call, asked, workflow: PhantomData }
    }

    /// The child's workflow id; by default one that is never used again. An id that an open run has fails the call.
    pub fn id(self, id: impl AsRef<str>) -> Self {
        self.with(|asked| {
            asked.workflow_id = WorkflowId::new(id).map_err(invalid)?;
            Ok(())
        })
    }

    /// What becomes of the child if this run closes first; by default it is terminated. A run that continues as new closes,
    /// too.
    pub fn parent_close(self, policy: ParentClose) -> Self {
        self.set(|options| options.parent_close = policy)
    }

    /// Whether the id of a closed run may be used again; by default it may.
    pub fn id_reuse(self, reuse: IdReuse) -> Self {
        self.set(|options| options.id_reuse = reuse)
    }

    /// How long the child may take, the runs that it continues as included.
    pub fn execution_timeout(self, limit: Duration) -> Self {
        self.set(|options| options.execution_timeout = Some(limit))
    }

    /// How long each of its runs may take.
    pub fn run_timeout(self, limit: Duration) -> Self {
        self.set(|options| options.run_timeout = Some(limit))
    }

    /// Notes for people.
    pub fn memo<T: Serialize>(self, memo: T) -> Self {
        let journal = self.call.journal.clone();
        self.with(|asked| {
            asked.options.memo = Some(journal.write(&memo, "memo")?);
            Ok(())
        })
    }

    /// Values to find the child's runs by: an object of texts, numbers and booleans, at most 32 and 4,096 bytes in all.
    /// Anything else fails the call.
    pub fn attributes<T: Serialize>(self, attributes: T) -> Self {
        self.with(|asked| {
            let attributes = super::plain(&attributes, "attributes")?;
            Attributes::check(&attributes).map_err(|bad| {
                ApplicationFailure::new("BadAttributes", format!("attributes: {bad}")).non_retryable()
            })?;
            asked.options.attributes = Some(attributes);
            Ok(())
        })
    }

    /// What becomes of the call when it is canceled; by default the child is asked to stop, and nobody waits for that.
    pub fn on_cancel(mut self, on_cancel: OnCancel) -> Self {
        self.call.how.on_cancel = on_cancel;
        self
    }

    /// Starts the child, to run beside this one. Letting go of the handle changes nothing for it.
    pub fn start(mut self) -> ChildHandle<W> {
        self.call.how.detached = true;
        let id = match &self.asked {
            Some(Ok(asked)) => Some(asked.workflow_id.clone()),
            _ => None,
        };
        let early = match self.begin(Waker::noop()) {
            Poll::Ready(ended) => Some(ended),
            Poll::Pending => None,
        };
        ChildHandle { id, call: self, early }
    }

    fn begin(&mut self, waker: &Waker) -> Poll<Result<W::Output, WorkflowFailure>> {
        match self.asked.take() {
            Some(Ok(asked)) => {
                let command = asked.command(self.call.number());
                let ended = self.call.start(waker, command);
                self.when(ended)
            }
            Some(Err(invalid)) => {
                self.call.finish();
                Poll::Ready(Err(failure::<W>(Fault::Application(invalid))))
            }
            None => Poll::Pending,
        }
    }

    /// An end that cannot be decoded stops the run.
    fn when(&self, ended: Poll<Ended>) -> Poll<Result<W::Output, WorkflowFailure>> {
        match ended.map(|ended| self.ended(ended)) {
            Poll::Ready(Ok(result)) => Poll::Ready(result),
            Poll::Ready(Err(reason)) => {
                self.call.journal.block(reason);
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn ended(&self, ended: Ended) -> Result<Result<W::Output, WorkflowFailure>, Blocked> {
        let journal = &self.call.journal;
        let bad = |text: String| {
            failure::<W>(Fault::Application(ApplicationFailure::new("BadResult", text).non_retryable()))
        };
        Ok(match ended {
            Ended::Completed(result) => {
                let what = || format!("the result of child `{}` (child {})", W::NAME, self.call.number());
                let read = match W::IS_BUILT_IN {
                    true => journal.codecs.read_plain(&result, what).map_err(Unread::Shape),
                    false => journal.codecs.read(&result, what),
                };
                match read {
                    Ok(output) => Ok(output),
                    Err(Unread::Shape(text)) => Err(bad(text)),
                    Err(Unread::Codec(message)) => return Err(Blocked::BadInput { message }),
                }
            }
            Ended::ChildFailed(failed) => {
                let WorkflowFailure { workflow, fault } = *failed;
                Err(WorkflowFailure { workflow, fault: journal.open(fault)? })
            }
            Ended::Canceled(Canceled { reason }) => Err(failure::<W>(Fault::Canceled { reason })),
            Ended::Failed(_) | Ended::Fired => {
                Err(bad(format!("child {} ended as something else", self.call.number())))
            }
        })
    }

    /// Asks a child that runs for something.
    fn ask(&self, command: Command) {
        if !self.call.is_done() {
            self.call.journal.say_next(command);
        }
    }

    fn set(self, change: impl FnOnce(&mut ChildOptions)) -> Self {
        self.with(|asked| {
            change(&mut asked.options);
            Ok(())
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Asked) -> Result<(), ApplicationFailure>) -> Self {
        if let Some(Ok(asked)) = &mut self.asked
            && let Err(invalid) = change(asked)
        {
            self.asked = Some(Err(invalid));
        }
        self
    }
}

/// A workflow that is known by its type's name only; what goes in and comes out is JSON.
pub(crate) struct Untyped;

impl Workflow for Untyped {
    type Input = Payload;
    type Output = Payload;
    const NAME: &'static str = "millrace.untyped";
    const IS_BUILT_IN: bool = true;
    const ACCEPTS: &'static [&'static str] = &[];

    fn run(_context: crate::WorkflowContext, _input: Payload) -> crate::workflow::Run<Payload> {
        Box::pin(std::future::ready(Err("only a name for calls of children".into())))
    }
}

impl ChildCall<Untyped> {
    /// A call of a workflow by the name of its type.
    pub(crate) fn named(call: Numbered, workflow: &str, input: Payload) -> Self {
        Self::new(call, input).with(|asked| {
            asked.workflow = WorkflowType::new(workflow).map_err(invalid)?;
            Ok(())
        })
    }
}

impl<W: Workflow> Future for ChildCall<W> {
    type Output = Result<W::Output, WorkflowFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.asked.is_some() {
            return self.begin(cx.waker());
        }
        let ended = self.call.poll(cx);
        self.when(ended)
    }
}

impl<W: Workflow> FusedFuture for ChildCall<W> {
    fn is_terminated(&self) -> bool {
        self.call.is_done()
    }
}

/// A child that runs beside its parent.
pub struct ChildHandle<W: Workflow> {
    id: Option<WorkflowId>,
    call: ChildCall<W>,
    /// The end of a call that could not be made.
    early: Option<Result<W::Output, WorkflowFailure>>,
}

impl<W: Workflow> ChildHandle<W> {
    /// The child's workflow id; absent if the one that was asked for cannot be one.
    pub fn id(&self) -> Option<&WorkflowId> {
        self.id.as_ref()
    }

    /// Waits for the child's end.
    pub fn result(self) -> ChildResult<W> {
        ChildResult { call: self.call, early: self.early }
    }

    /// Tells the child something: recorded, and delivered once the turn is committed.
    pub async fn signal<S: Signal + AcceptedBy<W>>(&self, signal: S) -> Result<(), WorkflowError> {
        match &self.id {
            Some(id) => super::tell(&self.call.call.journal, self.call.call.how.scope, id.clone(), &signal),
            None => Ok(()), // Its result says why there is no such child.
        }
    }

    /// Ends the child by force; its result tells of that.
    pub fn terminate(&self, reason: impl Into<String>) {
        self.call.ask(Command::TerminateChild(self.call.call.number(), reason.into()));
    }

    /// Asks the child to stop; its result tells what came of it.
    pub fn cancel(&self, reason: impl Into<String>) {
        self.call.ask(Command::CancelChild(self.call.call.number(), reason.into()));
    }
}

/// Waits for the end of a child: see [`ChildHandle::result`].
#[must_use = "a durable call does nothing until it is awaited"]
pub struct ChildResult<W: Workflow> {
    call: ChildCall<W>,
    early: Option<Result<W::Output, WorkflowFailure>>,
}

impl<W: Workflow> ChildResult<W> {
    /// Asks the child to stop; this still waits for how it ends.
    pub(crate) fn cancel(&self, reason: &str) {
        self.call.ask(Command::CancelChild(self.call.call.number(), reason.to_owned()));
    }

    /// Ends the child by force; this still waits for that.
    pub(crate) fn terminate(&self, reason: &str) {
        self.call.ask(Command::TerminateChild(self.call.call.number(), reason.to_owned()));
    }
}

impl<W: Workflow> Future for ChildResult<W>
where
    W::Output: Unpin,
{
    type Output = Result<W::Output, WorkflowFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.early.take() {
            Some(early) => Poll::Ready(early),
            None => Pin::new(&mut self.call).poll(cx),
        }
    }
}

impl<W: Workflow> FusedFuture for ChildResult<W>
where
    W::Output: Unpin,
{
    fn is_terminated(&self) -> bool {
        self.early.is_none() && self.call.is_terminated()
    }
}

impl<W: Workflow> std::fmt::Debug for ChildCall<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChildCall").field("number", &self.call.number()).field("workflow", &W::NAME).finish()
    }
}

impl<W: Workflow> std::fmt::Debug for ChildHandle<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChildHandle")
            .field("id", &self.id)
            .field("workflow", &W::NAME)
            .finish_non_exhaustive()
    }
}

impl<W: Workflow> std::fmt::Debug for ChildResult<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChildResult").field("workflow", &W::NAME).finish_non_exhaustive()
    }
}
