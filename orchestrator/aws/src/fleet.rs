//! Machines of an auto-scaling group that serve a task queue: bringing them up, and ending one from within.
//!
//! Deliberately not here: ending a machine from outside. Only its own worker knows that it has no work.

use aws_config::imds;
use aws_config::provider_config::ProviderConfig;
use aws_sdk_sqs::types::QueueAttributeName;
use millrace_engine::ports::QueueName;

use crate::tuning;
use crate::{Settings, SettingsError, config_loader};

/// What went wrong: what was tried on what, with what AWS answered.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The environment does not say where to work.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// AWS did not do it.
    #[error("{action} on {resource}: {reason}")]
    Refused {
        /// The action, as a policy names it.
        action: &'static str,
        /// The group, the queue or the machine.
        resource: String,
        /// What came back.
        reason: String,
    },
    /// There is no such group in this account and region.
    #[error("there is no auto-scaling group `{0}` in this account and region")]
    NoGroup(String),
}

/// A group and the queue that it serves, as the function sees them that brings machines up.
pub struct Fleet {
    sqs: aws_sdk_sqs::Client,
    auto_scaling: aws_sdk_autoscaling::Client,
    queue: String,
    queue_url: String,
    group: String,
}

impl Fleet {
    /// Connects to a group, and to a queue of the deployment that the environment names.
    pub async fn connect(group: &str, queue: &QueueName) -> Result<Self, FleetError> {
        let settings = Settings::from_env()?;
        let config = config_loader().load().await;
        let sqs = aws_sdk_sqs::Client::new(&config);
        let queue = format!("{}-{queue}", settings.queue_prefix);
        let answer = sqs.get_queue_url().queue_name(&queue).send().await;
        let answer = answer.map_err(|e| refused("sqs:GetQueueUrl", &queue, &e))?;
        let queue_url = answer.queue_url.unwrap_or_default();
        let auto_scaling = aws_sdk_autoscaling::Client::new(&config);
        Ok(Self { sqs, auto_scaling, queue, queue_url, group: group.to_owned() })
    }

    /// How many tasks wait or run. A delayed one does not count: it is for later.
    pub async fn tasks(&self) -> Result<u64, FleetError> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let asked = self.sqs.get_queue_attributes().queue_url(&self.queue_url);
        let answer = asked.set_attribute_names(Some(names.to_vec())).send().await;
        let answer = answer.map_err(|e| refused("sqs:GetQueueAttributes", &self.queue, &e))?;
        let attributes = answer.attributes.unwrap_or_default();
        let number = |name| attributes.get(name).and_then(|value| value.parse::<u64>().ok());
        Ok(names.iter().filter_map(number).sum())
    }

    /// How many machines the group is asked to have.
    pub async fn desired(&self) -> Result<u32, FleetError> {
        let asked = self.auto_scaling.describe_auto_scaling_groups().auto_scaling_group_names(&self.group);
        let answer = asked.send().await;
        let answer = answer.map_err(|e| refused("autoscaling:DescribeAutoScalingGroups", &self.group, &e))?;
        let group = answer.auto_scaling_groups.unwrap_or_default().into_iter().next();
        let desired = group.ok_or_else(|| FleetError::NoGroup(self.group.clone()))?.desired_capacity;
        Ok(desired.and_then(|n| u32::try_from(n).ok()).unwrap_or_default())
    }

    /// Asks the group to have so many machines.
    pub async fn raise(&self, desired: u32) -> Result<(), FleetError> {
        let desired = i32::try_from(desired).unwrap_or(i32::MAX);
        let asked = self.auto_scaling.set_desired_capacity().auto_scaling_group_name(&self.group);
        let answer = asked.desired_capacity(desired).honor_cooldown(false).send().await;
        answer.map_err(|e| refused("autoscaling:SetDesiredCapacity", &self.group, &e))?;
        Ok(())
    }
}

/// The machine that this process runs on.
#[derive(Clone)]
pub struct Machine {
    auto_scaling: aws_sdk_autoscaling::Client,
    metadata: imds::Client,
    id: String,
}

impl Machine {
    /// Asks the instance metadata service (version 2) who this machine is.
    pub async fn this(group: &str) -> Result<Self, FleetError> {
        let http = ProviderConfig::without_region().with_http_client(tuning::http_client());
        let metadata = imds::Client::builder().configure(&http).build();
        let id = metadata.get("/latest/meta-data/instance-id").await;
        let id = id.map_err(|e| refused("the instance metadata service", group, &e))?.as_ref().to_owned();
        let auto_scaling = aws_sdk_autoscaling::Client::new(&config_loader().load().await);
        Ok(Self { auto_scaling, metadata, id })
    }

    /// Whether a spot interruption or the group's own end of this machine has been announced.
    pub async fn is_taken_away(&self) -> bool {
        // Absent (404) until there is something to announce.
        if self.metadata.get("/latest/meta-data/spot/instance-action").await.is_ok() {
            return true;
        }
        let target = self.metadata.get("/latest/meta-data/autoscaling/target-lifecycle-state").await;
        target.is_ok_and(|state| state.as_ref().starts_with("Terminated"))
    }

    /// Ends this machine and lowers the group by it. Works on a machine that is protected from scale-in, too.
    pub async fn leave(&self) -> Result<(), FleetError> {
        let asked = self.auto_scaling.terminate_instance_in_auto_scaling_group().instance_id(&self.id);
        let answer = asked.should_decrement_desired_capacity(true).send().await;
        answer.map_err(|e| refused("autoscaling:TerminateInstanceInAutoScalingGroup", &self.id, &e))?;
        Ok(())
    }
}

fn refused(action: &'static str, resource: &str, error: &(dyn std::error::Error + 'static)) -> FleetError {
    // The SDK's errors say what happened only in their sources.
    let mut reasons = vec![error.to_string()];
    let mut below = error.source();
    while let Some(cause) = below {
        reasons.push(cause.to_string());
        below = cause.source();
    }
    FleetError::Refused { action, resource: resource.to_owned(), reason: reasons.join(": ") }
}
