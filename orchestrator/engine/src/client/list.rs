//! Listing runs, newest first, from the two sharded indexes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use millrace_core::{BlockedMark, Status, WorkflowType};
use millrace_format::{IndexEntry, Keys};
use serde::{Deserialize, Serialize};

use super::{Client, ClientError};

/// How many keys one listing asks for.
const PAGE: usize = 200;

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// Only runs that stand there.
    pub status: Option<Status>,
    /// Only runs whose code cannot go on.
    pub blocked: bool,
    /// Only runs of this type.
    pub workflow: Option<WorkflowType>,
    /// At most this many.
    pub limit: usize,
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
}

/// One shard of an index, read page by page.
struct Shard {
    prefix: String,
    open: bool,
    page: VecDeque<String>,
    after: Option<String>,
    ended: bool,
}

impl Client {
    /// The runs that pass the filter, newest first. An entry of an open run is checked against the run's head, which
    /// may be ahead of the index.
    pub async fn list(&self, filter: &ListFilter) -> Result<Vec<Listed>, ClientError> {
        let mut shards = self.shards(filter);
        // By name: the newest start first. What two shards hold of one run is one entry.
        let mut next: BTreeMap<String, usize> = BTreeMap::new();
        for i in 0..shards.len() {
            self.advance(&mut shards, i, &mut next).await?;
        }
        let (mut listed, mut seen) = (Vec::new(), BTreeSet::new());
        while listed.len() < filter.limit {
            let Some((name, i)) = next.pop_first() else { break };
            let Some(shard) = shards.get(i) else { break };
            let key = format!("{}{}", shard.prefix, name.split('#').next().unwrap_or_default());
            let open = shard.open;
            self.advance(&mut shards, i, &mut next).await?;
            let Some(run) = self.listed(&key, open).await? else { continue };
            if passes(&run, filter) && seen.insert(run.entry.run_id) {
                listed.push(run);
            }
        }
        self.ports.queues.settle().await?;
        Ok(listed)
    }

    fn shards(&self, filter: &ListFilter) -> Vec<Shard> {
        // The index of open runs is always read: a run that has just closed may be listed there still.
        let only_open = filter.blocked || filter.status == Some(Status::Running);
        let which = if only_open { &[true][..] } else { &[true, false][..] };
        let shard = |open, n| Shard {
            prefix: self.reader.keys.index(open, n),
            open,
            page: VecDeque::new(),
            after: None,
            ended: false,
        };
        which
            .iter()
            .flat_map(|open| (0..Keys::SHARDS).map(move |n| (*open, n)))
            .map(|(o, n)| shard(o, n))
            .collect()
    }

    /// Puts the shard's next name in line, reading its next page if need be.
    async fn advance(
        &self,
        shards: &mut [Shard],
        i: usize,
        next: &mut BTreeMap<String, usize>,
    ) -> Result<(), ClientError> {
        let Some(shard) = shards.get_mut(i) else { return Ok(()) };
        if shard.page.is_empty() && !shard.ended {
            let mut page = self.reader.store.list(&shard.prefix, shard.after.as_deref(), None, PAGE).await?;
            page.sort_unstable();
            shard.ended = page.is_empty();
            shard.after = page.last().cloned();
            shard.page = page.into();
        }
        if let Some(key) = shard.page.pop_front() {
            let name = key.get(shard.prefix.len()..).unwrap_or_default();
            next.insert(format!("{name}#{i}"), i);
        }
        Ok(())
    }

    async fn listed(&self, key: &str, open: bool) -> Result<Option<Listed>, ClientError> {
        let Some(object) = self.reader.store.get(key).await? else { return Ok(None) };
        let Ok(mut entry) = IndexEntry::decode(&object.body) else {
            tracing::warn!(key, "an index entry cannot be read and is left out");
            return Ok(None);
        };
        let mut blocked = None;
        if open && let Ok(Some(head)) = self.reader.head_of(&entry.workflow_id, entry.run_id).await {
            entry.status = head.header.status;
            entry.closed_at = head.events.last().filter(|_| !entry.status.is_open()).map(|event| event.t);
            blocked = head.header.blocked;
        }
        Ok(Some(Listed { entry, blocked }))
    }
}

fn passes(run: &Listed, filter: &ListFilter) -> bool {
    filter.status.is_none_or(|status| run.entry.status == status)
        && (!filter.blocked || run.blocked.is_some())
        && filter.workflow.as_ref().is_none_or(|workflow| run.entry.workflow == *workflow)
}
