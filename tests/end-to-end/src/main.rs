//! A small app, for the tests of the command line.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use futures::future::try_join_all;
use millrace::prelude::*;
use millrace::reject;
use serde::{Deserialize, Serialize};

#[derive(Signal, Serialize, Deserialize)]
struct Approve {
    by: String,
}

#[activity]
async fn greet(name: String) -> Result<String, ActivityError> {
    Ok(format!("hello {name}"))
}

#[activity]
async fn refuse() -> Result<(), ActivityError> {
    Err(ApplicationFailure::new("Refused", "never").non_retryable().into())
}

#[workflow]
async fn welcome(ctx: WorkflowContext, name: String) -> Result<String, WorkflowError> {
    if std::env::var_os("VERBS_APP_CHANGED").is_some() {
        ctx.sleep(secs(1)).await?; // the next version of the program, for tests of replays
    }
    Ok(ctx.activity(greet, name).await?)
}

#[workflow]
async fn doomed(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    Ok(ctx.activity(refuse, ()).await?)
}

#[workflow(accepts(Approve))]
async fn approval(ctx: WorkflowContext) -> Result<String, WorkflowError> {
    Ok(ctx.signals::<Approve>().recv().await?.by)
}

/// Fails at first, and is tried again after an hour.
#[activity(initial_interval = "1h")]
async fn charge(ctx: ActivityContext, sku: String) -> Result<String, ActivityError> {
    if ctx.attempt == 1 {
        return Err(ApplicationFailure::new("VendorDown", "503").into());
    }
    Ok(format!("charged for {sku}"))
}

#[derive(Signal, Serialize, Deserialize)]
struct Note(u32);

/// Charges, then waits for an approval; says what it was told meanwhile.
#[workflow(accepts(Approve, Note))]
async fn order(ctx: WorkflowContext, sku: String) -> Result<(String, Vec<u32>), WorkflowError> {
    let notes = ctx.state(Vec::new()).on_signal(|notes, Note(n)| notes.push(n)).published();
    let charged = ctx.activity(charge, sku).await?;
    ctx.signals::<Approve>().recv().await?;
    Ok((charged, notes.get()))
}

#[derive(Update, Serialize, Deserialize)]
#[update(output = u32)]
struct Add(u32);

#[derive(Query, Serialize, Deserialize)]
#[query(output = u32)]
struct Total;

#[derive(Signal, Serialize, Deserialize)]
struct TurnOver;

/// A sum that goes on from run to run.
#[workflow(accepts(Add, Total, TurnOver))]
async fn sum(ctx: WorkflowContext, start: u32) -> Result<u32, WorkflowError> {
    let sum = ctx
        .state(start)
        .on_update(|sum, Add(more)| {
            *sum += more;
            if *sum > 100 { reject("that is too much") } else { Ok(*sum) }
        })
        .on_query(|sum, Total| *sum);
    ctx.signals::<TurnOver>().recv().await?;
    ctx.continue_as_new(sum_again, sum.get())
}

#[workflow(accepts(Add, Total, TurnOver))]
async fn sum_again(ctx: WorkflowContext, start: u32) -> Result<u32, WorkflowError> {
    Ok(start + ctx.child(four, ()).id("four").await?)
}

#[workflow]
async fn four(_ctx: WorkflowContext) -> Result<u32, WorkflowError> {
    Ok(4)
}

/// What a journey really does leaves a line in this file: a crash test reads it.
#[derive(Clone, Serialize, Deserialize)]
struct Diary(PathBuf);

impl Diary {
    fn note(&self, line: &str) -> Result<(), ActivityError> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0)?;
        Ok(file.write_all(format!("{line}\n").as_bytes())?)
    }
}

#[activity(initial_interval = "50ms")]
async fn walk(ctx: ActivityContext, (diary, step): (Diary, u32)) -> Result<u32, ActivityError> {
    diary.note(&format!("walk {step}"))?;
    if step % 3 == 1 && ctx.attempt == 1 {
        return Err("stumbled".into());
    }
    Ok(step)
}

/// Pays, and nobody else does meanwhile.
#[allow(clippy::disallowed_methods, reason = "a payment takes its time")]
#[activity(start_to_close = "1h", heartbeat = "1m", exclusive, initial_interval = "50ms")]
async fn pay(ctx: ActivityContext, diary: Diary) -> Result<u64, ActivityError> {
    let (epoch, process) = (ctx.epoch(), std::process::id());
    diary.note(&format!("pay {epoch} begin {process}"))?;
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    diary.note(&format!("pay {epoch} end {process}"))?;
    Ok(epoch)
}

/// Steps side by side and one after the other, a timer, a signal, a payment, a child.
#[workflow(accepts(Approve))]
async fn journey(ctx: WorkflowContext, diary: Diary) -> Result<(u32, String, u32), WorkflowError> {
    let side_by_side = (0..4).map(|step| ctx.activity(walk, (diary.clone(), step)));
    let mut sum: u32 = try_join_all(side_by_side).await?.into_iter().sum();
    ctx.sleep(millis(40)).await?;
    for step in 4..8 {
        sum += ctx.activity(walk, (diary.clone(), step)).await?;
    }
    let by = ctx.signals::<Approve>().recv().await?.by;
    ctx.activity(pay, diary).await?;
    let four = ctx.child(four, ()).await?;
    Ok((sum, by, four))
}

fn main() -> ExitCode {
    let app =
        App::new().workflow(welcome).workflow(doomed).workflow(approval).workflow(order).activity(charge);
    let app = app.workflow(sum).workflow(sum_again).workflow(four);
    let app = app.workflow(journey).activity(walk).activity(pay);
    app.activity(greet).standalone(greet).activity(refuse).standalone(refuse).main()
}
