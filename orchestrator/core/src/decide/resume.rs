//! Running workflow code within a turn, and what becomes of a run whose code cannot go on (G8, G9).

#[allow(deprecated, reason = "see `Decider::secret`")]
use std::hash::SipHasher;
use std::hash::{Hash, Hasher};

use super::{Decider, Live, Verdict, children};
use crate::{
    ActivityId, Blocked, BlockedMark, CancelSent, Command, Effect, Event, EventKind, Incoming, Replay, Run,
    RunBlocked, RunId, SignalSent,
};

impl Decider<'_> {
    /// Brings the code up to the last event, those of this turn included, if it is not there: after a cold read, or
    /// after the run was blocked. Commands that the history does not have yet are recorded.
    pub(super) fn bring_up(&mut self, live: &mut Live) {
        let has_code = live.run.status.is_open() && live.run.begins_at().is_none();
        if live.replay.is_some() || !has_code || live.run.paused.is_some() {
            return;
        }
        if !self.runs_code {
            if let Some(reason) = self.held.clone() {
                self.block(&mut live.run, reason);
            }
            return;
        }
        let brought_up = self.turn.code.instantiate(&live.run.info).and_then(|code| {
            let mut replay = Replay::new(code);
            let (copied, new) = self.decision.events.split_at(self.copied);
            replay.follow(if copied.is_empty() { &live.history } else { copied })?;
            replay.go_on(new)?;
            replay.too_large().map_or(Ok(replay), Err)
        });
        match brought_up {
            Ok(replay) => {
                live.replay = Some(replay);
                if live.run.blocked.take().is_some() {
                    self.decision.header_changed = true;
                }
                self.commands(live);
            }
            Err(reason) => self.block(&mut live.run, reason),
        }
    }

    /// G9: a request that leaves no event tries a blocked run again, like any fact. One that the log has already does not:
    /// it would be the guard of what the code asks for, and it may be gone from its queue.
    pub(super) fn try_again(&mut self, live: &mut Live, incoming: &Incoming) {
        if live.run.blocked.is_some() && self.runs_code {
            self.guard.get_or_insert_with(|| incoming.message.identity());
            self.bring_up(live);
        }
    }

    /// Resumes the code with a fact that was just recorded (G8: after every single one).
    pub(super) fn resume(&mut self, live: &mut Live, event: &Event) {
        if !event.kind.resumes_code() {
            return;
        }
        let Some(replay) = &mut live.replay else { return };
        match replay.resume(event) {
            Ok(()) => self.commands(live),
            Err(reason) => {
                live.replay = None;
                self.block(&mut live.run, reason);
            }
        }
    }

    /// Records the commands that the code has issued, and the effects they ask for.
    pub(super) fn commands(&mut self, live: &mut Live) {
        if let Some(reason) = live.replay.as_ref().and_then(Replay::too_large) {
            live.replay = None;
            self.block(&mut live.run, reason);
            return;
        }
        while let Some(command) = live.replay.as_mut().and_then(Replay::next_command) {
            if command.ends_run() {
                if let Some(event) = command.into_event(self.time, self.next_run()) {
                    self.close(live, event);
                }
                return;
            }
            self.command(&mut live.run, command);
        }
        if let Some(replay) = &mut live.replay {
            self.decision.locals.extend(replay.take_locals());
        }
        let published = live.replay.as_ref().and_then(|replay| replay.published(live.run.published.as_ref()));
        if published != live.run.published {
            live.run.published = published;
            self.decision.header_changed = true;
        }
    }

    fn command(&mut self, run: &mut Run, command: Command) {
        self.time = self.turn.now.max(run.last_time);
        let abandoned = match &command {
            Command::CancelActivity(id, _) => {
                run.activities.get(id).filter(|state| state.scheduled.options.needs_lease()).map(|_| *id)
            }
            _ => None,
        };
        let Some(mut event) = command.into_event(self.time, self.next_run()) else { return };
        if let EventKind::ActivityScheduled(e) = &mut event {
            e.secret = e.options.completes_later.then(|| self.secret(e.activity_id));
        }
        let event = self.record(run, event);
        match event.kind {
            EventKind::ActivityScheduled(e) => {
                let at = self.time;
                self.effect(run, Effect::SendTask { activity_id: e.activity_id, attempt: 1, at });
            }
            EventKind::TimerStarted(e) => {
                self.effect(run, Effect::SendTimer { timer_id: e.timer_id, at: e.fire_at });
            }
            EventKind::ChildScheduled(e) => {
                self.effect(run, Effect::SendStart { child_id: e.child_id, at: self.time });
            }
            EventKind::ChildCancelRequested(e) => {
                let Some(child) = run.children.get(&e.child_id).cloned() else { return };
                let stop = children::stop(&child, e.how, e.reason, self.time);
                self.effect(run, stop);
            }
            EventKind::SignalSent(SignalSent { sent_id, .. })
            | EventKind::CancelSent(CancelSent { sent_id, .. }) => {
                self.effect(run, Effect::Send { sent_id, at: self.time });
            }
            _ => {}
        }
        if let Some(activity_id) = abandoned {
            let reason = "the workflow no longer waits for it".to_owned();
            self.effect(run, Effect::CancelActivity { activity_id, reason });
        }
    }

    /// The id of the run that follows, should this one continue as new; not the one that may just have begun.
    fn next_run(&self) -> RunId {
        RunId::from_random(self.turn.entropy.rotate_left(64))
    }

    /// 128 bits that only the log knows. SipHash is a pseudorandom function of its key, so one secret tells nothing of the
    /// others of its turn; and nothing else is made of the key.
    #[allow(deprecated, reason = "std's only SipHash that takes a key; a map's hasher is not asked for here")]
    pub(super) fn secret(&self, activity_id: ActivityId) -> String {
        let (high, low) = ((self.turn.secret >> 64) as u64, self.turn.secret as u64);
        let half = |n: u8| {
            let mut hasher = SipHasher::new_with_keys(high, low);
            (activity_id, n).hash(&mut hasher);
            hasher.finish()
        };
        format!("{:016x}{:016x}", half(0), half(1))
    }

    /// Ends the run: running attempts, children and the parent are told, and the index follows.
    pub(super) fn close(&mut self, live: &mut Live, kind: impl Into<EventKind>) -> Verdict {
        let leased = |state: &crate::ActivityState| state.scheduled.options.needs_lease();
        let running: Vec<_> =
            live.run.activities.iter().filter(|(_, state)| leased(state)).map(|(id, _)| *id).collect();
        let known = live.run.published.as_ref();
        if let Some(published) = live.replay.as_ref().and_then(|replay| replay.published(known)) {
            live.run.published = Some(published);
        }
        let children = live.run.children.clone();
        self.record(&mut live.run, kind);
        live.run.closed_under = live.run.continued.as_ref().and(self.guard.clone());
        live.replay = None;
        for child in children.values() {
            let reason = format!("the parent is {}", live.run.status);
            if let Some(how) = child.options.parent_close.stop() {
                self.effect(&mut live.run, children::stop(child, how, reason, self.time));
            }
        }
        if live.run.parent().is_some() && live.run.outcome.is_some() {
            self.effect(&mut live.run, Effect::ReportToParent);
        }
        for activity_id in running {
            let reason = format!("the run is {}", live.run.status);
            self.effect(&mut live.run, Effect::CancelActivity { activity_id, reason });
        }
        self.effect(&mut live.run, Effect::IndexClosed);
        Verdict::Absorbed
    }

    /// Marks the run as blocked; the log says so once for each reason and build.
    pub(super) fn block(&mut self, run: &mut Run, reason: Blocked) {
        self.runs_code = false;
        let build = self.turn.build.to_owned();
        let known = |mark: &&mut BlockedMark| mark.reason.is_same(&reason) && mark.build == build;
        if let Some(mark) = run.blocked.as_mut().filter(known) {
            self.decision.header_changed |= mark.reason != reason;
            mark.reason = reason;
            return;
        }
        self.record(run, RunBlocked { reason: reason.clone(), build: build.clone() });
        // Builds that take it in turns do not begin to be patient anew.
        let since = run.blocked.as_ref().map_or(self.time, |mark| mark.since);
        run.blocked = Some(BlockedMark { reason, build, since });
        self.decision.header_changed = true;
    }
}
