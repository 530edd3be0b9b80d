//! Activity calls.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::FusedFuture;
use millrace_core::{
    ActivityFailure, ActivityOptions, ApplicationFailure, Blocked, Command, Fault, LocalActivity, Payload,
    TaskQueue,
};

use super::numbered::Numbered;
use super::{Within, invalid};
use crate::host::{Ended, Kind, SHIELDED};
use crate::{Activity, Canceled, OnCancel, Retry};

/// A call of an activity: see [`WorkflowContext::activity`](crate::WorkflowContext::activity). Its setters count until
/// it is first polled, and override what the activity's attribute says.
#[must_use = "a durable call does nothing until it is awaited"]
pub struct ActivityCall<A> {
    call: Numbered,
    request: Option<Request>,
    activity: PhantomData<fn() -> A>,
}

/// What is asked of the engine, if it can be asked.
type Request = Result<Box<Asked>, ApplicationFailure>;

struct Asked {
    task_queue: TaskQueue,
    input: Payload,
    options: ActivityOptions,
}

impl Asked {
    fn command(self, kind: Kind, activity_id: u64, activity: &str) -> Command {
        let Self { task_queue, input, options } = self;
        if kind == Kind::LocalActivity {
            let activity = activity.to_owned();
            return Command::RunLocal(LocalActivity {
                activity_id,
                activity,
                input,
                options: options.written(),
            });
        }
        Command::ScheduleActivity { activity_id, activity: activity.to_owned(), task_queue, input, options }
    }
}

fn queue(name: &str) -> Result<TaskQueue, ApplicationFailure> {
    TaskQueue::new(name).map_err(invalid)
}

/// A failure of a call that no worker has seen the end of.
fn unsent<A: Activity>(fault: Fault) -> ActivityFailure {
    ActivityFailure { activity: A::NAME.to_owned(), attempts: 0, fault }
}

impl<A: Activity> ActivityCall<A> {
    pub(crate) fn new(call: Numbered, input: A::Input) -> Self {
        let asked = || {
            let (task_queue, input) = (queue(A::TASK_QUEUE)?, call.journal.write(&input, A::NAME)?);
            Ok(Box::new(Asked { task_queue, input, options: A::options() }))
        };
        let request = Some(asked());
        Self { call, request, activity: PhantomData }
    }

    /// Where its tasks wait. A name that no queue can have fails the call.
    pub fn task_queue(mut self, name: impl AsRef<str>) -> Self {
        match (queue(name.as_ref()), &mut self.request) {
            (Ok(name), Some(Ok(asked))) => asked.task_queue = name,
            (Err(failure), Some(request @ Ok(_))) => *request = Err(failure),
            _ => {}
        }
        self
    }

    /// How long one attempt may run.
    pub fn start_to_close(self, limit: Duration) -> Self {
        self.with(|options| options.start_to_close = limit)
    }

    /// How long all attempts may take together, waits included.
    pub fn schedule_to_close(self, limit: Duration) -> Self {
        self.with(|options| options.schedule_to_close = Some(limit))
    }

    /// How long the task may wait for a worker. Whoever takes it looks: where none may ever come, what ends the activity is
    /// [`schedule_to_close`](Self::schedule_to_close), which needs no worker.
    pub fn schedule_to_start(self, limit: Duration) -> Self {
        self.with(|options| options.schedule_to_start = Some(limit))
    }

    /// The longest silence between two heartbeats.
    pub fn heartbeat(self, limit: Duration) -> Self {
        self.with(|options| options.heartbeat = Some(limit))
    }

    /// At most one attempt holds the activity's lease at a time.
    pub fn exclusive(self) -> Self {
        self.with(|options| options.exclusive = true)
    }

    /// What follows a failed attempt; replaces the whole policy.
    pub fn retry(self, retry: Retry) -> Self {
        self.with(|options| options.retry = retry.into())
    }

    /// At most `n` attempts in all; 0 means no limit.
    pub fn max_attempts(self, n: u32) -> Self {
        self.retried(|retry| retry.max_attempts(n))
    }

    /// The wait after the first failed attempt. Raises the longest wait if that is shorter.
    pub fn initial_interval(self, wait: Duration) -> Self {
        self.retried(|retry| retry.initial_interval(wait))
    }

    /// No wait between attempts is longer than this.
    pub fn maximum_interval(self, wait: Duration) -> Self {
        self.retried(|retry| retry.maximum_interval(wait))
    }

    /// Each further wait is the one before times this.
    pub fn backoff_coefficient(self, factor: f64) -> Self {
        self.retried(|retry| retry.backoff_coefficient(factor))
    }

    /// Failures of these types are final.
    pub fn non_retryable<T: Into<String>>(self, types: impl IntoIterator<Item = T>) -> Self {
        self.retried(|retry| retry.non_retryable(types))
    }

    /// Waits no longer than this for the result: `Ok(None)` when time is up, and the activity is canceled.
    pub fn within(self, limit: Duration) -> Within<Self> {
        let timer = super::sleep(&self.call.journal, self.call.how.scope, limit);
        Within::new(self, timer)
    }

    /// What becomes of it when it is canceled; by default nobody waits for that.
    pub fn on_cancel(mut self, on_cancel: OnCancel) -> Self {
        self.call.how.on_cancel = on_cancel;
        self
    }

    /// Takes the call out of reach of cancel requests.
    pub(crate) fn shielded(mut self) -> Self {
        self.call.how.scope = SHIELDED;
        self
    }

    fn retried(self, change: impl FnOnce(Retry) -> Retry) -> Self {
        self.with(|options| {
            let policy = std::mem::take(&mut options.retry);
            options.retry = change(policy.into()).into();
        })
    }

    fn with(mut self, change: impl FnOnce(&mut ActivityOptions)) -> Self {
        if let Some(Ok(asked)) = &mut self.request {
            change(&mut asked.options);
        }
        self
    }

    fn ended(&self, ended: Ended) -> Poll<Result<A::Output, ActivityFailure>> {
        match ended {
            Ended::Completed(result) => {
                let what =
                    || format!("the result of activity `{}` (activity {})", A::NAME, self.call.number());
                match self.call.journal.read(&result, what) {
                    Ok(output) => Poll::Ready(Ok(output)),
                    Err(reason) => self.stop(reason),
                }
            }
            Ended::Failed(failure) => {
                let ActivityFailure { activity, attempts, fault } = *failure;
                match self.call.journal.open(fault) {
                    Ok(fault) => Poll::Ready(Err(ActivityFailure { activity, attempts, fault })),
                    Err(reason) => self.stop(reason),
                }
            }
            Ended::Canceled(Canceled { reason }) => Poll::Ready(Err(unsent::<A>(Fault::Canceled { reason }))),
            Ended::Fired | Ended::ChildFailed(_) => {
                let message = format!("activity {} ended as something else", self.call.number());
                self.stop(Blocked::BadInput { message })
            }
        }
    }

    fn stop<T>(&self, reason: Blocked) -> Poll<T> {
        self.call.journal.block(reason);
        Poll::Pending
    }
}

impl<A: Activity> Future for ActivityCall<A> {
    type Output = Result<A::Output, ActivityFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let number = self.call.number();
        let ended = match self.request.take() {
            None => self.call.poll(cx),
            Some(Ok(asked)) => {
                let command = asked.command(self.call.how.kind, number, A::NAME);
                self.call.start(cx.waker(), command)
            }
            Some(Err(failure)) => {
                self.call.finish();
                return Poll::Ready(Err(unsent::<A>(Fault::Application(failure))));
            }
        };
        match ended {
            Poll::Ready(ended) => self.ended(ended),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<A: Activity> FusedFuture for ActivityCall<A> {
    fn is_terminated(&self) -> bool {
        self.call.is_done()
    }
}

impl<A: Activity> std::fmt::Debug for ActivityCall<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActivityCall")
            .field("number", &self.call.number())
            .field("activity", &A::NAME)
            .finish()
    }
}
