//! A history as a person reads it: one line an event, times from the start.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use millrace_core::{
    ActivityId, ChildId, Event, EventKind, Payload, RequestId, RunStarted, StopChild, TimerId, TimerStarted,
    Timestamp,
};

use super::one_line;
use crate::client::Description;

/// The longest payload that is shown whole.
const MOST_SHOWN: usize = 100;

/// The run's header and timeline, ready to print.
pub(super) fn timeline(run: &Description, events: &[Event]) -> String {
    let mut text = format!("{}  {}  run {}  {}", run.workflow_id, run.workflow, run.run_id, run.status);
    if run.paused.is_some() {
        text.push_str(", paused");
    }
    if run.blocked.is_some() {
        text.push_str(", blocked");
    }
    if let Some(closed) = run.closed_at {
        let _ = write!(text, " in {}", span(closed - run.started_at));
    }
    let _ = writeln!(text, "\nstarted {}", run.started_at);
    let mut story = Story { begin: run.started_at, ..Story::default() };
    for event in events {
        let (what, how) = story.line(event);
        let line = format!("  {:>10}  {what:<28} {how}", format!("+{}", span(event.t - story.begin)));
        let _ = writeln!(text, "{}", one_line(line.trim_end()));
    }
    for activity in &run.activities {
        let last = activity.last_failure.as_ref().map(|fault| format!("; last failure: {fault}"));
        let last = last.unwrap_or_default();
        let _ = writeln!(
            text,
            "  {:>10}  {:<28} attempt {} is {}{}",
            "now",
            story.name(activity.activity_id),
            activity.attempt,
            if activity.paused { "paused" } else { "open" },
            one_line(&last)
        );
    }
    for child in &run.children {
        let how = format!("`{}` is open", child.workflow_id);
        let _ = writeln!(text, "  {:>10}  {:<28} {how}", "now", story.child_name(child.child_id));
    }
    if let Some(state) = &run.state {
        let _ = writeln!(text, "  state {}", short(state));
    }
    if let Some(mark) = &run.paused {
        let _ = writeln!(text, "  paused since {}: {}", mark.since, one_line(&mark.reason));
    }
    if let Some(mark) = &run.blocked {
        let _ = writeln!(text, "  blocked since {}: {}", mark.since, one_line(&mark.reason.to_string()));
    }
    text
}

/// What earlier events tell about later ones.
#[derive(Default)]
struct Story {
    begin: Timestamp,
    scheduled: BTreeMap<ActivityId, (String, Timestamp)>,
    timers: BTreeMap<TimerId, Timestamp>,
    children: BTreeMap<ChildId, (String, Timestamp)>,
    updates: BTreeMap<RequestId, (String, Timestamp)>,
}

impl Story {
    fn name(&self, id: ActivityId) -> String {
        self.scheduled.get(&id).map_or_else(|| format!("activity {id}"), |(name, _)| format!("{name} #{id}"))
    }

    fn took(&self, id: ActivityId, end: Timestamp) -> String {
        after(self.scheduled.get(&id), end)
    }

    fn child_name(&self, id: ChildId) -> String {
        self.children
            .get(&id)
            .map_or_else(|| format!("child {id}"), |(name, _)| format!("child {name} #{id}"))
    }

    fn update_name(&self, id: &RequestId) -> String {
        self.updates.get(id).map_or_else(|| format!("update {id}"), |(name, _)| format!("update `{name}`"))
    }

    fn line(&mut self, event: &Event) -> (String, String) {
        match &event.kind {
            EventKind::RunStarted(e) => {
                let unread = e.unread.updates.iter();
                self.updates.extend(unread.map(|u| (u.request_id.clone(), (u.name.clone(), event.t))));
                ("started".into(), started(e))
            }
            EventKind::RunCompleted(e) => ("completed".into(), short(&e.result)),
            EventKind::RunFailed(e) => ("failed".into(), e.fault.to_string()),
            EventKind::RunTimedOut(e) => ("timed out".into(), format!("its limit was {}", span(e.limit))),
            EventKind::RunCanceled(e) => ("canceled".into(), e.reason.clone()),
            EventKind::RunTerminated(e) => ("terminated".into(), e.reason.clone()),
            EventKind::RunContinuedAsNew(e) => {
                let how = format!("{} in run {}, {}", e.workflow, e.new_run_id, input(&e.input));
                ("continued as new".into(), how)
            }
            EventKind::RunBlocked(e) => ("blocked".into(), format!("{} (build {})", e.reason, e.build)),
            EventKind::SignalReceived(e) => (format!("signal `{}`", e.name), short(&e.input)),
            EventKind::CancelRequested(e) => ("cancel requested".into(), e.reason.clone()),
            EventKind::ResumeRequested(_) => ("resume requested".into(), String::new()),
            EventKind::RunPaused(e) => ("paused".into(), e.reason.clone()),
            EventKind::RunUnpaused(_) => ("unpaused".into(), String::new()),
            EventKind::SignalSent(e) => {
                (format!("signal `{}`", e.name), format!("sent to `{}`, {}", e.workflow_id, input(&e.input)))
            }
            EventKind::CancelSent(e) => {
                ("cancel request".into(), format!("sent to `{}`: {}", e.workflow_id, e.reason))
            }
            EventKind::Patched(e) => (format!("patch `{}`", e.patch), "taken".into()),
            EventKind::TimerStarted(e) if e.timer_id == TimerStarted::BEGIN => {
                ("start delay".into(), format!("begins in {}", span(e.fire_at - event.t)))
            }
            EventKind::TimerFired(e) if e.timer_id == TimerStarted::BEGIN => {
                ("start delay".into(), "over".into())
            }
            EventKind::TimerStarted(e) => {
                self.timers.insert(e.timer_id, event.t);
                (format!("timer #{}", e.timer_id), format!("started, due in {}", span(e.fire_at - event.t)))
            }
            EventKind::TimerFired(e) => {
                let waited =
                    self.timers.get(&e.timer_id).map(|begin| format!(" after {}", span(event.t - *begin)));
                (format!("timer #{}", e.timer_id), format!("fired{}", waited.unwrap_or_default()))
            }
            EventKind::TimerCanceled(e) => (format!("timer #{}", e.timer_id), "canceled".into()),
            activity @ (EventKind::ActivityScheduled(_)
            | EventKind::ActivityAttemptFailed(_)
            | EventKind::ActivityCompleted(_)
            | EventKind::ActivityFailed(_)
            | EventKind::ActivityCancelRequested(_)
            | EventKind::ActivityPaused(_)
            | EventKind::ActivityUnpaused(_)
            | EventKind::ActivityRetryRequested(_)
            | EventKind::LocalActivityCompleted(_)
            | EventKind::LocalActivityFailed(_)) => self.activity(activity, event.t),
            other => self.child_or_update(other, event.t),
        }
    }

    fn child_or_update(&mut self, kind: &EventKind, t: Timestamp) -> (String, String) {
        match kind {
            EventKind::ChildScheduled(e) => {
                self.children.insert(e.child_id, (e.workflow.to_string(), t));
                (self.child_name(e.child_id), format!("started as `{}`, {}", e.workflow_id, input(&e.input)))
            }
            EventKind::ChildCompleted(e) => {
                let took = after(self.children.get(&e.child_id), t);
                (self.child_name(e.child_id), format!("completed{took}: {}", short(&e.result)))
            }
            EventKind::ChildFailed(e) => {
                let took = after(self.children.get(&e.child_id), t);
                (self.child_name(e.child_id), format!("failed{took}: {}", e.failure.fault))
            }
            EventKind::ChildCancelRequested(e) => {
                let reason = if e.reason.is_empty() { String::new() } else { format!(": {}", e.reason) };
                let what = if e.how == StopChild::Cancel { "cancel" } else { "terminate" };
                (self.child_name(e.child_id), format!("{what} requested{reason}"))
            }
            EventKind::UpdateReceived(e) => {
                self.updates.insert(e.request_id.clone(), (e.name.clone(), t));
                (self.update_name(&e.request_id), input(&e.input))
            }
            EventKind::UpdateCompleted(e) => {
                let took = after(self.updates.get(&e.request_id), t);
                (self.update_name(&e.request_id), format!("answered{took}: {}", short(&e.result)))
            }
            EventKind::UpdateRejected(e) => {
                let took = after(self.updates.get(&e.request_id), t);
                (self.update_name(&e.request_id), format!("refused{took}: {}", e.reason))
            }
            other => (other.describe(), String::new()),
        }
    }

    fn activity(&mut self, kind: &EventKind, t: Timestamp) -> (String, String) {
        match kind {
            EventKind::ActivityScheduled(e) => {
                self.scheduled.insert(e.activity_id, (e.activity.clone(), t));
                let how = format!("scheduled on `{}`, {}", e.task_queue, input(&e.input));
                (self.name(e.activity_id), how)
            }
            EventKind::ActivityAttemptFailed(e) => {
                let wait = span(e.retry_at - t);
                let (failed, next) = (e.attempt, e.next_attempt);
                let how = format!("attempt {failed} failed, attempt {next} in {wait}: {}", e.fault);
                (self.name(e.activity_id), how)
            }
            EventKind::ActivityCompleted(e) => {
                let took = self.took(e.activity_id, t);
                let how = format!("completed{took} (attempt {}): {}", e.attempt, short(&e.result));
                (self.name(e.activity_id), how)
            }
            EventKind::ActivityFailed(e) => {
                let took = self.took(e.activity_id, t);
                let how = format!("failed{took} (attempts: {}): {}", e.failure.attempts, e.failure.fault);
                (self.name(e.activity_id), how)
            }
            EventKind::LocalActivityCompleted(e) => {
                let how = format!("completed here (attempts: {}): {}", e.attempts, short(&e.result));
                (format!("{} #{}", e.activity, e.activity_id), how)
            }
            EventKind::LocalActivityFailed(e) => {
                let how = format!("failed here (attempts: {}): {}", e.failure.attempts, e.failure.fault);
                (format!("{} #{}", e.failure.activity, e.activity_id), how)
            }
            EventKind::ActivityCancelRequested(e) => {
                let how = if e.waits { "cancel requested, waits for its end" } else { "cancel requested" };
                (self.name(e.activity_id), how.into())
            }
            EventKind::ActivityPaused(e) => {
                let reason = if e.reason.is_empty() { String::new() } else { format!(": {}", e.reason) };
                (self.name(e.activity_id), format!("paused{reason}"))
            }
            EventKind::ActivityUnpaused(e) => {
                (self.name(e.activity_id), format!("unpaused, goes on with attempt {}", e.attempt))
            }
            EventKind::ActivityRetryRequested(e) => {
                (self.name(e.activity_id), format!("retried at once, attempt {}", e.attempt))
            }
            other => (other.describe(), String::new()),
        }
    }
}

/// What a run begins with, and where it comes from.
fn started(e: &RunStarted) -> String {
    let mut how = input(&e.input);
    if let Some(run) = e.continued_from {
        let _ = write!(how, ", continues run {run}");
    }
    if let Some(from) = &e.forked_from {
        let reason = if from.reason.is_empty() { String::new() } else { format!(" ({})", from.reason) };
        let (id, run, event) = (&from.workflow_id, from.run_id, from.event);
        let _ = write!(how, ", begins with the first {event} events of `{id}`, run {run}{reason}");
    }
    if let Some(version) = &e.version {
        let _ = write!(how, ", version {version}");
    }
    if let Some(parent) = &e.parent {
        let _ = write!(how, ", child of `{}`", parent.workflow_id);
    }
    for (what, value) in [("memo", &e.memo), ("attributes", &e.attributes)] {
        if let Some(value) = value {
            let _ = write!(how, ", {what} {}", short(value));
        }
    }
    let (signals, updates) = (e.unread.signals.len(), e.unread.updates.len());
    if signals + updates > 0 {
        let _ = write!(how, ", unread: {signals} signals, {updates} updates");
    }
    how
}

/// How long something took that began there.
fn after(begun: Option<&(String, Timestamp)>, end: Timestamp) -> String {
    begun.map(|(_, begin)| format!(" after {}", span(end - *begin))).unwrap_or_default()
}

fn input(payload: &Payload) -> String {
    if payload.is_null() { "no input".into() } else { format!("input {}", short(payload)) }
}

/// A payload, cut where it gets long, with its true size.
fn short(payload: &Payload) -> String {
    let text = payload.as_str();
    if text.chars().count() <= MOST_SHOWN {
        return text.to_owned();
    }
    let begin: String = text.chars().take(MOST_SHOWN).collect();
    format!("{begin}… ({} bytes)", text.len())
}

/// A duration in the unit that fits.
pub(super) fn span(duration: Duration) -> String {
    let (ms, s) = (duration.as_millis(), duration.as_secs());
    match s {
        0 => format!("{ms} ms"),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3_600 => format!("{} min {} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}
