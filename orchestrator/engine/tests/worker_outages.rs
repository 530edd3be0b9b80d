//! Workers while the bucket is away: it costs no attempt, no receive, and no outcome (§6, G11).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use millrace_core::Fault;
use millrace_engine::ports::{
    Condition, DeleteError, ETag, ObjectStore, Ports, PutError, QueueName, StoreError, Stored,
};
use millrace_local::QueueConfig;
use serde_json::json;
use stage::{HOUR, MINUTE, SECOND, Stage, Working, boom, cpu, pause, payload};

/// A bucket that is away at times, for the workers; whoever makes turns still has it.
#[derive(Clone)]
struct Away {
    store: Arc<dyn ObjectStore>,
    now: Arc<AtomicBool>,
}

impl Away {
    fn check(&self) -> Result<(), StoreError> {
        match self.now.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("503 SlowDown".into())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl ObjectStore for Away {
    async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.check()?;
        self.store.get(key).await
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        self.check()?;
        self.store.put(key, body, condition).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.check()?;
        self.store.delete(key).await
    }

    async fn delete_if(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        self.check()?;
        self.store.delete_if(key, version).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.check()?;
        self.store.list(prefix, after, before, limit).await
    }
}

/// A world whose tasks are dead letters after three receives, and whose workers' bucket can be taken away.
struct World {
    stage: Stage,
    away: Arc<AtomicBool>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut stage = Stage::new(seed);
        stage.max_receive = 3;
        stage.memory.configure(&QueueName::task(&cpu()), QueueConfig { max_receive: 3 });
        stage.orchestrator("orchestrator");
        stage.ticker("ticker");
        stage.activity("fails first", |attempt, clock| async move {
            pause(&*clock, MINUTE).await;
            match attempt.task().attempt {
                1 => Err(boom("no")),
                n => Ok(payload(json!(n))),
            }
        });
        stage.activity("slow", |attempt, clock| async move {
            pause(&*clock, MINUTE).await;
            Ok(payload(json!(attempt.task().attempt)))
        });
        Self { stage, away: Arc::default() }
    }

    fn bucket_is_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn worker(&self, name: &str) -> Working {
        let now = self.away.clone();
        let wrap = |_: &_, ports: Ports| Ports {
            store: Arc::new(Away { store: ports.store.clone(), now }),
            ..ports
        };
        self.stage.worker_with(name, |config| config, wrap)
    }
}

#[test]
fn a_task_that_needs_a_lease_waits_for_the_bucket_and_loses_nothing() {
    for options in [json!({"exclusive": true}), json!({"heartbeat_ms": 120_000})] {
        let world = World::new(1);
        world.bucket_is_away(true);
        let _worker = world.worker("w");
        world.stage.call("a", "slow", options.clone());
        world.stage.pass(6 * HOUR);
        world.bucket_is_away(false);
        assert_eq!(world.stage.result("a", 5 * MINUTE), json!(1), "{options}");
        assert_eq!(world.stage.attempts(), [1], "{options}");
        world.stage.comes_to_rest(HOUR);
    }
}

#[test]
fn a_task_that_comes_again_is_run_if_the_log_cannot_be_asked() {
    let world = World::new(2);
    let first = world.worker("w1");
    world.stage.call("a", "slow", json!({}));
    world.stage.until_ran(1, MINUTE);
    first.process.kill();
    world.bucket_is_away(true);
    let _second = world.worker("w2");
    assert_eq!(world.stage.result("a", 5 * MINUTE), json!(1));
    assert_eq!(world.stage.attempts(), [1, 1]);
}

#[test]
fn an_outcome_that_cannot_be_stored_waits_and_nothing_is_run_again_for_it() {
    let world = World::new(3);
    let _worker = world.worker("w");
    world.stage.call("a", "slow", json!({"exclusive": true}));
    world.stage.call("b", "fails first", json!({"exclusive": true}));
    world.stage.call("c", "fails first", json!({"heartbeat_ms": 120_000}));
    world.stage.until_ran(3, MINUTE);
    world.stage.pass(30 * SECOND);
    world.bucket_is_away(true);
    world.stage.pass(6 * HOUR);
    assert_eq!(world.stage.attempts(), [1, 1, 1]);
    world.bucket_is_away(false);
    assert_eq!(world.stage.result("a", 5 * MINUTE), json!(1));
    let failed: [(u32, u32, Fault); 1] = [(1, 2, boom("no"))];
    for id in ["b", "c"] {
        assert_eq!(world.stage.result(id, 5 * MINUTE), json!(2));
        assert_eq!(world.stage.failed_attempts(id), failed, "{id}");
    }
    world.stage.comes_to_rest(HOUR);
}
