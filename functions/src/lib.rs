//! The main example in a deployment: the same workflow and activities, with a bucket for a registry.

use async_trait::async_trait;
use futures::lock::Mutex;
use millrace::{ActivityError, App, ApplicationFailure};
use train_test_deploy::registry::ArtifactId;
use train_test_deploy::workflow::{Target, app};

/// The example's app for a function or a fleet worker.
pub fn train_test_deploy() -> App {
    app(BucketRegistry::default())
}

/// Models in the deployment's bucket, laid out as the example's folder is: `registry/models/<sha256>.json`, and
/// `registry/current` with the name of the one in use. Connects at the first deployment, so that a function that never
/// deploys does not pay for it at its cold start.
#[derive(Default)]
struct BucketRegistry(Mutex<Option<aws_sdk_s3::Client>>);

#[async_trait]
impl Target for BucketRegistry {
    async fn deploy(&self, artifact: Vec<u8>) -> Result<ArtifactId, ActivityError> {
        let id = ArtifactId::of(&artifact);
        // The artifact is there before the pointer names it, whenever this is killed.
        self.put(&format!("registry/models/{id}.json"), artifact).await?;
        self.put("registry/current", format!("{id}\n").into_bytes()).await?;
        Ok(id)
    }
}

impl BucketRegistry {
    async fn client(&self) -> aws_sdk_s3::Client {
        let mut client = self.0.lock().await;
        match &*client {
            Some(client) => client.clone(),
            None => client.insert(millrace::lambda::s3_client().await).clone(),
        }
    }

    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), ActivityError> {
        let bucket = std::env::var("MILLRACE_BUCKET")
            .map_err(|_| ApplicationFailure::new("NoBucket", "MILLRACE_BUCKET is not set").non_retryable())?;
        self.client().await.put_object().bucket(bucket).key(key).body(body.into()).send().await?;
        Ok(())
    }
}
