//! Decisions as the lines of a table.

use millrace_core::{Blocked, Decision, Effect, EventKind, Identity, PendingEffect, Timestamp, Verdict};

use super::T0;

/// A decision as the lines of a table.
pub fn show(decision: &Decision) -> Vec<String> {
    let events = decision.events.iter().map(|event| show_event(&event.kind));
    let effects = decision.effects.iter().map(show_effect);
    let verdicts = decision.verdicts.iter().map(|verdict| format!("= {}", show_verdict(verdict)));
    events.chain(effects).chain(verdicts).collect()
}

/// Whether the event closes its run.
pub fn ends_run(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::RunCompleted(_)
            | EventKind::RunFailed(_)
            | EventKind::RunTimedOut(_)
            | EventKind::RunCanceled(_)
            | EventKind::RunTerminated(_)
            | EventKind::RunContinuedAsNew(_)
    )
}

fn seconds(time: Timestamp) -> String {
    let seconds = (time.as_millis() - T0) as f64 / 1000.0;
    format!("{seconds:.1}s")
}

/// One event as a line of a table.
pub fn show_event(kind: &EventKind) -> String {
    let name = kind.name();
    match kind {
        EventKind::ActivityScheduled(e) => format!("{name} {} {}", e.activity_id, e.activity),
        EventKind::ActivityAttemptFailed(e) => {
            format!("{name} {} #{}, #{} at {}", e.activity_id, e.attempt, e.next_attempt, seconds(e.retry_at))
        }
        EventKind::ActivityCompleted(e) => format!("{name} {} #{} {}", e.activity_id, e.attempt, e.result),
        EventKind::ActivityFailed(e) => format!("{name} {}: {}", e.activity_id, e.failure),
        EventKind::ActivityCancelRequested(e) => {
            format!("{name} {}{}", e.activity_id, if e.waits { " waits" } else { "" })
        }
        EventKind::TimerStarted(e) => format!("{name} {} until {}", e.timer_id, seconds(e.fire_at)),
        EventKind::TimerFired(e) => format!("{name} {}", e.timer_id),
        EventKind::TimerCanceled(e) => format!("{name} {}", e.timer_id),
        EventKind::SignalReceived(e) => format!("{name} {} {}", e.name, e.input),
        EventKind::CancelRequested(e) => format!("{name} {}", e.reason),
        EventKind::RunCompleted(e) => format!("{name} {}", e.result),
        EventKind::RunFailed(e) => format!("{name} {}", e.fault),
        EventKind::RunCanceled(e) => format!("{name} {}", e.reason),
        EventKind::RunTerminated(e) => format!("{name} {}", e.reason),
        EventKind::RunTimedOut(e) => format!("{name} {:?}", e.limit),
        EventKind::RunBlocked(e) => match &e.reason {
            Blocked::Suspect { message } => format!("{name} suspect {message}"),
            Blocked::Panic { message, .. } => format!("{name} panic {message}"),
            Blocked::Runaway { until, .. } => format!("{name} runaway until {}", seconds(*until)),
            Blocked::Nondeterminism { event, expected, got } => {
                format!("{name} at event {event} expected {expected} got {got}")
            }
            other => format!("{name} {other}"),
        },
        EventKind::RunContinuedAsNew(e) => format!("{name} {}", e.input),
        EventKind::ChildScheduled(e) => format!("{name} {} {}", e.child_id, e.workflow_id),
        EventKind::ChildCompleted(e) => format!("{name} {} {}", e.child_id, e.result),
        EventKind::ChildFailed(e) => format!("{name} {}: {}", e.child_id, e.failure),
        EventKind::ChildCancelRequested(e) => format!("{name} {} {}", e.child_id, e.reason),
        EventKind::SignalSent(e) => format!("{name} {} {} to {}", e.sent_id, e.name, e.workflow_id),
        EventKind::CancelSent(e) => format!("{name} {} to {}", e.sent_id, e.workflow_id),
        EventKind::UpdateReceived(e) => format!("{name} {} {}", e.name, e.request_id),
        EventKind::UpdateCompleted(e) => format!("{name} {} {}", e.request_id, e.result),
        EventKind::UpdateRejected(e) => format!("{name} {} {}", e.request_id, e.reason),
        EventKind::Patched(e) => format!("{name} {}", e.patch),
        EventKind::LocalActivityCompleted(e) => format!("{name} {} {}", e.activity_id, e.result),
        EventKind::LocalActivityFailed(e) => format!("{name} {}: {}", e.activity_id, e.failure),
        EventKind::RunPaused(e) => format!("{name} {}", e.reason),
        EventKind::ActivityPaused(e) => format!("{name} {}", e.activity_id),
        EventKind::ActivityUnpaused(e) => format!("{name} {} #{}", e.activity_id, e.attempt),
        EventKind::ActivityRetryRequested(e) => format!("{name} {} #{}", e.activity_id, e.attempt),
        EventKind::RunStarted(_) | EventKind::ResumeRequested(_) | EventKind::RunUnpaused(_) => {
            name.to_owned()
        }
    }
}

/// One effect as a line of a table.
pub fn show_effect(pending: &PendingEffect) -> String {
    let what = match &pending.effect {
        Effect::SendTask { activity_id, attempt, at } => {
            format!("task {activity_id}#{attempt} at {}", seconds(*at))
        }
        Effect::SendTimer { timer_id, at } => format!("timer {timer_id} at {}", seconds(*at)),
        Effect::SendWake { wake, at } => format!("wake {wake} at {}", seconds(*at)),
        Effect::CancelActivity { activity_id, reason } => format!("cancel {activity_id}: {reason}"),
        Effect::SendStart { child_id, .. } => format!("start child {child_id}"),
        Effect::StopChild { child_id, workflow_id, how, reason, .. } => {
            format!("{} child {child_id} {workflow_id}: {reason}", format!("{how:?}").to_lowercase())
        }
        Effect::ReportToParent => "report to parent".into(),
        Effect::Send { sent_id, .. } => format!("send {sent_id}"),
        Effect::IndexOpen => "index open".into(),
        Effect::IndexClosed => "index closed".into(),
    };
    match &pending.guard {
        // Which run is long, and mostly plain from the table.
        Identity::Earlier(_, identity) => format!("→ {what} [e:{identity}]"),
        guard => format!("→ {what} [{guard}]"),
    }
}

fn show_verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Early(due) => format!("Early {}", seconds(*due)),
        Verdict::Elsewhere(_) => "Elsewhere".into(),
        Verdict::Rejected(reason) => format!("Rejected {}", reason.split(':').next().unwrap_or(reason)),
        other => format!("{other:?}"),
    }
}
