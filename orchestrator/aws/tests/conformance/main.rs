//! The conformance suite, and what only S3 and SQS have, against an emulator.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../emulator/mod.rs"]
mod emulator;

mod checks;
mod messages;

use emulator::Stage;
use millrace_conformance::Suite;
use millrace_engine::ports::QueueName;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_conform() {
    let Some(stage) = Stage::new(&[], 3).await else { return };
    let suite = Suite {
        ports: stage.ports(),
        queue: QueueName::events(),
        max_receive: 3,
        prefix: "conformance/".into(),
    };
    suite.all_objects().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_conform() {
    let queue = QueueName::from("task-conformance");
    let Some(stage) = Stage::new(std::slice::from_ref(&queue), 3).await else { return };
    let suite = Suite { ports: stage.ports(), queue, max_receive: 3, prefix: "conformance/".into() };
    suite.all_queues().await;
}
