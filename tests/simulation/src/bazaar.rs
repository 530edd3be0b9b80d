//! What the other casts leave out: compression and encryption, interceptors, headers, activities that somebody else completes or that run at most once,
//! limits, code in versions, activities without a workflow, schedules, starts that are delayed or tell something, batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use futures::future::try_join_all;
use millrace::client::{Client, Payload};
use millrace::codec::{AesGcm, Codec as _, CodecError, Key, Zstd};
use millrace::intercept::{Attempt, Interceptor, Next};
use millrace::prelude::*;
use millrace::{App, Workflow};
use millrace_core::{Event, EventKind};
use millrace_engine::ports::{Clock, Entropy};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::backend::Simulated;
use crate::crowd::{self, listener};
use crate::family::{GreetWorkflow, greet};
use crate::workflows::{Note, Probe, Time, square};
use crate::{Cast, Outside};

/// What is only ever encrypted.
const SECRET: &str = "open sesame";
/// How often the schedule starts something.
const ACTIONS: usize = 3;

/// What [`bazaar`] returns: the same whatever goes wrong underneath.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each field is one feature's result")]
pub struct Bazaar {
    pub traces: Vec<String>,
    pub secret: String,
    pub long: usize,
    pub completed: u64,
    pub refused: bool,
    pub narrow: Vec<u64>,
}

/// Uses what the other casts leave out.
#[workflow]
pub async fn bazaar(ctx: WorkflowContext) -> Result<Bazaar, WorkflowError> {
    let own = ctx.headers().get("trace").cloned().unwrap_or_default();
    let (of_activity, of_child) = (ctx.activity(carried, ()).await?, ctx.child(carrier, ()).await?);
    let secret = ctx.activity(whispers, SECRET.to_owned()).await?;
    let long = ctx.activity(recites, 5_000).await?.len();
    let (completed, refused) = join!(ctx.activity(asks_somebody, 7), ctx.activity(asks_somebody, 8));
    let narrow = try_join_all((1..=6).map(|n| ctx.activity(squeezes, n))).await?;
    let refused = refused.is_err_and(|failure| failure.is("Refused"));
    // Whether it ended well is for the faults to say; that nobody begins it twice is not.
    let _ = join!(ctx.activity(happens_once, false), ctx.activity(happens_once, true));
    let traces = vec![own, of_activity, of_child];
    Ok(Bazaar { traces, secret, long, completed: completed?, refused, narrow })
}

/// Says what it was handed on.
#[workflow]
pub async fn carrier(ctx: WorkflowContext) -> Result<String, WorkflowError> {
    Ok(ctx.activity(carried, ()).await?)
}

#[activity]
async fn carried(ctx: ActivityContext) -> Result<String, ActivityError> {
    Ok(ctx.headers().get("trace").cloned().unwrap_or_default())
}

#[activity]
async fn whispers(secret: String) -> Result<String, ActivityError> {
    Ok(secret)
}

#[activity(task_queue = "gpu")]
async fn recites(words: usize) -> Result<String, ActivityError> {
    Ok("once more ".repeat(words))
}

/// Somebody outside has the answer: an even number is refused.
#[activity(completes_later, max_attempts = 0)]
async fn asks_somebody(
    ctx: ActivityContext,
    probe: Shared<Arc<Probe>>,
    n: u64,
) -> Result<u64, ActivityError> {
    if let Some(token) = ctx.token() {
        probe.asks(token, n);
    }
    Err(ActivityError::CompletesLater)
}

/// Not even if it fails, or its worker is killed in the middle.
#[activity(exclusive, max_attempts = 1, start_to_close = "5m")]
async fn happens_once(
    ctx: ActivityContext,
    probe: Shared<Arc<Probe>>,
    time: Shared<Time>,
    fails: bool,
) -> Result<(), ActivityError> {
    let whose = ctx.task().map(|task| format!("{}-{}", task.run_id, task.activity_id));
    probe.begins_once(&whose.unwrap_or_default());
    time.pass(secs(20)).await;
    if fails { Err("the line is dead".into()) } else { Ok(()) }
}

/// Signs what is carried, on its way out.
struct Signs;

#[millrace::async_trait]
impl Interceptor for Signs {
    async fn activity(&self, attempt: Attempt, next: Next<'_>) -> Result<Payload, ActivityError> {
        let signs = attempt.name() == "carried";
        let result = next.run(attempt).await?;
        match signs {
            true => Ok(Payload::of(&format!("{}, signed", result.read::<String>()?))?),
            false => Ok(result),
        }
    }
}

/// One at a time in each process.
#[activity(max_concurrent = 1, start_to_close = "5m")]
async fn squeezes(probe: Shared<Arc<Probe>>, time: Shared<Time>, n: u64) -> Result<u64, ActivityError> {
    let _alone = probe.squeezes();
    time.pass(secs(20)).await;
    Ok(n)
}

/// As it was at first.
#[workflow(name = "Aging", version = "1", accepts(Note))]
pub async fn aging_v1(ctx: WorkflowContext) -> Result<u64, WorkflowError> {
    ctx.sleep(minutes(30)).await?;
    let n = ctx.signals::<Note>().recv().await?.n;
    Ok(ctx.activity(square, n).await?)
}

/// As it is after the first deployment: it asks for other things, for the same result.
#[workflow(name = "Aging", version = "2", accepts(Note))]
pub async fn aging(ctx: WorkflowContext) -> Result<u64, WorkflowError> {
    let n = ctx.signals::<Note>().recv().await?.n;
    ctx.sleep(minutes(10)).await?;
    ctx.activity(square, 1).await?;
    Ok(ctx.activity(square, n).await?)
}

/// Nonces that follow from who uses them: no two processes have the same, nor one of them twice.
struct Nonces {
    process: u64,
    next: AtomicU64,
}

impl Entropy for Nonces {
    fn bits(&self) -> u128 {
        u128::from(self.next.fetch_add(1, Ordering::SeqCst)) << 32 | u128::from(self.process)
    }
}

/// Whoever has this key reads what is encrypted.
fn encrypts(nonces: Arc<dyn Entropy>) -> Result<AesGcm, CodecError> {
    Ok(AesGcm::new(Key::new("2026-01", [17; 32])?).nonces_from(nonces))
}

/// What is encrypted, as it was before.
fn opened(sealed: &Payload) -> Result<Payload, CodecError> {
    let keys = encrypts(Arc::new(Nonces { process: 0, next: AtomicU64::new(0) }))?;
    let packed = keys.decode(sealed)?.unwrap_or_else(|| sealed.clone());
    Ok(Zstd::new().decode(&packed)?.unwrap_or(packed))
}

fn app(clock: Arc<dyn Clock>, probe: Arc<Probe>) -> App {
    let is_first = probe.build() == 0;
    let nonces = Nonces { process: probe.processes(), next: AtomicU64::new(0) };
    let app = match encrypts(Arc::new(nonces)) {
        Ok(keys) => App::new().codec(Zstd::new()).codec(keys),
        // Without a codec nobody can read anything, and no world comes to its end.
        Err(_) => App::new(),
    };
    let app = app
        .share(Time(clock))
        .share(probe)
        .workflow(bazaar)
        .workflow(carrier)
        .workflow(greet)
        .workflow(listener)
        .activity(square)
        .standalone(square)
        .activity(carried)
        .activity(whispers)
        .activity(recites)
        .activity(asks_somebody)
        .activity(squeezes)
        .activity(happens_once)
        .intercept(Signs);
    if is_first { app.workflow(aging_v1) } else { app.workflow(aging).pinned(aging_v1) }
}

/// A client as the app's own.
fn client(outside: &Outside) -> Client {
    let code = app(outside.clock.clone(), outside.probe.clone()).workflow_code();
    let client = Simulated::client(outside, code);
    match encrypts(outside.entropy.clone()) {
        Ok(keys) => client.codec(Zstd::new()).codec(keys),
        Err(_) => client,
    }
}

/// Answers whoever asks, twice, a few minutes later.
async fn answers(outside: Outside) {
    let mut answered = 0;
    loop {
        outside.pause(180).await;
        let asked = outside.probe.asked();
        for (token, n) in asked.iter().skip(answered) {
            let answer = match n % 2 {
                0 => {
                    json!({"type": "fail", "token": token, "request_id": "no", "failure": {"type": "Refused", "message": "no", "non_retryable": true, "retry_after_ms": 1, "details": 8, "causes": ["it is late"]}})
                }
                _ => json!({"type": "complete", "token": token, "request_id": "yes", "result": n * 100}),
            };
            outside.send(&answer).await;
            outside.send(&answer).await;
        }
        answered = asked.len();
    }
}

/// What is wrong with a history of the bazaar's.
fn examine(events: &[Event]) -> Option<String> {
    let started = events.iter().find_map(|event| match &event.kind {
        EventKind::RunStarted(started) => Some(started.workflow.as_str()),
        _ => None,
    });
    let actions = events.iter().filter(|event| matches!(event.kind, EventKind::ChildScheduled(_))).count();
    if started == Some("millrace.schedule") && actions != ACTIONS {
        return Some(format!("the schedule has made {actions} starts"));
    }
    // Compressed alone it could be read by anybody.
    let in_clear = events.iter().find(|event| match &event.kind {
        EventKind::ActivityScheduled(e) => {
            e.activity == "whispers" && !e.input.as_str().contains("aes-gcm/1")
        }
        _ => false,
    });
    in_clear.map(|event| format!("what event {} whispers is not encrypted", event.n))
}

/// The world of the bazaar.
pub fn cast() -> Cast {
    let start = |workflow: &str, id: &str, more: Value| {
        let mut start =
            json!({"type": "start", "workflow": workflow, "id": id, "request_id": format!("start-{id}")});
        if let (Some(start), Value::Object(more)) = (start.as_object_mut(), more) {
            start.extend(more);
        }
        start
    };
    let aging = AgingWorkflow::NAME;
    let note = json!({"name": "note", "input": {"n": 6}});
    let told =
        json!({"type": "signal", "id": "aging-1", "name": "note", "input": {"n": 5}, "request_id": "note-1"});
    let schedule = json!({"every_s": 900, "workflow": GreetWorkflow::NAME, "input": ["ann", 30], "overlap": "allow_all", "remaining": ACTIONS});
    let alone = json!({"activity": "square", "input": 12});
    let traced = json!({"headers": {"trace": "00-17"}, "memo": "a day's work", "attributes": {"stall": 7}});
    Cast {
        app,
        ids: ["bazaar-1", "aging-1", "aging-2", "aging-3", "alone-1", "often-1"]
            .into_iter()
            .chain(crowd::ids())
            .map(str::to_owned)
            .collect(),
        requests: [
            (0, start(BazaarWorkflow::NAME, "bazaar-1", traced)),
            (0, start(aging, "aging-1", json!({}))),
            (0, start(aging, "aging-2", json!({"start_delay_s": 1200, "signal": note}))),
            (5_000, start(aging, "aging-3", json!({"signal": note}))),
            (1, start("millrace.activity", "alone-1", json!({"input": alone}))),
            (2, start("millrace.schedule", "often-1", json!({"input": {"schedule": schedule}}))),
            (2_500, told),
        ]
        .into_iter()
        .chain(crowd::starts())
        .collect(),
        // It tells of times, which no two worlds have in common.
        any_result: |id| id == "often-1",
        outsiders: |outside| vec![answers(outside).boxed()],
        staff: |outside| {
            let client = client(&outside);
            vec![crowd::asks_all(outside, client).boxed()]
        },
        examine,
        opened: |sealed| opened(sealed).unwrap_or_else(|_| sealed.clone()),
        hidden: &[SECRET],
        ..Cast::default()
    }
}
