//! A deployment on AWS as one of its processes sees it: the ports that its environment names.

use std::sync::Arc;
use std::time::Duration;

use millrace_aws::{Aws, Settings};
use millrace_core::Runaway;
use millrace_engine::OrchestratorConfig;
use millrace_engine::ports::{Counting, Ports, QueueName};
use millrace_format::Keys;
use millrace_local::{OsEntropy, SystemClock, TokioSpawn};

/// Half of the time that the template gives the orchestrator function.
const LOCALS_WITHIN: Duration = Duration::from_secs(15);

/// Whatever stops a process before it does any work.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a process works with.
pub(crate) struct Deployment {
    pub(crate) settings: Settings,
    pub(crate) aws: Arc<Aws>,
    pub(crate) ports: Ports,
    pub(crate) calls: Arc<Counting>,
}

impl Deployment {
    /// Connects to what `MILLRACE_BUCKET` and `MILLRACE_QUEUE_PREFIX` name, and makes sure that the bucket and these
    /// queues can be used: a missing permission is better met now than at the thousandth message.
    pub(crate) async fn connect(queues: &[QueueName]) -> Result<Self, Error> {
        let deployment = Self::of(Settings::from_env()?).await?;
        deployment.aws.check(queues).await?;
        Ok(deployment)
    }

    /// Connects, and looks at nothing yet.
    pub(crate) async fn of(settings: Settings) -> Result<Self, Error> {
        let clock = Arc::new(SystemClock::default());
        let aws = Arc::new(Aws::connect(settings.clone(), clock.clone()).await?);
        let spawn = Arc::new(TokioSpawn::new(tokio::runtime::Handle::current()));
        let (store, queues, entropy) = (aws.store.clone(), aws.queues.clone(), Arc::new(OsEntropy));
        let (calls, ports) = Counting::wrap(&Ports { store, queues, clock, entropy, spawn });
        Ok(Self { settings, aws, ports, calls })
    }

    pub(crate) fn keys(&self) -> Keys {
        Keys::new(self.settings.namespace.clone())
    }

    /// How turns are made here. What one run may do by itself is bounded, because nothing else on AWS would: the loop
    /// detection of Lambda takes every workflow for a loop and is off.
    pub(crate) fn orchestrator(&self) -> Result<OrchestratorConfig, Error> {
        let runaway = match number("MILLRACE_MAX_TURNS_PER_HOUR")? {
            None => Some(Runaway::default()),
            Some(0) => None,
            Some(turns) => Some(Runaway::per_hour(turns)),
        };
        let namespace = self.settings.namespace.clone();
        let (build, locals_within) = (build(), LOCALS_WITHIN);
        Ok(OrchestratorConfig { namespace, build, runaway, locals_within, ..OrchestratorConfig::default() })
    }
}

/// Names the code in histories and block marks: what the template says, else the function's version.
fn build() -> String {
    let named = ["MILLRACE_BUILD", "AWS_LAMBDA_FUNCTION_VERSION"].into_iter().find_map(variable);
    named.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned())
}

/// An environment variable that is set to something.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The number that a variable holds, if it is set.
pub(crate) fn number<N: std::str::FromStr>(name: &str) -> Result<Option<N>, Error> {
    let parsed = variable(name)
        .map(|value| value.parse().map_err(|_| format!("{name}: `{value}` is not a number in range").into()));
    parsed.transpose()
}
