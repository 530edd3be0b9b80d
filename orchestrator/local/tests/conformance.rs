//! The conformance suite on the adapters of this crate.

use std::sync::Arc;

use millrace_conformance::Suite;
use millrace_engine::ports::{Clock, ObjectStore, Ports, QueueName, Queues};
use millrace_local::{Embedded, Memory, OsEntropy, QueueConfig, SystemClock, TokioSpawn};

fn queue() -> QueueName {
    QueueName::from("task-conformance")
}

fn suite(store: Arc<dyn ObjectStore>, queues: Arc<dyn Queues>, clock: Arc<dyn Clock>) -> Suite {
    let spawn = Arc::new(TokioSpawn::new(tokio::runtime::Handle::current()));
    let ports = Ports { store, queues, clock, entropy: Arc::new(OsEntropy), spawn };
    Suite { ports, queue: queue(), max_receive: 3, prefix: "conformance/".into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_conforms() {
    let clock = Arc::new(SystemClock::default());
    let memory = Memory::with_batch_limit(clock.clone(), 10);
    memory.configure(&queue(), QueueConfig { max_receive: 3 });
    let suite = suite(memory.clone(), memory.clone(), clock);
    suite.all().await;
    suite.void_receipts_do_nothing().await;
    assert!(memory.all_messages().is_empty(), "the suite leaves no message: {:?}", memory.all_messages());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_conforms() {
    let clock = Arc::new(SystemClock::default());
    let dir = tempfile::tempdir().unwrap();
    let embedded = Embedded::open(dir.path(), clock.clone()).unwrap();
    embedded.configure(&queue(), QueueConfig { max_receive: 3 });
    let suite = suite(embedded.clone(), embedded.clone(), clock);
    suite.all().await;
    suite.void_receipts_do_nothing().await;
    assert_eq!((embedded.messages_in(&queue()), embedded.messages_in(&queue().dead_letters())), (0, 0));
}
