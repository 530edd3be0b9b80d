//! The daily sweep of the open runs: what a queue has forgotten is sent again, what was left behind is put right.
//!
//! Queues keep a message for 14 days. Within that time redelivery repairs everything (G4) and no sweep is needed; after
//! it, a run whose task or timer nobody took would wait for ever. The log still knows: an effect is pending in the
//! header until the log shows that it was done, with the time at which its message was due.
//!
//! What a sweep costs: one LIST for each 1,000 open runs (and one more for each shard), one GET for each open run, two
//! for one whose id is used again. Only a run that needs something is read whole, and written to.
//!
//! It does not look for runs that are missing in the index: an entry is repaired by its start's redelivery (G4).

use std::time::Duration;

use futures::StreamExt;
use millrace_core::{Effect, PendingEffect, Status, Timestamp};
use millrace_format::message::Report;
use millrace_format::{Head, Header, Keys, Swept};
use serde::Serialize;

use crate::dispatch::{DispatchError, Dispatcher};
use crate::load::{LoadError, Reader};
use crate::ports::{Condition, Ports, StoreError};

/// How many keys one listing asks for.
const PAGE: usize = 1_000;
/// How many runs are looked at side by side.
const SIDE_BY_SIDE: usize = 16;
/// A blocked run's wake that is so late will not come: its orchestrator takes minutes, not hours.
const WAKE_OVERDUE: Duration = Duration::from_secs(3600);

/// Looks after open runs.
pub struct Sweeper {
    ports: Ports,
    reader: Reader,
    dispatcher: Dispatcher,
    forgotten_after: Duration,
}

/// What a sweep found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    /// Entries in the index of open runs.
    pub runs: usize,
    /// Of these, runs that had closed: their entries were moved to the index of closed runs.
    pub closed: usize,
    /// Runs whose forgotten effects were dispatched again.
    pub revived: usize,
    /// How many effects that were.
    pub effects: usize,
    /// Blocked runs whose wake had not come: they were sent one.
    pub woken: usize,
    /// Entries whose run is not there. They are left for a person to look at.
    pub missing: usize,
    /// What could not be read or done; it is looked at again next time. Anything but 0 is worth an alarm.
    pub failed: usize,
}

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
}

/// What was done about one entry.
enum Found {
    Nothing,
    Closed,
    Missing,
    Open { effects: usize, woken: bool },
}

/// The time between two sweeps.
#[derive(Clone, Copy)]
struct Interval {
    last: Timestamp,
    now: Timestamp,
    forgotten_after: Duration,
}

impl Interval {
    /// Whether a message that was due at `at` has become one that may be forgotten since the last sweep. Then it is sent
    /// again, once, and the next time after as long again: every sweep would pile up copies in a queue that nobody serves.
    fn forgets(self, at: Timestamp) -> bool {
        let times = |now: Timestamp| now.since(at).as_millis() / self.forgotten_after.as_millis().max(1);
        times(self.now) > times(self.last)
    }

    fn lost(self, header: &Header) -> Vec<PendingEffect> {
        let lost = |pending: &&PendingEffect| match &pending.effect {
            Effect::SendTask { at, .. }
            | Effect::SendTimer { at, .. }
            | Effect::SendWake { at, .. }
            | Effect::SendStart { at, .. }
            | Effect::StopChild { at, .. }
            | Effect::Send { at, .. } => self.forgets(*at),
            // Written to the bucket, which forgets nothing; or of a closed run, which is looked after below.
            Effect::CancelActivity { .. }
            | Effect::ReportToParent
            | Effect::IndexOpen
            | Effect::IndexClosed => false,
        };
        header.effects.iter().filter(lost).cloned().collect()
    }

    /// The wake that a blocked run should have had by now. One that is paused has none, and needs none.
    fn overdue_wake(self, header: &Header) -> Option<u64> {
        header.blocked.as_ref().filter(|_| header.paused.is_none())?;
        let wake = header.wake.map_or(header.wakes_sent, |wake| wake.wake);
        let late = |at: Timestamp| self.now.since(at) >= WAKE_OVERDUE;
        header.wake.is_none_or(|wake| late(wake.at)).then_some(wake)
    }
}

impl Sweeper {
    /// How often to sweep.
    pub const EVERY: Duration = Duration::from_secs(86_400);
    /// A message that has been due for so long may be forgotten before the next sweep: a day less than a queue keeps it.
    pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(13 * 86_400);

    /// A sweeper of one namespace.
    pub fn new(ports: Ports, keys: Keys) -> Self {
        let reader = Reader::new(ports.store.clone(), keys.clone());
        let dispatcher = Dispatcher { ports: ports.clone(), keys };
        Self { ports, reader, dispatcher, forgotten_after: Self::FORGOTTEN_AFTER }
    }

    /// For queues that keep messages for another time than 14 days: a day less than that.
    #[must_use]
    pub fn forgotten_after(self, forgotten_after: Duration) -> Self {
        Self { forgotten_after, ..self }
    }

    /// Looks at every open run once. One that cannot be read does not hold up the others. A second sweep, or one that
    /// dies halfway, sends some messages twice, which is harmless (G6).
    pub async fn sweep(&self) -> SweepReport {
        let mut report = SweepReport::default();
        let now = self.ports.clock.now();
        let last = self.last().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "when the last sweep was cannot be read; what it sent may be sent twice");
            Timestamp::default()
        });
        let interval = Interval { last, now, forgotten_after: self.forgotten_after };
        for shard in 0..Keys::SHARDS {
            if let Err(error) = self.shard(shard, interval, &mut report).await {
                tracing::error!(shard, %error, "the open runs cannot be listed");
                report.failed += 1;
            }
        }
        self.remember(now, &mut report).await;
        tracing::info!(?report, "open runs were swept");
        report
    }

    async fn shard(&self, shard: u8, interval: Interval, report: &mut SweepReport) -> Result<(), StoreError> {
        let prefix = self.reader.keys.index(true, shard);
        let mut after: Option<String> = None;
        loop {
            let page = self.ports.store.list(&prefix, after.as_deref(), None, PAGE).await?;
            let looks = page.iter().map(|key| async move { (key, self.look(key, interval).await) });
            // Collected first: a future that borrows the page's keys in a closure could not move between threads.
            let looks: Vec<_> = looks.collect();
            let mut found = futures::stream::iter(looks).buffer_unordered(SIDE_BY_SIDE);
            while let Some((key, found)) = found.next().await {
                report.add(key, found);
            }
            drop(found);
            match page.into_iter().max() {
                Some(key) => after = Some(key),
                None => return Ok(()),
            }
        }
    }

    async fn look(&self, key: &str, interval: Interval) -> Result<Found, SweepError> {
        let Some((id, run_id)) = self.reader.keys.index_run(key) else { return Ok(Found::Missing) };
        let Some(head) = self.reader.head_of(&id, run_id).await? else { return Ok(Found::Missing) };
        if head.header.status.is_open() {
            return self.open(&head, interval).await;
        }
        // The turn that closed it died before it had moved the entry, and its guard's message is gone.
        self.dispatch(&head, &head.header.effects, self.needs_follower(&head).await?.then_some(0)).await?;
        Ok(Found::Closed)
    }

    /// Whether the run continues as new, and nobody has begun the one that follows: wake 0 begins it.
    async fn needs_follower(&self, head: &Head) -> Result<bool, SweepError> {
        if head.header.status != Status::ContinuedAsNew {
            return Ok(false);
        }
        let current = self.reader.head(&head.header.workflow_id).await?;
        Ok(current.is_some_and(|current| current.header.run_id == head.header.run_id))
    }

    async fn open(&self, head: &Head, interval: Interval) -> Result<Found, SweepError> {
        let lost = interval.lost(&head.header);
        let sends_wake = lost.iter().any(|pending| matches!(pending.effect, Effect::SendWake { .. }));
        let wake = interval.overdue_wake(&head.header).filter(|_| !sends_wake);
        if lost.is_empty() && wake.is_none() {
            return Ok(Found::Nothing);
        }
        let (workflow_id, run_id) = (&head.header.workflow_id, head.header.run_id);
        tracing::info!(%workflow_id, %run_id, effects = lost.len(), ?wake, "an open run is helped on");
        self.dispatch(head, &lost, wake).await?;
        Ok(Found::Open { effects: lost.len(), woken: wake.is_some() })
    }

    async fn dispatch(
        &self,
        head: &Head,
        effects: &[PendingEffect],
        wake: Option<u64>,
    ) -> Result<(), SweepError> {
        let run = head.header.restore(&self.reader.events(head).await?);
        self.dispatcher.dispatch(&run, effects).await?;
        if let Some(wake) = wake {
            self.dispatcher.send_event(&run, Report::Wake { wake }, self.ports.clock.now()).await?;
        }
        Ok(())
    }

    /// When the last whole sweep was; the beginning of time if there was none.
    async fn last(&self) -> Result<Timestamp, StoreError> {
        let key = self.reader.keys.swept();
        let Some(object) = self.ports.store.get(&key).await? else { return Ok(Timestamp::default()) };
        let swept = Swept::decode(&object.body);
        Ok(swept.map_err(|e| StoreError::Invalid { key, reason: e.to_string() })?.at)
    }

    /// Only a sweep without a failure counts: what one missed is looked at by the next.
    async fn remember(&self, at: Timestamp, report: &mut SweepReport) {
        if report.failed > 0 {
            return;
        }
        let body = Swept { v: 1, at }.encode().into();
        if let Err(error) = self.ports.store.put(&self.reader.keys.swept(), body, Condition::Always).await {
            tracing::error!(%error, "the sweep cannot be remembered; the next one sends some messages twice");
            report.failed += 1;
        }
    }
}

impl SweepReport {
    fn add(&mut self, key: &str, found: Result<Found, SweepError>) {
        self.runs += 1;
        match found {
            Ok(Found::Nothing) => {}
            Ok(Found::Closed) => self.closed += 1,
            Ok(Found::Missing) => {
                tracing::error!(key, "an entry of the index has no run");
                self.missing += 1;
            }
            Ok(Found::Open { effects, woken }) => {
                self.revived += usize::from(effects > 0);
                self.effects += effects;
                self.woken += usize::from(woken);
            }
            Err(error) => {
                tracing::error!(key, %error, "an open run cannot be looked after");
                self.failed += 1;
            }
        }
    }
}
