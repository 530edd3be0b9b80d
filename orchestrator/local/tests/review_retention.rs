//! Review: failing test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use futures::future::BoxFuture;
use millrace_core::Timestamp;
use millrace_engine::ports::{Clock, OutMessage, QueueName, Queues};
use millrace_local::Embedded;
struct C(AtomicI64);
impl Clock for C {
    fn now(&self) -> Timestamp { Timestamp::from_millis(self.0.load(Ordering::SeqCst)) }
    fn sleep_until(&self, _t: Timestamp) -> BoxFuture<'static, ()> { Box::pin(std::future::ready(())) }
}
#[tokio::test]
async fn a_folder_left_for_fifteen_days() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(C(AtomicI64::new(1_700_000_000_000)));
    let q = QueueName::from("task-cpu");
    let s = Embedded::open(dir.path(), clock.clone()).unwrap();
    assert_eq!(s.send(&q, vec![OutMessage::now("{}".into())]).await, [Ok(())]);
    s.settle().await.unwrap();
    drop(s);
    clock.0.fetch_add(15 * 86_400_000, Ordering::SeqCst);
    let s = Embedded::open(dir.path(), clock.clone()).unwrap();
    let got = s.receive(&q, 10, Duration::ZERO, Duration::from_secs(60)).await.unwrap();
    use std::os::unix::fs::PermissionsExt;
    println!("MODE dir {:o} db {:o}", std::fs::metadata(dir.path()).unwrap().permissions().mode(), std::fs::metadata(dir.path().join("store.sqlite")).unwrap().permissions().mode());
    assert_eq!(got.len(), 1, "the task is gone");
}
