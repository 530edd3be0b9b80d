//! What is typed after `schedule`.

use std::time::Duration;

use clap::{Args, Subcommand};
use millrace_core::{Timestamp, WorkflowId, WorkflowType};

use super::{duration, word};
use crate::Overlap;

#[derive(Debug, Subcommand)]
pub(in crate::verbs) enum ScheduleVerb {
    /// Set a schedule up
    Create(ScheduleCreateArgs),
    /// List the schedules, newest first
    List(ScheduleListArgs),
    /// Print where a schedule stands: its next times, its last actions, what it has counted
    Show(ScheduleShowArgs),
    /// Start nothing until it is unpaused; times that come meanwhile are left out
    Pause(ScheduleNoteArgs),
    /// Go on with the next time
    Unpause(ScheduleNoteArgs),
    /// Start the workflow now, also while the schedule is paused
    Trigger(ScheduleTriggerArgs),
    /// Make up for the times of a range, one after the other
    Backfill(ScheduleBackfillArgs),
    /// End a schedule; what it has started goes on
    Delete(ScheduleDeleteArgs),
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct ScheduleCreateArgs {
    /// The type of the workflow that is started, as registered
    pub(in crate::verbs) workflow: WorkflowType,
    /// The schedule's id; the ids of what it starts are this and the time
    #[arg(long)]
    pub(in crate::verbs) id: WorkflowId,
    /// Minute, hour, day of month, month, day of week, such as "0 3 * * MON-FRI"
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "every")]
    pub(in crate::verbs) cron: Option<String>,
    /// Whose clock the cron expression means, such as Europe/Berlin; UTC if not said
    #[arg(long, value_name = "NAME")]
    pub(in crate::verbs) time_zone: Option<String>,
    /// The interval, such as 90s, 15m, 2h or 7d; counted from 1970-01-01T00:00:00Z
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(in crate::verbs) every: Option<Duration>,
    /// How much after the multiples of the interval
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(in crate::verbs) offset: Option<Duration>,
    /// The input: JSON, @file, or - for standard input
    #[arg(long, default_value = "null", value_name = "JSON")]
    pub(in crate::verbs) input: String,
    /// If the action before still runs: skip, buffer_one, allow_all, cancel_other or terminate_other
    #[arg(long, value_parser = word::<Overlap>, default_value = "skip", value_name = "WHAT")]
    pub(in crate::verbs) overlap: Overlap,
    /// Start up to this much late, by chance
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(in crate::verbs) jitter: Option<Duration>,
    /// How late a time that was missed is still made up for; a day if not said
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(in crate::verbs) catch_up: Option<Duration>,
    /// No time before this one counts, such as 2026-11-23T02:05:00Z
    #[arg(long, value_name = "WHEN")]
    pub(in crate::verbs) starts_at: Option<Timestamp>,
    /// No time from this one on counts
    #[arg(long, value_name = "WHEN")]
    pub(in crate::verbs) ends_at: Option<Timestamp>,
    /// After so many actions it is over
    #[arg(long, value_name = "N")]
    pub(in crate::verbs) remaining: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::verbs) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct ScheduleListArgs {
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(in crate::verbs) limit: usize,
    /// Print one JSON object a line
    #[arg(long)]
    pub(in crate::verbs) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct ScheduleShowArgs {
    /// The schedule's id
    pub(in crate::verbs) id: WorkflowId,
    /// Print JSON
    #[arg(long)]
    pub(in crate::verbs) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct ScheduleNoteArgs {
    /// The schedule's id
    pub(in crate::verbs) id: WorkflowId,
    /// Who wants that, and why
    #[arg(long, default_value = "")]
    pub(in crate::verbs) note: String,
    /// Print JSON
    #[arg(long)]
    pub(in crate::verbs) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct ScheduleTriggerArgs {
    /// The schedule's id
    pub(in crate::verbs) id: WorkflowId,
    /// Another overlap policy than the schedule's own
    #[arg(long, value_parser = word::<Overlap>, value_name = "WHAT")]
    pub(in crate::verbs) overlap: Option<Overlap>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::verbs) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct ScheduleBackfillArgs {
    /// The schedule's id
    pub(in crate::verbs) id: WorkflowId,
    /// The first time that counts, such as 2026-11-23T00:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub(in crate::verbs) from: Timestamp,
    /// The first time that does not
    #[arg(long, value_name = "WHEN")]
    pub(in crate::verbs) to: Timestamp,
    /// All at once, instead of one after the other
    #[arg(long)]
    pub(in crate::verbs) at_once: bool,
    /// Print JSON
    #[arg(long)]
    pub(in crate::verbs) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct ScheduleDeleteArgs {
    /// The schedule's id
    pub(in crate::verbs) id: WorkflowId,
    /// Who wants that, and why
    #[arg(long, default_value = "")]
    pub(in crate::verbs) reason: String,
    /// Print JSON
    #[arg(long)]
    pub(in crate::verbs) json: bool,
}
