//! What people hold back: the code of a run, or the attempts of one of its activities.

use super::{Decider, Live, Verdict};
use crate::{
    ActivityId, ActivityPaused, ActivityRetryRequested, ActivityState, ActivityUnpaused, Effect, Incoming,
    RequestId, RunPaused, RunUnpaused,
};

impl Decider<'_> {
    pub(super) fn pause(
        &mut self,
        live: &mut Live,
        incoming: &Incoming,
        (activity_id, reason): (Option<ActivityId>, &str),
        request_id: &RequestId,
    ) -> Verdict {
        let (reason, request_id) = (reason.to_owned(), request_id.clone());
        let Some(activity_id) = activity_id else {
            if live.run.paused.is_some() {
                return Verdict::Stale("the run is paused already");
            }
            // What the code waits for within this turn, it asks for again once it goes on.
            self.decision.locals.clear();
            return self.fact(live, incoming, RunPaused { reason, request_id });
        };
        match live.run.activities.get(&activity_id) {
            None => not_open(activity_id),
            Some(state) if state.paused => Verdict::Stale("the activity is paused already"),
            Some(_) => self.fact(live, incoming, ActivityPaused { activity_id, reason, request_id }),
        }
    }

    pub(super) fn unpause(
        &mut self,
        live: &mut Live,
        incoming: &Incoming,
        activity_id: Option<ActivityId>,
        request_id: &RequestId,
    ) -> Verdict {
        let request_id = request_id.clone();
        let Some(activity_id) = activity_id else {
            if live.run.paused.is_none() {
                return Verdict::Stale("the run is not paused");
            }
            return self.fact(live, incoming, RunUnpaused { request_id });
        };
        let Some(state) = live.run.activities.get(&activity_id) else { return not_open(activity_id) };
        if !state.paused {
            return Verdict::Stale("the activity is not paused");
        }
        let (withheld, at) = (state.withheld, self.time.max(state.available_at));
        let attempt = state.attempt_once_unpaused();
        self.guard.get_or_insert_with(|| incoming.message.identity());
        self.record(&mut live.run, ActivityUnpaused { activity_id, attempt, request_id });
        if withheld {
            self.effect(&mut live.run, Effect::SendTask { activity_id, attempt, at });
        }
        Verdict::Absorbed
    }

    /// The attempt that waits for its time is void, and the next is made at once.
    pub(super) fn retry_now(
        &mut self,
        live: &mut Live,
        incoming: &Incoming,
        activity_id: ActivityId,
        request_id: &RequestId,
    ) -> Verdict {
        let Some(state) = live.run.activities.get(&activity_id) else { return not_open(activity_id) };
        if state.paused {
            let unpause = format!("activity_id: activity {activity_id} is paused; unpause it");
            return Verdict::Rejected(unpause);
        }
        if !state.waits(self.time) {
            let attempt = state.attempt;
            return Verdict::Rejected(format!(
                "activity_id: attempt {attempt} of activity {activity_id} is under way; it waits for no time"
            ));
        }
        let (attempt, request_id, at) = (next(state), request_id.clone(), self.time);
        self.guard.get_or_insert_with(|| incoming.message.identity());
        self.record(&mut live.run, ActivityRetryRequested { activity_id, attempt, request_id });
        self.effect(&mut live.run, Effect::SendTask { activity_id, attempt, at });
        Verdict::Absorbed
    }
}

impl ActivityState {
    /// The attempt that its attempts go on with: one that is held back is void, for its task may still be on its way.
    pub(super) fn attempt_once_unpaused(&self) -> u32 {
        if self.withheld { next(self) } else { self.attempt }
    }
}

fn next(state: &ActivityState) -> u32 {
    state.attempt.saturating_add(1)
}

fn not_open(activity_id: ActivityId) -> Verdict {
    Verdict::Rejected(format!("activity_id: the run has no open activity {activity_id}; see `show`"))
}
