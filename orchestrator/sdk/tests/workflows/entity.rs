//! Workflows that live for ever: continue as new, unread messages, delays.

use millrace::client::{Filter, Status};
use millrace::{RunError, TestEnv, prelude::*};
use serde::{Deserialize, Serialize};

use crate::kit::{cold_and_warm, kinds};

#[derive(Debug, Signal, Serialize, Deserialize)]
#[signal(name = "add")]
pub struct AddPoints(u64);
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Close;
#[derive(Debug, Update, Serialize, Deserialize)]
#[update(output = String)]
pub struct Ask(String);

#[workflow(accepts(AddPoints, Close))]
async fn account(ctx: WorkflowContext, mut points: u64) -> Result<u64, WorkflowError> {
    let (adds, closes) = (ctx.signals::<AddPoints>(), ctx.signals::<Close>());
    loop {
        select! {
            a = adds.recv() => points += a?.0,
            c = closes.recv() => { c?; return Ok(points) }
        }
        if ctx.should_continue_as_new() {
            return ctx.continue_as_new(account, points);
        }
    }
}

/// Reads one signal in each run, so that the rest goes along.
#[workflow(accepts(AddPoints))]
async fn slow_reader(ctx: WorkflowContext, (left, sum): (u32, u64)) -> Result<u64, WorkflowError> {
    ctx.sleep(hours(1)).await?;
    let sum = sum + ctx.signals::<AddPoints>().recv().await?.0;
    if left == 1 { Ok(sum) } else { ctx.continue_as_new(slow_reader, (left - 1, sum)) }
}

#[workflow]
async fn restless(ctx: WorkflowContext, n: u64) -> Result<u64, WorkflowError> {
    if n == 50 { Ok(n) } else { ctx.continue_as_new(restless, n + 1) }
}

#[workflow]
async fn keeper(ctx: WorkflowContext) -> Result<u64, WorkflowError> {
    Ok(ctx.child(restless, 0).await?)
}

#[activity]
async fn answer(question: String) -> Result<String, ActivityError> {
    Ok(format!("{question}? 42"))
}

/// Answers in its own time, with its state as plain variables.
#[workflow(accepts(Ask))]
async fn chat(ctx: WorkflowContext) -> Result<Vec<String>, WorkflowError> {
    let (asks, mut log) = (ctx.updates::<Ask>(), Vec::new());
    while log.len() < 2 {
        let (Ask(question), reply) = asks.recv().await?;
        if question.is_empty() {
            reply.reject("ask something");
            continue;
        }
        ctx.sleep(minutes(1)).await?;
        let answer = ctx.activity(answer, question).await?;
        log.push(answer.clone());
        reply.ok(answer);
    }
    Ok(log)
}

#[tokio::test]
async fn an_entity_lives_on_in_short_runs() {
    for env in cold_and_warm(|| TestEnv::new().workflow(account).history_limit(30)) {
        let run = env.start(account, "acc", 0).await.unwrap();
        for n in 1..=100 {
            run.signal(AddPoints(n)).await.unwrap();
        }
        run.signal(Close).await.unwrap();
        assert_eq!(run.result().await, Ok(5050));
        assert!(run.history().await.unwrap().len() < 60);
        let runs = env.list(&Filter::default()).await.unwrap();
        assert!(
            runs.len() > 3 && runs.iter().any(|run| run.entry.status == Status::ContinuedAsNew),
            "{runs:?}"
        );
        let first = env.backend().history(run.id(), run.run_id()).await.unwrap();
        env.replay(account, &first).unwrap();
    }
}

#[tokio::test]
async fn what_nobody_has_read_goes_along() {
    for env in cold_and_warm(|| TestEnv::new().workflow(slow_reader)) {
        let run = env.start(slow_reader, "s", (3, 0)).await.unwrap();
        for n in [1, 10, 100] {
            run.signal(AddPoints(n)).await.unwrap();
        }
        assert_eq!(run.result().await, Ok(111));
    }
}

#[tokio::test]
async fn a_parent_waits_for_the_last_of_its_childs_runs() {
    for env in cold_and_warm(|| TestEnv::new().workflow(restless).workflow(keeper)) {
        let run = env.start(keeper, "k", ()).await.unwrap();
        assert_eq!(run.result().await, Ok(50));
        assert_eq!(kinds(&run).await, ["RunStarted", "ChildScheduled", "ChildCompleted", "RunCompleted"]);
    }
}

#[tokio::test]
async fn updates_that_take_their_time_are_answered_in_the_end() {
    for env in cold_and_warm(|| TestEnv::of(App::new().workflow(chat).activity(answer))) {
        let run = env.start(chat, "c", ()).await.unwrap();
        let begin = env.now();
        assert_eq!(run.update(Ask("why".into())).await.unwrap(), "why? 42");
        assert_eq!(env.now() - begin, minutes(1));
        assert_eq!(run.update(Ask(String::new())).await, Err(RunError::Rejected("ask something".into())));
        assert_eq!(run.update(Ask("how".into())).await.unwrap(), "how? 42");
        assert_eq!(run.result().await.unwrap().len(), 2);
        assert!(matches!(run.update(Ask("late".into())).await, Err(RunError::Rejected(_))));
    }
}

#[tokio::test]
async fn a_start_may_be_delayed() {
    let env = TestEnv::new().workflow(account);
    let begin = env.now();
    let run = env.start(account, "a", 5).delay(hours(2)).await.unwrap();
    run.signal(AddPoints(1)).await.unwrap();
    run.signal(Close).await.unwrap();
    assert_eq!(run.result().await, Ok(6));
    assert_eq!(env.now() - begin, hours(2));
    let run = env.start(account, "b", 5).delay(hours(2)).await.unwrap();
    run.cancel("no").await.unwrap();
    assert!(matches!(run.result().await, Err(RunError::Failed(f)) if f.is_canceled()));
}
