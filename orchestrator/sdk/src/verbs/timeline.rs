//! A history as a person reads it: one line an event, times from the start.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use millrace_core::{ActivityId, Event, EventKind, Payload, TimerId, Timestamp};

use crate::client::Description;

/// The longest payload that is shown whole.
const MOST_SHOWN: usize = 100;

/// The run's header and timeline, ready to print.
pub(super) fn timeline(run: &Description, events: &[Event]) -> String {
    let mut text = format!("{}  {}  run {}  {}", run.workflow_id, run.workflow, run.run_id, run.status);
    if run.blocked.is_some() {
        text.push_str(", blocked");
    }
    if let Some(closed) = run.closed_at {
        let _ = write!(text, " in {}", span(closed - run.started_at));
    }
    let _ = writeln!(text, "\nstarted {}", run.started_at);
    let mut story = Story { begin: run.started_at, scheduled: BTreeMap::new(), timers: BTreeMap::new() };
    for event in events {
        let (what, how) = story.line(event);
        let line = format!("  {:>10}  {what:<28} {how}", format!("+{}", span(event.t - story.begin)));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for activity in &run.activities {
        let last = activity.last_failure.as_ref().map(|fault| format!("; last failure: {fault}"));
        let _ = writeln!(
            text,
            "  {:>10}  {:<28} attempt {} is open{}",
            "now",
            story.name(activity.activity_id),
            activity.attempt,
            last.unwrap_or_default()
        );
    }
    if let Some(state) = &run.state {
        let _ = writeln!(text, "  state {}", short(state));
    }
    if let Some(mark) = &run.blocked {
        let _ = writeln!(text, "  blocked since {}: {}", mark.since, mark.reason);
    }
    text
}

/// What earlier events tell about later ones.
struct Story {
    begin: Timestamp,
    scheduled: BTreeMap<ActivityId, (String, Timestamp)>,
    timers: BTreeMap<TimerId, Timestamp>,
}

impl Story {
    fn name(&self, id: ActivityId) -> String {
        self.scheduled.get(&id).map_or_else(|| format!("activity {id}"), |(name, _)| format!("{name} #{id}"))
    }

    fn took(&self, id: ActivityId, end: Timestamp) -> String {
        self.scheduled.get(&id).map(|(_, begin)| format!(" after {}", span(end - *begin))).unwrap_or_default()
    }

    fn line(&mut self, event: &Event) -> (String, String) {
        match &event.kind {
            EventKind::RunStarted(e) => ("started".into(), input(&e.input)),
            EventKind::RunCompleted(e) => ("completed".into(), short(&e.result)),
            EventKind::RunFailed(e) => ("failed".into(), e.fault.to_string()),
            EventKind::RunTimedOut(e) => ("timed out".into(), format!("its limit was {}", span(e.limit))),
            EventKind::RunCanceled(e) => ("canceled".into(), e.reason.clone()),
            EventKind::RunTerminated(e) => ("terminated".into(), e.reason.clone()),
            EventKind::RunBlocked(e) => ("blocked".into(), format!("{} (build {})", e.reason, e.build)),
            EventKind::SignalReceived(e) => (format!("signal `{}`", e.name), short(&e.input)),
            EventKind::CancelRequested(e) => ("cancel requested".into(), e.reason.clone()),
            EventKind::ResumeRequested(_) => ("resume requested".into(), String::new()),
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
            activity => self.activity(activity, event.t),
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
            EventKind::ActivityCancelRequested(e) => (self.name(e.activity_id), "cancel requested".into()),
            other => (other.describe(), String::new()),
        }
    }
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
