//! What must hold of every history, whatever went wrong while it was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_core::{Effect, Event, EventKind, Payload, PendingEffect, Replay};
use millrace_engine::Client;
use millrace_engine::ports::Clock;
use millrace_format::Head;

use crate::workflows::{Probe, app};

/// The result with which a history ends; the reason, if it has none.
pub fn result_of(events: &[Event]) -> Payload {
    match events.last().map(|event| &event.kind) {
        Some(EventKind::RunCompleted(e)) => e.result.clone(),
        Some(other) => Payload::of(&other.describe()).unwrap_or_default(),
        None => Payload::null(),
    }
}

/// Everything that is wrong with the histories of these workflows.
pub async fn histories(
    client: &Client,
    ids: &[&str],
    clock: Arc<dyn Clock>,
    probe: Arc<Probe>,
) -> Vec<String> {
    let mut violations = Vec::new();
    for id in ids {
        let Ok(id) = id.parse() else { continue };
        match client.history(&id, None).await {
            Ok((head, events)) => {
                let code = app(clock.clone(), probe.clone()).workflow_code();
                let found = history(&head, &events, &*code);
                violations.extend(found.into_iter().map(|violation| format!("{id}: {violation}")));
            }
            Err(error) => violations.push(format!("{id}: {error}")),
        }
    }
    violations
}

fn history(head: &Head, events: &[Event], code: &dyn millrace_core::WorkflowCode) -> Vec<String> {
    let mut violations = Vec::new();
    let run = head.header.restore(events);
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
