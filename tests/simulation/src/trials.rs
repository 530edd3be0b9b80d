//! Work that goes wrong in every way that has a name, runs that leave unread what they are told, and one that is told much.

use futures::future::join_all;
use millrace::prelude::*;
use millrace::{Workflow as _, WorkflowFailure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::family::Ask;
use crate::workflows::{Note, Time, square};

/// Calls what cannot end well, and says what it could not find wrong.
#[workflow]
pub async fn trials(ctx: WorkflowContext) -> Result<Vec<String>, WorkflowError> {
    let queue = (0..4).map(|_| ctx.activity(queues_up, ()));
    // Whether their time was up is for the faults to say: a process that stood still may hear of that after the work is done.
    let slow = async { join!(join_all(queue), ctx.activity(hangs, ()), ctx.activity(falls_silent, ())) };
    let (weary, broken, _) = join!(ctx.activity(wearies, ()), ctx.activity(breaks, ()), slow);
    let broken_here = ctx.local(breaks, ()).await;
    let fell = ctx.child(falls, ()).memo("a trial").attributes(json!({"kind": "fall"})).await;
    let fell_of = fell.err().and_then(|WorkflowFailure { fault, .. }| fault.details::<u64>());
    let ends = [
        ("weary", weary.is_err()),
        ("broken", broken.is_err()),
        ("broken here", broken_here.is_err()),
        ("fell", fell_of == Some(7)),
    ];
    Ok(ends.into_iter().filter(|(_, well)| !well).map(|(what, _)| what.to_owned()).collect())
}

/// Two processes do it, one at a time each: there are more of them than find a place in time.
#[activity(max_concurrent = 1, schedule_to_start = "5s", max_attempts = 1)]
async fn queues_up(time: Shared<Time>) -> Result<(), ActivityError> {
    time.pass(secs(30)).await;
    Ok(())
}

#[activity(start_to_close = "1m", max_attempts = 2)]
async fn hangs(time: Shared<Time>) -> Result<(), ActivityError> {
    time.pass(minutes(10)).await;
    Ok(())
}

#[activity(task_queue = "gpu", start_to_close = "1h", heartbeat = "30s", max_attempts = 2)]
async fn falls_silent(ctx: ActivityContext, time: Shared<Time>) -> Result<(), ActivityError> {
    ctx.heartbeat(&"so far")?;
    time.pass(minutes(10)).await;
    Ok(())
}

/// Would like to be tried again, for longer than there is time.
#[activity(schedule_to_close = "4m", max_attempts = 0)]
async fn wearies() -> Result<(), ActivityError> {
    Err(ApplicationFailure::new("Weary", "not today").retry_after(secs(50)).into())
}

#[derive(Debug)]
struct Broken(std::num::ParseIntError);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is no number")
    }
}

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Fails for a reason, in a way that its options know.
#[activity(max_attempts = 3, initial_interval = "10ms", non_retryable(Broken))]
async fn breaks() -> Result<(), ActivityError> {
    Ok("seven".parse::<u64>().map(drop).map_err(Broken)?)
}

/// Fails with something to read.
#[workflow]
pub async fn falls(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    ctx.activity(square, 1).await?;
    Err(ApplicationFailure::new("Fell", "down").details(&7_u64).into())
}

/// Reads one note and one question in each of three runs, and leaves the others to the next.
#[workflow(accepts(Note, Ask))]
pub async fn forwarder(ctx: WorkflowContext, so_far: Vec<u64>) -> Result<Vec<u64>, WorkflowError> {
    let (notes, asks) = (ctx.signals::<Note>(), ctx.updates::<Ask>());
    let Note { n } = notes.recv().await?;
    let (question, reply) = asks.recv().await?;
    reply.ok(question.n * 2);
    ctx.sleep(minutes(2)).await?;
    let mut so_far = so_far;
    so_far.push(n);
    so_far.sort_unstable();
    if so_far.len() < 3 { ctx.continue_as_new(forwarder, so_far) } else { Ok(so_far) }
}

/// A page of what somebody reads out.
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Page {
    text: String,
}

/// Pages, and how long each is: with them a history is longer than what is read in one piece.
const PAGES: u64 = 14;
const PAGE: usize = 6_000;

/// Hears all pages, and works a little after each: its history is sealed in parts.
#[workflow(accepts(Page))]
pub async fn hoarder(ctx: WorkflowContext) -> Result<usize, WorkflowError> {
    let pages = ctx.signals::<Page>();
    let mut length = 0;
    for n in 0..PAGES {
        length += pages.recv().await?.text.len();
        ctx.activity(square, n % 2).await?;
    }
    Ok(length)
}

/// Who is told something.
pub const IDS: [&str; 3] = ["trials-1", "forwarder-1", "hoarder-1"];

/// Their starts, and what they are told.
pub fn requests() -> Vec<(u64, Value)> {
    let start = |workflow: &str, id: &str, input: Value| json!({"type": "start", "workflow": workflow, "id": id, "input": input, "request_id": format!("start-{id}")});
    let tell = |kind: &str, id: &str, name: &str, n: u64, input: Value| json!({"type": kind, "id": id, "name": name, "input": input, "request_id": format!("{name}-{n}-{id}")});
    let mut requests = vec![
        (0, start(TrialsWorkflow::NAME, IDS[0], json!(null))),
        (0, start(ForwarderWorkflow::NAME, IDS[1], json!([]))),
        (0, start(HoarderWorkflow::NAME, IDS[2], json!(null))),
    ];
    for n in 1..=3 {
        requests.push((n * 5, tell("signal", IDS[1], "note", n, json!({"n": n}))));
        requests.push((n * 6, tell("update", IDS[1], "ask", n, json!({"n": n}))));
    }
    let text = "page ".repeat(PAGE / 5);
    requests.extend((0..PAGES).map(|n| (n * 60, tell("signal", IDS[2], "page", n, json!({"text": text})))));
    requests
}

/// With what they need.
pub fn app(app: millrace::App) -> millrace::App {
    app.workflow(trials)
        .workflow(falls)
        .workflow(forwarder)
        .workflow(hoarder)
        .activity(queues_up)
        .activity(hangs)
        .activity(falls_silent)
        .activity(wearies)
        .activity(breaks)
}
