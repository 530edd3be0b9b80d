//! An emulator of S3 and SQS for the tests, and a bucket and queues of their own in it.
//!
//! `MILLRACE_TEST_ENDPOINT` names one that runs. Else `localstack/start.sh` starts one for the test binary; it ends when
//! the binary does, because its standard input closes then. Without Python, the tests say so and pass, unless
//! `MILLRACE_REQUIRE_EMULATOR=1`. Where an emulator is not AWS, the difference is handled here and not in the product.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_sqs::types::QueueAttributeName;
use millrace_aws::{Aws, Settings};
use millrace_core::Namespace;
use millrace_engine::ports::{Entropy as _, Ports, QueueName};
use millrace_local::{OsEntropy, SystemClock, TokioSpawn};

const SKIPPED: &str = "skipped: no AWS emulator; start one with localstack/start.sh (needs Python 3)";

/// The emulator of this test binary: its address, and the process if the binary has started it.
static EMULATOR: OnceLock<Option<(String, Option<Child>)>> = OnceLock::new();

fn endpoint() -> Option<&'static str> {
    let emulator = EMULATOR.get_or_init(|| {
        let given = std::env::var("MILLRACE_TEST_ENDPOINT").ok().filter(|url| !url.is_empty());
        given.map(|url| (url, None)).or_else(start)
    });
    let endpoint = emulator.as_ref().map(|(url, _)| url.as_str());
    if endpoint.is_none() {
        assert_ne!(std::env::var("MILLRACE_REQUIRE_EMULATOR").as_deref(), Ok("1"), "{SKIPPED}");
        println!("{SKIPPED}");
    }
    endpoint
}

fn start() -> Option<(String, Option<Child>)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../localstack/start.sh");
    let mut command = Command::new(script);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn().ok()?;
    let mut lines = BufReader::new(process.stdout.take()?).lines();
    while let Some(Ok(line)) = lines.next() {
        if let Some(url) = line.strip_prefix("ready ") {
            let url = url.trim().to_owned();
            // What it goes on to say is read, so that it is never held up by a full pipe.
            std::thread::spawn(move || lines.for_each(drop));
            return Some((url, Some(process)));
        }
    }
    let _ = process.wait();
    None
}

/// The SDK's configuration for the emulator.
pub(crate) async fn config(endpoint: &str) -> SdkConfig {
    millrace_aws::config_loader()
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .load()
        .await
}

/// Names that nobody else uses.
pub(crate) fn settings() -> Settings {
    let name = format!("t{:024x}", millrace_local::OsEntropy.bits() >> 32);
    Settings { bucket: format!("mill-{name}"), queue_prefix: name, namespace: Namespace::default() }
}

/// A bucket and queues of a test's own.
pub(crate) struct Stage {
    pub(crate) aws: Aws,
    pub(crate) config: SdkConfig,
}

impl Stage {
    /// `None` without an emulator. `max_receive` is how often a message may be received.
    pub(crate) async fn new(queues: &[QueueName], max_receive: u32) -> Option<Self> {
        let config = config(endpoint()?).await;
        let aws = Aws::with_config(settings(), config.clone(), Arc::new(SystemClock::default())).unwrap();
        let stage = Self { aws, config };
        let bucket = &stage.aws.settings().bucket;
        stage.s3().create_bucket().bucket(bucket).send().await.unwrap();
        for queue in queues {
            stage.create(queue, max_receive).await;
        }
        Some(stage)
    }

    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(true).build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// Creates the queue and its dead-letter queue.
    pub(crate) async fn create(&self, queue: &QueueName, max_receive: u32) {
        let dead = self.create_queue(&queue.dead_letters(), None).await;
        let arn =
            dead.split('/').next_back().map(|name| format!("arn:aws:sqs:us-east-1:000000000000:{name}"));
        let redrive = format!(
            r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":"{max_receive}"}}"#,
            arn.unwrap_or_default()
        );
        self.create_queue(queue, Some(redrive)).await;
    }

    async fn create_queue(&self, queue: &QueueName, redrive: Option<String>) -> String {
        let create = aws_sdk_sqs::Client::new(&self.config)
            .create_queue()
            .queue_name(self.aws.queue_name(queue))
            // AWS's own limit and default since 2025-08; an emulator may still have 256 KiB.
            .attributes(QueueAttributeName::MaximumMessageSize, (1 << 20).to_string())
            .attributes(QueueAttributeName::VisibilityTimeout, "30");
        let create = match redrive {
            Some(redrive) => create.attributes(QueueAttributeName::RedrivePolicy, redrive),
            None => create,
        };
        create.send().await.unwrap().queue_url.unwrap()
    }

    /// All ports, on the real clock.
    pub(crate) fn ports(&self) -> Ports {
        Ports {
            store: self.aws.store.clone(),
            queues: self.aws.queues.clone(),
            clock: Arc::new(SystemClock::default()),
            entropy: Arc::new(OsEntropy),
            spawn: Arc::new(TokioSpawn::new(tokio::runtime::Handle::current())),
        }
    }
}
