//! What an object store must do: above all, G3's compare-and-swap and what G5 reads after a lost reply.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "an examination fails by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use millrace_engine::ports::{Condition, DeleteError, ETag, ObjectStore, Ports, PutError};

use crate::lost_reply::LostReply;
use crate::suite::{SECOND, Suite};

const WRITERS: usize = 8;
const INCREMENTS: usize = 50;

impl Suite {
    /// An object reads as it was written; each write gives a new ETag, also when the bytes carry a fresh nonce only.
    pub async fn reads_what_was_written(&self) {
        let (store, key) = (&self.ports.store, self.key("read-write"));
        assert!(store.get(&key).await.expect("get works").is_none(), "a key without object reads as none");
        let first = store.put(&key, Bytes::from_static(b"one"), Condition::Absent).await.expect("put works");
        let read = store.get(&key).await.expect("get works").expect("the object is there");
        assert_eq!((&read.body[..], &read.etag), (&b"one"[..], &first), "reads are consistent with writes");
        assert!(read.age < 60 * SECOND, "an object just written is young, not {:?}", read.age);
        let second = store.put(&key, Bytes::from_static(b"two"), Condition::Matches(first.clone())).await;
        let second = second.expect("a matching put works");
        assert_ne!(first, second, "a write changes the ETag");
        let stale = store.put(&key, Bytes::from_static(b"three"), Condition::Matches(first)).await;
        assert_eq!(stale, Err(PutError::Conflict), "a stale ETag does not match");
        let exists = store.put(&key, Bytes::from_static(b"four"), Condition::Absent).await;
        assert_eq!(exists, Err(PutError::Conflict), "an existing object is not absent");
        store
            .put(&key, Bytes::from_static(b"five"), Condition::Always)
            .await
            .expect("an unconditional put works");
        let read = store.get(&key).await.expect("get works").expect("the object is there");
        assert_eq!(&read.body[..], b"five");
    }

    /// Of many `Absent` writers of one key, exactly one wins, and its bytes are there.
    pub async fn many_writers_one_winner(&self) {
        let key = self.key("one-winner");
        let winners = Arc::new(AtomicUsize::new(0));
        let sum = Arc::new(AtomicUsize::new(0));
        let writer = |n: usize| {
            let (key, winners, sum) = (key.clone(), winners.clone(), sum.clone());
            self.task(|ports| async move {
                if put_retrying_busy(&ports, &key, &n.to_string(), Condition::Absent).await.is_ok() {
                    winners.fetch_add(1, Ordering::SeqCst);
                    sum.fetch_add(n, Ordering::SeqCst);
                }
            })
        };
        self.together((1..=16).map(writer)).await;
        assert_eq!(winners.load(Ordering::SeqCst), 1, "exactly one writer wins");
        assert_eq!(
            read_number(&self.ports, &key).await.0,
            sum.load(Ordering::SeqCst),
            "the winner's bytes are kept"
        );
    }

    /// 8 tasks increment one counter 50 times each by compare-and-swap: it ends at 400.
    pub async fn counts_to_400_by_compare_and_swap(&self) {
        let key = self.key("counter");
        put_retrying_busy(&self.ports, &key, "0", Condition::Absent).await.expect("the counter is created");
        let counter = |_| {
            let key = key.clone();
            self.task(|ports| async move {
                for _ in 0..INCREMENTS {
                    increment(&ports, &key).await;
                }
            })
        };
        self.together((0..WRITERS).map(counter)).await;
        assert_eq!(
            read_number(&self.ports, &key).await.0,
            WRITERS * INCREMENTS,
            "no increment is lost or doubled"
        );
    }

    /// `Matches` on a key without object is [`PutError::Gone`]: the run was purged (G5).
    pub async fn matching_a_missing_object_is_gone(&self) {
        let (store, key) = (&self.ports.store, self.key("gone"));
        let etag = store.put(&key, Bytes::from_static(b"x"), Condition::Absent).await.expect("put works");
        store.delete(&key).await.expect("delete works");
        let put = store.put(&key, Bytes::from_static(b"y"), Condition::Matches(etag)).await;
        assert_eq!(put, Err(PutError::Gone), "404 on If-Match");
        assert!(store.get(&key).await.expect("get works").is_none(), "nothing was written");
    }

    /// A write whose reply is lost, sent again, meets 412; the object then holds the writer's own nonce (G5).
    pub async fn lost_reply_then_conflict_with_the_own_nonce(&self) {
        let (store, key) = (LostReply::new(self.ports.store.clone()), self.key("lost-reply"));
        let first =
            store.put(&key, Bytes::from_static(b"before"), Condition::Absent).await.expect("put works");
        store.lose_next();
        let nonce = Bytes::from_static(b"nonce-1234");
        let lost = store.put(&key, nonce.clone(), Condition::Matches(first.clone())).await;
        assert!(matches!(lost, Err(PutError::Unknown(_))), "the reply is lost, not {lost:?}");
        let again = store.put(&key, nonce.clone(), Condition::Matches(first)).await;
        assert_eq!(again, Err(PutError::Conflict), "the write had happened");
        let read = store.get(&key).await.expect("get works").expect("the object is there");
        assert_eq!(read.body, nonce, "the writer finds its own nonce");
    }

    /// Listing finds every key of a range exactly once, page by page, in inner folders too, and no other key.
    pub async fn lists_by_prefix_in_pages(&self) {
        let in_folder = |n| self.key(&format!("list/{}/{n:02}", n / 8));
        let names: BTreeSet<String> = (0..25).map(in_folder).chain([self.key("list/1-direct")]).collect();
        for key in names.iter().chain(&[self.key("list-no"), self.key("list0")]) {
            let put = self.ports.store.put(key, Bytes::new(), Condition::Always).await;
            put.expect("put works");
        }
        let prefix = self.key("list/");
        let ends =
            ["list/", "list/1-direct", "list/1-x", "list/1/", "list/1/12", "list/2/", "list/3/24", "list0"];
        for end in [None].into_iter().chain(ends.map(|end| Some(self.key(end)))) {
            let mut found = BTreeSet::new();
            loop {
                let after = found.last().cloned();
                let list = self.ports.store.list(&prefix, after.as_deref(), end.as_deref(), 10);
                let page = list.await.expect("list works");
                assert!(page.len() <= 10, "a page has at most `limit` keys");
                let is_last = page.len() < 10;
                for key in page {
                    assert!(found.insert(key.clone()), "`{key}` is listed once");
                }
                if is_last {
                    break;
                }
            }
            let in_range = |key: &&String| end.as_ref().is_none_or(|end| *key < end);
            let expected: BTreeSet<String> = names.iter().filter(in_range).cloned().collect();
            assert_eq!(found, expected, "all keys under the prefix before {end:?}, and only they");
        }
    }

    /// Deleting is idempotent, and afterwards the key is absent.
    pub async fn deletes_twice(&self) {
        let (store, key) = (&self.ports.store, self.key("deleted"));
        store.put(&key, Bytes::from_static(b"x"), Condition::Absent).await.expect("put works");
        store.delete(&key).await.expect("delete works");
        store.delete(&key).await.expect("a second delete works");
        assert!(store.get(&key).await.expect("get works").is_none(), "a deleted object is gone");
        store.put(&key, Bytes::from_static(b"y"), Condition::Absent).await.expect("the key is absent again");
    }

    /// A conditional delete removes the version that was read and no other; a key without object is none to mind, so it may
    /// be asked for twice.
    pub async fn deletes_only_the_version_that_was_read(&self) {
        let (store, key) = (&self.ports.store, self.key("deleted-if"));
        let first = store.put(&key, Bytes::from_static(b"one"), Condition::Absent).await.expect("put works");
        let second = store.put(&key, Bytes::from_static(b"two"), Condition::Matches(first.clone())).await;
        let second = second.expect("a matching put works");
        assert_eq!(
            store.delete_if(&key, &first).await,
            Err(DeleteError::Conflict),
            "somebody has written since"
        );
        let read = store.get(&key).await.expect("get works").expect("the object is there");
        assert_eq!((&read.body[..], &read.etag), (&b"two"[..], &second), "and what was written stays");
        assert_eq!(store.delete_if(&key, &second).await, Ok(()));
        assert!(store.get(&key).await.expect("get works").is_none(), "the version that was read is gone");
        assert_eq!(store.delete_if(&key, &second).await, Ok(()), "a second delete works");
        let again = store.put(&key, Bytes::from_static(b"three"), Condition::Absent).await;
        again.expect("the key is absent again");
        assert_eq!(
            store.delete_if(&key, &second).await,
            Err(DeleteError::Conflict),
            "another object of that key"
        );
        assert!(store.get(&key).await.expect("get works").is_some());
    }

    /// Of a conditional write and a conditional delete of one version exactly one wins, and the loser is told.
    pub async fn a_write_and_a_delete_of_one_version_have_one_winner(&self) {
        for round in 0..16 {
            let key = self.key(&format!("write-or-delete/{round}"));
            let first = put_retrying_busy(&self.ports, &key, "one", Condition::Absent).await;
            let first = first.expect("the object is created");
            let won = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let (by_write, by_delete) = (won.clone(), won.clone());
            let (written, deleted, version) = (key.clone(), key.clone(), first.clone());
            let write = self.task(|ports| async move {
                match put_retrying_busy(&ports, &written, "two", Condition::Matches(first)).await {
                    Ok(_) => by_write[0].store(1, Ordering::SeqCst),
                    Err(PutError::Gone | PutError::Conflict) => {}
                    Err(error) => panic!("the write failed otherwise: {error}"),
                }
            });
            let delete = self.task(|ports| async move {
                match ports.store.delete_if(&deleted, &version).await {
                    Ok(()) => by_delete[1].store(1, Ordering::SeqCst),
                    Err(DeleteError::Conflict) => {}
                    Err(error) => panic!("the delete failed otherwise: {error}"),
                }
            });
            self.together(if round % 2 == 0 { [write, delete] } else { [delete, write] }).await;
            let [write, delete] = [&won[0], &won[1]].map(|won| won.load(Ordering::SeqCst));
            assert_eq!(write + delete, 1, "one of the two wins");
            let read = self.ports.store.get(&key).await.expect("get works");
            assert_eq!(read.is_some(), write == 1, "and it is as the winner left it");
        }
    }

    /// Bodies of no bytes and of a mebibyte of every byte value read back as they were.
    pub async fn keeps_large_and_empty_bodies(&self) {
        let large: Bytes = (0..=255).cycle().take(1 << 20).collect::<Vec<u8>>().into();
        for (name, body) in [("empty", Bytes::new()), ("large", large)] {
            let key = self.key(name);
            self.ports.store.put(&key, body.clone(), Condition::Absent).await.expect("put works");
            let read = self.ports.store.get(&key).await.expect("get works").expect("the object is there");
            assert!(read.body == body, "the {name} body reads back as it was written");
        }
    }
}

async fn increment(ports: &Ports, key: &str) {
    loop {
        let (number, etag) = read_number(ports, key).await;
        match put_retrying_busy(ports, key, &(number + 1).to_string(), Condition::Matches(etag)).await {
            Ok(_) => return,
            Err(PutError::Conflict) => {}
            Err(error) => panic!("compare-and-swap failed: {error}"),
        }
    }
}

async fn read_number(ports: &Ports, key: &str) -> (usize, ETag) {
    let read = ports.store.get(key).await.expect("get works").expect("the counter is there");
    let text = std::str::from_utf8(&read.body).expect("the counter is text");
    (text.parse().expect("the counter is a number"), read.etag)
}

async fn put_retrying_busy(
    ports: &Ports,
    key: &str,
    body: &str,
    condition: Condition,
) -> Result<ETag, PutError> {
    loop {
        match ports.store.put(key, Bytes::copy_from_slice(body.as_bytes()), condition.clone()).await {
            Err(PutError::Busy) => {}
            reply => return reply,
        }
    }
}
