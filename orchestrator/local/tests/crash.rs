//! `kill -9` at any moment: what is found afterwards is a prefix, with everything that was confirmed (G1, §9).
//!
//! The child is this test binary, started again with a folder in its environment.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_conformance::Rng;
use millrace_engine::ports::{Condition, ObjectStore, OutMessage, QueueName, Queues};
use millrace_local::{Embedded, SystemClock};

const FOLDER: &str = "MILLRACE_CRASH_TEST_FOLDER";
const LONG: Duration = Duration::from_secs(600);
/// So many messages are left in the queue.
const LEFT: u64 = 20;

fn open(dir: &Path) -> Arc<Embedded> {
    Embedded::open(dir, Arc::new(SystemClock::default())).unwrap()
}

async fn counter(store: &Embedded) -> (u64, Condition) {
    match store.get("counter").await.unwrap() {
        Some(read) => {
            (std::str::from_utf8(&read.body).unwrap().parse().unwrap(), Condition::Matches(read.etag))
        }
        None => (0, Condition::Absent),
    }
}

/// One step: the counter, a message of its number, a task of its number, and an old message goes.
async fn step(store: &Embedded) -> u64 {
    let (count, condition) = counter(store).await;
    let next = count + 1;
    store.put("counter", Bytes::from(next.to_string()), condition).await.unwrap();
    let message = vec![OutMessage::now(next.to_string())];
    assert_eq!(store.send(&QueueName::events(), message.clone()).await, [Ok(())]);
    if next > LEFT {
        let received = store.receive(&QueueName::events(), 1, Duration::ZERO, LONG).await.unwrap();
        Queues::delete(store, &QueueName::events(), &[received[0].receipt.clone()]).await.unwrap();
    }
    assert_eq!(store.send(&"task-crash".into(), message).await, [Ok(())]);
    next
}

#[tokio::test]
async fn child() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    let store = open(Path::new(&dir));
    loop {
        let number = step(&store).await;
        if number.is_multiple_of(3) {
            store.settle().await.unwrap();
            println!("settled {number}");
        }
        if number.is_multiple_of(5) {
            let tasks = store.receive(&"task-crash".into(), 100, LONG, LONG).await.unwrap();
            let greatest = tasks.iter().map(|task| task.body.parse::<u64>().unwrap()).max().unwrap();
            println!("task {greatest}");
            let receipts: Vec<_> = tasks.into_iter().map(|task| task.receipt).collect();
            Queues::delete(&*store, &"task-crash".into(), &receipts).await.unwrap();
        }
    }
}

/// Runs the child and kills it after some confirmations; returns the greatest number that was confirmed.
fn run_and_kill(dir: &Path, lines: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(FOLDER, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let confirmed = |line: String| line.rsplit_once(' ').and_then(|(_, number)| number.parse::<u64>().ok());
    let mut output =
        BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).filter_map(confirmed);
    let mut greatest = output.by_ref().take(usize::try_from(lines).unwrap()).max();
    child.kill().unwrap();
    child.wait().unwrap();
    // What it still said before it died was confirmed as well.
    greatest = greatest.max(output.max());
    greatest.expect("the child confirms something before it is killed")
}

/// The numbers that are in the events queue, in order. Nobody holds any: the holder is dead.
async fn numbers_left(store: &Embedded) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    loop {
        let received = store.receive(&QueueName::events(), 256, Duration::ZERO, LONG).await.unwrap();
        if received.is_empty() {
            return numbers;
        }
        for delivery in received {
            assert!(numbers.insert(delivery.body.parse().unwrap()), "{} is there twice", delivery.body);
            let given_back = store.change_visibility(&QueueName::events(), &delivery.receipt, LONG).await;
            assert_eq!(given_back, Ok(()));
        }
    }
}

async fn assert_prefix(dir: &Path) -> u64 {
    let store = open(dir);
    let (count, _) = counter(&store).await;
    let numbers = numbers_left(&store).await;
    let last = numbers.last().copied().unwrap_or(0);
    assert!(last == count || last + 1 == count, "put {count}, then sent: {last}");
    let expected = last.saturating_sub(numbers.len() as u64) + 1..=last;
    assert!(numbers.iter().copied().eq(expected), "no gap in {numbers:?}");
    // A run of the child that did not get as far as its delete leaves one more for good.
    let slack = 60;
    assert!(numbers.len() as u64 <= LEFT + slack, "deletes are kept: {} are left", numbers.len());
    count
}

#[tokio::test]
async fn a_killed_process_leaves_a_prefix_with_all_that_was_confirmed() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(11);
    for round in 0..25 {
        let confirmed = run_and_kill(dir.path(), 1 + rng.below(120));
        let count = assert_prefix(dir.path()).await;
        assert!(count >= confirmed, "round {round}: {confirmed} was confirmed, {count} is there");
    }
}

#[tokio::test]
async fn a_torn_tail_leaves_a_prefix() {
    let mut rng = Rng::new(12);
    for round in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let confirmed = run_and_kill(dir.path(), 40);
        let log = dir.path().join("store.sqlite-wal");
        let file = std::fs::OpenOptions::new().write(true).open(&log).unwrap();
        let size = file.metadata().unwrap().len();
        file.set_len(size - 1 - rng.below(4_000)).unwrap();
        let count = assert_prefix(dir.path()).await;
        assert!(
            count > 0 && count + 10 > confirmed,
            "round {round}: at most the last batch is torn: {count}"
        );
    }
}
