//! What a schedule is told to do.

use std::time::Duration;

use millrace_core::{Payload, Timestamp, WorkflowType};
use serde::{Deserialize, Serialize};

use millrace_format::message::{self, STANDALONE_ACTIVITY};

use super::times::Times;
use crate::client::unencoded;
use crate::codec::Codecs;
use crate::standalone::encoded_request;
use crate::{RunError, Workflow, WorkflowRef};

/// How long a time that was missed is still made up for, unless said otherwise: an outage overnight loses no nightly job.
const CATCH_UP: Duration = Duration::from_secs(24 * 3_600);

/// What happens when a time comes and the action before it still runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// This time is left out.
    #[default]
    Skip,
    /// It is made up for as soon as nothing runs any more; at most one waits so.
    BufferOne,
    /// Both run.
    AllowAll,
    /// What runs is asked to stop, and once it has, this time's action begins.
    CancelOther,
    /// What runs is ended by force, and then this time's action begins.
    TerminateOther,
}

impl Overlap {
    /// Whether a time that comes while something runs changes nothing before that has ended: then nobody needs to be
    /// woken for it.
    pub(super) fn waits_for_the_end(self) -> bool {
        matches!(self, Self::Skip | Self::BufferOne)
    }
}

/// When which workflow is started: see [`Client::schedule`](crate::Client::schedule).
///
/// ```
/// # use millrace::prelude::*;
/// # use millrace::{Overlap, Schedule};
/// # #[workflow] async fn report(ctx: WorkflowContext, what: String) -> Result<(), WorkflowError> { Ok(()) }
/// let nightly = Schedule::cron("0 3 * * *").time_zone("Europe/Berlin").starts(report, "sales".to_string());
/// assert_eq!(nightly.check(), Ok(()));
/// let hourly = Schedule::every(hours(1)).offset(minutes(5)).jitter(minutes(2)).overlap(Overlap::BufferOne);
/// assert!(hourly.check().unwrap_err().starts_with("workflow: "));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The cron expression: minute, hour, day of month, month, day of week. This or `every_s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cron: Option<String>,
    /// Whose clock the cron expression means; UTC if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) time_zone: Option<String>,
    /// The interval in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) every_s: Option<u64>,
    /// How many seconds after a whole multiple of the interval since 1970-01-01T00:00:00Z.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) offset_s: u64,
    /// The workflow's type.
    #[serde(default)]
    pub(super) workflow: String,
    /// Its input.
    #[serde(default)]
    pub(super) input: Payload,
    #[serde(default)]
    pub(super) overlap: Overlap,
    /// Each start comes up to so many seconds late, by chance.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) jitter_s: u64,
    /// Times that were missed, by no more than this, are made up for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) catch_up_s: Option<u64>,
    /// The first time that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) starts_at: Option<Timestamp>,
    /// From here on no time counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ends_at: Option<Timestamp>,
    /// How many actions are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) remaining: Option<u64>,
    /// What could not be said in the fields.
    #[serde(skip)]
    problem: Option<String>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Schedule {
    /// By a cron expression of five fields, such as `0 3 * * MON-FRI`: minute, hour, day of month, month, day of week.
    pub fn cron(expression: impl Into<String>) -> Self {
        Self { cron: Some(expression.into()), ..Self::default() }
    }

    /// At whole multiples of an interval since 1970-01-01T00:00:00Z: of a second or more, in whole seconds.
    pub fn every(interval: Duration) -> Self {
        let mut schedule = Self::default();
        let seconds = schedule.seconds("every", interval);
        Self { every_s: Some(seconds), ..schedule }
    }

    /// So much after the multiples of the interval.
    #[must_use]
    pub fn offset(mut self, offset: Duration) -> Self {
        self.offset_s = self.seconds("offset", offset);
        self
    }

    /// Whose clock the cron expression means, such as `Europe/Berlin`; UTC if not said.
    #[must_use]
    pub fn time_zone(self, name: impl Into<String>) -> Self {
        Self { time_zone: Some(name.into()), ..self }
    }

    /// The workflow that is started at each of the times, and its input.
    #[must_use]
    pub fn starts<M, F: WorkflowRef<M>>(
        mut self,
        _workflow: F,
        input: <F::Workflow as Workflow>::Input,
    ) -> Self {
        let name = <F::Workflow as Workflow>::NAME;
        match Payload::of(&input) {
            Ok(input) => self.starts_named(name, input),
            Err(error) => {
                self.note(format!("input: has no JSON form: {error}"));
                self.starts_named(name, Payload::null())
            }
        }
    }

    /// The same for a workflow that this program does not have: its type by name, its input as JSON.
    #[must_use]
    pub fn starts_named(self, workflow: impl Into<String>, input: Payload) -> Self {
        Self { workflow: workflow.into(), input, ..self }
    }

    /// What happens when the action before still runs; this time is skipped if not said.
    #[must_use]
    pub fn overlap(self, overlap: Overlap) -> Self {
        Self { overlap, ..self }
    }

    /// Lets each action come late by chance, by less than this, and never as late as the next time: so that a thousand
    /// schedules of 3 o'clock do not all start at once. Whole seconds.
    #[must_use]
    pub fn jitter(mut self, most: Duration) -> Self {
        self.jitter_s = self.seconds("jitter", most);
        self
    }

    /// How late a time that was missed, because no engine was at work, is still made up for; a day if not said. Whole seconds.
    #[must_use]
    pub fn catch_up(mut self, window: Duration) -> Self {
        self.catch_up_s = Some(self.seconds("catch_up", window));
        self
    }

    /// No time before this one counts.
    #[must_use]
    pub fn starts_at(self, time: Timestamp) -> Self {
        Self { starts_at: Some(time), ..self }
    }

    /// No time from this one on counts.
    #[must_use]
    pub fn ends_at(self, time: Timestamp) -> Self {
        Self { ends_at: Some(time), ..self }
    }

    /// After so many actions it is over; those that were triggered or made up for by a backfill do not count.
    #[must_use]
    pub fn remaining(self, actions: u64) -> Self {
        Self { remaining: Some(actions), ..self }
    }

    /// The workflow's type.
    pub fn workflow_type(&self) -> &str {
        &self.workflow
    }

    /// What is wrong with it: the field, and what to do. A client asks before it sends anything.
    pub fn check(&self) -> Result<(), String> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        self.times()?;
        let workflow = WorkflowType::new(&self.workflow).map_err(|bad| format!("workflow: {bad}"))?;
        // A schedule starts nothing that whoever sets it up could not start.
        message::check_started(&workflow, &self.input).map_err(|bad| bad.to_string())?;
        if let (Some(start), Some(end)) = (self.starts_at, self.ends_at)
            && end <= start
        {
            return Err(format!("ends_at: {end} is not after starts_at, {start}"));
        }
        if self.remaining == Some(0) {
            return Err("remaining: 0 leaves nothing to do; leave it out for no limit".to_owned());
        }
        if let Some(window) = self.catch_up_s
            && window < self.jitter_s
        {
            let jitter = self.jitter_s;
            return Err(format!(
                "catch_up: {window} s is less than the jitter, {jitter} s: give it at least that"
            ));
        }
        Ok(())
    }

    /// With the workflow's input as it goes to the engine.
    pub(super) fn encoded(mut self, codecs: &Codecs) -> Result<Self, RunError> {
        self.input = match self.workflow == STANDALONE_ACTIVITY {
            true => encoded_request(self.input, codecs)?,
            false => codecs.encode(self.input).map_err(|error| unencoded("input", &error))?,
        };
        Ok(self)
    }

    /// When, in words: `0 3 * * * Europe/Berlin`, `every 3600 s + 300 s`.
    #[cfg(feature = "embedded")]
    pub(crate) fn when(&self) -> String {
        match (&self.cron, self.every_s) {
            (Some(cron), _) => format!("{cron} {}", self.time_zone.as_deref().unwrap_or("UTC")),
            (None, Some(every)) if self.offset_s == 0 => format!("every {every} s"),
            (None, Some(every)) => format!("every {every} s + {} s", self.offset_s),
            (None, None) => String::new(),
        }
    }

    pub(super) fn times(&self) -> Result<Times, String> {
        Times::new(self)
    }

    pub(super) fn window(&self) -> Duration {
        self.catch_up_s.map_or(CATCH_UP, Duration::from_secs)
    }

    pub(super) fn jitter_most(&self) -> Duration {
        Duration::from_secs(self.jitter_s)
    }

    fn seconds(&mut self, field: &str, duration: Duration) -> u64 {
        if duration.subsec_nanos() != 0 {
            self.note(format!("{field}: {duration:?} is not a whole number of seconds"));
        }
        duration.as_secs()
    }

    /// The first problem counts.
    fn note(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}
