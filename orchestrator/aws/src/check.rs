//! The check at start: are the bucket and the queues there, and may they be used.

use futures::StreamExt as _;
use futures::stream;
use millrace_engine::ports::{ObjectStore as _, QueueError, QueueName, StoreError};

use crate::batch::CONCURRENCY;
use crate::connect::Aws;
use crate::settings::{BUCKET, QUEUE_PREFIX};

/// What keeps the system from working, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.join("\n"))]
pub struct CheckError {
    /// The problems: what was tried, what AWS said, what to do.
    pub problems: Vec<String>,
}

impl Aws {
    /// Asks for every queue's URL, which is kept, and for one object that need not exist. It writes nothing, so that it
    /// cannot tell whether the role may write.
    pub async fn check(&self, queues: &[QueueName]) -> Result<(), CheckError> {
        let mut checks = Vec::with_capacity(queues.len());
        for queue in queues {
            checks.push(self.check_queue(queue));
        }
        let queues = stream::iter(checks).buffered(CONCURRENCY).collect::<Vec<_>>();
        let (bucket, queues) = futures::join!(self.check_bucket(), queues);
        let mut problems: Vec<String> = Vec::new();
        for problem in bucket.into_iter().chain(queues.into_iter().flatten()) {
            // Without credentials, every call says so.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(CheckError { problems }) }
    }

    async fn check_bucket(&self) -> Option<String> {
        let key = format!("{}/check", self.settings().namespace);
        match self.objects().get(&key).await.err()? {
            StoreError::Unavailable(reason) => Some(reason),
            StoreError::Invalid { reason, .. } => {
                Some(format!("{reason}; {BUCKET} names the bucket, and it must be in {}", self.region()))
            }
        }
    }

    async fn check_queue(&self, queue: &QueueName) -> Option<String> {
        match self.urls().of(queue).await.err()? {
            QueueError::Unavailable { reason, .. } => Some(reason),
            QueueError::Invalid { reason, .. } => {
                Some(format!("{reason}; {QUEUE_PREFIX} is `{}`", self.settings().queue_prefix))
            }
            QueueError::ReceiptVoid => None,
        }
    }
}
