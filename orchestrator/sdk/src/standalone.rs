//! One activity without a workflow of the user's.
//!
//! It is a run of the built-in type `millrace.activity`: so it has an id and a history, its request counts once, and it is
//! listed, awaited, canceled as any other. `docs/messages.md` has the message with which any program starts one.

use std::collections::BTreeSet;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use futures::future::BoxFuture;
use millrace_core::{ActivityOptions, IdConflict, IdReuse, Payload, TaskQueue};
use millrace_format::message::{STANDALONE_ACTIVITY, StandaloneActivity};
use serde::Serialize;

use crate::WorkflowError;
use crate::client::{Start, unencoded};
use crate::codec::Codecs;
use crate::map::ItemCall;
use crate::workflow::{Run, Workflow};
use crate::{Activity, ActivityRef, ApplicationFailure, Client, Handle, Retry, RunError, WorkflowContext};

/// The built-in workflow that runs one activity, and gives its result.
#[derive(Debug)]
pub struct ActivityRun<A>(PhantomData<fn() -> A>);

/// An activity that is known by its name only.
pub(crate) struct AnyActivity;

impl Activity for AnyActivity {
    type Input = Payload;
    type Output = Payload;
    const NAME: &'static str = "any";
}

impl<A: Activity> Workflow for ActivityRun<A> {
    type Input = StandaloneActivity;
    type Output = A::Output;
    const NAME: &'static str = STANDALONE_ACTIVITY;
    const IS_BUILT_IN: bool = true;
    const ACCEPTS: &'static [&'static str] = &[];

    fn run(context: WorkflowContext, asked: StandaloneActivity) -> Run<A::Output> {
        Box::pin(run(context, asked))
    }
}

async fn run<T: serde::de::DeserializeOwned>(
    context: WorkflowContext,
    asked: StandaloneActivity,
) -> Result<T, WorkflowError> {
    let StandaloneActivity { activity, task_queue, input, options } = asked;
    let result = ItemCall::new(&context, &activity, &task_queue, input, options).await?;
    let what = || format!("the result of activity `{activity}`");
    let bad = |bad| ApplicationFailure::new("BadResult", bad).non_retryable();
    // As it is: the activity has encoded it, and the client decodes it.
    Ok(context.journal().codecs.read_plain(&result, what).map_err(bad)?)
}

/// The input of such a start as it goes to the engine, which reads which activity is asked for; only what that is given is the
/// user's.
pub(crate) fn encoded_request(input: Payload, codecs: &Codecs) -> Result<Payload, RunError> {
    // One that cannot be read is refused at the door, which says why.
    let Ok(mut asked) = input.read::<StandaloneActivity>() else { return Ok(input) };
    asked.input = codecs.encode(asked.input).map_err(|error| unencoded("input.input", &error))?;
    Payload::of(&asked).map_err(|bad| rejected("input", bad))
}

/// Why the activity that such a start asks for is not run, unless it is one of these.
pub(crate) fn refusal(input: &Payload, allowed: &BTreeSet<&'static str>) -> Option<String> {
    let activity = match StandaloneActivity::read(input) {
        Ok(asked) if allowed.contains(asked.activity.as_str()) => return None,
        Ok(asked) => asked.activity,
        Err(bad) => return Some(bad.to_string()),
    };
    Some(format!(
        "input: activity `{activity}` is called by workflows only; if whoever may start may have it done, with any input, add \
         `.standalone({activity})` to the App"
    ))
}

impl Client {
    /// Runs an activity without a workflow: await it, after setting what the activity's attribute does not say. The app of the
    /// engine must [allow](crate::App::standalone) it: a client that has the app's code hears at once that it does not. A
    /// deployment's client without the code does not: the start is a dead letter, and the call gives after half a minute a handle
    /// that waits for its run in vain. The id is that of its run: at most one of the id is open at a time, and a program that asks twice
    /// finds the first one.
    ///
    /// ```no_run
    /// # use millrace::prelude::*;
    /// # use millrace::RunError;
    /// # #[activity] async fn train(epochs: u32) -> Result<f64, ActivityError> { Ok(0.9) }
    /// # async fn example(client: millrace::Client) -> Result<(), RunError> {
    /// let training = client.run_activity(train, "train-7", 20).task_queue("gpu").max_attempts(3).await?;
    /// let accuracy: f64 = training.result().await?;
    /// # Ok(()) }
    /// ```
    pub fn run_activity<M, F: ActivityRef<M>>(
        &self,
        _activity: F,
        id: impl AsRef<str>,
        input: <F::Activity as Activity>::Input,
    ) -> RunActivity<F::Activity> {
        RunActivity::new(self, id.as_ref(), &input)
    }

    /// A handle on an activity that was [run](Self::run_activity) elsewhere. Nothing is checked until it is used, but the id.
    pub fn activity_handle<M, F: ActivityRef<M>>(
        &self,
        _activity: F,
        id: impl AsRef<str>,
    ) -> Result<Handle<ActivityRun<F::Activity>>, RunError> {
        self.typed_handle(id)
    }
}

/// A start of an [activity without a workflow](Client::run_activity), sent when it is awaited.
#[must_use = "an activity is started when this is awaited"]
pub struct RunActivity<A: Activity> {
    asked: Result<StandaloneActivity, RunError>,
    start: Start<ActivityRun<A>>,
}

fn rejected(field: &str, error: impl std::fmt::Display) -> RunError {
    RunError::Rejected(format!("{field}: {error}"))
}

impl<A: Activity> RunActivity<A> {
    fn new(client: &Client, id: &str, input: &A::Input) -> Self {
        let asked = || {
            Ok(StandaloneActivity {
                activity: A::NAME.to_owned(),
                task_queue: TaskQueue::new(A::TASK_QUEUE).map_err(|bad| rejected("task_queue", bad))?,
                input: Payload::of(input).map_err(|bad| rejected("input", bad))?,
                options: A::options(),
            })
        };
        Self { asked: asked(), start: Start::without_input(client.backend().clone(), id) }
    }

    /// Where its task waits. A name that no queue can have fails the start.
    pub fn task_queue(mut self, name: impl AsRef<str>) -> Self {
        match (TaskQueue::new(name), &mut self.asked) {
            (Ok(name), Ok(asked)) => asked.task_queue = name,
            (Err(bad), asked @ Ok(_)) => *asked = Err(rejected("task_queue", bad)),
            (_, Err(_)) => {}
        }
        self
    }

    /// How long one attempt may run.
    pub fn start_to_close(self, limit: Duration) -> Self {
        self.options(|options| options.start_to_close = limit)
    }

    /// How long all attempts may take together, waits included.
    pub fn schedule_to_close(self, limit: Duration) -> Self {
        self.options(|options| options.schedule_to_close = Some(limit))
    }

    /// How long the task may wait for a worker.
    pub fn schedule_to_start(self, limit: Duration) -> Self {
        self.options(|options| options.schedule_to_start = Some(limit))
    }

    /// The longest silence between two heartbeats.
    pub fn heartbeat(self, limit: Duration) -> Self {
        self.options(|options| options.heartbeat = Some(limit))
    }

    /// At most one attempt holds the activity's lease at a time.
    pub fn exclusive(self) -> Self {
        self.options(|options| options.exclusive = true)
    }

    /// What follows a failed attempt; replaces the whole policy.
    pub fn retry(self, retry: Retry) -> Self {
        self.options(|options| options.retry = retry.into())
    }

    /// At most `n` attempts in all; 0 means no limit.
    pub fn max_attempts(self, n: u32) -> Self {
        self.options(|options| options.retry.maximum_attempts = n)
    }

    /// Changes any of the time limits and retries.
    pub fn options(mut self, change: impl FnOnce(&mut ActivityOptions)) -> Self {
        if let Ok(asked) = &mut self.asked {
            change(&mut asked.options);
        }
        self
    }

    /// Whether the id of a closed run may be used again; the default is that it may.
    pub fn id_reuse(self, reuse: IdReuse) -> Self {
        self.start(|start| start.id_reuse(reuse))
    }

    /// What happens if a run of this id is open; the default is that the start is rejected.
    pub fn id_conflict(self, conflict: IdConflict) -> Self {
        self.start(|start| start.id_conflict(conflict))
    }

    /// How long it waits before it begins.
    pub fn delay(self, delay: Duration) -> Self {
        self.start(|start| start.delay(delay))
    }

    /// Notes for people, kept in the history.
    pub fn memo<T: Serialize>(self, memo: T) -> Self {
        self.start(|start| start.memo(memo))
    }

    /// Values to find it by.
    pub fn attributes<K: Into<String>, V: Into<serde_json::Value>>(
        self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.start(|start| start.attributes(attributes))
    }

    /// Makes the start count once, however often it is sent; by default it is sent once, under an id of its own.
    pub fn request_id(self, id: impl AsRef<str>) -> Self {
        self.start(|start| start.request_id(id))
    }

    /// Takes the run of this id as it is, open or closed, and starts one only if there is none.
    pub fn or_existing(self) -> Self {
        self.start(Start::or_existing)
    }

    fn start(self, change: impl FnOnce(Start<ActivityRun<A>>) -> Start<ActivityRun<A>>) -> Self {
        Self { asked: self.asked, start: change(self.start) }
    }
}

impl<A: Activity> IntoFuture for RunActivity<A> {
    type Output = Result<Handle<ActivityRun<A>>, RunError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let checked = self.asked.and_then(|asked| match asked.check() {
            Ok(()) => Ok(StandaloneActivity { options: asked.options.written(), ..asked }),
            Err(bad) => Err(RunError::Rejected(bad)),
        });
        self.start.with_input(checked).into_future()
    }
}

impl<A: Activity> std::fmt::Debug for RunActivity<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunActivity").field("activity", &A::NAME).finish_non_exhaustive()
    }
}
