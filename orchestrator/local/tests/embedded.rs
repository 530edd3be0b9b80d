//! What only the embedded store has: a folder, a lock, a disk that can be full.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use millrace_core::Timestamp;
use millrace_engine::ports::{
    Clock, Condition, ObjectStore, OutMessage, PutError, QueueError, QueueName, Queues, StoreError,
};
use millrace_local::{Embedded, OpenError, QueueConfig, SystemClock};

const LONG: Duration = Duration::from_secs(600);

fn open(dir: &Path) -> Result<Arc<Embedded>, OpenError> {
    Embedded::open(dir, Arc::new(SystemClock::default()))
}

fn error_of(result: Result<Arc<Embedded>, OpenError>) -> OpenError {
    result.err().expect("opening fails")
}

async fn send(store: &Embedded, queue: &QueueName, body: &str) {
    assert_eq!(store.send(queue, vec![OutMessage::now(body.into())]).await, [Ok(())]);
}

#[test]
fn one_process_owns_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!Embedded::is_in_use(dir.path()) && fs::read_dir(dir.path()).unwrap().next().is_none());
    let first = open(dir.path()).unwrap();
    assert!(Embedded::is_in_use(dir.path()));
    let error = error_of(open(dir.path())).to_string();
    let process = std::process::id();
    let expected =
        format!("`{}` is in use by process {process}; stop it, or talk to it", dir.path().display());
    assert_eq!(error, expected);
    drop(first);
    assert!(!Embedded::is_in_use(dir.path()));
    open(dir.path()).unwrap();
}

#[test]
fn unusable_folders_are_named() {
    let error = error_of(open(Path::new("/proc/millrace")));
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("store.sqlite"), "this is no database, ".repeat(1_000)).unwrap();
    let error = error_of(open(dir.path()));
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains(&*dir.path().to_string_lossy()), "{error}");
}

#[tokio::test]
async fn reopening_finds_everything_and_nobody_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, dead) = (QueueName::from("task-x"), QueueName::from("task-x-dead"));
    let store = open(dir.path()).unwrap();
    let etag = store.put("a", Bytes::from_static(b"1"), Condition::Absent).await.unwrap();
    store.put("b", Bytes::from_static(b"2"), Condition::Absent).await.unwrap();
    ObjectStore::delete(&*store, "b").await.unwrap();
    send(&store, &queue, "in flight").await;
    let first = store.receive(&queue, 1, LONG, LONG).await.unwrap().remove(0);
    let delayed = OutMessage { delay: LONG, ..OutMessage::now("delayed".into()) };
    store.send(&QueueName::events(), vec![delayed]).await;
    drop(store);

    let store = open(dir.path()).unwrap();
    store.configure(&queue, QueueConfig { max_receive: 2 });
    assert_eq!(store.get("a").await.unwrap().unwrap().etag, etag, "ETags survive");
    assert_eq!(store.list("", None, None, 10).await.unwrap(), ["a"]);
    let second = store.receive(&queue, 1, LONG, LONG).await.unwrap().remove(0);
    assert_eq!((second.receive_count, &second.message_id), (2, &first.message_id), "receive counts survive");
    let void = store.change_visibility(&queue, &first.receipt, Duration::ZERO).await;
    assert_eq!(void, Err(QueueError::ReceiptVoid), "a receipt of the earlier process is void");
    let nothing = store.receive(&QueueName::events(), 1, Duration::ZERO, LONG).await.unwrap();
    assert_eq!(nothing, [], "a delay survives");
    drop(store);

    let store = open(dir.path()).unwrap();
    store.configure(&queue, QueueConfig { max_receive: 2 });
    assert_eq!(store.receive(&queue, 1, Duration::ZERO, LONG).await.unwrap(), []);
    drop(store);
    let store = open(dir.path()).unwrap();
    let poison = store.receive(&dead, 1, Duration::ZERO, LONG).await.unwrap().remove(0);
    assert_eq!((poison.body.as_str(), poison.error.as_deref()), ("in flight", Some("received 2 times")));
    let fresh = store.put("c", Bytes::new(), Condition::Absent).await.unwrap();
    assert_ne!(fresh, etag);
}

/// The folder as a crash at this moment would leave it. SQLite makes its index anew.
fn crashed(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["store.sqlite", "store.sqlite-wal"] {
        fs::copy(dir.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[tokio::test]
async fn a_receive_after_a_restart_counts_even_if_the_process_dies_at_once() {
    let mut dir = tempfile::tempdir().unwrap();
    let queue = QueueName::inbox();
    let store = open(dir.path()).unwrap();
    send(&store, &queue, "kills its process").await;
    drop(store);
    for count in 1..=3 {
        let store = open(dir.path()).unwrap();
        store.configure(&queue, QueueConfig { max_receive: 3 });
        let received = store.receive(&queue, 1, Duration::ZERO, LONG).await.unwrap();
        let copy = crashed(dir.path());
        assert_eq!(received[0].receive_count, count);
        drop(store);
        dir = copy;
    }
    let store = open(dir.path()).unwrap();
    store.configure(&queue, QueueConfig { max_receive: 3 });
    assert_eq!(store.receive(&queue, 1, Duration::ZERO, LONG).await.unwrap(), []);
    assert_eq!(store.messages_in(&queue.dead_letters()), 1, "the limit is reached");
}

/// A clock that stands still until it is set.
struct Calendar(AtomicI64);

impl Clock for Calendar {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn a_folder_that_lay_closed_for_weeks_has_lost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Calendar(AtomicI64::new(1_700_000_000_000)));
    let queue = QueueName::from("task-cpu");
    let store = Embedded::open(dir.path(), clock.clone()).unwrap();
    send(&store, &queue, "late").await;
    drop(store);
    clock.0.fetch_add(20 * 24 * 3600 * 1_000, Ordering::SeqCst);
    let store = Embedded::open(dir.path(), clock).unwrap();
    let received = store.receive(&queue, 10, Duration::ZERO, LONG).await.unwrap();
    assert_eq!(received.iter().map(|task| task.body.as_str()).collect::<Vec<_>>(), ["late"]);
}

#[cfg(unix)]
#[tokio::test]
async fn others_may_not_look_into_the_folder() {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let store = open(&dir).unwrap();
    send(&store, &QueueName::inbox(), "secret").await;
    store.settle().await.unwrap();
    assert_eq!(mode(&dir), 0o700);
    for name in ["lock", "store.sqlite", "store.sqlite-wal", "store.sqlite-shm"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    drop(store);

    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.join("store.sqlite"), fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(&dir).unwrap();
    let modes = (mode(&dir), mode(&dir.join("store.sqlite")), mode(&dir.join("store.sqlite-wal")));
    assert_eq!(modes, (0o755, 0o600, 0o600), "an existing folder keeps its mode, the database is closed");
    drop(store);
}

#[tokio::test]
async fn many_large_messages_do_not_stay_in_memory_and_are_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let queue = QueueName::from("task-large");
    let body = |n: usize| format!("{n}:{}", "x".repeat(200_000));
    let store = open(dir.path()).unwrap();
    for n in 0..100 {
        send(&store, &queue, &body(n)).await;
    }
    store.settle().await.unwrap();
    let mut seen = 0;
    while seen < 50 {
        for delivery in store.receive(&queue, 10, LONG, LONG).await.unwrap() {
            let number: usize = delivery.body.split_once(':').unwrap().0.parse().unwrap();
            assert!(delivery.body == body(number), "message {number} is whole");
            Queues::delete(&*store, &queue, &[delivery.receipt]).await.unwrap();
            seen += 1;
        }
    }
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(store.messages_in(&queue), 50);
    assert_eq!(store.receive(&queue, 256, LONG, LONG).await.unwrap().len(), 50);
}

/// A file system of 40 MiB, if this process may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=40m", "tmpfs"])
            .arg(dir.path())
            .output()
            .ok()?;
        mounted.status.success().then(|| Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: only root can mount a small disk");
        return;
    };
    let clock = SystemClock::default();
    let dir = disk.0.path().join("store");
    fs::write(disk.0.path().join("ballast"), vec![0; 30 << 20]).unwrap();
    let store = open(&dir).unwrap();
    send(&store, &QueueName::inbox(), "from before").await;
    drop(store);
    let store = open(&dir).unwrap();
    let mut accepted = 0;
    let refused = loop {
        let body = Bytes::from(vec![b'x'; 20_000]);
        match store.put(&format!("{accepted:05}"), body, Condition::Absent).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        tokio::task::yield_now().await;
        assert!(accepted < 2_000, "the disk is full before");
    };
    let text = refused.to_string();
    assert!(matches!(refused, PutError::Store(StoreError::Unavailable(_))), "{text}");
    assert!(text.contains("the disk is full") && text.contains(&*dir.to_string_lossy()), "{text}");
    assert!(matches!(store.settle().await, Err(QueueError::Unavailable { .. })));
    let sent = store.send(&QueueName::events(), vec![OutMessage::now("x".into())]).await;
    assert!(matches!(sent[..], [Err(QueueError::Unavailable { .. })]), "{sent:?}");
    assert!(store.get("00000").await.unwrap().is_some(), "reading goes on");
    let uncounted = store.receive(&QueueName::inbox(), 1, Duration::ZERO, LONG).await;
    assert!(matches!(uncounted, Err(QueueError::Unavailable { .. })), "{uncounted:?}");

    fs::remove_file(disk.0.path().join("ballast")).unwrap();
    while store.failure().is_some() {
        clock.sleep_until(clock.now().plus(Duration::from_millis(50))).await;
    }
    store.settle().await.unwrap();
    send(&store, &QueueName::events(), "room again").await;
    drop(store);
    let store = open(&dir).unwrap();
    assert_eq!(
        store.list("", None, None, 10_000).await.unwrap().len(),
        accepted,
        "everything accepted is there"
    );
    assert_eq!(store.messages_in(&QueueName::events()), 1);
    assert_eq!(store.messages_in(&QueueName::inbox()), 1);
}

/// A message that is received and deleted before it is written leaves nothing to write; neither who settles meanwhile
/// nor the writer may take that for something else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settling_survives_a_message_that_came_and_went() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Arc::new(SystemClock::default())).unwrap();
    let queue = QueueName::inbox();
    for _ in 0..200 {
        let sent = store.send(&queue, vec![OutMessage::now("{}".into())]).await;
        assert!(sent.iter().all(Result::is_ok));
        let settling = store.clone();
        let settled = tokio::task::spawn_blocking(move || futures::executor::block_on(settling.settle()));
        let batch = store.receive(&queue, 1, LONG, LONG).await.unwrap();
        Queues::delete(&*store, &queue, &[batch[0].receipt.clone()]).await.unwrap();
        let settled = tokio::time::timeout(LONG, settled).await;
        settled.expect("settle returns").unwrap().unwrap();
    }
    store.put("key", "body".into(), Condition::Always).await.unwrap();
    tokio::time::timeout(LONG, store.settle()).await.expect("the writer is at work").unwrap();
}
