//! Workers that stop, and code that does not (§6, G11).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod stage;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use millrace_conformance::Process;
use millrace_core::Payload;
use millrace_engine::ports::{
    Delivery, OutMessage, Ports, QueueError, QueueName, Queues, Receipt, SendError, Spawn, SpawnHandle,
};
use millrace_engine::{ActivityCode, Attempt, Worker, WorkerConfig};
use serde_json::json;
use stage::{HOUR, MINUTE, SECOND, Stage, cpu, pause, payload};

/// `slow` takes so long, and returns its attempt's number.
fn slow(stage: &Stage, time: Duration) {
    stage.activity("slow", move |attempt, clock| async move {
        pause(&*clock, time).await;
        Ok(payload(json!(attempt.task().attempt)))
    });
}

/// `moves` ends when it is asked to, or after a minute.
fn moves(stage: &Stage) {
    stage.activity("moves", |attempt, clock| async move {
        let long = clock.sleep_until(clock.now().plus(MINUTE));
        match futures::future::select(attempt.stopped(), long).await {
            futures::future::Either::Left((fault, _)) => Err(fault),
            futures::future::Either::Right(_) => Ok(payload(json!(attempt.task().attempt))),
        }
    });
}

#[test]
fn g11_an_exclusive_activity_of_one_attempt_is_not_given_back_once_it_runs() {
    let stage = Stage::running(18);
    moves(&stage);
    let mut first = stage.worker("w1");
    stage.call("a", "moves", json!({"exclusive": true, "retry": {"maximum_attempts": 1}}));
    stage.until_ran(1, MINUTE);
    stage.pass(10 * SECOND);
    first.stop();
    let _second = stage.worker("w2");
    let fault = stage.fault("a", HOUR).to_string();
    assert!(fault.contains("its worker stopped, and it runs at most once"), "{fault}");
    assert_eq!(stage.attempts(), [1]);
}

#[test]
fn g11_a_stopping_worker_gives_its_tasks_back_and_no_attempt_is_counted() {
    for options in [json!({}), json!({"heartbeat_ms": 600_000}), json!({"exclusive": true})] {
        let stage = Stage::running(15);
        moves(&stage);
        let mut first = stage.worker("w1");
        stage.call("a", "moves", options.clone());
        stage.until_ran(1, MINUTE);
        stage.pass(10 * SECOND);
        first.stop();
        stage.until(|| first.has_ended(), MINUTE);
        let _second = stage.worker("w2");
        let gave_back = stage.sim.clock().now();
        assert_eq!(stage.result("a", HOUR), json!(1), "{options}");
        assert_eq!(stage.attempts(), [1, 1]);
        let wait = stage.ran()[1].at.since(gave_back);
        assert!(wait <= SECOND, "{options}: at once, after {wait:?}");
        assert!(stage.failed_attempts("a").is_empty());
    }
}

#[test]
fn g11_code_that_does_not_listen_is_given_back_after_the_grace() {
    let stage = Stage::running(16);
    slow(&stage, 9 * MINUTE);
    let mut first = stage.worker("w1");
    stage.call("a", "slow", json!({}));
    stage.until_ran(1, MINUTE);
    let asked = stage.sim.clock().now();
    first.stop();
    stage.until(|| first.has_ended(), MINUTE);
    let took = stage.sim.clock().now().since(asked);
    assert!(took >= 10 * SECOND && took <= 11 * SECOND, "{took:?}");
    let _second = stage.worker("w2");
    assert_eq!(stage.result("a", HOUR), json!(1));
    assert!(stage.failed_attempts("a").is_empty());
}

#[test]
fn g11_an_attempt_that_ends_within_the_grace_is_reported() {
    let stage = Stage::running(17);
    slow(&stage, 15 * SECOND);
    let mut worker = stage.worker("w1");
    stage.call("a", "slow", json!({}));
    stage.until_ran(1, MINUTE);
    stage.pass(10 * SECOND);
    worker.stop();
    assert_eq!(stage.result("a", MINUTE), json!(1));
    assert_eq!(stage.attempts(), [1]);
}

/// Queues that go on answering a receive whose caller has gone, as SQS does.
struct Distant {
    queues: Arc<dyn Queues>,
    process: Process,
}

#[async_trait]
impl Queues for Distant {
    fn batch_limit(&self) -> usize {
        self.queues.batch_limit()
    }

    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>> {
        self.queues.send(queue, messages).await
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let (sender, receiver) = oneshot::channel();
        let (queues, queue) = (self.queues.clone(), queue.clone());
        self.process.spawn(async move {
            let _ = sender.send(queues.receive(&queue, max, wait, visibility).await);
        });
        receiver.await.unwrap()
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        self.queues.delete(queue, receipts).await
    }

    async fn change_visibility(
        &self,
        queue: &QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        self.queues.change_visibility(queue, receipt, visibility).await
    }

    async fn settle(&self) -> Result<(), QueueError> {
        self.queues.settle().await
    }
}

fn distant(process: &Process, ports: Ports) -> Ports {
    Ports { queues: Arc::new(Distant { queues: ports.queues.clone(), process: process.clone() }), ..ports }
}

#[test]
fn g11_the_last_receive_of_a_stopping_worker_hides_no_task() {
    let stage = Stage::running(4);
    slow(&stage, SECOND);
    let mut first = stage.worker_with("w1", |config| config, distant);
    stage.pass(15 * SECOND);
    first.stop();
    stage.pass(SECOND);
    stage.call("a", "slow", json!({}));
    stage.pass(SECOND);
    assert!(first.has_ended(), "it has taken the task, and given it back");
    assert!(stage.ran().is_empty(), "it begins nothing any more");
    let _second = stage.worker("w2");
    assert_eq!(stage.result("a", 5 * SECOND), json!(1));
    stage.comes_to_rest(MINUTE);
}

#[test]
fn an_idle_worker_waits_for_its_last_receive_within_the_grace_and_not_at_all_in_process() {
    for (only_process, least, most) in [(false, 10 * SECOND, 11 * SECOND), (true, Duration::ZERO, SECOND)] {
        let stage = Stage::running(5);
        let mut worker =
            stage.worker_with("w", |config| WorkerConfig { only_process, ..config }, |_, ports| ports);
        stage.pass(SECOND);
        let asked = stage.sim.clock().now();
        worker.stop();
        stage.until(|| worker.has_ended(), MINUTE);
        let took = stage.sim.clock().now().since(asked);
        assert!(took >= least && took <= most, "{only_process}: {took:?}");
    }
}

/// Threads whose code goes on when it is asked to stop, because it never awaits.
struct Unstoppable(Process);

impl Spawn for Unstoppable {
    fn spawn(&self, future: BoxFuture<'static, ()>) -> SpawnHandle {
        self.0.spawn(future);
        futures::future::pending().boxed()
    }
}

/// An activity that takes a minute.
struct Minute(Ports);

impl ActivityCode for Minute {
    fn knows(&self, _: &str) -> bool {
        true
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn run(&self, _: Arc<dyn Attempt>) -> BoxFuture<'static, Result<Payload, millrace_core::Fault>> {
        let minute = self.0.clock.sleep_until(self.0.clock.now().plus(MINUTE));
        minute.map(Ok::<_, millrace_core::Fault>).map_ok(|()| Payload::default()).boxed()
    }
}

#[test]
fn whoever_calls_a_worker_is_told_of_code_that_runs_on() {
    for (limit, stoppable, expected) in [
        (30 * SECOND, false, 1),
        (30 * SECOND, true, 0),
        (MINUTE - SECOND / 2, false, 0), // It ends by itself within the second that it is given.
        (2 * MINUTE, false, 0),
    ] {
        let stage = Stage::running(6);
        stage.call("a", "minute", json!({"start_to_close_ms": limit.as_millis() as u64}));
        let process = stage.sim.process("function");
        let mut ports = stage.ports(&process);
        if !stoppable {
            ports.spawn = Arc::new(Unstoppable(process.clone()));
        }
        let worker = Worker::new(ports.clone(), Arc::new(Minute(ports.clone())), WorkerConfig::new(cpu()));
        let running_on = stage.block_on(async move {
            let queue = QueueName::task(&cpu());
            let batch = ports.queues.receive(&queue, 1, MINUTE, HOUR).await.unwrap();
            assert_eq!(batch.len(), 1);
            let until = ports.clock.now().plus(HOUR);
            worker.handle(batch, until, futures::future::pending().boxed().shared()).await
        });
        assert_eq!(running_on, expected, "{limit:?}, {stoppable}");
    }
}
