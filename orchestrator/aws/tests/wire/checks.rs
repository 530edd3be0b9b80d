//! What `check` says of permissions and credentials.

use std::sync::Arc;

use aws_config::Region;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use millrace_aws::{Aws, Settings};
use millrace_core::Namespace;
use millrace_engine::ports::QueueName;
use millrace_local::SystemClock;

use crate::server::{Server, reply, s3, sqs};

fn queues() -> [QueueName; 2] {
    [QueueName::inbox(), QueueName::events()]
}

#[tokio::test]
async fn a_fresh_bucket_passes() {
    let server = Server::new(|_, request| match request.line.starts_with("GET") {
        true => s3(404, "NoSuchKey"),
        false => reply(200, r#"{"QueueUrl":"https://x/1/q"}"#),
    });
    assert_eq!(server.aws().await.check(&queues()).await, Ok(()));
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn missing_permissions_are_named() {
    let server = Server::new(|_, request| match request.line.starts_with("GET") {
        true => s3(403, "AccessDenied"),
        false => sqs(403, "AccessDenied"),
    });
    let error = server.aws().await.check(&queues()).await.unwrap_err();
    let text = "s3:GetObject on bucket `bucket`: AccessDenied (403): so it is; allow s3:GetObject on `bucket/*` and \
                s3:ListBucket on `bucket`, without which a missing key is denied\n\
                sqs:GetQueueUrl on mill-inbox: AccessDenied (403): so it is; allow sqs:GetQueueUrl on mill-inbox\n\
                sqs:GetQueueUrl on mill-events: AccessDenied (403): so it is; allow sqs:GetQueueUrl on mill-events";
    assert_eq!(error.to_string(), text);
}

#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("nobody is logged in")))
    }
}

#[tokio::test]
async fn without_credentials_it_is_said_once() {
    let server = Server::always(reply(200, "{}"));
    let config = millrace_aws::config_loader()
        .endpoint_url(&server.endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(NoCredentials);
    let settings =
        Settings { bucket: "b".into(), queue_prefix: "mill".into(), namespace: Namespace::default() };
    let aws = Aws::with_config(settings, config.load().await, Arc::new(SystemClock::default())).unwrap();
    let error = aws.check(&queues()).await.unwrap_err().to_string();
    assert!(error.starts_with("no AWS credentials: ") && error.lines().count() == 1, "{error}");
    let put = aws.store.put("k", bytes::Bytes::new(), millrace_engine::ports::Condition::Absent).await;
    let text = put.unwrap_err().to_string();
    assert!(text.starts_with("the object store is unavailable: no AWS credentials"), "{text}");
    assert!(server.asked().is_empty());
}
