//! What holds only in the embedded engine's own tasks, and what its clients are told.

use std::time::Duration;

use futures::executor::block_on;
use millrace::dev::{Dev, Folder, Options};
use millrace::{RunError, TestEnv, prelude::*};
use serde::{Deserialize, Serialize};

#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Ping;

/// Two branches that talk through a channel of tokio.
#[workflow]
async fn chatter(_ctx: WorkflowContext, messages: u32) -> Result<u32, WorkflowError> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
    let producer = async move {
        for i in 0..messages {
            sender.send(i).await.unwrap();
        }
    };
    let consumer = async {
        let mut sum = 0;
        while let Some(i) = receiver.recv().await {
            sum += i;
        }
        sum
    };
    Ok(futures::join!(producer, consumer).1)
}

#[workflow]
async fn echo(_ctx: WorkflowContext, text: String) -> Result<usize, WorkflowError> {
    Ok(text.len())
}

#[workflow(accepts(Ping))]
async fn pinged(ctx: WorkflowContext, times: u32) -> Result<u32, WorkflowError> {
    let count = ctx.state(0).on_signal(|count, Ping| *count += 1);
    count.until(move |c| *c == times).await?;
    Ok(count.get())
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "dropped");
    }
}

#[workflow(accepts(Ping))]
async fn explosive(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    let bomb = Bomb;
    let count = ctx.state(0).on_signal(move |count, Ping| {
        let _held = &bomb;
        *count += 1;
    });
    Ok(count.until(|c| *c > 0).await?)
}

fn dev() -> Dev {
    let app = App::new().workflow(chatter).workflow(echo).workflow(pinged);
    let options = Options { namespace: "prod".parse().unwrap(), ..Options::in_memory() };
    Dev::start(&app, options).unwrap()
}

#[test]
fn branches_may_talk_through_tokio_in_a_namespace_of_ones_own() {
    let dev = dev();
    let sum = block_on(async { dev.client().start(chatter, "a", 500).await?.result().await });
    assert_eq!(sum, Ok(124_750));
}

#[test]
fn every_awaited_signal_is_absorbed() {
    let dev = dev();
    block_on(async {
        let mut all_heard = false;
        for id in ["a", "b", "c"] {
            all_heard = all_heard || absorbs_every_signal(&dev, id).await;
        }
        assert!(all_heard, "nobody waits five seconds for a signal that is absorbed");
    });
}

/// Whether the client was told so of all of them: a machine that stands still for five seconds spoils a try.
async fn absorbs_every_signal(dev: &Dev, id: &str) -> bool {
    let run = dev.client().start(pinged, id, 50).await.unwrap();
    let mut heard = 0;
    for _ in 0..50 {
        if let told @ Some(_) = run.signal(Ping).await.unwrap().run_id {
            assert_eq!(told, run.run_id());
            heard += 1;
        }
    }
    assert_eq!(run.result().await, Ok(50));
    let refused = run.cancel("too late").await;
    assert!(matches!(refused, Err(RunError::Rejected(_))), "{refused:?}");
    heard == 50
}

#[test]
fn what_is_too_large_is_refused_for_good() {
    let dev = dev();
    let refused = block_on(async { dev.client().start(echo, "a", "x".repeat(17 << 20)).await.map(drop) });
    let Err(RunError::Rejected(text)) = refused else { panic!("{refused:?}") };
    assert!(text.contains("put large data elsewhere"), "{text}");
}

/// Gives a text so long.
#[activity]
async fn writes(length: usize) -> Result<String, ActivityError> {
    Ok("x".repeat(length))
}

#[activity]
async fn measures(text: String) -> Result<usize, ActivityError> {
    Ok(text.len())
}

/// How long the texts are that it had made and measured.
#[workflow(accepts(Ping))]
async fn volumes(ctx: WorkflowContext, lengths: Vec<usize>) -> Result<Vec<usize>, WorkflowError> {
    let mut volumes = Vec::new();
    for length in lengths {
        let text = ctx.activity(writes, length).await?;
        volumes.push(ctx.activity(measures, text).await?);
    }
    ctx.signals::<Ping>().recv().await?;
    Ok(volumes)
}

/// 5 MiB go through tasks, outcomes and the history, and are there when the folder is opened again; what is too large fails its
/// activity, and nothing comes again and again.
#[test]
fn large_results_survive_and_too_large_ones_fail_the_activity() {
    let data = tempfile::tempdir().unwrap();
    let app = App::new().workflow(volumes).activity(writes).activity(measures);
    let options = Options { port: None, grace: Duration::ZERO, ..Options::new(data.path()) };
    let lengths = vec![100_000, 5 << 20];
    let dev = Dev::start(&app, options.clone()).unwrap();
    block_on(async {
        let run = dev.client().start(volumes, "a", lengths.clone()).await.unwrap();
        let failed = dev.client().start(volumes, "b", vec![17 << 20]).await.unwrap().result().await;
        let Err(RunError::Failed(failure)) = failed else { panic!("{failed:?}") };
        let text = failure.to_string();
        assert!(text.contains("the result of activity `writes` has 17825794 bytes"), "{text}");
        while run.describe().await.unwrap().activities.iter().any(|a| a.attempt > 0) {
            pause();
        }
        dev.stop().await;
    });
    let dev = Dev::start(&app, options).unwrap();
    let volumes = block_on(async {
        let run = dev.client().handle(volumes, "a")?;
        run.signal(Ping).await?;
        run.result().await
    });
    assert_eq!(volumes, Ok(lengths));
}

#[test]
fn nobody_waits_for_a_folder_without_an_engine() {
    let data = tempfile::tempdir().unwrap();
    let app = App::new().workflow(pinged);
    let options = Options { port: None, grace: Duration::ZERO, ..Options::new(data.path()) };
    let dev = Dev::start(&app, options.clone()).unwrap();
    block_on(async {
        dev.client().start(pinged, "a", 1).await.unwrap();
        dev.stop().await;
    });
    let folder = Folder::open(data.path(), options.namespace).unwrap();
    let result = block_on(folder.client().handle(pinged, "a").unwrap().result());
    assert!(matches!(&result, Err(RunError::Unavailable(text)) if text.contains("`dev`")), "{result:?}");
}

#[test]
fn a_panic_while_a_run_leaves_the_cache_is_caught() {
    let env = TestEnv::new().workflow(explosive);
    block_on(env.start(explosive, "e", ()).into_future()).unwrap();
    drop(env);
}

/// Blocks its thread until the channel's other end is gone, as a dead network mount would.
#[activity(start_to_close = "1h")]
async fn blocks(until: Shared<std::sync::Mutex<std::sync::mpsc::Receiver<()>>>) -> Result<(), ActivityError> {
    let _ = until.lock().map(|until| until.recv());
    Ok(())
}

#[activity(start_to_close = "20s", max_attempts = 1)]
async fn quick() -> Result<u32, ActivityError> {
    Ok(7)
}

#[workflow]
async fn blocked_by(ctx: WorkflowContext, calls: u32) -> Result<(), WorkflowError> {
    futures::future::try_join_all((0..calls).map(|_| ctx.activity(blocks, ()))).await?;
    Ok(())
}

#[workflow]
async fn hurry(ctx: WorkflowContext) -> Result<u32, WorkflowError> {
    Ok(ctx.activity(quick, ()).await?)
}

#[test]
fn activities_that_block_their_threads_hold_up_no_other() {
    let (free, until) = std::sync::mpsc::channel::<()>();
    let app = App::new().share(std::sync::Mutex::new(until)).workflow(blocked_by).workflow(hurry);
    let app = app.activity(blocks).activity(quick);
    let dev = Dev::start(&app, Options { port: None, ..Options::in_memory() }).unwrap();
    let quick = block_on(async {
        let blocking = dev.client().start(blocked_by, "b", 20).await?;
        let quick = dev.client().start(hurry, "h", ()).await?.result().await;
        drop(free);
        blocking.result().await?;
        quick
    });
    assert_eq!(quick, Ok(7));
}

#[allow(clippy::disallowed_methods, reason = "the engine works on threads of its own")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
