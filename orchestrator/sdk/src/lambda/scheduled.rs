//! The functions that a schedule calls.

use std::process::ExitCode;
use std::time::Duration;

use lambda_runtime::{LambdaEvent, service_fn};
use millrace_core::{TaskQueue, Timestamp};
use millrace_engine::ports::QueueName;
use millrace_engine::{DeadLetters, PurgeReport, Purger, Retention, SweepReport, Sweeper, Ticker};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::host::run;
use crate::deployment::{Deployment, Error, variable};

/// A long poll asks all of a queue's servers, so that one message is found.
const POLL: Duration = Duration::from_secs(1);

/// How long closed runs are kept.
const RETENTION: &str = "MILLRACE_RETENTION";
/// What a purge leaves of the function's time, for the requests that it is at.
const RESERVED_MS: i64 = 30_000;

/// The function that reports tasks which killed their workers. `MILLRACE_TASK_QUEUES` names the task queues, each with
/// its `maxReceiveCount`: `cpu=5,gpu=50`. What is no task stays in its dead-letter queue, for a person.
pub fn dead_letters() -> ExitCode {
    run(async {
        let queues = task_queues(&variable("MILLRACE_TASK_QUEUES").unwrap_or_else(|| "cpu=5".into()))?;
        let mut used = vec![QueueName::events()];
        used.extend(queues.iter().map(|(queue, _)| QueueName::task(queue).dead_letters()));
        let deployment = Deployment::connect(&used).await?;
        let bury = |_: LambdaEvent<Value>| bury(&deployment, &queues);
        lambda_runtime::run(service_fn(bury)).await
    })
}

async fn bury(deployment: &Deployment, queues: &[(TaskQueue, u32)]) -> Result<Value, Error> {
    let mut reported = 0;
    for (queue, receives) in queues {
        let dead_letters = DeadLetters::new(deployment.ports.clone()).after_receives(*receives);
        reported += dead_letters.poll(queue, POLL).await?.reported;
    }
    Ok(json!({ "reported": reported }))
}

fn task_queues(text: &str) -> Result<Vec<(TaskQueue, u32)>, Error> {
    let queue = |entry: &str| {
        let wrong = || {
            format!(
                "MILLRACE_TASK_QUEUES: `{entry}` is not a task queue with its maxReceiveCount, such as `cpu=5`"
            )
        };
        let (name, receives) = entry.trim().split_once('=').ok_or_else(wrong)?;
        let receives = receives.parse().ok().filter(|receives| *receives > 0).ok_or_else(wrong)?;
        Ok((TaskQueue::new(name).map_err(|error| format!("MILLRACE_TASK_QUEUES: {error}"))?, receives))
    };
    text.split(',').map(queue).collect()
}

/// What a schedule asks for.
#[derive(Deserialize)]
struct Request {
    #[serde(rename = "do", default)]
    what: What,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    #[default]
    Tick,
    Sweep,
}

/// The function that looks after what no message does: far timers, and runs whose messages the queues have forgotten. Where
/// `MILLRACE_RETENTION` is set (`30d`, at least `14d`), the sweep also removes runs that closed longer ago.
pub fn timer_tick() -> ExitCode {
    run(async {
        let deployment = Deployment::connect(&[QueueName::events()]).await?;
        let ticker = Ticker::new(deployment.ports.clone(), deployment.keys());
        let sweeper = Sweeper::new(deployment.ports.clone(), deployment.keys());
        let purger =
            retention()?.map(|retention| Purger::new(deployment.ports.clone(), deployment.keys(), retention));
        let work = Work { ticker, sweeper, purger };
        let serve = |event: LambdaEvent<Request>| {
            let deadline = event.context.deadline;
            look_after(event.payload.what, &work, deadline)
        };
        lambda_runtime::run(service_fn(serve)).await
    })
}

/// What the function does, by what it is asked for.
struct Work {
    ticker: Ticker,
    sweeper: Sweeper,
    purger: Option<Purger>,
}

/// What a sweep tells.
#[derive(Serialize)]
struct Swept {
    #[serde(flatten)]
    swept: SweepReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    purge: Option<PurgeReport>,
}

/// How long closed runs are kept; `None` is for ever.
fn retention() -> Result<Option<Retention>, Error> {
    let parsed = variable(RETENTION).map(|text| text.parse::<Retention>());
    parsed.transpose().map_err(|error| format!("{RETENTION}: {error}").into())
}

async fn look_after(what: What, work: &Work, deadline_ms: u64) -> Result<Value, Error> {
    match what {
        What::Tick => Ok(json!({ "timers_sent": work.ticker.tick().await? })),
        What::Sweep => sweep(work, deadline_ms).await,
    }
}

async fn sweep(work: &Work, deadline_ms: u64) -> Result<Value, Error> {
    let swept = work.sweeper.sweep().await;
    // What is left when the time is nearly over is for the next day.
    let until = i64::try_from(deadline_ms).unwrap_or(i64::MAX).saturating_sub(RESERVED_MS);
    let purge = match &work.purger {
        Some(purger) => Some(purger.purge(Some(Timestamp::from_millis(until))).await),
        None => None,
    };
    // An error of the function: its alarm is what somebody sees.
    if swept.failed > 0 {
        return Err(format!("{} runs could not be looked at: see the log", swept.failed).into());
    }
    if let Some(purge) = purge.filter(|purge| purge.failed > 0) {
        return Err(format!("{} closed runs could not be removed: see the log", purge.failed).into());
    }
    Ok(serde_json::to_value(Swept { swept, purge })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_queues_are_named_with_their_receive_counts() {
        let queues = task_queues("cpu=5, gpu=50").unwrap();
        let read: Vec<_> = queues.iter().map(|(queue, receives)| (queue.to_string(), *receives)).collect();
        assert_eq!(read, [("cpu".to_owned(), 5), ("gpu".to_owned(), 50)]);
        for wrong in ["cpu", "cpu=", "cpu=0", "=5", "cpu=5,", "a/b=1"] {
            let error = task_queues(wrong).unwrap_err().to_string();
            assert!(error.starts_with("MILLRACE_TASK_QUEUES: "), "{wrong}: {error}");
        }
    }
}
