//! What must hold of every history, whatever went wrong while it was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_core::{Effect, Event, EventKind, Payload, PendingEffect, Replay, RequestId, RunId, WorkflowId};
use millrace_engine::ports::Clock;
use millrace_engine::{Client, ListFilter};
use millrace_format::Head;
use serde_json::Value;

use crate::Cast;
use crate::workflows::Probe;

/// The result with which a history ends; the reason, if it has none.
pub fn result_of(events: &[Event]) -> Payload {
    match events.last().map(|event| &event.kind) {
        Some(EventKind::RunCompleted(e)) => e.result.clone(),
        Some(other) => Payload::of(&other.describe()).unwrap_or_default(),
        None => Payload::null(),
    }
}

/// Everything that is wrong with the histories of all runs there are.
pub async fn histories(
    client: &Client,
    cast: &Cast,
    clock: Arc<dyn Clock>,
    probe: Arc<Probe>,
) -> Vec<String> {
    let listed = match client.list(&ListFilter { limit: usize::MAX, ..ListFilter::default() }).await {
        Ok(listed) => listed,
        Err(error) => return vec![format!("the runs cannot be listed: {error}")],
    };
    let mut violations = Vec::new();
    let mut lost = requests(cast);
    let mut heard_by: BTreeMap<(WorkflowId, RequestId), RunId> = BTreeMap::new();
    for id in &cast.ids {
        if !listed.iter().any(|run| run.entry.workflow_id.as_str() == id) {
            violations.push(format!("{id}: is not listed"));
        }
    }
    for entry in listed.iter().map(|run| &run.entry) {
        let (id, run_id) = (&entry.workflow_id, entry.run_id);
        match client.history(id, Some(run_id)).await {
            Ok((head, events)) => {
                let code = (cast.app)(clock.clone(), probe.clone()).workflow_code();
                let mut found = history(&head, &events, &*code);
                let run = head.header.restore(&events);
                lost.retain(|(of, request_id)| {
                    of != id
                        || (run.absorbed_request(request_id).is_none() && run.rejection(request_id).is_none())
                });
                // G2: what is sent again begins no other run, and is not told to one.
                for request_id in heard(&events) {
                    let first = *heard_by.entry((id.clone(), request_id.clone())).or_insert(run_id);
                    if first != run_id {
                        found.push(format!("G2: request {request_id} is in runs {first} and {run_id}"));
                    }
                }
                if has_begun(&events) {
                    found.extend((cast.examine)(&events));
                }
                violations.extend(found.into_iter().map(|violation| format!("{id}: {violation}")));
            }
            Err(error) => violations.push(format!("{id}: run {run_id}: {error}")),
        }
    }
    // G10: what was accepted is in the log, or has been refused.
    let lost = lost.into_iter().filter(|_| !cast.may_be_late);
    violations.extend(lost.map(|(id, request_id)| format!("G10: {id}: request {request_id} is lost")));
    violations
}

/// What clients have asked for, of whom.
fn requests(cast: &Cast) -> Vec<(WorkflowId, RequestId)> {
    let request = |(_, request): &(u64, Value)| {
        Some((request["id"].as_str()?.parse().ok()?, RequestId::new(request["request_id"].as_str()?).ok()?))
    };
    cast.requests.iter().filter_map(request).collect()
}

/// What clients and others have asked for in this run. What it takes over from another, that one has heard as well.
fn heard(events: &[Event]) -> impl Iterator<Item = &RequestId> {
    let is_copy = |event: &Event| matches!(&event.kind, EventKind::RunStarted(e) if e.forked_from.is_some());
    let own = if events.first().is_some_and(is_copy) { &[] } else { events };
    own.iter().filter_map(|event| match &event.kind {
        EventKind::RunStarted(e) if e.continued_from.is_none() => Some(&e.request_id),
        EventKind::SignalReceived(e) => Some(&e.request_id),
        EventKind::UpdateReceived(e) => Some(&e.request_id),
        EventKind::CancelRequested(e) => Some(&e.request_id),
        _ => None,
    })
}

fn history(head: &Head, events: &[Event], code: &dyn millrace_core::WorkflowCode) -> Vec<String> {
    let mut violations = Vec::new();
    let run = head.header.restore(events);
    // G9: every run has come to its end, and none is left blocked or open.
    if head.header.status.is_open() {
        let blocked = head.header.blocked.as_ref().map(|mark| mark.reason.to_string());
        violations.push(format!("G9: it is still open; blocked: {blocked:?}"));
    }
    // G2: nothing is absorbed twice.
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for event in events {
        if let Some(what) = absorbed(&event.kind) {
            *ends.entry(what).or_default() += 1;
        }
    }
    violations
        .extend(ends.into_iter().filter(|(_, n)| *n > 1).map(|(what, n)| format!("G2: {what} {n} times")));
    // G8: time never goes back, and the code asks again for what is recorded.
    if events.windows(2).any(|pair| pair[0].t > pair[1].t) {
        violations.push("G8: time goes back".into());
    }
    match code.instantiate(&run.info) {
        Ok(_) if !has_begun(events) => {}
        Ok(code) => {
            violations.extend(Replay::new(code).follow(events).err().map(|reason| format!("G8: {reason}")))
        }
        Err(reason) => violations.push(format!("no code: {reason}")),
    }
    // G4: nothing is left to do but what outlives the run, the starts of children that do among it.
    let outlives = |pending: &&PendingEffect| match &pending.effect {
        Effect::SendStart { child_id, .. } => run.children.contains_key(child_id),
        effect => effect.outlives_run(),
    };
    let left = run.effects.values().filter(|pending| !outlives(pending));
    violations.extend(left.map(|pending| format!("G4: {:?} is left", pending.effect)));
    violations
}

/// A child that was to stop before it was started has a history, but its code has seen nothing of it.
fn has_begun(events: &[Event]) -> bool {
    !match events.last().map(|event| &event.kind) {
        Some(EventKind::RunCanceled(e)) => e.before_start,
        Some(EventKind::RunTerminated(_)) => events.len() == 2,
        _ => false,
    }
}

fn absorbed(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::RunStarted(_) => "start".into(),
        EventKind::ActivityCompleted(e) => format!("the outcome of activity {}", e.activity_id),
        EventKind::ActivityFailed(e) => format!("the outcome of activity {}", e.activity_id),
        EventKind::ActivityAttemptFailed(e) => format!("attempt {} of activity {}", e.attempt, e.activity_id),
        EventKind::TimerFired(e) => format!("timer {}", e.timer_id),
        EventKind::ChildCompleted(e) => format!("the outcome of child {}", e.child_id),
        EventKind::ChildFailed(e) => format!("the outcome of child {}", e.child_id),
        EventKind::UpdateReceived(e) => format!("update {}", e.request_id),
        EventKind::UpdateCompleted(e) => format!("the answer to update {}", e.request_id),
        EventKind::SignalReceived(e) => format!("signal {}", e.request_id),
        EventKind::CancelRequested(e) => format!("cancel {}", e.request_id),
        _ => return None,
    })
}
