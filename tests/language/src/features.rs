//! A workflow for each feature that is counted. The input says how often it is used, so that the difference of two runs is
//! what one use costs.

use std::sync::Mutex;

use millrace::prelude::*;
use millrace::sources::{self, Lines};
use serde::{Deserialize, Serialize};

/// The token of the last attempt of [`left`].
pub(crate) static TOKEN: Mutex<Option<String>> = Mutex::new(None);

#[derive(Debug, Signal, Serialize, Deserialize)]
struct Poke;
#[derive(Debug, Update, Serialize, Deserialize)]
#[update(output = u32)]
struct Add(u32);
#[derive(Debug, Query, Serialize, Deserialize)]
#[query(output = u32)]
struct Sum;

#[activity]
async fn step(n: u32) -> Result<u32, ActivityError> {
    Ok(n)
}

/// Each time something else: the same content is stored once.
#[activity]
async fn writes(n: u32) -> Result<String, ActivityError> {
    Ok(n.to_string().repeat(100 * 1024))
}

#[activity(exclusive)]
async fn alone(n: u32) -> Result<u32, ActivityError> {
    Ok(n)
}

#[activity(heartbeat = "10s")]
async fn hung(_n: u32) -> Result<(), ActivityError>;

/// Somebody else says how it ended.
#[activity(completes_later)]
async fn left(ctx: ActivityContext) -> Result<(), ActivityError> {
    if let Ok(mut token) = TOKEN.lock() {
        *token = ctx.token();
    }
    Err(ActivityError::CompletesLater)
}

#[workflow]
async fn activities(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    for n in 0..times {
        ctx.activity(step, n).await?;
    }
    Ok(())
}

#[workflow]
async fn larges(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    for n in 0..times {
        ctx.activity(writes, n).await?;
    }
    Ok(())
}

#[workflow]
async fn exclusives(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    for n in 0..times {
        ctx.activity(alone, n).await?;
    }
    Ok(())
}

#[workflow]
async fn locals(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    ctx.sleep(secs(1)).await?;
    for n in 0..times {
        ctx.local(step, n).await?;
    }
    Ok(())
}

#[workflow]
async fn laters(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    for _ in 0..times {
        ctx.activity(left, ()).await?;
    }
    Ok(())
}

#[workflow]
async fn items(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    ctx.map(step, 0..times).await?;
    Ok(())
}

/// The input is the file.
#[workflow]
async fn pages(ctx: WorkflowContext, lines: String) -> Result<u64, WorkflowError> {
    Ok(ctx.map_pages(measure, sources::lines, Lines::of(lines)).summary().await?.count)
}

#[activity]
async fn measure(line: String) -> Result<usize, ActivityError> {
    Ok(line.len())
}

#[workflow]
async fn sleeps(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    for _ in 0..times {
        ctx.sleep(minutes(1)).await?;
    }
    Ok(())
}

#[workflow]
async fn long_sleeps(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    for _ in 0..times {
        ctx.sleep(hours(1)).await?;
    }
    Ok(())
}

/// The timer that loses stays in its queue until it is due, and is a message then.
#[workflow(accepts(Poke))]
async fn limits(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    for _ in 0..times {
        ctx.signals::<Poke>().recv().within(minutes(5)).await?;
    }
    Ok(())
}

#[workflow(accepts(Poke))]
async fn signals(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    for _ in 0..times {
        ctx.signals::<Poke>().recv().await?;
    }
    Ok(())
}

#[workflow(accepts(Add, Sum, Poke))]
async fn updates(ctx: WorkflowContext, _times: u32) -> Result<(), WorkflowError> {
    let add = |sum: &mut u32, Add(n)| {
        *sum += n;
        if n == 0 { reject("nothing to add") } else { Ok(*sum) }
    };
    let sum = ctx.state(0).on_update(add).on_query(|sum, Sum| *sum).published();
    ctx.signals::<Poke>().recv().await?;
    sum.read(|_| Ok(()))
}

#[workflow]
async fn child(ctx: WorkflowContext, _times: u32) -> Result<(), WorkflowError> {
    Ok(ctx.sleep(secs(1)).await?)
}

#[workflow]
async fn children(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    for _ in 0..times {
        ctx.child(child, 0).await?;
    }
    Ok(())
}

/// Tells `target`, which listens.
#[workflow]
async fn tells(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    for _ in 0..times {
        ctx.sleep(secs(1)).await?;
        ctx.signal("target", Poke).await?;
    }
    Ok(())
}

#[workflow]
async fn lives(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    ctx.sleep(secs(1)).await?;
    if times == 0 { Ok(()) } else { ctx.continue_as_new(lives, times - 1) }
}

/// Gives up activities whose tasks nobody takes.
#[workflow]
async fn gives_up(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    for n in 0..times {
        ctx.activity(hung, n).task_queue("nobody").within(secs(10)).await?;
    }
    Ok(())
}

/// Its first attempt fails, and the next one waits.
#[activity(initial_interval = "10m")]
async fn stubborn(ctx: ActivityContext) -> Result<(), ActivityError> {
    if ctx.attempt == 1 { Err("not yet".into()) } else { Ok(()) }
}

/// Does not end with its activity.
#[workflow(accepts(Poke))]
async fn insists(ctx: WorkflowContext, _times: u32) -> Result<(), WorkflowError> {
    ctx.activity(stubborn, ()).await?;
    ctx.signals::<Poke>().recv().await?;
    Ok(())
}

/// What a turn may do beside, at no call of its own.
#[workflow]
async fn free(ctx: WorkflowContext, times: u32) -> Result<(), WorkflowError> {
    ctx.sleep(secs(1)).await?;
    for n in 0..times {
        ctx.publish(&n);
        ctx.patched("new way");
        drop(ctx.spawn(async {}));
        ctx.scope().cancel("not needed");
        ctx.state(n).modify(|n| *n += ctx.random() as u32);
    }
    Ok(())
}

pub(crate) fn app() -> App {
    let app = App::new()
        .activity(step)
        .standalone(step)
        .activity(measure)
        .workflow(pages)
        .activity(left)
        .activity(alone)
        .workflow(exclusives);
    let app = app.activity(writes).workflow(larges);
    let app = app.workflow(activities).workflow(locals).workflow(laters).workflow(items).workflow(sleeps);
    let app = app.workflow(long_sleeps).workflow(limits).workflow(signals).workflow(updates).workflow(child);
    let app = app.activity(stubborn).workflow(insists);
    app.workflow(children).workflow(tells).workflow(lives).workflow(gives_up).workflow(free)
}
