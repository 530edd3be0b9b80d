//! The orchestrator function: one batch of the inbox or of events is one invocation.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use futures::FutureExt;
use futures::future::{Either, select};
use lambda_runtime::{LambdaEvent, service_fn};
use millrace_core::Timestamp;
use millrace_engine::Orchestrator;
use millrace_engine::ports::QueueName;

use super::acknowledgements::Acknowledgements;
use super::event::{Batch, answer};
use super::host::{EARLY, pause, run};
use super::metrics::Metrics;
use crate::App;
use crate::deployment::{Deployment, Error};

/// What is left of the function's time when its work is given up.
const MARGIN: Duration = Duration::from_secs(2);

/// The function that makes turns. Live runs stay in memory between invocations.
pub fn orchestrator(app: App) -> ExitCode {
    run(async move {
        app.check()?;
        let host = Host::connect(&app).await?;
        lambda_runtime::run(service_fn(|event| host.batch(event))).await
    })
}

struct Host {
    deployment: Deployment,
    orchestrator: Arc<Orchestrator>,
    acknowledgements: Arc<Acknowledgements>,
    metrics: Metrics,
}

impl Host {
    async fn connect(app: &App) -> Result<Self, Error> {
        let deployment = Deployment::connect(&[QueueName::inbox(), QueueName::events()]).await?;
        let mut ports = deployment.ports.clone();
        let acknowledgements = Acknowledgements::wrap(&mut ports);
        let config = deployment.orchestrator()?;
        let orchestrator = Arc::new(
            Orchestrator::new(ports, app.workflow_code(), config).with_local_activities(app.activity_code()),
        );
        let metrics = Metrics::new(&deployment.settings.queue_prefix, deployment.ports.clock.clone());
        Ok(Self { deployment, orchestrator, acknowledgements, metrics })
    }

    async fn batch(&self, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
        let until = Timestamp::from_millis(i64::try_from(event.context.deadline).unwrap_or(i64::MAX));
        let Batch { queue, messages, unread } = Batch::read(event.payload, &self.deployment).await?;
        self.acknowledgements.begin(&queue, &messages);
        // On a thread of its own, not one of the runtime's: code that never yields may hold the very one that watches
        // the clock, and the end of the function's time would not be seen.
        let orchestrator = self.orchestrator.clone();
        let turns = async move { orchestrator.handle(&queue, messages).await };
        let mut turns = self.deployment.ports.spawn.spawn(turns.boxed());
        loop {
            let clock = self.deployment.ports.clock.as_ref();
            match select(&mut turns, Box::pin(pause(clock, EARLY))).await {
                Either::Left((Ok(()), _)) => break,
                Either::Left((Err(error), _)) => {
                    tracing::error!(error, "a turn ended the engine; its messages come again");
                    break;
                }
                Either::Right(_) => self.acknowledgements.delete_early().await,
            }
            if until.since(clock.now()) < MARGIN {
                self.give_up();
            }
        }
        self.metrics.after(&self.orchestrator.stats(), &self.deployment.calls.counts());
        let mut come_again = self.acknowledgements.open();
        come_again.extend(unread);
        Ok(answer(come_again))
    }

    /// A turn that does not end would go on in the background of later invocations. The process ends instead: what is
    /// not deleted comes again, to a fresh one, and the third time it is absorbed without the code (G9).
    fn give_up(&self) -> ! {
        let open = self.acknowledgements.open();
        tracing::error!(messages = ?open, "turns have not ended within the function's time; the process ends and their messages come again");
        std::process::exit(1)
    }
}
