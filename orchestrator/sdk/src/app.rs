//! What a process can run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use millrace_core::{ApplicationFailure, Fault, Payload, TaskQueue, WorkflowCode};
#[cfg(feature = "test")]
use millrace_core::{Blocked, RunInfo};
use millrace_engine::{ActivityCode, Attempt, Limit};

use crate::codec::Codec;
use crate::hooks::Hooks;
#[cfg(feature = "test")]
use crate::host::Host;
use crate::intercept::{ActivityFn, Interceptor};
use crate::shared::{Needs, Shares};
use crate::sources::{KeysActivity, LinesActivity};
use crate::workflows::Workflows;
use crate::{Activity, ActivityBody, ActivityContext, ActivityError, ActivityRef, WorkflowRef};

/// The workflows and activities of a process, and what its activities share.
#[derive(Clone, Default)]
pub struct App {
    workflows: Workflows,
    activities: Activities,
    problems: Vec<String>,
    hooks: Hooks,
}

#[derive(Clone, Default)]
pub(crate) struct Activities {
    entries: BTreeMap<&'static str, Entry>,
    limits: BTreeMap<String, Arc<Limit>>,
    shares: Arc<Shares>,
    hooks: Hooks,
}

/// A registered activity, without its types.
#[derive(Clone)]
struct Entry {
    task_queue: &'static str,
    needs: Needs,
    run: fn(ActivityContext, Payload) -> BoxFuture<'static, Result<Payload, ActivityError>>,
}

impl Entry {
    fn of<A: ActivityBody>() -> Self {
        let mut needs = Needs::default();
        A::needs(&mut needs);
        Self { task_queue: A::TASK_QUEUE, needs, run: run::<A> }
    }

    /// What every worker can run.
    fn built_in(name: &str) -> Option<Self> {
        match name {
            KeysActivity::NAME => Some(Self::of::<KeysActivity>()),
            LinesActivity::NAME => Some(Self::of::<LinesActivity>()),
            _ => None,
        }
    }
}

impl Activities {
    fn entry(&self, name: &str) -> Option<Entry> {
        self.entries.get(name).cloned().or_else(|| Entry::built_in(name))
    }
}

impl App {
    /// An app that can run nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shares a value with the activities that take a `Shared<T>`. A second one of the same type replaces the first.
    #[must_use]
    pub fn share<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        Arc::make_mut(&mut self.activities.shares).add(value);
        self
    }

    /// Registers a workflow.
    #[must_use]
    pub fn workflow<M, F: WorkflowRef<M>>(mut self, _workflow: F) -> Self {
        self.problems.extend(self.workflows.add::<F::Workflow>(true).err());
        self
    }

    /// Registers an earlier version of a workflow: runs that began with it go on with it, and no other run does. Which
    /// version a run began with is in its history; a run that continues as new does so with today's version.
    ///
    /// ```
    /// use millrace::prelude::*;
    ///
    /// #[workflow(name = "Order", version = "1")]
    /// async fn order_v1(ctx: WorkflowContext, sku: String) -> Result<(), WorkflowError> {
    ///     Ok(())
    /// }
    ///
    /// #[workflow(version = "2")]
    /// async fn order(ctx: WorkflowContext, sku: String) -> Result<(), WorkflowError> {
    ///     ctx.sleep(days(1)).await?; // What version 1 did not do.
    ///     Ok(())
    /// }
    ///
    /// let app = App::new().workflow(order).pinned(order_v1);
    /// # app.check().unwrap();
    /// ```
    #[must_use]
    pub fn pinned<M, F: WorkflowRef<M>>(mut self, _workflow: F) -> Self {
        self.problems.extend(self.workflows.add::<F::Workflow>(false).err());
        self
    }

    /// Registers an activity.
    #[must_use]
    pub fn activity<M, F: ActivityRef<M>>(mut self, _activity: F) -> Self
    where
        F::Activity: ActivityBody,
    {
        let name = F::Activity::NAME;
        let entry = Entry::of::<F::Activity>();
        if let Some(most) = F::Activity::MAX_CONCURRENT {
            self.activities.limits.entry(name.to_owned()).or_insert_with(|| Limit::new(most));
        }
        if self.activities.entries.insert(name, entry).is_some() {
            self.problems.push(format!("two activities are named `{name}`: give one of them another `name`"));
        }
        self
    }

    /// Lets an activity be run [without a workflow](crate::Client::run_activity): by whoever may start one, with any input, and
    /// by schedules. It needs not be registered here, but every engine of the app must allow it. What is not allowed is refused
    /// before it begins; what has begun goes on.
    ///
    /// ```
    /// # use millrace::prelude::*;
    /// # #[activity] async fn train(epochs: u32) -> Result<f64, ActivityError> { Ok(0.9) }
    /// let app = App::new().activity(train).standalone(train);
    /// # app.check().unwrap();
    /// ```
    #[must_use]
    pub fn standalone<M, F: ActivityRef<M>>(mut self, _activity: F) -> Self {
        self.workflows.allow_standalone(F::Activity::NAME);
        self
    }

    /// Encodes everything that leaves this process, and decodes what comes in: see [`codec`](crate::codec). Several of them form
    /// a chain, in this order. Every process of the app needs the same.
    #[must_use]
    pub fn codec(mut self, codec: impl Codec) -> Self {
        self.hooks.codecs.push(codec);
        self
    }

    /// Does something around every activity attempt, every workflow and every start: see [`intercept`](crate::intercept). The
    /// first is the outermost.
    #[must_use]
    pub fn intercept(mut self, interceptor: impl Interceptor) -> Self {
        self.hooks.interceptors.push(interceptor);
        self
    }

    #[cfg(any(feature = "embedded", feature = "aws", feature = "test"))]
    pub(crate) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    #[cfg(any(feature = "embedded", feature = "test"))]
    pub(crate) fn with_hooks(self, hooks: Hooks) -> Self {
        Self { hooks, ..self }
    }

    /// At most so many attempts of an activity run at a time in this process, whatever its attribute (`max_concurrent`) says:
    /// for one program on machines of different sizes. Further tasks wait in the worker, each in a slot, and cost neither an
    /// attempt nor a receive; an activity that should not hold up others has a task queue of its own. Code that was stopped
    /// and runs on still counts.
    ///
    /// In a function, where each invocation may be a process of its own, the function's reserved concurrency is the limit.
    #[must_use]
    pub fn limit(mut self, activity: impl Into<String>, most: usize) -> Self {
        let activity = activity.into();
        if most == 0 {
            self.problems
                .push(format!("the limit of activity `{activity}` is 0, so it would never run: at least 1"));
        }
        self.activities.limits.insert(activity, Limit::new(most));
        self
    }

    /// The same for limits such as `train=1,resize=8`.
    #[cfg(any(feature = "embedded", feature = "aws"))]
    pub(crate) fn limits(self, text: &str) -> Result<Self, String> {
        let limits = text.split(',').map(str::trim).filter(|limit| !limit.is_empty());
        limits.map(limit).try_fold(self, |app, limit| limit.map(|(activity, most)| app.limit(activity, most)))
    }

    /// What would go wrong later: names that are used twice, dependencies that nobody shares. One line for each.
    pub fn check(&self) -> Result<(), String> {
        let mut problems = self.problems.clone();
        problems.extend(self.workflows.problems());
        for (name, entry) in &self.activities.entries {
            let missing = self.activities.shares.missing(&entry.needs).into_iter();
            problems.extend(missing.map(|what| {
                format!("activity `{name}` needs `Shared<{what}>`: add `.share(..)` to the App")
            }));
            if let Err(error) = TaskQueue::new(entry.task_queue) {
                problems.push(format!("activity `{name}`: {error}"));
            }
        }
        let limits = self.activities.limits.keys();
        problems.extend(limits.filter(|name| !self.activities.entries.contains_key(name.as_str())).map(
            |name| format!("there is a limit for activity `{name}`, which is not registered: check its name"),
        ));
        if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
    }

    /// The workflows, as the engine runs them.
    pub fn workflow_code(&self) -> Arc<dyn WorkflowCode> {
        Arc::new(self.workflows())
    }

    fn workflows(&self) -> Workflows {
        self.workflows.clone().with_hooks(self.hooks.clone())
    }

    /// Code for a run, as it is.
    #[cfg(feature = "test")]
    pub(crate) fn host(&self, info: &RunInfo) -> Result<Host, Blocked> {
        self.workflows().host(info)
    }

    /// The activities, as a worker runs them.
    pub fn activity_code(&self) -> Arc<dyn ActivityCode> {
        Arc::new(self.activities())
    }

    pub(crate) fn activities(&self) -> Activities {
        Activities { hooks: self.hooks.clone(), ..self.activities.clone() }
    }

    /// The names of the registered workflows, in order.
    pub fn workflow_names(&self) -> Vec<String> {
        self.workflows.names()
    }

    /// The task queues of the registered activities, in order; calls may name others.
    pub fn task_queues(&self) -> Vec<TaskQueue> {
        let names: BTreeSet<_> = self.activities.entries.values().map(|entry| entry.task_queue).collect();
        names.into_iter().filter_map(|name| TaskQueue::new(name).ok()).collect()
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (workflows, activities) = (self.workflows.names(), self.activities.entries.keys());
        f.debug_struct("App")
            .field("workflows", &workflows)
            .field("activities", &activities.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// `train=1`
#[cfg(any(feature = "embedded", feature = "aws"))]
fn limit(text: &str) -> Result<(&str, usize), String> {
    let parts = text.split_once('=').and_then(|(name, most)| Some((name.trim(), most.trim().parse().ok()?)));
    parts
        .filter(|(name, most)| !name.is_empty() && *most > 0)
        .ok_or_else(|| format!("`{text}` is no limit of an activity such as train=1"))
}

impl ActivityCode for Activities {
    fn knows(&self, activity: &str) -> bool {
        self.entry(activity).is_some()
    }

    fn names(&self) -> Vec<String> {
        self.entries.keys().map(ToString::to_string).collect()
    }

    fn limit(&self, activity: &str) -> Option<Arc<Limit>> {
        self.limits.get(activity).cloned()
    }

    fn run(&self, attempt: Arc<dyn Attempt>) -> BoxFuture<'static, Result<Payload, Fault>> {
        let name = &attempt.task().activity;
        let Some(entry) = self.entry(name) else {
            return std::future::ready(Err(unknown(name, &self.names()))).boxed();
        };
        let run = entry.run;
        self.attempt(attempt, Box::new(run))
    }

    /// Encoded payloads need not be the same to say the same.
    fn is_same(&self, one: &Payload, other: &Payload) -> bool {
        let plain = |payload| self.hooks.codecs.decode(payload);
        one == other || matches!((plain(one), plain(other)), (Ok(one), Ok(other)) if one == other)
    }
}

impl Activities {
    /// Runs an attempt with this code.
    pub(crate) fn attempt(
        &self,
        attempt: Arc<dyn Attempt>,
        code: ActivityFn,
    ) -> BoxFuture<'static, Result<Payload, Fault>> {
        let (shares, codecs) = (self.shares.clone(), self.hooks.codecs.clone());
        self.hooks.attempt(ActivityContext::new(attempt, shares, codecs), code)
    }

    #[cfg(feature = "test")]
    pub(crate) fn hooks(&self) -> &Hooks {
        &self.hooks
    }
}

/// Retryable: another worker of the queue, or the next deployment, may know it.
fn unknown(name: &str, known: &[String]) -> Fault {
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let message = format!("no activity `{name}` is registered here (registered: {known})");
    Fault::Application(ApplicationFailure::new("UnknownActivity", message))
}

fn run<A: ActivityBody>(
    context: ActivityContext,
    input: Payload,
) -> BoxFuture<'static, Result<Payload, ActivityError>> {
    let what = || format!("the input of activity `{}`", A::NAME);
    match context.codecs().read_plain::<A::Input>(&input, what) {
        Ok(input) => {
            let running = A::call(context, input);
            async move { crate::call::plain(&running.await?, A::NAME).map_err(ActivityError::from) }.boxed()
        }
        Err(message) => {
            let failure = ApplicationFailure::new("BadInput", message).non_retryable();
            std::future::ready(Err(failure.into())).boxed()
        }
    }
}
