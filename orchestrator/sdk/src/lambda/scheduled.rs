//! The functions that a schedule calls.

use std::process::ExitCode;
use std::time::Duration;

use lambda_runtime::{LambdaEvent, service_fn};
use millrace_core::TaskQueue;
use millrace_engine::ports::QueueName;
use millrace_engine::{DeadLetters, Sweeper, Ticker};
use serde::Deserialize;
use serde_json::{Value, json};

use super::host::run;
use crate::deployment::{Deployment, Error, variable};

/// A long poll asks all of a queue's servers, so that one message is found.
const POLL: Duration = Duration::from_secs(1);

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
        loop {
            match dead_letters.poll(queue, POLL).await? {
                0 => break,
                some => reported += some,
            }
        }
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

/// The function that looks after what no message does: far timers, and runs whose messages the queues have forgotten.
pub fn timer_tick() -> ExitCode {
    run(async {
        let deployment = Deployment::connect(&[QueueName::events()]).await?;
        let ticker = Ticker::new(deployment.ports.clone(), deployment.keys());
        let sweeper = Sweeper::new(deployment.ports.clone(), deployment.keys());
        let serve = |event: LambdaEvent<Request>| look_after(event.payload.what, &ticker, &sweeper);
        lambda_runtime::run(service_fn(serve)).await
    })
}

async fn look_after(what: What, ticker: &Ticker, sweeper: &Sweeper) -> Result<Value, Error> {
    Ok(match what {
        What::Tick => json!({ "timers_sent": ticker.tick().await? }),
        What::Sweep => {
            let report = sweeper.sweep().await;
            if report.failed > 0 {
                // An error of the function: its alarm is what somebody sees.
                return Err(format!("{} runs could not be looked at: see the log", report.failed).into());
            }
            serde_json::to_value(report)?
        }
    })
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
