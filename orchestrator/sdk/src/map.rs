//! One activity over many items.
//!
//! The items run in child workflows of a built-in type, at most [`SHARD`] in each, so the run that asks has one turn for a
//! shard and none for an item; its history holds each item's input and result once.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FusedFuture, FutureExt};
use futures::stream::{self, StreamExt};
use millrace_core::{
    ActivityFailure, ActivityOptions, ApplicationFailure, Blocked, Command, Fault, Payload, TaskQueue,
    WorkflowFailure,
};
use serde::{Deserialize, Serialize};

use crate::call::Numbered;
use crate::codec::Unread;
use crate::host::{Ended, Journal, Kind};
use crate::workflow::{Run, Workflow};
use crate::{Activity, Retry, WorkflowContext, WorkflowError};

/// How many items one child takes.
const SHARD: usize = 1_000;
/// How many bytes of input one child takes, unless a single item is larger.
const SHARD_BYTES: usize = 200_000;
/// How many items run at a time, unless said otherwise.
const CONCURRENCY: usize = 100;
/// How many failures a failed map tells of.
const TOLD: usize = 5;

/// A call of one activity for many items: see [`WorkflowContext::map`].
#[must_use = "a durable call does nothing until it is awaited"]
pub struct MapCall<A: Activity> {
    context: WorkflowContext,
    asked: Result<Asked, ApplicationFailure>,
    running: Option<BoxFuture<'static, Mapped<A>>>,
    done: bool,
    activity: PhantomData<fn() -> A>,
}

/// The results in the order of the items; or why the map as a whole failed.
type Mapped<A> = Result<Vec<Result<<A as Activity>::Output, ActivityFailure>>, WorkflowFailure>;

struct Asked {
    task_queue: TaskQueue,
    options: ActivityOptions,
    items: Vec<Payload>,
    concurrency: usize,
    tolerate: usize,
}

impl<A: Activity> MapCall<A> {
    pub(crate) fn new(context: WorkflowContext, items: impl IntoIterator<Item = A::Input>) -> Self {
        let invalid = |error| ApplicationFailure::new("InvalidOption", error).non_retryable();
        let asked = || {
            // Each on its own: the shards pass them on, and the results, without a look.
            let items = items.into_iter().map(|item| context.journal().write(&item, A::NAME));
            let items = items.collect::<Result<_, _>>()?;
            let task_queue = TaskQueue::new(A::TASK_QUEUE).map_err(invalid)?;
            Ok(Asked { task_queue, options: A::options(), items, concurrency: CONCURRENCY, tolerate: 0 })
        };
        let asked = asked();
        Self { context, asked, running: None, done: false, activity: PhantomData }
    }

    /// How many items run at a time; 100 if not said.
    pub fn concurrency(self, most: usize) -> Self {
        self.with(|asked| asked.concurrency = most.max(1))
    }

    /// How many items may fail; with one more the map fails, and what still runs is canceled. None if not said.
    pub fn tolerate(self, failures: usize) -> Self {
        self.with(|asked| asked.tolerate = failures)
    }

    /// The same as a share of the items, from 0 to 1.
    pub fn tolerate_share(self, share: f64) -> Self {
        self.with(|asked| asked.tolerate = (asked.items.len() as f64 * share.clamp(0.0, 1.0)) as usize)
    }

    /// Where the tasks wait. A name that no queue can have fails the map.
    pub fn task_queue(mut self, name: impl AsRef<str>) -> Self {
        match (TaskQueue::new(name), &mut self.asked) {
            (Ok(name), Ok(asked)) => asked.task_queue = name,
            (Err(error), asked @ Ok(_)) => {
                *asked = Err(ApplicationFailure::new("InvalidOption", error).non_retryable());
            }
            (_, Err(_)) => {}
        }
        self
    }

    /// What follows a failed attempt of an item.
    pub fn retry(self, retry: Retry) -> Self {
        self.options(|options| options.retry = retry.into())
    }

    /// Changes the time limits and retries of the items.
    pub fn options(self, change: impl FnOnce(&mut ActivityOptions)) -> Self {
        self.with(|asked| change(&mut asked.options))
    }

    fn with(mut self, change: impl FnOnce(&mut Asked)) -> Self {
        if let Ok(asked) = &mut self.asked {
            change(asked);
        }
        self
    }

    fn run(&mut self) -> BoxFuture<'static, Mapped<A>> {
        let unasked = Err(ApplicationFailure::new("InvalidOption", "asked twice"));
        let asked = std::mem::replace(&mut self.asked, unasked);
        let context = self.context.clone();
        async move { run::<A>(context, asked.map_err(failure)?).await }.boxed()
    }
}

fn failure(failure: ApplicationFailure) -> WorkflowFailure {
    WorkflowFailure { workflow: MapWorkflow::NAME.to_owned(), fault: Fault::Application(failure) }
}

async fn run<A: Activity>(context: WorkflowContext, asked: Asked) -> Mapped<A> {
    let Asked { task_queue, options, items, concurrency, tolerate } = asked;
    let shards = shards(items);
    let at_once = shards.len().clamp(1, concurrency);
    let job = |items| MapJob {
        activity: A::NAME.to_owned(),
        task_queue: task_queue.clone(),
        options: options.clone(),
        items,
        concurrency: concurrency.div_ceil(at_once),
        tolerate,
    };
    let count = shards.iter().map(Vec::len).sum();
    let children = shards.into_iter().map(|items| (items.len(), context.child(MapMarker, job(items))));
    let numbered = children.enumerate().map(async |(i, (size, child))| (i, size, child.await));
    let mut running = stream::iter(numbered).buffer_unordered(at_once);
    let mut ended = BTreeMap::new();
    let mut failures = Vec::new();
    // One by one: what still runs is canceled as soon as the map has failed.
    while let Some((i, size, shard)) = running.next().await {
        let read = shard?.into_iter().map(|item| item.read::<A>(context.journal())).collect();
        let shard: Vec<_> = match read {
            Ok(shard) => shard,
            Err(reason) => {
                context.journal().block(reason);
                return std::future::pending().await;
            }
        };
        if shard.len() != size {
            let text = format!("shard {i} gave {} results for {size} items", shard.len());
            return Err(failure(ApplicationFailure::new("BadResult", text).non_retryable()));
        }
        failures.extend(shard.iter().filter_map(|result| result.as_ref().err().cloned()));
        if let Some(too_many) = too_many(failures.iter(), tolerate, count) {
            return Err(failure(too_many));
        }
        ended.insert(i, shard);
    }
    Ok(ended.into_values().flatten().collect())
}

fn shards(items: Vec<Payload>) -> Vec<Vec<Payload>> {
    let mut shards: Vec<Vec<Payload>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let size = item.as_str().len();
        match shards.last_mut() {
            Some(last) if last.len() < SHARD && bytes + size <= SHARD_BYTES => {
                bytes += size;
                last.push(item);
            }
            _ => {
                bytes = size;
                shards.push(vec![item]);
            }
        }
    }
    shards
}

fn too_many<'a>(
    failures: impl Iterator<Item = &'a ActivityFailure>,
    tolerate: usize,
    items: usize,
) -> Option<ApplicationFailure> {
    let failures: Vec<_> = failures.collect();
    if failures.len() <= tolerate {
        return None;
    }
    let text = format!("{} of {items} items failed, {tolerate} may", failures.len());
    let mut failure = ApplicationFailure::new("TooManyFailures", text).non_retryable();
    failure.causes = failures.iter().take(TOLD).map(ToString::to_string).collect();
    Some(failure)
}

impl<A: Activity> Future for MapCall<A> {
    type Output = Mapped<A>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.done {
            return Poll::Pending;
        }
        let mut running = self.running.take().unwrap_or_else(|| self.run());
        let polled = running.poll_unpin(cx);
        match &polled {
            Poll::Ready(_) => self.done = true,
            Poll::Pending => self.running = Some(running),
        }
        polled
    }
}

impl<A: Activity> FusedFuture for MapCall<A> {
    fn is_terminated(&self) -> bool {
        self.done
    }
}

impl<A: Activity> std::fmt::Debug for MapCall<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MapCall").field("activity", &A::NAME).finish_non_exhaustive()
    }
}

/// What a shard is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MapJob {
    activity: String,
    task_queue: TaskQueue,
    options: ActivityOptions,
    items: Vec<Payload>,
    concurrency: usize,
    tolerate: usize,
}

/// How one item ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Item {
    Ok(Payload),
    Failed(ActivityFailure),
}

impl Item {
    /// What cannot be decoded stops the run.
    fn read<A: Activity>(self, journal: &Journal) -> Result<Result<A::Output, ActivityFailure>, Blocked> {
        let result = match self {
            Self::Ok(result) => result,
            Self::Failed(ActivityFailure { activity, attempts, fault }) => {
                return Ok(Err(ActivityFailure { activity, attempts, fault: journal.open(fault)? }));
            }
        };
        match journal.codecs.read(&result, || "the result of an item".into()) {
            Ok(output) => Ok(Ok(output)),
            Err(Unread::Shape(text)) => {
                let fault = Fault::Application(ApplicationFailure::new("BadResult", text).non_retryable());
                Ok(Err(ActivityFailure { activity: A::NAME.to_owned(), attempts: 1, fault }))
            }
            Err(Unread::Codec(message)) => Err(Blocked::BadInput { message }),
        }
    }
}

/// The built-in workflow that runs a shard.
pub(crate) struct MapWorkflow;

/// Names it for [`WorkflowContext::child`].
pub(crate) struct MapMarker;

impl crate::WorkflowRef<()> for MapMarker {
    type Workflow = MapWorkflow;
}

impl Workflow for MapWorkflow {
    type Input = MapJob;
    type Output = Vec<Item>;
    const NAME: &'static str = "millrace.map";
    const IS_BUILT_IN: bool = true;
    const ACCEPTS: &'static [&'static str] = &[];

    fn run(context: WorkflowContext, job: MapJob) -> Run<Vec<Item>> {
        Box::pin(shard(context, job))
    }
}

async fn shard(context: WorkflowContext, job: MapJob) -> Result<Vec<Item>, WorkflowError> {
    let (items, most) = (job.items.len(), job.concurrency.max(1));
    let call = |input: &Payload| {
        ItemCall::new(&context, &job.activity, &job.task_queue, input.clone(), job.options.clone())
    };
    let numbered = job.items.iter().map(call).enumerate().map(|(i, call)| async move { (i, call.await) });
    let mut running = stream::iter(numbered.collect::<Vec<_>>()).buffer_unordered(most);
    let mut ended: Vec<Option<Item>> = vec![None; items];
    let mut failures: Vec<ActivityFailure> = Vec::new();
    while let Some((i, result)) = running.next().await {
        ended[i] = Some(match result {
            Ok(result) => Item::Ok(result),
            Err(failure) if failure.is_canceled() && context.canceled().is_some() => {
                return Err(failure.into());
            }
            Err(failure) => {
                failures.push(failure.clone());
                Item::Failed(failure)
            }
        });
        if let Some(too_many) = too_many(failures.iter(), job.tolerate, items) {
            return Err(too_many.into());
        }
    }
    Ok(ended.into_iter().flatten().collect())
}

/// A call of an activity that is known by its name only.
struct ItemCall {
    call: Numbered,
    activity: String,
    command: Option<Command>,
}

impl ItemCall {
    fn new(
        context: &WorkflowContext,
        activity: &str,
        task_queue: &TaskQueue,
        input: Payload,
        options: ActivityOptions,
    ) -> Self {
        let call = Numbered::new(context.journal(), Kind::Activity, context.scope_id());
        let (activity_id, activity, task_queue) = (call.number(), activity.to_owned(), task_queue.clone());
        let name = activity.clone();
        let command = Command::ScheduleActivity { activity_id, activity: name, task_queue, input, options };
        Self { call, activity, command: Some(command) }
    }
}

impl Future for ItemCall {
    type Output = Result<Payload, ActivityFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = match self.command.take() {
            Some(command) => self.call.start(cx.waker(), command),
            None => self.call.poll(cx),
        };
        ended.map(|ended| match ended {
            Ended::Completed(result) => Ok(result),
            Ended::Failed(failure) => Err(*failure),
            Ended::Canceled(canceled) => {
                let fault = Fault::Canceled { reason: canceled.reason };
                Err(ActivityFailure { activity: self.activity.clone(), attempts: 0, fault })
            }
            Ended::Fired | Ended::ChildFailed(_) => {
                let fault = Fault::Application(ApplicationFailure::new("BadResult", "another call's end"));
                Err(ActivityFailure { activity: self.activity.clone(), attempts: 0, fault })
            }
        })
    }
}
