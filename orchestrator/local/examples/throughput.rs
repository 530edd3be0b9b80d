//! How fast the embedded store is on this machine: `cargo run --release -p millrace-local --example throughput [folder]`.
//!
//! A step is what an activity costs: a commit and a task, the task received and deleted, an outcome sent, received and
//! deleted.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a measurement, run by hand")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace_engine::ports::{Condition, ETag, ObjectStore, OutMessage, QueueName, Queues};
use millrace_local::{Embedded, SystemClock};

const LONG: Duration = Duration::from_secs(20);

async fn step(store: &Embedded, key: &str, etag: Option<ETag>, size: usize, queue: &QueueName) -> ETag {
    let condition = etag.map_or(Condition::Absent, Condition::Matches);
    let etag = store.put(key, Bytes::from(vec![b'x'; size]), condition).await.unwrap();
    let body = format!("{{\"key\":\"{key}\",\"padding\":\"{}\"}}", "x".repeat(500));
    for queue in [queue.clone(), QueueName::from(&*format!("events-{key}"))] {
        store.send(&queue, vec![OutMessage::now(body.clone())]).await;
        let received = store.receive(&queue, 1, LONG, LONG).await.unwrap();
        Queues::delete(store, &queue, &[received[0].receipt.clone()]).await.unwrap();
    }
    etag
}

async fn run(store: Arc<Embedded>, key: String, steps: usize) -> Vec<Duration> {
    let queue = QueueName::from(&*format!("task-{key}"));
    let (mut etag, mut took) = (None, Vec::with_capacity(steps));
    for n in 0..steps {
        let began = Instant::now();
        etag = Some(step(&store, &key, etag, 600 + n % 10 * 440, &queue).await);
        took.push(began.elapsed());
    }
    took
}

async fn measure(dir: &Path, runs: usize, steps: usize) {
    let store = Embedded::open(dir, Arc::new(SystemClock::default())).unwrap();
    let began = Instant::now();
    let running: Vec<_> =
        (0..runs).map(|n| tokio::spawn(run(store.clone(), format!("run-{n}"), steps))).collect();
    let mut took = Vec::new();
    for run in running {
        took.extend(run.await.unwrap());
    }
    store.settle().await.unwrap();
    let total = began.elapsed();
    took.sort_unstable();
    let per_second = (runs * steps) as f64 / total.as_secs_f64();
    let (p50, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!("{runs} runs × {steps} steps: {per_second:.0} steps/s, p50 {p50:?}, p99 {p99:?}");
}

async fn measure_settle(dir: &Path) {
    let store = Embedded::open(dir, Arc::new(SystemClock::default())).unwrap();
    let mut took = Vec::new();
    for n in 0..1_000 {
        let began = Instant::now();
        store.put("settled", Bytes::from(n.to_string()), Condition::Always).await.unwrap();
        store.settle().await.unwrap();
        took.push(began.elapsed());
    }
    took.sort_unstable();
    println!("put and settle: p50 {:?}, p99 {:?}", took[500], took[990]);
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("millrace-throughput-{}", std::process::id()));
    measure_settle(&dir).await;
    measure(&dir, 1, 1_000).await;
    measure(&dir.join("flight"), 200, 200).await;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("no peak memory known"));
    std::fs::remove_dir_all(&dir).unwrap();
}
