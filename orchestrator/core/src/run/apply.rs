//! What each event means to a run: its state is what its events add up to.

use std::sync::Arc;

use super::{ActivityState, PausedMark, Run, Status};
use crate::{
    ActivityId, ActivityScheduled, ChildId, Effect, EffectKey, Event, EventKind, ParentClose, RequestId,
    RunStarted, SentId, TimerId, Timestamp,
};

impl Run {
    /// Takes one event into account. Tolerates facts about things that have ended: a run that was blocked records
    /// facts before the commands that would have made them void.
    pub fn apply(&mut self, event: &Event) {
        self.last_event = event.n;
        self.last_time = event.t;
        match &event.kind {
            EventKind::RunStarted(e) => {
                let began = e.forked_from.as_ref().map_or(event.t, |forked| forked.at);
                self.began = began;
                let of_run = e.run_timeout.map(|limit| (began.plus(limit), limit));
                let of_workflow = e.execution_deadline.map(|at| (at, at.since(began)));
                self.info.version.clone_from(&e.version);
                self.info.seed = e.forked_from.as_ref().map_or(self.info.run_id, |forked| forked.seed);
                self.deadline = of_run.into_iter().chain(of_workflow).min();
                self.remember(&e.request_id);
                e.unread.updates.iter().for_each(|update| self.ask(&update.request_id));
                self.started = Some(Arc::new(RunStarted::clone(e)));
            }
            // What was taken over from another run begins anew.
            EventKind::ActivityScheduled(e) => self.schedule(e, event.t.max(self.began)),
            EventKind::ActivityAttemptFailed(e) => {
                if let Some(activity) = self.activities.get_mut(&e.activity_id) {
                    activity.attempt = e.next_attempt;
                    activity.available_at = e.retry_at;
                    activity.last_failure = Some(e.fault.clone());
                    activity.withheld = activity.paused;
                    self.effects.remove(&EffectKey::Task(e.activity_id));
                }
            }
            EventKind::ActivityPaused(e) => {
                self.remember(&e.request_id);
                self.pause_activity(e.activity_id, event.t);
            }
            EventKind::ActivityUnpaused(e) => {
                self.remember(&e.request_id);
                let available_at = |activity: &ActivityState| activity.available_at.max(event.t);
                let at = self.activities.get(&e.activity_id).map_or(event.t, available_at);
                self.next_attempt(e.activity_id, e.attempt, at);
            }
            EventKind::ActivityRetryRequested(e) => {
                self.remember(&e.request_id);
                self.next_attempt(e.activity_id, e.attempt, event.t);
            }
            EventKind::ActivityCompleted(e) => self.end_activity(e.activity_id),
            EventKind::ActivityFailed(e) => self.end_activity(e.activity_id),
            EventKind::ActivityCancelRequested(e) if e.waits => {
                if let Some(activity) = self.activities.get_mut(&e.activity_id) {
                    activity.canceling = true;
                }
            }
            EventKind::ActivityCancelRequested(e) => self.end_activity(e.activity_id),
            EventKind::TimerStarted(e) => {
                self.timers.insert(e.timer_id, e.fire_at);
            }
            EventKind::TimerFired(e) => self.end_timer(e.timer_id),
            EventKind::TimerCanceled(e) => self.end_timer(e.timer_id),
            EventKind::ChildScheduled(e) => {
                self.children.insert(e.child_id, Arc::new(e.clone()));
            }
            EventKind::ChildCompleted(e) => self.end_child(e.child_id),
            EventKind::ChildFailed(e) => self.end_child(e.child_id),
            EventKind::ChildCancelRequested(e) => {
                self.effects.remove(&EffectKey::Start(e.child_id));
            }
            EventKind::SignalSent(e) => self.send(e.sent_id, &event.kind),
            EventKind::CancelSent(e) => self.send(e.sent_id, &event.kind),
            EventKind::SignalReceived(e) => self.remember(&e.request_id),
            EventKind::UpdateReceived(e) => {
                self.remember(&e.request_id);
                self.ask(&e.request_id);
            }
            EventKind::UpdateCompleted(e) => self.answered(&e.request_id),
            EventKind::UpdateRejected(e) => self.answered(&e.request_id),
            EventKind::LocalActivityCompleted(_)
            | EventKind::LocalActivityFailed(_)
            | EventKind::Patched(_) => {}
            EventKind::CancelRequested(e) => self.remember(&e.request_id),
            EventKind::ResumeRequested(e) => self.remember(&e.request_id),
            EventKind::RunPaused(e) => {
                self.remember(&e.request_id);
                self.paused = Some(PausedMark { reason: e.reason.clone(), since: event.t });
            }
            EventKind::RunUnpaused(e) => {
                self.remember(&e.request_id);
                self.paused = None;
            }
            EventKind::RunBlocked(_) => {}
            EventKind::RunCompleted(_) => self.close(Status::Completed),
            EventKind::RunFailed(_) => self.close(Status::Failed),
            EventKind::RunTimedOut(_) => self.close(Status::TimedOut),
            EventKind::RunCanceled(_) => self.close(Status::Canceled),
            EventKind::RunTerminated(e) => {
                e.request_id.iter().for_each(|id| self.remember(id));
                self.close(Status::Terminated);
            }
            EventKind::RunContinuedAsNew(e) => {
                self.continued = Some(Arc::new(e.clone()));
                self.close(Status::ContinuedAsNew);
            }
        }
        if let Some(outcome) = event.kind.outcome() {
            self.outcome = Some(outcome);
        }
    }

    fn schedule(&mut self, event: &ActivityScheduled, at: Timestamp) {
        let state = ActivityState {
            scheduled: Arc::new(event.clone()),
            scheduled_at: at,
            attempt: 1,
            available_at: at,
            skipped: 0,
            last_failure: None,
            canceling: false,
            paused: false,
            withheld: false,
        };
        self.activities.insert(event.activity_id, state);
    }

    /// An attempt that still waits for its time is void with that; one that may be under way is let go on.
    fn pause_activity(&mut self, activity_id: ActivityId, at: Timestamp) {
        let Some(activity) = self.activities.get_mut(&activity_id) else { return };
        activity.paused = true;
        if activity.waits(at) {
            activity.withheld = true;
            self.effects.remove(&EffectKey::Task(activity_id));
        }
    }

    fn next_attempt(&mut self, activity_id: ActivityId, attempt: u32, at: Timestamp) {
        let Some(activity) = self.activities.get_mut(&activity_id) else { return };
        activity.paused = false;
        if attempt != activity.attempt {
            activity.skipped += attempt.saturating_sub(activity.attempt);
            activity.attempt = attempt;
            activity.available_at = at;
            activity.withheld = false;
            self.effects.remove(&EffectKey::Task(activity_id));
        }
    }

    fn end_activity(&mut self, activity_id: ActivityId) {
        self.activities.remove(&activity_id);
        self.effects.remove(&EffectKey::Task(activity_id));
    }

    fn end_timer(&mut self, timer_id: TimerId) {
        self.timers.remove(&timer_id);
        self.effects.remove(&EffectKey::Timer(timer_id));
    }

    fn end_child(&mut self, child_id: ChildId) {
        self.children.remove(&child_id);
        self.effects.remove(&EffectKey::Start(child_id));
    }

    fn send(&mut self, sent_id: SentId, event: &EventKind) {
        self.sent.insert(sent_id, Arc::new(event.clone()));
    }

    fn ask(&mut self, request_id: &RequestId) {
        self.updates.insert(request_id.clone(), self.last_event);
    }

    fn answered(&mut self, request_id: &RequestId) {
        self.updates.remove(request_id);
    }

    fn close(&mut self, status: Status) {
        self.status = status;
        self.activities.clear();
        self.timers.clear();
        // A child that may outlive this run is started, though the run ended before anybody could.
        self.children.retain(|_, child| child.options.parent_close == ParentClose::Abandon);
        self.wake = None;
        self.blocked = None;
        self.paused = None;
        if status != Status::ContinuedAsNew {
            self.pace = None;
        }
        let children = &self.children;
        self.effects.retain(|_, pending| match &pending.effect {
            Effect::SendStart { child_id, .. } => children.contains_key(child_id),
            effect => effect.outlives_run(),
        });
    }
}
