//! What a workflow must not do, and what is said about it.

use millrace::{Blocked, prelude::*};
use millrace_core::Payload;
use serde::{Deserialize, Serialize};

use crate::driver::World;

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

#[test]
fn a_tokio_timer_is_named_with_its_line() {
    let mut world = World::new(App::new().workflow(sleepy));
    world.start(sleepy, ()).finish();
    let Some(Blocked::Foreign { on, at }) = world.blocked() else { panic!("{:?}", world.blocked()) };
    assert_eq!(on, "tokio::time::sleep::sleep");
    assert!(at.as_ref().unwrap().contains("blocked.rs"), "{at:?}");
}

#[test]
fn a_foreign_future_is_named_with_its_line() {
    let mut world = World::new(App::new().workflow(listening));
    world.start(listening, ()).finish();
    let Some(Blocked::Foreign { on, at }) = world.blocked() else { panic!("{:?}", world.blocked()) };
    assert_eq!(on, "tokio::sync::oneshot::Receiver<T>");
    assert!(at.as_ref().unwrap().contains("blocked.rs"), "{at:?}");
}

#[test]
fn a_future_that_only_wakes_itself_is_stopped() {
    let mut world = World::new(App::new().workflow(restless));
    world.start(restless, ());
    assert!(matches!(world.blocked(), Some(Blocked::Foreign { .. })), "{:?}", world.blocked());
}

#[test]
fn a_panic_is_told_with_its_line() {
    let mut world = World::new(App::new().workflow(panics));
    world.start(panics, 7).finish();
    let Some(Blocked::Panic { message, at }) = world.blocked() else { panic!("{:?}", world.blocked()) };
    assert_eq!(message, "no luck with 7");
    assert!(at.as_ref().unwrap().contains("blocked.rs"), "{at:?}");
}

#[test]
fn what_cannot_be_read_is_named_by_type_and_field() {
    let blocked = |world: &World| world.blocked().unwrap().to_string();
    let mut world = World::new(App::new().workflow(orders));
    world.start_raw("Orders", json(r#"{"lines":[{"quantity":"two"}]}"#));
    let input = blocked(&world);
    assert!(
        input.starts_with("the input of workflow `Orders` is not a `workflows::blocked::Order`"),
        "{input}"
    );
    assert!(
        input.contains("field `lines[0].quantity`: invalid type: string \"two\", expected u32"),
        "{input}"
    );

    let mut world = World::new(App::new().workflow(orders)).mock(count, Ok);
    world.start_raw("Orders", json(r#"{"lines":[{"quantity":2}]}"#)).finish();
    world.signal_raw("approve", json(r#"{"by":5}"#));
    let signal = blocked(&world);
    assert!(
        signal.starts_with("signal `approve` is not a `workflows::blocked::Approve`: field `by`: "),
        "{signal}"
    );
}

#[test]
fn a_result_of_another_shape_is_named() {
    let mut world = World::new(App::new().workflow(orders));
    world.mock_raw("count", |_| Ok(json("\"many\"")));
    world.start_raw("Orders", json(r#"{"lines":[{"quantity":2}]}"#)).finish();
    let blocked = world.blocked().unwrap().to_string();
    assert!(blocked.starts_with("the result of activity `count` (activity 1) is not a `u32`"), "{blocked}");
}

#[test]
fn an_unknown_workflow_is_told_what_there_is() {
    let mut world = World::new(App::new().workflow(orders).workflow(sleepy));
    world.start_raw("Nothing", json("null"));
    let known = vec!["Orders".to_owned(), "Sleepy".to_owned()];
    assert_eq!(world.blocked(), Some(&Blocked::UnknownWorkflow { workflow: "Nothing".into(), known }));
}
