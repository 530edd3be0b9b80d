//! Review: failing tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]
use std::time::Duration;
use millrace::prelude::*;
use millrace::dev::{Dev, Options};

#[workflow]
async fn chatter(ctx: WorkflowContext, n: u32) -> Result<u32, WorkflowError> {
    let (tx, mut rx) = tokio::sync::mpsc::channel::<u32>(4);
    let producer = async {
        for i in 0..n { tx.send(i).await.unwrap(); }
        drop(tx);
    };
    let consumer = async {
        let mut sum = 0;
        while let Some(i) = rx.recv().await { sum += i; }
        sum
    };
    let ((), sum) = futures::join!(producer, consumer);
    ctx.sleep(Duration::from_millis(1)).await?;
    Ok(sum)
}

#[activity]
async fn spin() -> Result<(), ActivityError> {
    std::thread::sleep(Duration::from_secs(5));
    Ok(())
}

#[activity]
async fn quick() -> Result<(), ActivityError> { Ok(()) }

#[workflow]
async fn spins(ctx: WorkflowContext, _n: ()) -> Result<(), WorkflowError> {
    ctx.join_all_bounded(100, (0..16).map(|_| ctx.activity(spin, ()))).await;
    Ok(())
}

#[workflow]
async fn one(ctx: WorkflowContext, _n: ()) -> Result<(), WorkflowError> {
    ctx.activity(quick, ()).start_to_close(Duration::from_secs(1)).max_attempts(1).await?;
    Ok(())
}

fn app() -> millrace::App {
    millrace::App::new().workflow(chatter).workflow(spins).workflow(one).activity(spin).activity(quick)
}

#[test]
fn channels_inside_a_workflow_work() {
    let dev = Dev::start(&app(), Options::in_memory()).unwrap();
    let client = dev.client();
    let r = futures::executor::block_on(async {
        client.start(chatter, "a", 1000).await.unwrap().result().await
    });
    println!("RESULT chatter {r:?}");
    assert_eq!(r.ok(), Some(499_500));
}

#[test]
fn own_namespace() {
    let options = Options { namespace: "prod".parse().unwrap(), ..Options::in_memory() };
    let dev = Dev::start(&app(), options).unwrap();
    let client = dev.client();
    let r = futures::executor::block_on(async { client.start(one, "a", ()).await.map(drop) });
    println!("RESULT ns {r:?}");
    assert!(r.is_ok());
}

#[test]
fn blocking_activities_hold_up_nobody() {
    let dev = Dev::start(&app(), Options::in_memory()).unwrap();
    let client = dev.client();
    let r = futures::executor::block_on(async {
        let _s = client.start(spins, "s", ()).await.unwrap();
        std::thread::sleep(Duration::from_millis(300));
        client.start(one, "a", ()).await.unwrap().result().await
    });
    println!("RESULT blocking {r:?}");
    assert!(r.is_ok());
}

#[test]
fn too_large() {
    let dev = Dev::start(&app(), Options::in_memory()).unwrap();
    let client = dev.client();
    let r = futures::executor::block_on(async {
        client.start(one, "a", ()).run_timeout(Duration::from_secs(3)).await.map(drop)
    });
    println!("RESULT ok {r:?}");
}
