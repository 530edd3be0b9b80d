//! A world for unit tests: workflows run at once, in one process without any storage, and time is virtual.

mod activities;
mod attempt;
mod backend;
mod code;
mod entry;
mod locals;
mod recorded;
mod send;
mod stage;
mod stuck;
mod world;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::{Blocked, Event, Fault, Payload, Timestamp};

use crate::Interceptor;
use crate::codec::{Codec, Codecs};
use crate::{Activity, ActivityBody, ActivityError, ActivityRef, App, Client, Workflow, WorkflowRef};
use stage::Stage;

/// A world for unit tests: a [`Client`] whose workflows run at once and whose time is virtual, so that thirty days pass in
/// a millisecond. Cheap to clone; every clone is the same world.
///
/// ```
/// use millrace::{TestEnv, prelude::*};
///
/// #[activity]
/// async fn send_mail(to: String, text: String) -> Result<(), ActivityError>;
///
/// #[workflow]
/// async fn trial(ctx: WorkflowContext, who: String) -> Result<u64, WorkflowError> {
///     let begin = ctx.now();
///     ctx.activity(send_mail, (who.clone(), "welcome".into())).await?;
///     ctx.sleep(days(30)).await?;
///     ctx.activity(send_mail, (who, "your trial ends".into())).await?;
///     Ok((ctx.now() - begin).as_secs() / 86_400)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millrace::RunError> {
/// let env = TestEnv::new().workflow(trial).mock(send_mail, |(_to, _text)| Ok(()));
/// assert_eq!(env.start(trial, "t", "ann".into()).await?.result().await?, 30);
/// assert_eq!(env.calls(send_mail)[1].1, "your trial ends");
/// # Ok(())
/// # }
/// ```
///
/// What holds:
/// - A request (a start, a signal, an update) does everything that is due at that time, and moves no time.
/// - Waiting for a result or an answer moves time to whatever is due next, until it is there. If nothing is due any more, it
///   fails and says what the run waits for, instead of hanging. [`advance`](Self::advance) moves time by so much.
/// - Everything happens one after the other and in the same order in every run of the test. An activity takes no time.
/// - Every turn is decided by code that was replayed from the start, and checked by another replay: nondeterminism blocks
///   the run, and so fails the test. (Above 500 events: whenever the history has grown by a tenth.)
///
/// What it does not do: time limits of single attempts, leases, queues and their limits, crashes. Those are the engine's,
/// and its own tests'. Attempts run one after the other, so none ever waits for the room that
/// [`max_concurrent`](App::limit) leaves it.
#[derive(Clone)]
pub struct TestEnv {
    stage: Arc<Stage>,
    client: Client,
}

impl TestEnv {
    /// A world in which nothing is registered yet.
    pub fn new() -> Self {
        Self::of(App::new())
    }

    /// A world with what a program registers: its workflows, and its activities' own code, except where it is
    /// [mocked](Self::mock).
    pub fn of(app: App) -> Self {
        let hooks = app.hooks().clone();
        let stage = Arc::new(Stage::new(app));
        Self { client: Client::of(stage.clone(), hooks), stage }
    }

    /// Registers a workflow.
    #[must_use]
    pub fn workflow<M, F: WorkflowRef<M>>(self, workflow: F) -> Self {
        self.change(|app| app.workflow(workflow))
    }

    /// Registers an activity, to run its own code: on a thread and a tokio runtime of its own, while the test waits.
    #[must_use]
    pub fn activity<M, F: ActivityRef<M>>(self, activity: F) -> Self
    where
        F::Activity: ActivityBody,
    {
        self.change(|app| app.activity(activity))
    }

    /// Lets an activity be run without a workflow: see [`App::standalone`].
    #[must_use]
    pub fn standalone<M, F: ActivityRef<M>>(self, activity: F) -> Self {
        self.change(|app| app.standalone(activity))
    }

    /// Shares a value with the activities that take a `Shared<T>`.
    #[must_use]
    pub fn share<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.change(|app| app.share(value))
    }

    /// Encodes payloads: see [`App::codec`]. Mocks and [`calls`](Self::calls) speak plain values.
    #[must_use]
    pub fn codec(self, codec: impl Codec) -> Self {
        self.change(|app| app.codec(codec))
    }

    /// Does something around each attempt, mocked ones included: see [`App::intercept`].
    #[must_use]
    pub fn intercept(self, interceptor: impl Interceptor) -> Self {
        self.change(|app| app.intercept(interceptor))
    }

    /// Runs `mock` in place of an activity, once for each attempt. It may also be only declared, or registered nowhere.
    ///
    /// ```
    /// # use millrace::{TestEnv, prelude::*};
    /// # #[activity] async fn charge(card: String, cents: u64) -> Result<String, ActivityError>;
    /// let mut tries = 0;
    /// let env = TestEnv::new().mock(charge, move |(card, _cents)| {
    ///     tries += 1;
    ///     match card.as_str() {
    ///         "declined" => Err(ApplicationFailure::new("CardDeclined", "no funds").non_retryable().into()),
    ///         _ if tries < 3 => Err("the bank does not answer".into()), // tried again
    ///         _ => Ok(format!("receipt of {card}")),
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn mock<M, F: ActivityRef<M>>(
        self,
        _activity: F,
        mut mock: impl FnMut(
            <F::Activity as Activity>::Input,
        ) -> Result<<F::Activity as Activity>::Output, ActivityError>
        + Send
        + 'static,
    ) -> Self {
        let name = F::Activity::NAME;
        self.stage.open().activities.mock(name, move |input| {
            let input =
                read::<<F::Activity as Activity>::Input>(input, name).map_err(ActivityError::Failed)?;
            let output = mock(input)?;
            crate::call::plain(&output, name).map_err(|bad| ActivityError::Failed(Fault::Application(bad)))
        });
        self
    }

    /// The same without types, for values that this code has no types for.
    #[must_use]
    pub fn mock_raw(
        self,
        activity: &'static str,
        mut mock: impl FnMut(&Payload) -> Result<Payload, Fault> + Send + 'static,
    ) -> Self {
        let mock = move |input: &Payload| mock(input).map_err(ActivityError::Failed);
        self.stage.open().activities.mock(activity, mock);
        self
    }

    /// From how many events on [`should_continue_as_new`](crate::WorkflowContext::should_continue_as_new) says yes; 4,000
    /// unless set.
    #[must_use]
    pub fn history_limit(self, events: u64) -> Self {
        self.stage.open().code.set_history_limit(events);
        self
    }

    /// Every turn goes on with the code of the turn before, as an engine does that keeps it; still checked by a replay.
    #[doc(hidden)]
    #[must_use]
    pub fn keep_code(self) -> Self {
        self.stage.open().keeps_code = true;
        self
    }

    /// From now on no worker takes this activity's tasks: they wait, until it is [released](Self::release).
    pub fn hold<M, F: ActivityRef<M>>(&self, _activity: F) {
        self.stage.open().activities.hold(F::Activity::NAME);
    }

    /// Ends a [`hold`](Self::hold): the tasks that wait are run, and what follows from them at this time happens.
    pub async fn release<M, F: ActivityRef<M>>(&self, _activity: F) {
        self.stage.open().release(F::Activity::NAME);
        self.stage.advance(Duration::ZERO);
    }

    /// Lets so much time pass; what is due until then happens, each thing at its time.
    pub async fn advance(&self, by: Duration) {
        self.stage.advance(by);
    }

    /// The world's time. It begins with the year 2000, and moves only as the test wants it.
    pub fn now(&self) -> Timestamp {
        self.stage.open().now
    }

    /// The inputs of this activity's attempts, in their order; every attempt counts.
    pub fn calls<M, F: ActivityRef<M>>(&self, _activity: F) -> Vec<<F::Activity as Activity>::Input> {
        let inputs = self.stage.open().activities.calls(F::Activity::NAME);
        let codecs = &self.client.hooks().codecs;
        // Each of them was written by the same type.
        inputs.iter().filter_map(|input| codecs.decode(input).ok()?.read().ok()).collect()
    }

    /// The tokens of this activity's attempts, in their order, if it is one that completes later.
    pub fn tokens<M, F: ActivityRef<M>>(&self, _activity: F) -> Vec<String> {
        self.stage.open().activities.tokens(F::Activity::NAME)
    }

    /// Replays a recorded history with the code that is given: whether a run that this history is of could go on with it.
    /// Random numbers are those of the run if it was made here, else of some other run.
    pub fn replay<M, F: WorkflowRef<M>>(&self, workflow: F, history: &[Event]) -> Result<(), Blocked> {
        let world = self.stage.open();
        let code = world.code.change(|app| App::new().with_hooks(app.hooks().clone()).workflow(workflow));
        world.replay(&code, F::Workflow::NAME, history)
    }

    fn change(self, change: impl FnOnce(App) -> App) -> Self {
        let mut world = self.stage.open();
        world.change(change);
        let hooks = world.code.app().hooks().clone();
        drop(world);
        Self { client: self.client.with_hooks(hooks), stage: self.stage }
    }
}

fn read<T: serde::de::DeserializeOwned>(input: &Payload, name: &str) -> Result<T, Fault> {
    let what = || format!("the input of activity `{name}`");
    Codecs::default().read_plain(input, what).map_err(|bad| {
        let failure = millrace_core::ApplicationFailure::new("BadInput", bad).non_retryable();
        Fault::Application(failure)
    })
}

impl Default for TestEnv {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for TestEnv {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl std::fmt::Debug for TestEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestEnv").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// The page's examples are run with the crate's.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/testing.md")]
struct Page;
