//! One activity over many items.
//!
//! The items run in child workflows of a built-in type, at most [`SHARD`] in each, so the run that asks has one turn for a
//! shard and none for an item; its history holds each item's input and result once, or, with
//! [`summary`](MapCall::summary), no result at all. Items that come [in pages](pages) are not in it either.

mod pages;
mod shard;
mod tolerance;

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

use crate::call::{Numbered, invalid};
use crate::codec::Unread;
use crate::host::{Ended, Journal, Kind};
use crate::workflow::{Run, Workflow};
use crate::{Activity, Retry, WorkflowContext, WorkflowError};

pub use pages::Page;
pub(crate) use pages::PagesWorkflow;
use pages::{PagesJob, PagesMarker, Paging, unless_blocked};
pub(crate) use shard::ShardWorkflow;
pub use shard::{FailedItem, MapSummary};
use shard::{Gathered, How, ShardJob, ShardMarker, run_items};
use tolerance::Tolerance;

/// How many items one child takes.
const SHARD: usize = 1_000;
/// How many bytes of input one child takes, unless a single item is larger.
const SHARD_BYTES: usize = 200_000;
/// How many items run at a time, unless said otherwise.
const CONCURRENCY: usize = 100;
/// How many failures a failed map tells of.
const TOLD: usize = 5;

/// A call of one activity for many items: see [`WorkflowContext::map`] and [`WorkflowContext::map_pages`]. `R` is what it
/// gives: a result for each item, or a [`MapSummary`].
#[must_use = "a durable call does nothing until it is awaited"]
pub struct MapCall<A: Activity, R = Vec<Result<<A as Activity>::Output, ActivityFailure>>> {
    context: WorkflowContext,
    asked: Result<Asked, ApplicationFailure>,
    end: End<R>,
    running: Option<BoxFuture<'static, Result<R, WorkflowFailure>>>,
    done: bool,
    activity: PhantomData<fn() -> A>,
}

/// What is made of all that was gathered; what cannot be decoded stops the run.
type End<R> = fn(&Journal, Gathered, Tolerance) -> Result<Result<R, WorkflowFailure>, Blocked>;

struct Asked {
    how: How,
    items: Items,
    tolerate: Tolerance,
    /// Whether the results are wanted, not only their number.
    keep: bool,
}

/// The results in the order of the items; or why the map as a whole failed.
type Mapped<A> = Result<Vec<Result<<A as Activity>::Output, ActivityFailure>>, WorkflowFailure>;

/// Where the items come from.
enum Items {
    Here(Vec<Payload>),
    Pages(Paging),
}

impl<A: Activity> MapCall<A> {
    pub(crate) fn new(context: WorkflowContext, items: impl IntoIterator<Item = A::Input>) -> Self {
        // Each on its own: the shards pass them on, and the results, without a look.
        Self::of(context, |context| {
            let items = items.into_iter().map(|item| context.journal().write(&item, A::NAME));
            Ok(Items::Here(items.collect::<Result<_, _>>()?))
        })
    }

    pub(crate) fn in_pages<P: Activity>(context: WorkflowContext, spec: &impl Serialize) -> Self {
        Self::of(context, |context| Ok(Items::Pages(Paging::of::<P>(context.journal(), spec)?)))
    }

    fn of(
        context: WorkflowContext,
        items: impl FnOnce(&WorkflowContext) -> Result<Items, ApplicationFailure>,
    ) -> Self {
        let asked = || {
            let (items, how) = (items(&context)?, How::of::<A>()?);
            Ok(Asked { how, items, tolerate: Tolerance::default(), keep: true })
        };
        let asked = asked();
        Self { context, asked, end: every::<A>, running: None, done: false, activity: PhantomData }
    }

    /// Gives how many items there were and how many failed, instead of a result for each: what the activity returns is then
    /// in the histories of the shards only.
    pub fn summary(self) -> MapCall<A, MapSummary> {
        let Self { context, asked, .. } = self.with(|asked| asked.keep = false);
        let end = |journal: &Journal, gathered: Gathered, _| gathered.summary(journal).map(Ok);
        MapCall { context, asked, end, running: None, done: false, activity: PhantomData }
    }
}

impl<A: Activity, R: Send + 'static> MapCall<A, R> {
    /// How many items run at a time; 100 if not said.
    pub fn concurrency(self, most: usize) -> Self {
        self.with(|asked| asked.how.concurrency = most.max(1))
    }

    /// How many items may fail; with one more the map fails, and what still runs is canceled. None if not said.
    pub fn tolerate(self, failures: usize) -> Self {
        self.with(|asked| asked.tolerate = Tolerance::Items(failures as u64))
    }

    /// The same as a share of the items, from 0 to 1. How many there are in pages is known with the last of them: not before
    /// then does such a map fail.
    pub fn tolerate_share(self, share: f64) -> Self {
        self.with(|asked| asked.tolerate = Tolerance::Share(share.clamp(0.0, 1.0)))
    }

    /// Where the tasks wait. A name that no queue can have fails the map.
    pub fn task_queue(self, name: impl AsRef<str>) -> Self {
        self.try_with(|asked| {
            asked.how.task_queue = TaskQueue::new(name).map_err(invalid)?;
            Ok(())
        })
    }

    /// What follows a failed attempt of an item.
    pub fn retry(self, retry: Retry) -> Self {
        self.options(|options| options.retry = retry.into())
    }

    /// Changes the time limits and retries of the items.
    pub fn options(self, change: impl FnOnce(&mut ActivityOptions)) -> Self {
        self.with(|asked| change(&mut asked.how.options))
    }

    /// How many pages are worked on at a time, if the items come in pages; 10 if not said, and never more than items run at a
    /// time, which are shared out among them.
    pub fn pages_at_once(self, most: usize) -> Self {
        self.with_paging("pages_at_once", |paging| {
            paging.at_once = most.max(1);
            Ok(())
        })
    }

    /// Where the tasks of the paging activity wait, if not where it says itself; the built-in ones of
    /// [`sources`](crate::sources) wait where the items do.
    pub fn page_queue(self, name: impl AsRef<str>) -> Self {
        self.with_paging("page_queue", |paging| {
            paging.task_queue = Some(TaskQueue::new(name).map_err(invalid)?);
            Ok(())
        })
    }

    fn with_paging(
        self,
        setter: &str,
        change: impl FnOnce(&mut Paging) -> Result<(), ApplicationFailure>,
    ) -> Self {
        self.try_with(|asked| match &mut asked.items {
            Items::Pages(paging) => change(paging),
            Items::Here(_) => Err(invalid(format!("{setter}: only a map whose items come in pages has it"))),
        })
    }

    fn with(self, change: impl FnOnce(&mut Asked)) -> Self {
        self.try_with(|asked| {
            change(asked);
            Ok(())
        })
    }

    fn try_with(mut self, change: impl FnOnce(&mut Asked) -> Result<(), ApplicationFailure>) -> Self {
        if let Ok(asked) = &mut self.asked
            && let Err(invalid) = change(asked)
        {
            self.asked = Err(invalid);
        }
        self
    }

    fn run(&mut self) -> BoxFuture<'static, Result<R, WorkflowFailure>> {
        let unasked = Err(ApplicationFailure::new("InvalidOption", "asked twice"));
        let asked = std::mem::replace(&mut self.asked, unasked);
        let (context, end) = (self.context.clone(), self.end);
        async move {
            let Asked { how, items, tolerate, keep } = asked.map_err(failure)?;
            let gathered = match items {
                Items::Here(items) => run(context.clone(), how, items, tolerate, keep).await?,
                Items::Pages(paging) => {
                    context.child(PagesMarker, PagesJob::new(how, paging, tolerate, keep)).await?
                }
            };
            unless_blocked(context.journal(), end(context.journal(), gathered, tolerate)).await
        }
        .boxed()
    }
}

fn failure(failure: ApplicationFailure) -> WorkflowFailure {
    WorkflowFailure { workflow: MapWorkflow::NAME.to_owned(), fault: Fault::Application(failure) }
}

/// The results in the order of the items. One that cannot be read is a failure, too.
fn every<A: Activity>(
    journal: &Journal,
    gathered: Gathered,
    tolerate: Tolerance,
) -> Result<Mapped<A>, Blocked> {
    let items = gathered.items.unwrap_or_default();
    let read: Vec<_> = items.into_iter().map(|item| item.read::<A>(journal)).collect::<Result<_, _>>()?;
    let failures: Vec<_> = read.iter().filter_map(|result| result.as_ref().err()).collect();
    match tolerate.exceeded(failures.len() as u64, read.len() as u64, failures.into_iter()) {
        Some(too_many) => Ok(Err(failure(too_many))),
        None => Ok(Ok(read)),
    }
}

/// Runs the items that are here.
async fn run(
    context: WorkflowContext,
    how: How,
    items: Vec<Payload>,
    tolerate: Tolerance,
    keep: bool,
) -> Result<Gathered, WorkflowFailure> {
    let count = items.len() as u64;
    let most = tolerate.among(count);
    let shards = shards(items);
    let at_once = shards.len().clamp(1, how.concurrency);
    let how = How { concurrency: how.concurrency.div_ceil(at_once), ..how };
    let shard = move |(i, items): (usize, Vec<Payload>)| {
        let (size, child) = (items.len() as u64, shard_of(&context, &how, items, most, keep));
        async move { (i, size, child.await) }
    };
    let mut running = stream::iter(shards.into_iter().enumerate().map(shard)).buffer_unordered(at_once);
    let mut ended = BTreeMap::new();
    let mut so_far = Gathered::default();
    // One by one: what still runs is canceled as soon as the map has failed.
    while let Some((i, size, shard)) = running.next().await {
        let mut shard = shard?;
        if shard.count != size {
            let text = format!("shard {i} gave {} results for {size} items", shard.count);
            return Err(failure(ApplicationFailure::new("BadResult", text).non_retryable()));
        }
        ended.insert(i, shard.items.take());
        so_far.add(shard);
        if let Some(too_many) = Tolerance::Items(most).exceeded(so_far.failed, count, so_far.failures()) {
            return Err(failure(too_many));
        }
    }
    so_far.items = keep.then(|| ended.into_values().flatten().flatten().collect());
    Ok(so_far)
}

/// One shard: of the type that there has always been, unless only a summary is wanted.
fn shard_of(
    context: &WorkflowContext,
    how: &How,
    items: Vec<Payload>,
    tolerate: u64,
    keep: bool,
) -> BoxFuture<'static, Result<Gathered, WorkflowFailure>> {
    if !keep {
        return context.child(ShardMarker, ShardJob::of_items(how, items, tolerate)).boxed();
    }
    let How { activity, task_queue, options, concurrency } = how.clone();
    let tolerate = usize::try_from(tolerate).unwrap_or(usize::MAX);
    let job = MapJob { activity, task_queue, options, items: items.clone(), concurrency, tolerate };
    let child = context.child(MapMarker, job);
    async move { Ok(Gathered::of(&items, child.await?)) }.boxed()
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

impl<A: Activity, R: Send + 'static> Future for MapCall<A, R> {
    type Output = Result<R, WorkflowFailure>;

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

impl<A: Activity, R: Send + 'static> FusedFuture for MapCall<A, R> {
    fn is_terminated(&self) -> bool {
        self.done
    }
}

impl<A: Activity, R> std::fmt::Debug for MapCall<A, R> {
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
    let MapJob { activity, task_queue, options, items, concurrency, tolerate } = job;
    let how = How { activity, task_queue, options, concurrency };
    let gathered = run_items(&context, &how, &items, Some(tolerate as u64), true).await?;
    Ok(gathered.items.unwrap_or_default())
}

/// A call of an activity that is known by its name only.
pub(crate) struct ItemCall {
    call: Numbered,
    activity: String,
    command: Option<Command>,
}

impl ItemCall {
    pub(crate) fn new(
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
