//! A shard of a map: items that run in one child workflow, and what is gathered of them.

use futures::stream::{self, StreamExt};
use millrace_core::{ActivityFailure, ActivityOptions, ApplicationFailure, Blocked, Payload, TaskQueue};
use serde::{Deserialize, Serialize};

use super::pages::PageCall;
use super::tolerance::Tolerance;
use super::{CONCURRENCY, Item, ItemCall};
use crate::call::invalid;
use crate::host::Journal;
use crate::workflow::{Run, Workflow};
use crate::{Activity, WorkflowContext, WorkflowError};

/// How many failures a summary tells of.
const KEPT: usize = 10;
/// A larger item is not repeated in a summary.
const LARGEST_KEPT: usize = 1_000;

/// What becomes of each item.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct How {
    pub(super) activity: String,
    pub(super) task_queue: TaskQueue,
    pub(super) options: ActivityOptions,
    pub(super) concurrency: usize,
}

impl How {
    pub(super) fn of<A: Activity>() -> Result<Self, ApplicationFailure> {
        let (activity, task_queue) = (A::NAME.to_owned(), TaskQueue::new(A::TASK_QUEUE).map_err(invalid)?);
        Ok(Self { activity, task_queue, options: A::options(), concurrency: CONCURRENCY })
    }
}

/// What a map came to, without the results: see [`MapCall::summary`](crate::MapCall::summary).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MapSummary {
    /// How many items there were.
    pub count: u64,
    /// How many of them failed, within what was tolerated.
    pub failed: u64,
    /// The first that failed, up to ten of them.
    pub failures: Vec<FailedItem>,
}

/// An item of a map that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailedItem {
    /// The item; `null` if it has over a thousand bytes.
    pub item: Payload,
    /// Why.
    pub failure: ActivityFailure,
}

/// What a shard, or some of them, came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Gathered {
    pub(super) count: u64,
    #[serde(default)]
    pub(super) failed: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) failures: Vec<FailedItem>,
    /// How each ended, if that is wanted, in the items' order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) items: Option<Vec<Item>>,
}

impl Gathered {
    /// Of items and how they ended.
    pub(super) fn of(items: &[Payload], ended: Vec<Item>) -> Self {
        let mut gathered = Self { count: ended.len() as u64, ..Self::default() };
        for (item, end) in items.iter().zip(&ended) {
            if let Item::Failed(failure) = end {
                gathered.failed(item, failure.clone());
            }
        }
        gathered.items = Some(ended);
        gathered
    }

    fn failed(&mut self, item: &Payload, failure: ActivityFailure) {
        self.failed += 1;
        if self.failures.len() < KEPT {
            let item = if item.as_str().len() <= LARGEST_KEPT { item.clone() } else { Payload::null() };
            self.failures.push(FailedItem { item, failure });
        }
    }

    /// Takes in what another came to, but its items: they have an order.
    pub(super) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.failed += other.failed;
        let room = KEPT.saturating_sub(self.failures.len());
        self.failures.extend(other.failures.into_iter().take(room));
    }

    /// Without the results, and with failures that can be read.
    pub(super) fn summary(self, journal: &Journal) -> Result<MapSummary, Blocked> {
        let plain = |FailedItem { item, failure }: FailedItem| {
            let item = journal.read(&item, || "an item".into())?;
            Ok(FailedItem {
                item,
                failure: ActivityFailure { fault: journal.open(failure.fault)?, ..failure },
            })
        };
        let failures = self.failures.into_iter().map(plain).collect::<Result<_, _>>()?;
        Ok(MapSummary { count: self.count, failed: self.failed, failures })
    }

    pub(super) fn failures(&self) -> impl Iterator<Item = &ActivityFailure> {
        self.failures.iter().map(|failed| &failed.failure)
    }
}

/// Runs items; with more failures than are tolerated it fails, and what still runs is canceled.
pub(super) async fn run_items(
    context: &WorkflowContext,
    how: &How,
    items: &[Payload],
    tolerate: Option<u64>,
    keep: bool,
) -> Result<Gathered, WorkflowError> {
    let call = |input: &Payload| {
        ItemCall::new(context, &how.activity, &how.task_queue, input.clone(), how.options.clone())
    };
    let numbered = items.iter().map(call).enumerate().map(|(i, call)| async move { (i, call.await) });
    let most = how.concurrency.max(1);
    let mut running = stream::iter(numbered.collect::<Vec<_>>()).buffer_unordered(most);
    let mut gathered = Gathered { count: items.len() as u64, ..Gathered::default() };
    let mut ended: Vec<Option<Item>> = vec![None; if keep { items.len() } else { 0 }];
    while let Some((i, result)) = running.next().await {
        let item = match result {
            Ok(result) => Item::Ok(result),
            Err(failure) if failure.is_canceled() && context.canceled().is_some() => {
                return Err(failure.into());
            }
            Err(failure) => {
                gathered.failed(&items[i], failure.clone());
                Item::Failed(failure)
            }
        };
        if let Some(place) = ended.get_mut(i) {
            *place = Some(item);
        }
        let tolerate = tolerate.map(Tolerance::Items);
        let exceeded =
            tolerate.and_then(|most| most.exceeded(gathered.failed, gathered.count, gathered.failures()));
        if let Some(too_many) = exceeded {
            return Err(too_many.into());
        }
    }
    gathered.items = keep.then(|| ended.into_iter().flatten().collect());
    Ok(gathered)
}

/// What a shard is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ShardJob {
    pub(super) how: How,
    pub(super) items: Source,
    /// How many of its items may fail; as many as want to, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tolerate: Option<u64>,
    /// Whether it gives the results.
    pub(super) keep: bool,
}

/// Where its items come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    Here(Vec<Payload>),
    Page(Box<PageCall>),
}

impl ShardJob {
    /// Runs these, and gives a summary.
    pub(super) fn of_items(how: &How, items: Vec<Payload>, tolerate: u64) -> Self {
        Self { how: how.clone(), items: Source::Here(items), tolerate: Some(tolerate), keep: false }
    }
}

/// The built-in workflow that runs a shard that reads its items itself, or gives no results.
pub(crate) struct ShardWorkflow;

/// Names it for [`WorkflowContext::child`].
pub(super) struct ShardMarker;

impl crate::WorkflowRef<()> for ShardMarker {
    type Workflow = ShardWorkflow;
}

impl Workflow for ShardWorkflow {
    type Input = ShardJob;
    type Output = Gathered;
    const NAME: &'static str = "millrace.shard";
    const IS_BUILT_IN: bool = true;
    const ACCEPTS: &'static [&'static str] = &[];

    fn run(context: WorkflowContext, job: ShardJob) -> Run<Gathered> {
        Box::pin(shard(context, job))
    }
}

async fn shard(context: WorkflowContext, job: ShardJob) -> Result<Gathered, WorkflowError> {
    let mut how = job.how;
    let items = match job.items {
        Source::Here(items) => items,
        Source::Page(page) => page.read(&context, &mut how).await?,
    };
    run_items(&context, &how, &items, job.tolerate, job.keep).await
}
