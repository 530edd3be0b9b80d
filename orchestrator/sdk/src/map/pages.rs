//! A map over items that come in pages: nobody names them all.
//!
//! A driver, a run of its own, starts a shard for each page. The shard reads its page, so the items are in its history and
//! nowhere else, tells the driver by a signal where the next page begins, and runs its items. So pages are read one after
//! the other, and worked on side by side; the driver's history grows with the pages, that of the workflow that asked with
//! nothing, and once it is long the driver continues as new.
//!
//! Every shard that is not stopped announces its page, also one that cannot be read: a driver that gives up early waits for an
//! announcement that is on its way, because a signal that finds nobody is a dead letter.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use millrace_core::{
    ActivityOptions, ApplicationFailure, Blocked, Payload, TaskQueue, WorkflowFailure, WorkflowId,
};
use serde::{Deserialize, Serialize};

use super::ItemCall;
use super::shard::{Gathered, How, ShardJob, ShardMarker, Source};
use super::tolerance::Tolerance;
use crate::call::{Signals, invalid};
use crate::codec::Unread;
use crate::host::Journal;
use crate::workflow::{Message, Run, Workflow};
use crate::{Activity, Signal, WorkflowContext, WorkflowError, secs, select};

/// How many pages are worked on at a time, unless said otherwise.
const AT_ONCE: usize = 10;
/// What the names of the engine's own activities begin with.
const BUILT_IN: &str = "millrace.";

/// A page of items, and where the next one begins: what a paging activity gives.
///
/// ```
/// # use millrace::{Page, prelude::*};
/// /// The customers of a region, a hundred at a time.
/// #[activity]
/// async fn customers(region: String, cursor: Option<String>) -> Result<Page<u64>, ActivityError> {
///     let first: u64 = cursor.as_deref().unwrap_or("0").parse()?;
///     let items = (first..first + 100).collect();
///     Ok(Page { items, next: (first < 900).then(|| (first + 100).to_string()) })
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items; there may be none, and more on the next page.
    pub items: Vec<T>,
    /// What the paging activity is given for the next page; `None` if this is the last one.
    #[serde(default = "nothing", skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Serde would want `T: Default` for a plain default.
fn nothing() -> Option<String> {
    None
}

/// How pages are read.
pub(super) struct Paging {
    activity: String,
    own_queue: Option<TaskQueue>,
    pub(super) task_queue: Option<TaskQueue>,
    options: ActivityOptions,
    spec: Payload,
    pub(super) at_once: usize,
}

impl Paging {
    /// By the paging activity `P`.
    pub(super) fn of<P: Activity>(
        journal: &Journal,
        spec: &impl Serialize,
    ) -> Result<Self, ApplicationFailure> {
        let own_queue = match P::NAME.starts_with(BUILT_IN) {
            true => None,
            false => Some(TaskQueue::new(P::TASK_QUEUE).map_err(invalid)?),
        };
        Ok(Self {
            activity: P::NAME.to_owned(),
            own_queue,
            task_queue: None,
            options: P::options(),
            spec: journal.write(spec, P::NAME)?,
            at_once: AT_ONCE,
        })
    }
}

/// What a driver is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PagesJob {
    how: How,
    pages: Reading,
    at_once: usize,
    tolerate: Tolerance,
    keep: bool,
    /// What the runs before have done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    so_far: Option<SoFar>,
}

/// How a shard reads its page.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reading {
    activity: String,
    task_queue: TaskQueue,
    options: ActivityOptions,
    spec: Payload,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SoFar {
    /// How many pages there were.
    pages: u64,
    cursor: Option<String>,
    gathered: Gathered,
}

impl PagesJob {
    pub(super) fn new(how: How, paging: Paging, tolerate: Tolerance, keep: bool) -> Self {
        let Paging { activity, own_queue, task_queue, options, spec, at_once } = paging;
        let task_queue = task_queue.or(own_queue).unwrap_or_else(|| how.task_queue.clone());
        let pages = Reading { activity, task_queue, options, spec };
        Self { how, pages, at_once, tolerate, keep, so_far: None }
    }
}

/// The page of a shard.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PageCall {
    reading: Reading,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    /// Which page this is, from 0.
    page: u64,
    /// How many items run at a time if this is the only page.
    alone: usize,
    driver: WorkflowId,
}

/// What a shard tells its driver.
#[derive(Clone, Debug, Signal, Serialize, Deserialize)]
#[signal(name = "millrace.page_read")]
struct PageRead {
    page: u64,
    items: u64,
    /// Where the next page begins; absent after the last one, and if this one could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl PageCall {
    /// Reads the page and tells of it.
    pub(super) async fn read(
        self,
        context: &WorkflowContext,
        how: &mut How,
    ) -> Result<Vec<Payload>, WorkflowError> {
        let read = self.call(context).await;
        let (items, next) = match &read {
            Ok(page) => (page.items.len() as u64, page.next.clone()),
            Err(_) => (0, None),
        };
        if self.page == 0 && next.is_none() {
            how.concurrency = self.alone;
        }
        context.signal(self.driver.as_str(), PageRead { page: self.page, items, next }).await?;
        let items = read?.items.into_iter();
        Ok(items.map(|item| context.journal().write(&item, &how.activity)).collect::<Result<_, _>>()?)
    }

    async fn call(&self, context: &WorkflowContext) -> Result<Page<Payload>, WorkflowError> {
        let Reading { activity, task_queue, options, spec } = &self.reading;
        let journal = context.journal();
        let spec: Payload =
            unless_blocked(journal, journal.read(spec, || format!("what `{activity}` is told"))).await;
        let input = journal.write(&(spec, &self.cursor), activity)?;
        let result = ItemCall::new(context, activity, task_queue, input, options.clone()).await?;
        let bad = |text: String| ApplicationFailure::new("BadPage", text).non_retryable();
        let what = || format!("the result of the paging activity `{activity}`");
        let page = match journal.codecs.read::<Page<Payload>>(&result, what) {
            Err(Unread::Shape(text)) => return Err(bad(text).into()),
            Err(Unread::Codec(message)) => unless_blocked(journal, Err(Blocked::BadInput { message })).await,
            Ok(page) => page,
        };
        if page.next.is_some() && page.next == self.cursor {
            let text = format!(
                "the paging activity `{activity}` gives back the cursor that it was given, and would do so for ever: it \
                 says `next: None` with the last page"
            );
            return Err(bad(text).into());
        }
        Ok(page)
    }
}

/// What cannot be decoded stops the run, until it can.
pub(super) async fn unless_blocked<T>(journal: &Journal, decoded: Result<T, Blocked>) -> T {
    match decoded {
        Ok(decoded) => decoded,
        Err(reason) => {
            journal.block(reason);
            std::future::pending().await
        }
    }
}

/// The built-in workflow that reads page after page.
pub(crate) struct PagesWorkflow;

/// Names it for [`WorkflowContext::child`].
pub(super) struct PagesMarker;

impl crate::WorkflowRef<()> for PagesMarker {
    type Workflow = PagesWorkflow;
}

impl crate::workflow::AcceptedBy<PagesWorkflow> for PageRead {}

impl Workflow for PagesWorkflow {
    type Input = PagesJob;
    type Output = Gathered;
    const NAME: &'static str = "millrace.map_pages";
    const IS_BUILT_IN: bool = true;
    const ACCEPTS: &'static [&'static str] = &[PageRead::NAME];

    fn run(context: WorkflowContext, job: PagesJob) -> Run<Gathered> {
        Box::pin(drive(context, job))
    }
}

async fn drive(context: WorkflowContext, job: PagesJob) -> Result<Gathered, WorkflowError> {
    let mut driver = Driver::new(context, job);
    let ended = driver.run().await;
    if ended.is_err() {
        driver.hear_the_last().await;
    }
    ended
}

/// Where the next page is.
enum Next {
    At(Option<String>),
    /// The shard that reads the last known page will tell.
    Asked,
    None,
}

/// A shard that has ended: which page, and the place that it leaves.
type Ended = (u64, usize, Result<Gathered, WorkflowFailure>);

struct Driver {
    context: WorkflowContext,
    job: PagesJob,
    announced: Signals<PageRead>,
    running: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// Places for shards: each may run so many items at a time.
    free: Vec<usize>,
    next: Next,
    /// How many pages have been begun.
    pages: u64,
    /// How many items are known of.
    known: u64,
    gathered: Gathered,
    /// The items of pages, whose order is kept.
    items: BTreeMap<u64, Vec<super::Item>>,
}

impl Driver {
    fn new(context: WorkflowContext, mut job: PagesJob) -> Self {
        let so_far = job.so_far.take();
        let so_far = so_far.unwrap_or(SoFar { pages: 0, cursor: None, gathered: Gathered::default() });
        Self {
            announced: context.signals(),
            running: FuturesUnordered::new(),
            free: places(job.how.concurrency, job.at_once),
            next: Next::At(so_far.cursor),
            pages: so_far.pages,
            known: so_far.gathered.count,
            gathered: so_far.gathered,
            items: BTreeMap::new(),
            context,
            job,
        }
    }

    async fn run(&mut self) -> Result<Gathered, WorkflowError> {
        loop {
            // What runs is waited for before the run goes on as new: a child ends with its parent.
            if !self.context.should_continue_as_new() {
                self.begin();
            }
            match &self.next {
                Next::None if self.running.is_empty() => return Ok(self.take_gathered()),
                Next::At(cursor) if self.running.is_empty() => {
                    let (pages, cursor, gathered) = (self.pages, cursor.clone(), self.take_gathered());
                    let so_far = Some(SoFar { pages, cursor, gathered });
                    return self
                        .context
                        .continue_as_new(PagesMarker, PagesJob { so_far, ..self.job.clone() });
                }
                _ => {}
            }
            select! {
                read = self.announced.recv() => self.heard(read?),
                ended = self.running.select_next_some() => self.ended(ended)?,
            }
            self.check()?;
        }
    }

    /// Starts the shard of the next page, if it is known where that is and there is a place.
    fn begin(&mut self) {
        let Next::At(cursor) = &self.next else { return };
        let Some(place) = self.free.pop() else { return };
        let (page, alone, driver) =
            (self.pages, self.job.how.concurrency, self.context.workflow_id().clone());
        let call = PageCall { reading: self.job.pages.clone(), cursor: cursor.clone(), page, alone, driver };
        let job = ShardJob {
            how: How { concurrency: place, ..self.job.how.clone() },
            items: Source::Page(Box::new(call)),
            tolerate: self.job.tolerate.known(),
            keep: self.job.keep,
        };
        // Shielded: a shard is stopped by letting go of it, once nothing that it has said is on its way.
        let child = self.context.shielded().child(ShardMarker, job);
        self.running.push(async move { (page, place, child.await) }.boxed());
        (self.pages, self.next) = (page + 1, Next::Asked);
    }

    fn heard(&mut self, read: PageRead) {
        if read.page + 1 != self.pages || !matches!(self.next, Next::Asked) {
            return; // Nobody's of this run.
        }
        self.known += read.items;
        self.next = read.next.map_or(Next::None, |next| Next::At(Some(next)));
    }

    fn ended(&mut self, (page, place, shard): Ended) -> Result<(), WorkflowError> {
        self.free.push(place);
        let mut shard = shard?;
        self.items.insert(page, shard.items.take().unwrap_or_default());
        self.gathered.add(shard);
        Ok(())
    }

    /// A share is of all items: it is not exceeded before they are known.
    fn check(&self) -> Result<(), WorkflowError> {
        if self.job.tolerate.known().is_none() && !matches!(self.next, Next::None) {
            return Ok(());
        }
        let failures = self.gathered.failures();
        match self.job.tolerate.exceeded(self.gathered.failed, self.known, failures) {
            Some(too_many) => Err(too_many.into()),
            None => Ok(()),
        }
    }

    fn take_gathered(&mut self) -> Gathered {
        let mut gathered = std::mem::take(&mut self.gathered);
        if self.job.keep {
            let items = gathered.items.get_or_insert_default();
            items.extend(std::mem::take(&mut self.items).into_values().flatten());
        }
        gathered
    }

    /// Waits for the announcement that is on its way, if there is one. A shard that somebody has stopped makes none.
    async fn hear_the_last(&mut self) {
        if matches!(self.next, Next::Asked) {
            let announced = self.context.shielded().signals::<PageRead>();
            let _ = announced.recv().within(secs(30)).await;
        }
    }
}

/// Shares the items that may run at a time out among the shards.
fn places(concurrency: usize, at_once: usize) -> Vec<usize> {
    let at_once = at_once.clamp(1, concurrency.max(1));
    let mut places: Vec<_> =
        (0..at_once).map(|i| concurrency / at_once + usize::from(i < concurrency % at_once)).collect();
    places.reverse(); // The largest first, from the end.
    places
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn places_share_the_concurrency_out() {
        assert_eq!(places(100, 10), [10; 10]);
        assert_eq!(places(7, 3), [2, 2, 3]);
        assert_eq!(places(2, 10), [1, 1]);
        assert_eq!(places(1, 10), [1]);
    }
}
