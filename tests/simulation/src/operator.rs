//! A workflow that people intervene in: an operator pauses it and its activities, retries at once, resets and forks it, while
//! two senders tell it things, each in an order of its own.

use futures::FutureExt;
use futures::future::BoxFuture;
use millrace::Workflow;
use millrace::prelude::*;
use millrace_core::{Event, EventKind, Status, WorkflowId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::workflows::{flaky, square};
use crate::{Cast, Outside};

/// The workflow that is operated, and what is forked from it once it has ended.
pub const DIARY: &str = "diary-1";
/// The fork.
pub const FORK: &str = "diary-1-fork";
/// Who writes in it.
pub const SENDERS: [&str; 2] = ["ann", "bob"];
/// How often each does.
pub const ENTRIES: u64 = 8;

/// Something that a sender tells.
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Entry {
    from: String,
    n: u64,
}

/// Hears all entries, calls activities that fail at first, sleeps, and says what each sender told, in order.
#[workflow(accepts(Entry))]
pub async fn diary(ctx: WorkflowContext) -> Result<Vec<Vec<u64>>, WorkflowError> {
    let heard = ctx
        .state(vec![Vec::new(), Vec::new()])
        .on_signal(|heard, Entry { from, n }| {
            let sender = usize::from(from != SENDERS[0]);
            heard[sender].push(n);
        })
        .published();
    let mut sum = ctx.random() % 2;
    for n in 0..4 {
        let (slow, name) = join!(ctx.activity(square, n), ctx.activity(flaky, ctx.uuid().to_string()));
        sum += slow? + name?.len() as u64;
        ctx.sleep(minutes(3)).await?;
    }
    heard.until(|heard| heard.iter().all(|of| of.len() as u64 == ENTRIES)).await?;
    ctx.activity(square, sum % 2).await?;
    Ok(heard.get())
}

fn diary_id() -> Option<WorkflowId> {
    DIARY.parse().ok()
}

/// Sends its entries, each after the one before; looks later which of them a run has not heard of, for one that came while
/// the run was being replaced is refused. `scattered`: how to mix the order of sending.
async fn tells(outside: Outside, who: &'static str) {
    let scattered = outside.entropy.bits();
    let Some(id) = diary_id() else { return };
    let key = |n: u64| format!("{who}-{n}");
    loop {
        let told: Vec<String> = match outside.client.history(&id, None).await {
            Ok((head, _)) if !head.header.status.is_open() && head.header.status.as_str() == "completed" => {
                return;
            }
            Ok((_, events)) => events.iter().filter_map(|event| request(&event.kind)).collect(),
            Err(_) => {
                outside.pause(5).await;
                continue;
            }
        };
        let mut missing: Vec<u64> = (1..=ENTRIES).filter(|n| !told.contains(&key(*n))).collect();
        missing.sort_by_key(|n| (scattered >> (n * 8)) & 0xFF);
        for n in missing {
            let mut signal = json!({"type": "signal", "id": DIARY, "name": "entry", "input": {"from": who, "n": n}, "request_id": key(n)});
            if n > 1 {
                signal["after"] = json!(key(n - 1));
            }
            outside.send(&signal).await;
            outside.pause(7).await;
        }
        outside.pause(300).await;
    }
}

fn request(kind: &EventKind) -> Option<String> {
    match kind {
        EventKind::SignalReceived(e) => Some(e.request_id.to_string()),
        _ => None,
    }
}

/// Intervenes, as the seed says, until the diary has ended; then resets it and forks it. Whatever it holds back, it lets go
/// on.
async fn operates(outside: Outside) {
    let Some(id) = diary_id() else { return };
    let mut resets = 0;
    for n in 0_u64.. {
        let bits = outside.entropy.bits();
        outside.pause(20 + (bits % 100) as u64).await;
        let Ok((head, _)) = outside.client.history(&id, None).await else { continue };
        let (run_id, last) = (head.header.run_id.to_string(), head.header.last);
        let choice = (bits >> 16) as u64;
        let event = 1 + choice / 8 % last;
        let request_id = format!("operator-{n}");
        let reset = json!({"type": "reset", "id": DIARY, "run_id": run_id, "event": event, "reason": "a wrong turn", "reapply": true, "request_id": request_id});
        if !head.header.status.is_open() {
            if head.header.status.as_str() == "terminated" {
                continue; // It is being reset.
            }
            // The last event is the run's end.
            let cut = 1 + choice % (last - 1);
            let fork = json!({"type": "fork", "id": FORK, "from": DIARY, "from_run_id": run_id, "event": cut, "reason": "what if", "reapply": true, "request_id": "fork"});
            outside.send(&fork).await;
            outside.send(&fork).await;
            if resets < 3 {
                outside.send(&json!({"event": cut, "type": "reset", "id": DIARY, "run_id": run_id, "request_id": request_id})).await;
            }
            return;
        }
        if head.header.blocked.is_some() {
            let resume =
                json!({"type": "resume", "id": DIARY, "run_id": run_id, "request_id": format!("resume-{n}")});
            outside.send(&resume).await;
        }
        let activities = &head.header.activities;
        let activity = activities.get((choice / 8) as usize % activities.len().max(1)).map(|a| a.activity_id);
        match (choice % 8, activity) {
            (0 | 1, _) => holds(&outside, (&run_id, None, n), bits).await,
            (2 | 3, Some(activity)) => holds(&outside, (&run_id, Some(activity), n), bits).await,
            (4..=6, Some(activity)) => {
                let retry = json!({"type": "retry", "id": DIARY, "run_id": run_id, "activity_id": activity, "request_id": request_id});
                outside.send(&retry).await;
            }
            _ if resets < 3 => {
                resets += 1;
                outside.send(&reset).await;
                outside.send(&reset).await;
            }
            _ => {}
        }
    }
}

/// Pauses, waits, and unpauses until that has come through.
async fn holds(outside: &Outside, (run_id, activity, n): (&str, Option<u64>, u64), bits: u128) {
    let Some(id) = diary_id() else { return };
    let message = |what: &str, key: &str| {
        let mut message = json!({"type": what, "id": DIARY, "request_id": format!("{what}-{n}-{key}")});
        if bits.is_multiple_of(5) {
            message["run_id"] = json!(run_id);
        }
        if let Some(activity) = activity {
            message["activity_id"] = json!(activity);
        }
        message
    };
    let mut pause = message("pause", "1");
    pause["reason"] = json!("let me see");
    outside.send(&pause).await;
    outside.pause(60 + (bits >> 64) as u64 % 400).await;
    // A pause that is on its way still holds back what was let go on before it came: it has come within minutes.
    for k in 0..40 {
        outside.send(&message("unpause", &k.to_string())).await;
        outside.pause(30).await;
        let Ok((head, events)) = outside.client.history(&id, None).await else { continue };
        let pause_id = format!("pause-{n}-1");
        let has_come =
            !head.header.status.is_open() || events.iter().any(|event| is_pause(&event.kind, &pause_id));
        let held = match activity {
            None => head.header.paused.is_some(),
            Some(activity) => head.header.activities.iter().any(|a| a.activity_id == activity && a.paused),
        };
        if (has_come || k > 20) && !held {
            return;
        }
    }
}

fn is_pause(kind: &EventKind, request_id: &str) -> bool {
    match kind {
        EventKind::RunPaused(e) => e.request_id.as_str() == request_id,
        EventKind::ActivityPaused(e) => e.request_id.as_str() == request_id,
        _ => false,
    }
}

/// Each sender's entries are absorbed in the order in which it sent them.
fn in_order(events: &[Event]) -> Option<String> {
    for who in SENDERS {
        let n_of = |event: &Event| request(&event.kind)?.strip_prefix(who)?.strip_prefix('-')?.parse().ok();
        let told: Vec<u64> = events.iter().filter_map(n_of).collect();
        if told.windows(2).any(|pair| pair[0] > pair[1]) {
            return Some(format!("{who}'s entries are out of order: {told:?}"));
        }
    }
    None
}

/// Those who write in the diary, and the one who intervenes.
fn outsiders(outside: Outside) -> Vec<BoxFuture<'static, ()>> {
    let tell = SENDERS.map(|who| tells(outside.clone(), who).boxed());
    [operates(outside).boxed()].into_iter().chain(tell).collect()
}

/// The world of the diary.
pub fn cast() -> Cast {
    let start = json!({"type": "start", "workflow": DiaryWorkflow::NAME, "id": DIARY, "input": null, "request_id": "start-diary"});
    Cast {
        ids: vec![DIARY.into(), FORK.into()],
        requests: vec![(0, start)],
        // The operator is refused what comes too late, and so are those who write while it resets.
        may_be_late: true,
        // Nobody terminates it but by a reset.
        replaced: |id, status| id == DIARY && status == Status::Terminated,
        outsiders,
        examine: in_order,
        ..Cast::default()
    }
}
