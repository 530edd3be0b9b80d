//! Every key in the bucket. Nowhere else is a key put together.

use std::fmt;

use millrace_core::{ActivityId, Namespace, RunId, Timestamp, WorkflowId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::history::ContentHash;

/// Characters that stay as they are in a key; ids hold only a few others.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The width of a start time in an index key, and of the run id at its end.
const NEWEST_FIRST_DIGITS: usize = 19;
const RUN_ID_LENGTH: usize = 36;

/// The keys of one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    namespace: Namespace,
}

impl Keys {
    /// How many shards the timers and the indexes are spread over.
    pub const SHARDS: u8 = 4;
    /// The width of a timer bucket, in seconds (§7).
    pub const BUCKET_S: i64 = 900;

    /// The keys of `namespace`.
    pub fn new(namespace: Namespace) -> Self {
        Self { namespace }
    }

    /// The namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The history of a workflow's current run: header line and events not yet sealed.
    /// Lifetime: from the first start until the retention of its last run ends. Writer: the orchestrator, once a turn.
    /// Condition: `Absent` for a new id, else `Matches` the version that was read.
    pub fn history(&self, id: &WorkflowId) -> String {
        format!("{}/history", self.workflow(id))
    }

    /// Where everything of one run lies but its head: sealed events, archive, leases, payloads.
    /// Lifetime: the run's retention; then all of it is deleted, after what names the run, its head or its archive.
    pub fn run(&self, id: &WorkflowId, run: RunId) -> String {
        format!("{}/{run}/", self.workflow(id))
    }

    /// Sealed events `first..=last` of a run, compressed.
    /// Lifetime: the run's. Writer: the orchestrator, when the tail has grown past its limit. Condition: `Absent`; if
    /// it exists, it is identical.
    pub fn events(&self, id: &WorkflowId, run: RunId, first: u64, last: u64) -> String {
        format!("{}/{run}/events/{first:012}-{last:012}", self.workflow(id))
    }

    /// A payload that is too large for the text of its run's history: its JSON, as it is.
    /// Lifetime: the run's. Writer: the orchestrator, before the commit that refers to it; one whose commit was lost leaves
    /// it behind, and it goes with the run. Condition: none, the content depends on the key alone, and readers verify that.
    pub fn payload(&self, id: &WorkflowId, run: RunId, sha256: ContentHash) -> String {
        format!("{}/{run}/payload/{sha256}", self.workflow(id))
    }

    /// The archive of a closed run: its head, byte for byte.
    /// Lifetime: the run's retention. Writer: the orchestrator, before the head goes on to a new run. Condition:
    /// `Absent`; if it exists, it is identical.
    pub fn archive(&self, id: &WorkflowId, run: RunId) -> String {
        format!("{}/{run}/history", self.workflow(id))
    }

    /// The lease of an activity: holder, epoch, heartbeat details, cancel request, stored outcome.
    /// Lifetime: the run's. Writer: workers, and the orchestrator for cancel requests. Condition: always `Absent` or
    /// `Matches`.
    pub fn lease(&self, id: &WorkflowId, run: RunId, activity: ActivityId) -> String {
        format!("{}/{run}/activity/{activity}", self.workflow(id))
    }

    /// The body of a message that is too large for its queue, except the inbox.
    /// Lifetime: 30 days, twice what any queue keeps a message; the bucket's lifecycle rule expires it. Writer: whoever
    /// sends the message, before it does. Condition: none, the content depends on the key alone.
    pub fn message(&self, sha256: &str) -> String {
        format!("{}/message/{sha256}", self.namespace)
    }

    /// The body of an inbox message that is too large for the queue: the only key of the bucket that strangers may write,
    /// and the only one that an inbox message may name.
    /// Lifetime: 30 days; the bucket's lifecycle rule expires it. Writer: starters and signalers, before they send.
    /// Condition: none, the content depends on the key alone, and the reader verifies that by the hash.
    pub fn inbox_payload(&self, sha256: &str) -> String {
        format!("{}/inbox-payload/{sha256}", self.namespace)
    }

    /// A message that is due more than 15 minutes from now.
    /// Lifetime: until the tick has sent it. Writer: the orchestrator, at dispatch. Condition: none, the content
    /// depends on the key alone.
    pub fn timer(&self, due: Timestamp, id: &WorkflowId, run: RunId, what: &str) -> String {
        let seconds = due.as_millis().div_euclid(1000);
        let bucket = seconds.div_euclid(Self::BUCKET_S);
        let (shard, id) = (shard(id), encode(id));
        format!("{}{shard}/{seconds:012}-{id}-{run}-{what}", self.timer_bucket(bucket))
    }

    /// When the message under a timer key is due, in whole seconds, rounded down; `None` if it is no such key.
    pub fn timer_due_s(&self, key: &str) -> Option<i64> {
        key.strip_prefix(&self.timers())?.split('/').nth(2)?.split('-').next()?.parse().ok()
    }

    /// Where the buckets end that hold every timer due until `time`: no key from here on is due by then.
    pub fn timers_end(&self, time: Timestamp) -> String {
        self.timer_bucket(time.as_millis().div_euclid(1000 * Self::BUCKET_S).saturating_add(1))
    }

    fn timer_bucket(&self, bucket: i64) -> String {
        format!("{}{bucket:010}/", self.timers())
    }

    /// Where all timers lie.
    pub fn timers(&self) -> String {
        format!("{}/timer/", self.namespace)
    }

    /// The entry of an open run in what `list` reads; newest first within a shard.
    /// Lifetime: while the run is open. Writer: the orchestrator, at start; deleted at close. Condition: none.
    pub fn index_open(&self, started: Timestamp, id: &WorkflowId, run: RunId) -> String {
        format!("{}{}", self.index(true, shard(id)), index_name(started, id, run))
    }

    /// The entry of a closed run in what `list` reads; newest first within a shard.
    /// Lifetime: the run's retention. Writer: the orchestrator, at close. Condition: none.
    pub fn index_closed(&self, started: Timestamp, id: &WorkflowId, run: RunId) -> String {
        format!("{}{}", self.index(false, shard(id)), index_name(started, id, run))
    }

    /// The run that a key of an index stands for; `None` if it is no such key.
    pub fn index_run(&self, key: &str) -> Option<(WorkflowId, RunId)> {
        let name = key.strip_prefix(&self.indexes())?.rsplit('/').next()?;
        let (_, named) = name.split_at_checked(NEWEST_FIRST_DIGITS + 1)?;
        let (id, run) = named.split_at_checked(named.len().checked_sub(RUN_ID_LENGTH)?)?;
        let id = percent_decode_str(id.strip_suffix('-')?).decode_utf8().ok()?;
        Some((id.parse().ok()?, run.parse().ok()?))
    }

    /// The entry of a run, once it is closed, by the key of its entry while it is open.
    pub fn when_closed(&self, index_open: &str) -> String {
        let open = format!("{}open/", self.indexes());
        let name = index_open.strip_prefix(&open).unwrap_or(index_open);
        format!("{}closed/{name}", self.indexes())
    }

    /// A place in one shard of an index: runs that began after `time` have their entries before it, those that began at
    /// `time` or earlier behind it.
    pub fn index_at(&self, open: bool, shard: u8, time: Timestamp) -> String {
        format!("{}{}", self.index(open, shard), newest_first(time))
    }

    /// When the daily sweep last came to its end.
    /// Lifetime: for ever. Writer: the sweep. Condition: none.
    pub fn swept(&self) -> String {
        format!("{}/swept", self.namespace)
    }

    /// Where one shard of an index lies.
    pub fn index(&self, open: bool, shard: u8) -> String {
        let which = if open { "open" } else { "closed" };
        format!("{}{which}/{shard:x}/", self.indexes())
    }

    fn indexes(&self) -> String {
        format!("{}/index/", self.namespace)
    }

    fn workflow(&self, id: &WorkflowId) -> impl fmt::Display {
        // Two hex digits of a hash first: S3 splits its partitions by prefix.
        let hash = Sha256::digest(id.as_str().as_bytes())[0];
        fmt::from_fn(move |f| write!(f, "{}/workflow/{hash:02x}/{}", self.namespace, encode(id)))
    }
}

fn encode(id: &WorkflowId) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(id.as_str(), KEPT)
}

fn shard(id: &WorkflowId) -> u8 {
    Sha256::digest(id.as_str().as_bytes())[1] % Keys::SHARDS
}

/// Later starts sort first.
fn index_name(started: Timestamp, id: &WorkflowId, run: RunId) -> String {
    format!("{}-{}-{run}", newest_first(started), encode(id))
}

fn newest_first(time: Timestamp) -> String {
    format!("{:0NEWEST_FIRST_DIGITS$}", i64::MAX - time.as_millis().max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> (Keys, WorkflowId, RunId) {
        (Keys::new(Namespace::default()), WorkflowId::new("a@b:c").unwrap(), RunId::from_random(7))
    }

    #[test]
    fn ids_are_encoded_and_spread() {
        let (keys, id, run) = keys();
        let key = keys.history(&id);
        assert!(key.starts_with("default/workflow/") && key.ends_with("/a%40b%3Ac/history"), "{key}");
        assert!(keys.archive(&id, run).ends_with(&format!("/a%40b%3Ac/{run}/history")));
    }

    #[test]
    fn the_longest_id_fits_an_s3_key() {
        let id = WorkflowId::new("@".repeat(200)).unwrap();
        let keys = Keys::new(Namespace::new("n".repeat(63)).unwrap());
        let run = RunId::from_random(7);
        for key in [
            keys.events(&id, run, u64::MAX, u64::MAX),
            keys.payload(&id, run, ContentHash::of(b"")),
            keys.timer(Timestamp::default(), &id, run, "a18446744073709551615.4294967295"),
            keys.index_open(Timestamp::default(), &id, run),
        ] {
            assert!(key.len() <= 1024, "{} bytes", key.len());
        }
    }

    #[test]
    fn timers_sort_by_their_bucket() {
        let (keys, id, run) = keys();
        let timer = |s: i64| keys.timer(Timestamp::from_millis(s * 1000), &id, run, "1");
        let end = |s: i64| keys.timers_end(Timestamp::from_millis(s * 1000));
        for s in [0, 899, 900, 1_795_399_200, 253_402_300_799] {
            assert!(timer(s) < end(s), "what is due by then lies before the end");
            assert!(timer(s + Keys::BUCKET_S) > end(s), "and what is due a bucket later does not");
            assert!(timer(i64::MAX / 1000) > end(s), "not even where a bucket's number is longer");
        }
    }

    #[test]
    fn an_index_key_names_its_run() {
        let (keys, _, run) = keys();
        for id in ["a", "a-b-c", "a@b:c", "0198c0de-0000-4000-8000-000000000007", "-", "a%2F=+~._"] {
            let Ok(id) = WorkflowId::new(id) else { continue };
            for started in [0, 1_795_399_200_000, i64::MAX] {
                let started = Timestamp::from_millis(started);
                for key in [keys.index_open(started, &id, run), keys.index_closed(started, &id, run)] {
                    assert_eq!(keys.index_run(&key), Some((id.clone(), run)), "{key}");
                }
                let closed = keys.when_closed(&keys.index_open(started, &id, run));
                assert_eq!(closed, keys.index_closed(started, &id, run));
            }
        }
        for key in
            ["default/index/open/0/", "default/index/open/0/x", "default/swept", "other/index/open/0/1-a-b"]
        {
            assert_eq!(keys.index_run(key), None, "{key}");
        }
    }

    #[test]
    fn a_place_in_an_index_divides_the_earlier_from_the_later() {
        let (keys, id, run) = keys();
        for ms in [0, 999, 1_795_399_200_000] {
            let [before, at, after] = [ms - 1, ms, ms + 1].map(Timestamp::from_millis);
            let place = keys.index_at(true, shard(&id), at);
            assert!(keys.index_open(after, &id, run) < place, "{ms}");
            assert!(keys.index_open(at, &id, run) > place, "{ms}");
            assert!(keys.index_open(before, &id, run) > place, "{ms}");
        }
    }

    #[test]
    fn later_starts_sort_first() {
        let (keys, id, run) = keys();
        let [early, late] = [1_000, 2_000].map(|ms| keys.index_open(Timestamp::from_millis(ms), &id, run));
        assert!(late < early);
    }
}
