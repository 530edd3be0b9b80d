//! What a workflow must not do, and what is said about it.

use millrace::{Blocked, RunError, TestEnv, prelude::*};
use millrace_core::Payload;
use millrace_format::message::{InboxMessage, SignalMessage, StartMessage};
use serde::{Deserialize, Serialize};

use crate::kit::blocked;

#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    lines: Vec<Line>,
}
#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    quantity: u32,
}
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Approve {
    by: String,
}
#[activity]
async fn count(n: u32) -> Result<u32, ActivityError>;

#[workflow]
async fn sleepy(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    ctx.sleep(secs(1)).await?;
    #[allow(clippy::disallowed_methods, reason = "this is what must not be done")]
    tokio::time::sleep(secs(1)).await;
    Ok(())
}

#[workflow]
async fn listening(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    ctx.sleep(secs(1)).await?;
    let (_sender, receiver) = tokio::sync::oneshot::channel::<u32>();
    receiver.await?;
    Ok(())
}

#[workflow]
async fn restless(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    loop {
        let _nothing = futures::poll!(ctx.sleep(secs(1)));
        let mut yielded = false;
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::replace(&mut yielded, true) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }
}

#[workflow]
async fn panics(ctx: WorkflowContext, at: u32) -> Result<(), WorkflowError> {
    ctx.sleep(secs(1)).await?;
    panic!("no luck with {at}");
}

#[workflow(accepts(Approve))]
async fn orders(ctx: WorkflowContext, order: Order) -> Result<u32, WorkflowError> {
    let quantity = ctx.activity(count, order.lines[0].quantity).await?;
    ctx.signals::<Approve>().recv().await?;
    Ok(quantity)
}

fn json(text: &str) -> Payload {
    Payload::parse(text).unwrap()
}

/// A start by somebody who knows no types.
async fn start_raw(env: &TestEnv, workflow: &str, input: &str) {
    let text = format!(r#"{{"type":"start","workflow":"{workflow}","id":"a","input":{input}}}"#);
    let start: StartMessage = serde_json::from_str(&text).unwrap();
    env.backend().send(InboxMessage::Start(start)).await.unwrap();
}

#[tokio::test]
async fn a_tokio_timer_is_named_with_its_line() {
    let run = TestEnv::new().workflow(sleepy).start(sleepy, "s", ()).await.unwrap();
    let Blocked::Foreign { on, at } = blocked(&run).await else { panic!() };
    assert_eq!(on, "tokio::time::sleep::sleep");
    assert!(at.as_ref().unwrap().contains("blocked.rs"), "{at:?}");
}

/// The engine's own threads have no tokio timer.
#[test]
fn a_tokio_timer_is_named_without_a_runtime_too() {
    let env = TestEnv::new().workflow(sleepy);
    let result = futures::executor::block_on(async { env.start(sleepy, "s", ()).await?.result().await });
    assert!(matches!(result, Err(RunError::Blocked(Blocked::Foreign { .. }))), "{result:?}");
}

#[tokio::test]
async fn a_foreign_future_is_named_with_its_line() {
    let run = TestEnv::new().workflow(listening).start(listening, "l", ()).await.unwrap();
    let Blocked::Foreign { on, at } = blocked(&run).await else { panic!() };
    assert_eq!(on, "tokio::sync::oneshot::Receiver<T>");
    assert!(at.as_ref().unwrap().contains("blocked.rs"), "{at:?}");
}

#[tokio::test]
async fn a_future_that_only_wakes_itself_is_stopped() {
    let run = TestEnv::new().workflow(restless).start(restless, "r", ()).await.unwrap();
    let blocked = blocked(&run).await;
    assert!(matches!(blocked, Blocked::Foreign { .. }), "{blocked:?}");
}

#[tokio::test]
async fn a_panic_is_told_with_its_line() {
    let run = TestEnv::new().workflow(panics).start(panics, "p", 7).await.unwrap();
    let Blocked::Panic { message, at } = blocked(&run).await else { panic!() };
    assert_eq!(message, "no luck with 7");
    assert!(at.as_ref().unwrap().contains("blocked.rs"), "{at:?}");
}

#[tokio::test]
async fn what_cannot_be_read_is_named_by_type_and_field() {
    let env = TestEnv::new().workflow(orders).mock(count, Ok);
    start_raw(&env, "Orders", r#"{"lines":[{"quantity":"two"}]}"#).await;
    let run = env.handle(orders, "a").unwrap();
    let input = blocked(&run).await.to_string();
    assert!(
        input.starts_with("the input of workflow `Orders` is not a `workflows::blocked::Order`"),
        "{input}"
    );
    assert!(
        input.contains("field `lines[0].quantity`: invalid type: string \"two\", expected u32"),
        "{input}"
    );

    run.terminate("again").await.unwrap();
    start_raw(&env, "Orders", r#"{"lines":[{"quantity":2}]}"#).await;
    let signal = r#"{"type":"signal","id":"a","name":"approve","input":{"by":5}}"#;
    let signal: SignalMessage = serde_json::from_str(signal).unwrap();
    env.backend().send(InboxMessage::Signal(signal)).await.unwrap();
    let signal = blocked(&run).await.to_string();
    assert!(
        signal.starts_with("signal `approve` is not a `workflows::blocked::Approve`: field `by`: "),
        "{signal}"
    );
}

#[tokio::test]
async fn a_result_of_another_shape_is_named() {
    let env = TestEnv::new().workflow(orders).mock_raw("count", |_| Ok(json("\"many\"")));
    let run = env.start(orders, "o", Order { lines: vec![Line { quantity: 2 }] }).await.unwrap();
    let blocked = blocked(&run).await.to_string();
    assert!(blocked.starts_with("the result of activity `count` (activity 1) is not a `u32`"), "{blocked}");
}

#[tokio::test]
async fn an_unknown_workflow_is_told_what_there_is() {
    let env = TestEnv::new().workflow(orders).workflow(sleepy);
    start_raw(&env, "Nothing", "null").await;
    let known = vec!["Orders".to_owned(), "Sleepy".to_owned()];
    let found = blocked(&env.handle(orders, "a").unwrap()).await;
    assert_eq!(found, Blocked::UnknownWorkflow { workflow: "Nothing".into(), known });
}
