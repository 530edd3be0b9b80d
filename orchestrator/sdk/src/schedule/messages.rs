//! What a schedule is asked for. Updates, so that whoever asks hears of a mistake.

use millrace_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::run::ScheduleWorkflow;
use super::{Overlap, Schedule};
use crate::Update;
use crate::workflow::AcceptedBy;

/// Starts nothing until it is taken back. Times that come meanwhile are left out, without being counted; an action that waits
/// for another to end goes on waiting.
#[derive(Clone, Debug, Default, Update, Serialize, Deserialize)]
#[update(output = ())]
#[serde(default, deny_unknown_fields)]
pub struct Pause {
    /// Who wants that, and why.
    pub note: String,
}

/// Goes on after a [`Pause`], with the next time.
#[derive(Clone, Debug, Default, Update, Serialize, Deserialize)]
#[update(output = ())]
#[serde(default, deny_unknown_fields)]
pub struct Unpause {
    /// Who wants that, and why.
    pub note: String,
}

/// Starts the workflow now, also while the schedule is paused.
#[derive(Clone, Debug, Default, Update, Serialize, Deserialize)]
#[update(output = Triggered)]
#[serde(default, deny_unknown_fields)]
pub struct Trigger {
    /// What happens if an action runs; as the schedule says if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
}

/// The answer to a [`Trigger`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Triggered {
    /// The id of the workflow that begins, now or when what runs has ended.
    pub workflow_id: String,
}

/// Makes up for the times of a range, as if they came now: with [`Overlap::AllowAll`] all at once, otherwise one after the
/// other, whatever the schedule's own policy is. A time whose action has completed is not done again.
#[derive(Clone, Debug, Update, Serialize, Deserialize)]
#[update(output = Backfilled)]
#[serde(deny_unknown_fields)]
pub struct Backfill {
    /// The first time that counts.
    pub from: Timestamp,
    /// The first time that does not.
    pub to: Timestamp,
    /// [`Overlap::AllowAll`] for all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
}

/// The answer to a [`Backfill`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfilled {
    /// How many times lie in the range.
    pub actions: u64,
}

/// Replaces what the schedule was told to do, from now on. What runs or waits is not touched.
#[derive(Clone, Debug, Update, Serialize, Deserialize)]
#[update(output = ())]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What it is to do.
    pub schedule: Schedule,
}

impl AcceptedBy<ScheduleWorkflow> for Pause {}
impl AcceptedBy<ScheduleWorkflow> for Unpause {}
impl AcceptedBy<ScheduleWorkflow> for Trigger {}
impl AcceptedBy<ScheduleWorkflow> for Backfill {}
impl AcceptedBy<ScheduleWorkflow> for Change {}
