//! Listing runs, newest first, from the two sharded indexes.
//!
//! What it costs: a LIST for each 200 names of a shard (of the four or eight that are read), and a GET for each name that
//! the filter cannot leave out by itself; an open run that the entry does not rule out is looked up in its head, one GET
//! more, two if its id is used again. Times and the beginning of an id are read off the names: what they rule out costs
//! nothing, or next to nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures::StreamExt;
use millrace_core::{BlockedMark, PausedMark, Status, Timestamp, WorkflowType};
use millrace_format::{AttributeCondition, IndexEntry, Keys};
use serde::{Deserialize, Serialize};

use super::{Client, ClientError};

/// How many keys one listing asks for.
const PAGE: usize = 200;
/// How many entries are read side by side.
const SIDE_BY_SIDE: usize = 16;

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// Only runs that stand there.
    pub status: Option<Status>,
    /// Only runs whose code cannot go on.
    pub blocked: bool,
    /// Only runs whose code somebody holds back.
    pub paused: bool,
    /// Only runs of this type.
    pub workflow: Option<WorkflowType>,
    /// Only runs whose workflow id begins so.
    pub id_prefix: Option<String>,
    /// Only runs that began then or later.
    pub since: Option<Timestamp>,
    /// Only runs that began earlier.
    pub until: Option<Timestamp>,
    /// Only runs whose attributes are all so.
    pub attributes: Vec<AttributeCondition>,
    /// At most this many.
    pub limit: usize,
}

impl ListFilter {
    /// Whether what never changes of a run passes.
    pub fn admits(&self, entry: &IndexEntry) -> bool {
        self.workflow.as_ref().is_none_or(|workflow| entry.workflow == *workflow)
            && self.id_prefix.as_ref().is_none_or(|prefix| entry.workflow_id.as_str().starts_with(prefix))
            && self.since.is_none_or(|since| entry.started_at >= since)
            && self.until.is_none_or(|until| entry.started_at < until)
            && self.attributes.iter().all(|condition| condition.holds(&entry.attributes))
    }

    /// Whether the run passes as it stands.
    pub fn passes(&self, run: &Listed) -> bool {
        self.admits(&run.entry)
            && self.status.is_none_or(|status| run.entry.status == status)
            && (!self.blocked || run.blocked.is_some())
            && (!self.paused || run.paused.is_some())
    }
}

/// A run in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// What the index, or the run's head, says.
    #[serde(flatten)]
    pub entry: IndexEntry,
    /// Set while the run's code cannot go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<BlockedMark>,
    /// Set while somebody holds back the run's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PausedMark>,
}

/// One shard of an index, read page by page.
struct Shard {
    prefix: String,
    open: bool,
    page: VecDeque<String>,
    after: Option<String>,
    before: Option<String>,
    ended: bool,
}

/// The shards of both indexes, as one line.
struct Merge {
    shards: Vec<Shard>,
    /// By name: the newest start first. What two shards hold of one run is one entry.
    next: BTreeMap<String, usize>,
}

impl Client {
    /// The runs that pass the filter, newest first. An entry of an open run is checked against the run's head, which
    /// may be ahead of the index.
    pub async fn list(&self, filter: &ListFilter) -> Result<Vec<Listed>, ClientError> {
        let mut merge = self.merge(filter).await?;
        let (mut listed, mut seen) = (Vec::new(), BTreeSet::new());
        while listed.len() < filter.limit {
            // No more than may be wanted: what is read is billed.
            let some = SIDE_BY_SIDE.min(filter.limit - listed.len());
            let mut keys = Vec::with_capacity(some);
            while keys.len() < some
                && let Some(found) = self.advance(&mut merge, filter).await?
            {
                keys.push(found);
            }
            if keys.is_empty() {
                break;
            }
            let reads = keys.iter().map(|(key, open)| self.listed(key, *open, filter));
            // Collected first: a future that borrows the keys in a closure could not move between threads.
            let reads: Vec<_> = reads.collect();
            let mut reads = futures::stream::iter(reads).buffered(SIDE_BY_SIDE);
            while let Some(read) = reads.next().await {
                if let Some(run) = read?
                    && filter.passes(&run)
                    && seen.insert(run.entry.run_id)
                {
                    listed.push(run);
                }
            }
        }
        self.ports.queues.settle().await?;
        Ok(listed)
    }

    async fn merge(&self, filter: &ListFilter) -> Result<Merge, ClientError> {
        // The index of open runs is always read: a run that has just closed may be listed there still.
        let only_open = filter.blocked || filter.paused || filter.status == Some(Status::Running);
        let which = if only_open { &[true][..] } else { &[true, false][..] };
        let keys = &self.reader.keys;
        let shard = |(open, n)| {
            let place = |time: Option<Timestamp>| {
                time.map(|time| {
                    keys.index_at(open, n, Timestamp::from_millis(time.as_millis().saturating_sub(1)))
                })
            };
            let (prefix, page) = (keys.index(open, n), VecDeque::new());
            Shard {
                prefix,
                open,
                page,
                after: place(filter.until),
                before: place(filter.since),
                ended: false,
            }
        };
        let all = which.iter().flat_map(|open| (0..Keys::SHARDS).map(move |n| (*open, n)));
        let mut merge = Merge { shards: all.map(shard).collect(), next: BTreeMap::new() };
        for i in 0..merge.shards.len() {
            self.line_up(&mut merge, i).await?;
        }
        Ok(merge)
    }

    /// The next key that the filter does not rule out, and whether its run was open.
    async fn advance(
        &self,
        merge: &mut Merge,
        filter: &ListFilter,
    ) -> Result<Option<(String, bool)>, ClientError> {
        while let Some((name, i)) = merge.next.pop_first() {
            let Some(shard) = merge.shards.get(i) else { break };
            let key = format!("{}{}", shard.prefix, name.split('#').next().unwrap_or_default());
            let open = shard.open;
            self.line_up(merge, i).await?;
            let of_run = self.reader.keys.index_run(&key);
            let is_other = |prefix: &String| of_run.is_some_and(|(id, _)| !id.as_str().starts_with(prefix));
            if !filter.id_prefix.as_ref().is_some_and(is_other) {
                return Ok(Some((key, open)));
            }
        }
        Ok(None)
    }

    /// Puts the shard's next name in line, reading its next page if need be.
    async fn line_up(&self, merge: &mut Merge, i: usize) -> Result<(), ClientError> {
        let Some(shard) = merge.shards.get_mut(i) else { return Ok(()) };
        if shard.page.is_empty() && !shard.ended {
            let (after, before) = (shard.after.as_deref(), shard.before.as_deref());
            let mut page = self.reader.store.list(&shard.prefix, after, before, PAGE).await?;
            page.sort_unstable();
            shard.ended = page.len() < PAGE;
            shard.after = page.last().cloned();
            shard.page = page.into();
        }
        if let Some(key) = shard.page.pop_front() {
            let name = key.get(shard.prefix.len()..).unwrap_or_default();
            merge.next.insert(format!("{name}#{i}"), i);
        }
        Ok(())
    }

    /// The run of an entry as it stands; `None` if the filter rules it out already.
    async fn listed(
        &self,
        key: &str,
        open: bool,
        filter: &ListFilter,
    ) -> Result<Option<Listed>, ClientError> {
        let object = match self.reader.store.get(key).await? {
            // It has just closed: its other entry was written first.
            None if open => self.reader.store.get(&self.reader.keys.when_closed(key)).await?,
            object => object,
        };
        let Some(object) = object else { return Ok(None) };
        let Ok(mut entry) = IndexEntry::decode(&object.body) else {
            tracing::warn!(key, "an index entry cannot be read and is left out");
            return Ok(None);
        };
        if !filter.admits(&entry) {
            return Ok(None);
        }
        let (mut blocked, mut paused) = (None, None);
        if open && let Ok(Some(head)) = self.reader.head_of(&entry.workflow_id, entry.run_id).await {
            entry.status = head.header.status;
            entry.closed_at = head.last.filter(|_| !entry.status.is_open()).map(|line| line.outline().t);
            (blocked, paused) = (head.header.blocked, head.header.paused);
        }
        Ok(Some(Listed { entry, blocked, paused }))
    }
}
