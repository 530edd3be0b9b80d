//! One activity over many items.

use millrace::{TestEnv, prelude::*};

use crate::kit::fault;

#[activity]
async fn double(n: u32) -> Result<u32, ActivityError> {
    if n % 1_000 == 13 {
        Err(ApplicationFailure::new("Unlucky", n).non_retryable())?
    }
    Ok(n * 2)
}

#[workflow]
async fn doubles(ctx: WorkflowContext, tolerate: usize) -> Result<Vec<Option<u32>>, WorkflowError> {
    let doubled = ctx.map(double, 0..2_500).tolerate(tolerate).await?;
    Ok(doubled.into_iter().map(Result::ok).collect())
}

/// Does what its input begins with.
#[activity(completes_later)]
async fn obey(order: String) -> Result<(), ActivityError> {
    match order.trim() {
        "fail" => Err(ApplicationFailure::new("Unlucky", "told to").non_retryable())?,
        "wait" => Err(ActivityError::CompletesLater),
        _ => Ok(()),
    }
}

/// Each item is so large that it is a shard of its own.
#[workflow]
async fn orders(ctx: WorkflowContext, (orders, tolerate): (Vec<String>, usize)) -> Result<(), WorkflowError> {
    let large = orders.iter().map(|order| order.clone() + &" ".repeat(150_000));
    ctx.map(obey, large).tolerate(tolerate).await?;
    Ok(())
}

fn env() -> TestEnv {
    TestEnv::new().workflow(doubles).workflow(orders).activity(double).activity(obey).keep_code()
}

async fn too_many(env: &TestEnv, given: &[&str], tolerate: usize) -> String {
    let given = given.iter().map(|order| (*order).to_owned()).collect();
    fault(&env.start(orders, "o", (given, tolerate)).await.unwrap()).await.to_string()
}

#[tokio::test]
async fn results_keep_their_order_over_shards() {
    let run = env().start(doubles, "d", 3).await.unwrap();
    let expected: Vec<_> = (0..2_500).map(|n| (n % 1_000 != 13).then_some(n * 2)).collect();
    assert_eq!(run.result().await.unwrap(), expected);
    assert!(run.history().await.unwrap().len() < 20, "an item is no event here");
}

#[tokio::test]
async fn too_many_failures_stop_a_map_early() {
    let env = env();
    let run = env.start(doubles, "d", 0).await.unwrap();
    let text = fault(&run).await.to_string();
    assert!(text.contains("TooManyFailures: 1 of 1000 items failed, 0 may"), "{text}");
    let called = env.calls(double).len();
    assert!(called < 500, "{called}");
}

#[tokio::test]
async fn a_map_does_not_wait_for_shards_that_cannot_save_it() {
    let alone = too_many(&env(), &["wait", "fail", "wait"], 0).await;
    assert!(alone.contains("TooManyFailures: 1 of 1 items failed, 0 may"), "{alone}");
    let together = too_many(&env(), &["fail", "wait", "go", "fail"], 1).await;
    assert!(together.contains("TooManyFailures: 2 of 4 items failed, 1 may"), "{together}");
}
