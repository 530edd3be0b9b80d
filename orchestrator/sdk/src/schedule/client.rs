//! Schedules, from outside.

use millrace_core::{Timestamp, WorkflowId};

use super::messages::{Backfill, Backfilled, Change, Pause, Trigger, Triggered, Unpause};
use super::run::{ScheduleMarker, ScheduleRun, ScheduleWorkflow};
use super::{Overlap, Schedule, ScheduleState};
use crate::client::{Filter, Listed, Sent, Status};
use crate::codec::Codecs;
use crate::{Client, Handle, RunError, Workflow};

/// What a schedule's id leaves room for: the time at the end of its actions' ids.
const LONGEST_ID: usize = 170;

impl Client {
    /// Sets up a schedule; the id is that of its run, and what the ids of the workflows that it starts begin with. A schedule
    /// that cannot work is refused here, before anything is sent; one that there is already, by the engine.
    ///
    /// ```no_run
    /// # use millrace::prelude::*;
    /// # use millrace::Schedule;
    /// # #[workflow] async fn report(ctx: WorkflowContext, what: String) -> Result<(), WorkflowError> { Ok(()) }
    /// # async fn example(client: millrace::Client) -> Result<(), millrace::RunError> {
    /// let schedule = Schedule::cron("0 3 * * *").time_zone("Europe/Berlin").starts(report, "sales".into());
    /// let nightly = client.schedule("nightly", schedule).await?;
    /// nightly.pause("the holidays").await?;
    /// # Ok(()) }
    /// ```
    pub async fn schedule(
        &self,
        id: impl AsRef<str>,
        schedule: Schedule,
    ) -> Result<ScheduleHandle, RunError> {
        schedule.check().map_err(RunError::Rejected)?;
        let unbound = self.schedule_handle(id)?;
        let schedule = schedule.encoded(&self.hooks().codecs)?;
        let run = ScheduleRun { schedule, so_far: None };
        let handle = self.start(ScheduleMarker, unbound.id().as_str(), run).await?;
        Ok(ScheduleHandle { handle, ..unbound })
    }

    /// A handle on a schedule that was set up elsewhere. Nothing is checked until it is used, but the id.
    pub fn schedule_handle(&self, id: impl AsRef<str>) -> Result<ScheduleHandle, RunError> {
        let id = id.as_ref();
        if id.len() > LONGEST_ID {
            let length = id.len();
            return Err(RunError::Rejected(format!(
                "id: {length} bytes are too many; a schedule's id has at most {LONGEST_ID}"
            )));
        }
        let codecs = self.hooks().codecs.clone();
        Ok(ScheduleHandle { handle: self.handle(ScheduleMarker, id)?, codecs })
    }

    /// The schedules there are, newest first; at most so many.
    pub async fn schedules(&self, limit: usize) -> Result<Vec<Listed>, RunError> {
        let workflow = millrace_core::WorkflowType::new(ScheduleWorkflow::NAME)
            .map_err(|bad| RunError::Rejected(bad.to_string()))?;
        self.list(&Filter {
            status: Some(Status::Running),
            workflow: Some(workflow),
            limit,
            ..Filter::default()
        })
        .await
    }
}

/// A schedule, by its id.
#[derive(Clone, Debug)]
pub struct ScheduleHandle {
    handle: Handle<ScheduleWorkflow>,
    codecs: Codecs,
}

impl ScheduleHandle {
    /// The schedule's id.
    pub fn id(&self) -> &WorkflowId {
        self.handle.id()
    }

    /// Its run, as any other.
    pub fn workflow(&self) -> &Handle<ScheduleWorkflow> {
        &self.handle
    }

    /// Starts nothing until [`unpause`](Self::unpause); times that come meanwhile are left out.
    pub async fn pause(&self, note: impl Into<String>) -> Result<(), RunError> {
        self.handle.update(Pause { note: note.into() }).await
    }

    /// Goes on with the next time.
    pub async fn unpause(&self, note: impl Into<String>) -> Result<(), RunError> {
        self.handle.update(Unpause { note: note.into() }).await
    }

    /// Starts the workflow now, also while the schedule is paused. Refused if the overlap policy leaves it out.
    pub async fn trigger(&self) -> Result<Triggered, RunError> {
        self.handle.update(Trigger { overlap: None }).await
    }

    /// The same with another overlap policy.
    pub async fn trigger_with(&self, overlap: Overlap) -> Result<Triggered, RunError> {
        self.handle.update(Trigger { overlap: Some(overlap) }).await
    }

    /// Makes up for the times from `from` until before `to`, one after the other.
    pub async fn backfill(&self, from: Timestamp, to: Timestamp) -> Result<Backfilled, RunError> {
        self.handle.update(Backfill { from, to, overlap: None }).await
    }

    /// The same, all at once.
    pub async fn backfill_at_once(&self, from: Timestamp, to: Timestamp) -> Result<Backfilled, RunError> {
        self.handle.update(Backfill { from, to, overlap: Some(Overlap::AllowAll) }).await
    }

    /// Replaces what it was told to do, from now on.
    pub async fn update(&self, schedule: Schedule) -> Result<(), RunError> {
        schedule.check().map_err(RunError::Rejected)?;
        let schedule = schedule.encoded(&self.codecs)?;
        self.handle.update(Change { schedule }).await
    }

    /// Where it stands.
    pub async fn describe(&self) -> Result<ScheduleState, RunError> {
        let run = self.handle.describe().await?;
        if run.workflow.as_str() != ScheduleWorkflow::NAME {
            let (id, workflow) = (self.id(), run.workflow);
            return Err(RunError::NotFound(format!("there is no schedule `{id}`; that is a `{workflow}`")));
        }
        let begins =
            || RunError::Unavailable(format!("schedule `{}` is about to begin; ask again", self.id()));
        self.handle.state().await?.ok_or_else(begins)
    }

    /// Ends the schedule. What it has started goes on.
    pub async fn delete(&self, reason: impl Into<String>) -> Result<Sent, RunError> {
        self.handle.cancel(reason).await
    }
}
