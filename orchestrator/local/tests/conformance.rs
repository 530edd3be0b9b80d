//! The conformance suite on the adapters of this crate.

use std::sync::Arc;

use millrace_conformance::Suite;
use millrace_engine::ports::{Ports, QueueName};
use millrace_local::{Memory, OsEntropy, QueueConfig, SystemClock, TokioSpawn};

fn queue() -> QueueName {
    QueueName::from("task-conformance")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_conforms() {
    for batch_limit in [10, 256] {
        let clock = Arc::new(SystemClock::default());
        let memory = Memory::with_batch_limit(clock.clone(), batch_limit);
        memory.configure(&queue(), QueueConfig { max_receive: 3 });
        let (store, queues) = (memory.clone(), memory.clone());
        let spawn = Arc::new(TokioSpawn::new(tokio::runtime::Handle::current()));
        let ports = Ports { store, queues, clock, entropy: Arc::new(OsEntropy), spawn };
        let suite = Suite { ports, queue: queue(), max_receive: 3, prefix: "conformance/".into() };
        suite.all().await;
        suite.void_receipts_do_nothing().await;
        assert!(memory.all_messages().is_empty(), "the suite leaves no message: {:?}", memory.all_messages());
    }
}
