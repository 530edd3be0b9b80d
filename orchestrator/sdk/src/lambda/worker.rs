//! The worker function: activities that fit into a function's time.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use futures::FutureExt;
use futures::future::{Either, select};
use lambda_runtime::{LambdaEvent, service_fn};
use millrace_core::{TaskQueue, Timestamp};
use millrace_engine::ports::QueueName;
use millrace_engine::{Stop, Worker, WorkerConfig};

use super::acknowledgements::Acknowledgements;
use super::event::{Batch, answer};
use super::host::{EARLY, pause, run};
use crate::App;
use crate::deployment::{Deployment, Error, variable};

/// What is left of the function's time when an attempt is stopped: enough to report it.
const MARGIN: Duration = Duration::from_secs(5);

/// How much of it reports may take. Those that are still not taken, because a queue or the bucket is away, are given up.
const TO_REPORT: Duration = Duration::from_secs(3);

/// The function that runs the activities of the task queue that `MILLRACE_TASK_QUEUE` names (`cpu` if none).
pub fn worker(app: App) -> ExitCode {
    run(async move {
        app.check()?;
        let host = Host::connect(&app).await?;
        lambda_runtime::run(service_fn(|event| host.batch(event))).await
    })
}

struct Host {
    deployment: Deployment,
    worker: Worker,
    acknowledgements: Arc<Acknowledgements>,
}

impl Host {
    async fn connect(app: &App) -> Result<Self, Error> {
        let queue = task_queue()?;
        let deployment = Deployment::connect(&[QueueName::events(), QueueName::task(&queue)]).await?;
        let mut ports = deployment.ports.clone();
        let acknowledgements = Acknowledgements::wrap(&mut ports);
        let namespace = deployment.settings.namespace.clone();
        let config = WorkerConfig { namespace, ..WorkerConfig::new(queue) };
        let worker = Worker::new(ports, app.activity_code(), config);
        Ok(Self { deployment, worker, acknowledgements })
    }

    async fn batch(&self, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
        let deadline = Timestamp::from_millis(i64::try_from(event.context.deadline).unwrap_or(i64::MAX));
        let until = Timestamp::from_millis(deadline.as_millis() - MARGIN.as_millis() as i64);
        let Batch { queue, messages, unread } = Batch::read(event.payload, &self.deployment).await?;
        self.acknowledgements.begin(&queue, &messages);
        let clock = self.deployment.ports.clock.as_ref();
        let stop: Stop = clock.sleep_until(until.plus(TO_REPORT)).shared();
        let mut working = Box::pin(self.worker.handle(messages, until, stop));
        // A finished task whose visibility was shortened would come again while its neighbors run.
        let running_on = loop {
            match select(working, Box::pin(pause(clock, EARLY))).await {
                Either::Left((running_on, _)) => break running_on,
                Either::Right(((), unfinished)) => working = unfinished,
            }
            self.acknowledgements.delete_early().await;
        };
        if running_on > 0 {
            self.give_up(running_on).await;
        }
        let mut come_again = self.acknowledgements.open();
        come_again.extend(unread);
        Ok(answer(come_again))
    }

    /// Code that never awaits cannot be stopped: it would go on, effects and all, beside later invocations. The process
    /// ends instead, once what is finished is deleted; the rest comes again, to a fresh one.
    async fn give_up(&self, running_on: usize) -> ! {
        self.acknowledgements.delete_early().await;
        tracing::error!(running_on, "the code of attempts that were stopped runs on; the process ends");
        std::process::exit(1)
    }
}

/// The task queue that this process serves.
pub(crate) fn task_queue() -> Result<TaskQueue, Error> {
    let name = variable("MILLRACE_TASK_QUEUE").unwrap_or_else(|| "cpu".into());
    TaskQueue::new(&name).map_err(|error| format!("MILLRACE_TASK_QUEUE: {error}").into())
}
