//! What is missing is named, at start and at each call.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_aws::Aws;
use millrace_engine::ports::{Condition, OutMessage, PutError, QueueError, QueueName, StoreError};
use millrace_local::SystemClock;

use crate::emulator::{self, Stage};

#[tokio::test]
async fn a_complete_set_passes_the_check() {
    let queues = [QueueName::inbox(), QueueName::events()];
    let Some(stage) = Stage::new(&queues, 3).await else { return };
    assert_eq!(stage.aws.check(&queues).await, Ok(()));
}

#[tokio::test]
async fn the_check_names_everything_that_is_missing() {
    let events = QueueName::events();
    let Some(stage) = Stage::new(std::slice::from_ref(&events), 3).await else { return };
    let gone = emulator::settings();
    let aws = Aws::with_config(gone.clone(), stage.config.clone(), Arc::new(SystemClock::default())).unwrap();
    let error = aws.check(&[events.clone(), QueueName::inbox()]).await.unwrap_err().to_string();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 3, "{error}");
    let (bucket, prefix) = (&gone.bucket, &gone.queue_prefix);
    assert!(lines[0].starts_with(&format!("there is no bucket `{bucket}`")), "{error}");
    assert!(lines[0].ends_with("; MILLRACE_BUCKET names the bucket, and it must be in us-east-1"), "{error}");
    for (line, queue) in [(lines[1], "events"), (lines[2], "inbox")] {
        let text = format!(
            "there is no such queue: {prefix}-{queue} in us-east-1; MILLRACE_QUEUE_PREFIX is `{prefix}`"
        );
        assert_eq!(line, text);
    }
}

#[tokio::test]
async fn a_missing_bucket_is_the_callers_fault() {
    let Some(stage) = Stage::new(&[], 3).await else { return };
    let aws = Aws::with_config(emulator::settings(), stage.config, Arc::new(SystemClock::default())).unwrap();
    let get = aws.store.get("k").await.unwrap_err();
    assert!(matches!(get, StoreError::Invalid { .. }), "{get:?}");
    for condition in [Condition::Always, Condition::Absent] {
        let put = aws.store.put("k", Bytes::from_static(b"x"), condition).await.unwrap_err();
        assert!(matches!(put, PutError::Store(StoreError::Invalid { .. })), "{put:?}");
    }
}

#[tokio::test]
async fn a_queue_created_later_is_found() {
    let (events, late) = (QueueName::events(), QueueName::from("task-late"));
    let Some(stage) = Stage::new(&[events], 3).await else { return };
    let send = async || stage.aws.queues.send(&late, vec![OutMessage::now("1".into()); 2]).await;
    let reason = format!("there is no such queue: {} in us-east-1", stage.aws.queue_name(&late));
    let refused = Err(QueueError::Invalid { queue: late.to_string(), reason });
    assert_eq!(send().await, [refused.clone(), refused]);
    stage.create(&late, 3).await;
    assert_eq!(send().await, [Ok(()), Ok(())]);
    let received = stage.aws.queues.receive(&late, 10, Duration::from_secs(2), Duration::from_secs(30)).await;
    assert!(!received.unwrap().is_empty());
}
