//! Building the SDK's clients, and the adapter from them.

use std::fmt;
use std::sync::Arc;

use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_s3::config::{
    RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use millrace_engine::ports::{Bodies, Clock, LargeBodies, ObjectStore, QueueName, Queues, StoreError};
use millrace_format::Keys;

use crate::batch;
use crate::objects::Objects;
use crate::queues::SqsQueues;
use crate::settings::Settings;
use crate::tuning;
use crate::urls::Urls;

/// Why the SDK's clients cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Neither the environment nor the profile names a region.
    #[error(
        "no AWS region is set: set AWS_REGION, or `region` in the profile, to where the bucket and the queues are"
    )]
    NoRegion,
}

/// The SDK's configuration as this crate's calls need it. Region, credentials, profile and endpoints come from the
/// SDK's own variables and files, unless they are set before it is loaded.
pub fn config_loader() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(tuning::http_client())
        .retry_config(tuning::retries())
        .timeout_config(tuning::timeouts())
        // TLS and the signature guard the bytes on their way. The SDK's default, a CRC with every PUT, makes requests
        // longer, and some endpoints refuse it.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
}

/// An S3 client with the same settings, for activities of the user's: one HTTP client, one TLS library in the package.
pub async fn s3_client() -> aws_sdk_s3::Client {
    s3(&config_loader().load().await)
}

pub(crate) fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(config).force_path_style(is_redirected(config)).build();
    aws_sdk_s3::Client::from_conf(config)
}

/// The ports on S3 and SQS.
#[derive(Clone)]
pub struct Aws {
    /// The object store.
    pub store: Arc<dyn ObjectStore>,
    /// The queues.
    pub queues: Arc<dyn Queues>,
    settings: Settings,
    config: SdkConfig,
    objects: Objects,
    bodies: Bodies<Objects>,
    urls: Arc<Urls>,
}

impl Aws {
    /// Connects with [`config_loader`]. Nothing is asked of AWS yet; [`Aws::check`] does that.
    pub async fn connect(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, ConnectError> {
        Self::with_config(settings, config_loader().load().await, clock)
    }

    /// Connects with a configuration of the caller's: other endpoints, credentials, retries or timeouts.
    pub fn with_config(
        settings: Settings,
        config: SdkConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        let region = config.region().ok_or(ConnectError::NoRegion)?.to_string();
        // A message is small, so an attempt's timeout is guard enough; a long poll is silent by intent, not stalled.
        let sqs = aws_sdk_sqs::config::Builder::from(&config)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        let objects = Objects { client: s3(&config), bucket: settings.bucket.clone() };
        let bodies = Bodies::new(objects.clone(), Keys::new(settings.namespace.clone()));
        let urls = Urls::new(aws_sdk_sqs::Client::from_conf(sqs), settings.queue_prefix.clone(), region);
        let urls = Arc::new(urls);
        let sqs = Arc::new(SqsQueues { urls: urls.clone(), clock });
        let queues = Arc::new(LargeBodies::new(sqs, bodies.clone(), batch::is_large));
        Ok(Self { store: Arc::new(objects.clone()), queues, settings, config, objects, bodies, urls })
    }

    /// The whole body of a message that was received otherwise than by [`Queues::receive`], by an event source mapping
    /// for one. An ordinary body is returned as it is, and so is a pointer that leads nowhere, which is logged. With an
    /// error the message is to be left where it is: it comes again.
    pub async fn resolve(&self, queue: &QueueName, body: String) -> Result<String, StoreError> {
        self.bodies.resolve(queue, body).await
    }

    /// Where it works.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The SDK's configuration, for clients of other services.
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.config
    }

    /// What a queue is called in SQS.
    pub fn queue_name(&self, queue: &QueueName) -> String {
        self.urls.name(queue)
    }

    pub(crate) fn region(&self) -> &str {
        &self.urls.region
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    pub(crate) fn urls(&self) -> &Urls {
        &self.urls
    }
}

/// Whether S3 is asked at an endpoint of the user's. An emulator knows the bucket by the path only; S3 itself is to be
/// asked by the bucket's own host name.
fn is_redirected(config: &SdkConfig) -> bool {
    config.endpoint_url().is_some()
        || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some_and(|url| !url.is_empty())
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").field("settings", &self.settings).field("region", &self.region()).finish()
    }
}
