//! Leases (§6, G11): who runs an activity, how far it is, and whether it should stop. Every write is a compare-and-swap.

use std::time::Duration;

use millrace_core::{ActivityOutcome, OutcomeResult, Payload, Task};
use millrace_format::{Keys, Lease};

use super::Worker;
use super::task::TaskError;
use crate::dispatch::read_lease;
use crate::ports::{Condition, ETag, PutError, StoreError};

/// What claiming a lease gave.
pub(super) enum Claim {
    /// It is ours.
    Held(Held),
    /// Somebody else holds it, for this long if they do not beat again.
    Busy(Duration),
    /// The activity has run: this is its outcome, perhaps not sent yet.
    Stored(ActivityOutcome),
    /// Nobody waits for the activity any more.
    Canceled(String),
    /// The log has the outcome of this attempt, or somebody else ends it.
    Unwanted,
}

/// A lease that this worker holds. Few tasks have one, and all their futures have a place for it: so it is a small one.
#[derive(Clone)]
pub(super) struct Held {
    key: String,
    etag: ETag,
    pub(super) lease: Box<Lease>,
}

/// What a beat gave.
pub(super) enum Beat {
    Written,
    /// Somebody wants the attempt to stop.
    Canceled(String),
    /// Somebody else holds the lease now.
    Lost,
}

impl Worker {
    /// Takes the lease of a task's activity, unless somebody holds it.
    pub(super) async fn claim(&self, task: &Task) -> Result<Claim, TaskError> {
        let keys = Keys::new(self.config.namespace.clone());
        let key = keys.lease(&task.workflow_id, task.run_id, task.activity_id);
        // Nobody else writes this name: a claim whose reply is lost is told from one by another slot of this worker.
        let claimant = format!("{}-{:016x}", self.holder, self.ports.entropy.bits() as u64);
        for _ in 0..5 {
            let (lease, condition, age) = self.look(&key).await?;
            if let Some(reason) = lease.cancel {
                return Ok(Claim::Canceled(reason));
            }
            if let Some(outcome) = lease.outcome {
                return Ok(Claim::Stored(outcome));
            }
            if lease.holder.as_ref() == Some(&claimant)
                && let Condition::Matches(etag) = condition
            {
                return Ok(Claim::Held(Held { key, etag, lease: lease.into() }));
            }
            let good_for = Duration::from_millis(lease.good_for_ms);
            let ours = lease.holder.as_ref().is_some_and(|holder| holder.starts_with(&self.holder));
            let void = self.config.only_process && !ours;
            if lease.holder.is_some() && !void && age < good_for {
                return Ok(Claim::Busy(good_for.saturating_sub(age).max(Duration::from_secs(1))));
            }
            if lease.left && lease.attempt >= task.attempt {
                return Ok(Claim::Unwanted);
            }
            // Somebody has had this attempt before: it may be a late duplicate, and the log knows (G6).
            if lease.epoch > 0 && lease.attempt >= task.attempt && !self.is_wanted(task).await? {
                return Ok(Claim::Unwanted);
            }
            // A holder that ended or gave back took its name off. The queue does not know: copies of the task are fresh.
            let vanished = match lease.attempt == task.attempt {
                true => lease.vanished.saturating_add(u32::from(lease.holder.is_some())),
                false => 0,
            };
            let taken = Lease {
                vanished,
                holder: Some(claimant.clone()),
                epoch: lease.epoch.saturating_add(1),
                attempt: task.attempt,
                left: false,
                good_for_ms: u64::try_from(self.config.lease.as_millis()).unwrap_or(u64::MAX),
                ..lease
            };
            match self.ports.store.put(&key, taken.encode().into(), condition).await {
                Ok(etag) => return Ok(Claim::Held(Held { key, etag, lease: taken.into() })),
                Err(PutError::Store(error)) => return Err(error.into()),
                Err(_) => {}
            }
        }
        Ok(Claim::Busy(Duration::from_secs(5)))
    }

    async fn look(&self, key: &str) -> Result<(Lease, Condition, Duration), StoreError> {
        let Some(object) = self.ports.store.get(key).await? else {
            return Ok((Lease::free(), Condition::Absent, Duration::ZERO));
        };
        let invalid =
            |e: serde_json::Error| StoreError::Invalid { key: key.to_owned(), reason: e.to_string() };
        let lease = Lease::decode(&object.body).map_err(invalid)?;
        Ok((lease, Condition::Matches(object.etag), object.age))
    }

    /// Renews the lease with the latest details. A beat that meets somebody else's write reads, and sees the cancel.
    pub(super) async fn beat(&self, held: &mut Held, details: Option<Payload>) -> Result<Beat, StoreError> {
        if details.is_some() {
            held.lease.details = details;
        }
        self.write(held).await
    }

    async fn write(&self, held: &mut Held) -> Result<Beat, StoreError> {
        for _ in 0..5 {
            let body = held.lease.encode().into();
            match self.ports.store.put(&held.key, body, Condition::Matches(held.etag.clone())).await {
                Ok(etag) => {
                    held.etag = etag;
                    return Ok(Beat::Written);
                }
                Err(PutError::Store(error)) => return Err(error),
                Err(PutError::Busy) => continue,
                Err(_) => {}
            }
            let (now, condition) = read_lease(&self.ports, &held.key).await?;
            let Condition::Matches(etag) = condition else { return Ok(Beat::Lost) };
            // The epoch alone tells whose it is: the holder is absent while its own last write lets go of it.
            if now.epoch != held.lease.epoch {
                return Ok(Beat::Lost);
            }
            held.etag = etag;
            if let Some(reason) = now.cancel {
                held.lease.cancel = Some(reason.clone());
                return Ok(Beat::Canceled(reason));
            }
        }
        Err(StoreError::Unavailable(format!("the lease `{}` changes too fast", held.key)))
    }

    /// The end of an attempt that held the lease. `false` if it was lost before.
    pub(super) async fn conclude(
        &self,
        mut held: Held,
        task: &Task,
        outcome: &ActivityOutcome,
    ) -> Result<bool, StoreError> {
        let failed = matches!(outcome.result, OutcomeResult::Failed(_));
        if !failed && !task.options.exclusive {
            return Ok(true); // The log closes the activity; its lease is not looked at again.
        }
        // A failed attempt makes room for the next, if there may be one; its details stay. An exclusive outcome is kept for
        // later claimants.
        held.lease.holder = None;
        if !failed || task.options.runs_at_most_once() {
            held.lease.outcome = Some(outcome.clone());
        }
        match self.write(&mut held).await? {
            Beat::Written => Ok(true),
            Beat::Canceled(_) => {
                Ok(!task.options.exclusive || matches!(self.write(&mut held).await?, Beat::Written))
            }
            Beat::Lost => Ok(!task.options.exclusive),
        }
    }

    /// Lets go of a lease whose attempt somebody else ends: no copy of its task begins it again.
    pub(super) async fn leave(&self, mut held: Held) -> Result<(), StoreError> {
        held.lease.holder = None;
        held.lease.left = true;
        self.write(&mut held).await.map(|_| ())
    }

    /// Lets go of a lease whose task is given back.
    pub(super) async fn release(&self, mut held: Held) {
        held.lease.holder = None;
        if let Err(error) = self.write(&mut held).await {
            tracing::debug!(%error, "a lease could not be released; it lapses by itself");
        }
    }
}
