//! Retention: closed runs are removed a set time after they closed, with everything that lies under their prefix.
//!
//! What holds:
//! - Never an open run. The history object of a workflow is deleted only as the version that was read, of a run that is
//!   closed; a start that replaces it at that moment either finds it gone and begins anew, or is first and keeps what
//!   it wrote. A run that continues as new, and is followed by nobody yet, is no end: it is helped on instead.
//! - A reader finds a run or finds none: what names it, its head or its archive, goes first, then the sealed parts,
//!   leases and payloads, the index entry last. Whoever dies in between leaves the entry, and the next purge goes on there.
//! - A start that replaces the run while it is removed may write its archive once more. It writes the index entry, too, so the
//!   next purge finds both. Only an orchestrator that replaces a run which it has closed itself writes no entry again: it
//!   would have to stand still for the whole retention in between.
//! - Not before [`Retention::SHORTEST`]: what makes a start that comes twice count once is the history, so it must outlive
//!   every copy of its messages (G2).
//!
//! What a purge costs: a LIST for each 1,000 closed runs that began longer ago than the retention, one for each shard at
//! least, and a GET for each of them; for each one removed a GET and a LIST more, and its DELETEs, which S3 does not bill.
//!
//! It does not look for objects that no entry of the index leads to.

use std::str::FromStr;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use millrace_core::{Run, RunId, Status, Timestamp, WorkflowId};
use millrace_format::message::Report;
use millrace_format::{Head, IndexEntry, Keys};
use serde::Serialize;

use crate::dispatch::{DispatchError, Dispatcher};
use crate::load::{LoadError, Reader};
use crate::ports::{DeleteError, ETag, Ports, StoreError};

/// How many keys one listing asks for.
const PAGE: usize = 1_000;
/// How many runs are looked at side by side, and how many objects of one are deleted.
const SIDE_BY_SIDE: usize = 16;

/// How long closed runs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention(Duration);

/// A retention that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRetention {
    /// Histories would be gone before the last copy of their messages.
    #[error(
        "closed runs are kept for at least 14d, not for {0}: a queue keeps messages for 14 days, and only the history \
         tells that a start which comes twice has been done"
    )]
    TooShort(String),
    /// It is not written as one.
    #[error("`{0}` is not a number of days such as 30d")]
    NotDays(String),
}

impl Retention {
    /// The shortest: as long as a queue keeps messages, and as a run's request ids are carried on.
    pub const SHORTEST: Duration = Run::CARRY_FOR;

    /// Keeps closed runs for so long.
    pub fn new(time: Duration) -> Result<Self, BadRetention> {
        if time < Self::SHORTEST {
            return Err(BadRetention::TooShort(format!("{time:?}")));
        }
        Ok(Self(time))
    }

    /// However short: for tests, whose messages do not live for two weeks.
    #[doc(hidden)]
    pub fn unchecked(time: Duration) -> Self {
        Self(time)
    }
}

/// `30d`
impl FromStr for Retention {
    type Err = BadRetention;

    fn from_str(text: &str) -> Result<Self, BadRetention> {
        let days = text.trim().strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
        let days = days.ok_or_else(|| BadRetention::NotDays(text.to_owned()))?;
        let time = Duration::from_secs(u64::from(days) * 86_400);
        Self::new(time).map_err(|_| BadRetention::TooShort(text.trim().to_owned()))
    }
}

/// Removes closed runs whose time is over.
pub struct Purger {
    ports: Ports,
    reader: Reader,
    dispatcher: Dispatcher,
    retention: Retention,
}

/// What a purge found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PurgeReport {
    /// Closed runs that began before the retention.
    pub runs: usize,
    /// Of these, runs that were removed.
    pub purged: usize,
    /// How many objects that were, index entries included.
    pub objects: usize,
    /// Runs whose workflow id was used again at that very moment: they are looked at again next time.
    pub replaced: usize,
    /// Runs that continue as new, and that nobody had followed: they were helped on, and kept.
    pub continued: usize,
    /// What could not be read or done; it is looked at again next time. Anything but 0 is worth an alarm.
    pub failed: usize,
    /// Whether the time was over before all were looked at; the next purge goes on.
    pub unfinished: bool,
}

#[derive(Debug, thiserror::Error)]
enum PurgeError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    #[error("the entry cannot be read: {0}")]
    Entry(String),
    #[error("the index says that the run is closed, its history that it is open; nothing was deleted")]
    Open,
}

/// What was done about one entry.
enum Found {
    /// Its time is not over.
    Young,
    /// Somebody else has removed it.
    Gone,
    Purged {
        objects: usize,
    },
    Replaced,
    Continued,
}

/// What becomes of the object that names a run.
enum Named {
    /// There is none any more.
    Removed(usize),
    /// It stays, and so does the run.
    Stays(Found),
}

impl Purger {
    /// How often to purge.
    pub const EVERY: Duration = Duration::from_secs(86_400);

    /// A purger of one namespace.
    pub fn new(ports: Ports, keys: Keys, retention: Retention) -> Self {
        let reader = Reader::new(ports.store.clone(), keys.clone());
        let dispatcher = Dispatcher { ports: ports.clone(), keys };
        Self { ports, reader, dispatcher, retention }
    }

    /// Removes every closed run whose time is over, until `until` at the latest. One that cannot be removed does not hold
    /// up the others. A second purge beside it, or one that dies halfway, does no harm.
    pub async fn purge(&self, until: Option<Timestamp>) -> PurgeReport {
        let mut report = PurgeReport::default();
        let now = self.ports.clock.now();
        let kept_ms = i64::try_from(self.retention.0.as_millis()).unwrap_or(i64::MAX);
        let closed_by = Timestamp::from_millis(now.as_millis().saturating_sub(kept_ms));
        for shard in 0..Keys::SHARDS {
            if let Err(error) = self.shard(shard, (closed_by, until), &mut report).await {
                tracing::error!(shard, %error, "the closed runs cannot be listed");
                report.failed += 1;
            }
        }
        tracing::info!(?report, "closed runs were purged");
        report
    }

    async fn shard(
        &self,
        shard: u8,
        (closed_by, until): (Timestamp, Option<Timestamp>),
        report: &mut PurgeReport,
    ) -> Result<(), StoreError> {
        let prefix = self.reader.keys.index(false, shard);
        // Names are start times, newest first: what began later cannot have closed by then.
        let mut after = self.reader.keys.index_at(false, shard, closed_by);
        loop {
            let page = self.ports.store.list(&prefix, Some(&after), None, PAGE).await?;
            for some in page.chunks(SIDE_BY_SIDE) {
                if until.is_some_and(|until| self.ports.clock.now() >= until) {
                    report.unfinished = true;
                    return Ok(());
                }
                let looks = some.iter().map(|key| async move { (key, self.look(key, closed_by).await) });
                // Collected first: a future that borrows the page's keys in a closure could not move between threads.
                let looks: Vec<_> = looks.collect();
                for (key, found) in futures::future::join_all(looks).await {
                    report.add(key, found);
                }
            }
            match page.into_iter().max() {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    async fn look(&self, entry_key: &str, closed_by: Timestamp) -> Result<Found, PurgeError> {
        let Some(object) = self.ports.store.get(entry_key).await? else { return Ok(Found::Gone) };
        let entry = IndexEntry::decode(&object.body).map_err(|error| PurgeError::Entry(error.to_string()))?;
        let closed_at = entry.closed_at.ok_or_else(|| PurgeError::Entry("`closed_at` is missing".into()))?;
        if closed_at > closed_by {
            return Ok(Found::Young);
        }
        let (id, run_id) = (&entry.workflow_id, entry.run_id);
        let named = match self.reader.versioned_head(id).await? {
            Some((head, etag)) if head.header.run_id == run_id => self.remove_head(&head, &etag).await?,
            _ => self.remove_archive(id, run_id).await?,
        };
        let objects = match named {
            Named::Stays(found) => return Ok(found),
            Named::Removed(objects) => objects + self.remove_rest(id, run_id).await?,
        };
        self.ports.store.delete(entry_key).await?;
        tracing::info!(workflow_id = %id, %run_id, objects, "a closed run was removed");
        Ok(Found::Purged { objects: objects + 1 })
    }

    /// The history of a workflow whose last run this is.
    async fn remove_head(&self, head: &Head, etag: &ETag) -> Result<Named, PurgeError> {
        let header = &head.header;
        match header.status {
            Status::Running => return Err(PurgeError::Open),
            Status::ContinuedAsNew => {
                let run = header.restore(&self.reader.events(head).await?);
                let (wake, now) = (Report::Wake { wake: 0 }, self.ports.clock.now());
                self.dispatcher.send_event(&run, wake, now).await?;
                return Ok(Named::Stays(Found::Continued));
            }
            _ => {}
        }
        let key = self.reader.keys.history(&header.workflow_id);
        match self.ports.store.delete_if(&key, etag).await {
            Ok(()) => Ok(Named::Removed(1)),
            Err(DeleteError::Conflict) => Ok(Named::Stays(Found::Replaced)),
            Err(DeleteError::Store(error)) => Err(error.into()),
        }
    }

    /// The archive of a run that others have followed, or what a purge before this one has left.
    async fn remove_archive(&self, id: &WorkflowId, run_id: RunId) -> Result<Named, PurgeError> {
        self.ports.store.delete(&self.reader.keys.archive(id, run_id)).await?;
        Ok(Named::Removed(1))
    }

    /// Everything else of the run; nothing names it any more.
    async fn remove_rest(&self, id: &WorkflowId, run_id: RunId) -> Result<usize, PurgeError> {
        let prefix = self.reader.keys.run(id, run_id);
        let mut objects = 0;
        loop {
            let page = self.ports.store.list(&prefix, None, None, PAGE).await?;
            let deletes: Vec<_> = page.iter().map(|key| self.ports.store.delete(key)).collect();
            let mut deletes = futures::stream::iter(deletes).buffer_unordered(SIDE_BY_SIDE);
            while deletes.try_next().await?.is_some() {
                objects += 1;
            }
            drop(deletes);
            if page.len() < PAGE {
                return Ok(objects);
            }
        }
    }
}

impl PurgeReport {
    fn add(&mut self, key: &str, found: Result<Found, PurgeError>) {
        self.runs += 1;
        match found {
            Ok(Found::Young | Found::Gone) => {}
            Ok(Found::Purged { objects }) => {
                self.purged += 1;
                self.objects += objects;
            }
            Ok(Found::Replaced) => self.replaced += 1,
            Ok(Found::Continued) => self.continued += 1,
            Err(error) => {
                tracing::error!(key, %error, "a closed run cannot be removed");
                self.failed += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_a_number_of_days_and_not_too_few() {
        assert_eq!("30d".parse(), Ok(Retention(Duration::from_secs(30 * 86_400))));
        assert_eq!(" 14d ".parse(), Ok(Retention(Retention::SHORTEST)));
        for short in ["13d", "0d"] {
            let error = short.parse::<Retention>().unwrap_err().to_string();
            assert!(error.contains("at least 14d, not for 1") || error.contains("not for 0d"), "{error}");
        }
        for wrong in ["", "30", "2w", "-3d", "1.5d", "d"] {
            assert_eq!(wrong.parse::<Retention>(), Err(BadRetention::NotDays(wrong.into())), "{wrong}");
        }
        assert!(Retention::new(Duration::from_secs(60)).is_err());
    }
}
