//! The header: where the run stands, beside what its events say.

use millrace_core::{
    ActivityId, BlockedMark, CarriedRequest, ChildId, ChildScheduled, EffectKey, Event, Fault, Identity,
    Pace, PausedMark, Payload, PendingEffect, RejectedUpdate, Run, RunId, RunInfo, Status, Timestamp, Wake,
    WorkflowId, WorkflowType,
};
use serde::{Deserialize, Serialize};

use super::{FORMAT, LONGEST_DETAILS, SealedPart, Tail};

/// The first line of a history: where the run stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The format's version.
    pub format: u32,
    /// The user's id.
    pub workflow_id: WorkflowId,
    /// Which run.
    pub run_id: RunId,
    /// The first of the runs that continue one another, if this is a later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_run_id: Option<RunId>,
    /// The workflow's type.
    pub workflow: WorkflowType,
    /// Where the run stands.
    pub status: Status,
    /// When it began.
    pub started_at: Timestamp,
    /// The turns committed so far.
    pub turn: u64,
    /// Different in every commit: how a writer recognises its own (G5).
    pub nonce: String,
    /// The build that committed.
    pub build: String,
    /// Sealed events, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<SealedPart>,
    /// The number of the first event after this line; one more than `last` if there is none.
    pub first: u64,
    /// The number of the last event.
    pub last: u64,
    /// CRC-32 of all that follows this line.
    pub crc: u32,
    /// Effects that may not have been done yet, with their guards (G4).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<PendingEffect>,
    /// Activities without an end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activities: Vec<PendingActivity>,
    /// The wake that is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake: Option<Wake>,
    /// The last wake that was sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wakes_sent: u64,
    /// The last wake that was absorbed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wakes_absorbed: u64,
    /// The turns that the run has lately made on its own; only where they are limited (G9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
    /// What the code shows of its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Payload>,
    /// Set while the code cannot go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<BlockedMark>,
    /// Set while somebody holds back the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PausedMark>,
    /// Requests that earlier runs of this id have absorbed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried: Vec<CarriedRequest>,
    /// Updates that the code refused lately.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedUpdate>,
    /// Child workflows without an end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<PendingChild>,
    /// Of a run that continues as new, the guard of the turn that closed it: that message begins the next run. Absent in heads
    /// of builds before it: any message does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_under: Option<Identity>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// An activity without an end, for whoever reads only the header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingActivity {
    /// The call's number.
    pub activity_id: ActivityId,
    /// The activity's name.
    pub activity: String,
    /// The current attempt.
    pub attempt: u32,
    /// Somebody holds the activity back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Its attempt is held back, too: a task of it is to be dropped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
    /// Why the attempt before it failed. Details of more than [`LONGEST_DETAILS`] bytes are left out: the event has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Fault>,
}

/// A child workflow without an end, for whoever reads only the header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingChild {
    /// The call's number.
    pub child_id: ChildId,
    /// The child's workflow type.
    pub workflow: WorkflowType,
    /// Its workflow id.
    pub workflow_id: WorkflowId,
}

impl Header {
    /// The header of a run as it stands, with the tail that follows it.
    pub fn of(run: &Run, commit: Commit<'_>, tail: &Tail) -> Self {
        let pending = |(id, state): (&ActivityId, &millrace_core::ActivityState)| PendingActivity {
            activity_id: *id,
            activity: state.scheduled.activity.clone(),
            attempt: state.attempt,
            paused: state.paused,
            withheld: state.withheld,
            last_failure: state.last_failure.clone().map(in_short),
        };
        Self {
            format: FORMAT,
            workflow_id: run.info.workflow_id.clone(),
            run_id: run.info.run_id,
            first_run_id: run.started.as_ref().and_then(|started| started.first_run_id),
            workflow: run.info.workflow.clone(),
            status: run.status,
            started_at: run.info.started_at,
            turn: run.turn,
            nonce: commit.nonce.to_owned(),
            build: commit.build.to_owned(),
            parts: tail.parts.clone(),
            first: tail.first,
            last: run.last_event,
            crc: tail.crc.clone().finalize(),
            effects: run.effects.values().cloned().collect(),
            activities: run.activities.iter().map(pending).collect(),
            wake: run.wake,
            wakes_sent: run.wakes_sent,
            wakes_absorbed: run.wakes_absorbed,
            pace: run.pace,
            published: run.published.clone(),
            blocked: run.blocked.clone(),
            paused: run.paused.clone(),
            carried: run.carried.clone(),
            rejected: run.rejected.clone(),
            children: run.children.values().map(|child| child_of(child)).collect(),
            closed_under: run.closed_under.clone(),
        }
    }

    /// The run that this header and all its events describe.
    pub fn restore(&self, events: &[Event]) -> Run {
        let (workflow_id, workflow) = (self.workflow_id.clone(), self.workflow.clone());
        let mut run = Run::new(RunInfo::new(workflow_id, self.run_id, workflow, self.started_at));
        events.iter().for_each(|event| run.apply(event));
        run.turn = self.turn;
        run.wake = self.wake;
        run.wakes_sent = self.wakes_sent;
        run.wakes_absorbed = self.wakes_absorbed;
        run.pace = self.pace;
        run.published.clone_from(&self.published);
        run.blocked.clone_from(&self.blocked);
        run.carried.clone_from(&self.carried);
        run.rejected.clone_from(&self.rejected);
        run.closed_under.clone_from(&self.closed_under);
        run.effects = self.effects.iter().map(|pending| (pending.effect.key(), pending.clone())).collect();
        let effects = &run.effects;
        run.sent.retain(|sent_id, _| effects.contains_key(&EffectKey::Send(*sent_id)));
        run
    }
}

/// The header is written with every turn, as long as the activity is open.
fn in_short(mut fault: Fault) -> Fault {
    let failure = match &mut fault {
        Fault::Application(failure) => Some(failure),
        Fault::TimedOut { cause, .. } => cause.as_mut(),
        Fault::Canceled { .. } | Fault::Terminated { .. } => None,
    };
    if let Some(failure) = failure {
        failure.details.take_if(|details| details.size_bytes() > LONGEST_DETAILS);
    }
    fault
}

fn child_of(child: &ChildScheduled) -> PendingChild {
    let ChildScheduled { child_id, workflow, workflow_id, .. } = child;
    PendingChild { child_id: *child_id, workflow: workflow.clone(), workflow_id: workflow_id.clone() }
}

/// What a commit adds to the run's state.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// Different in every commit.
    pub nonce: &'a str,
    /// The build that commits.
    pub build: &'a str,
}
