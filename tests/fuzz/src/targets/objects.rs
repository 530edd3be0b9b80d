//! The small objects beside the history: leases, timers, index entries, the sweep's mark.

use std::fmt::{Debug, Display};

use millrace_core::{Namespace, Timestamp};
use millrace_format::{IndexEntry, Keys, Lease, Swept, TimerEntry};

use super::unreadable;
use crate::{Memory, Target};

/// Small objects.
pub const TARGET: Target =
    Target { name: "objects", seeds: &[], read, memory: Memory { times: 24, plus: 64_000 }, slice: 4_000 };

fn read(input: &[u8]) -> String {
    let lease = one(input, Lease::decode, Lease::encode);
    let timer = one(input, TimerEntry::decode, TimerEntry::encode);
    let swept = one(input, Swept::decode, Swept::encode);
    let index = one(input, IndexEntry::decode, IndexEntry::encode);
    if let Ok(entry) = IndexEntry::decode(input) {
        let keys = Keys::new(Namespace::default());
        let key = keys.index_open(entry.started_at, &entry.workflow_id, entry.run_id);
        assert_eq!(keys.index_run(&key), Some((entry.workflow_id, entry.run_id)), "{key}");
    }
    if let Ok(timer) = TimerEntry::decode(input) {
        let _ = timer.due.since(Timestamp::from_millis(i64::MIN));
    }
    format!("{lease}; {timer}; {swept}; {index}")
}

fn one<T: PartialEq + Debug, E: Display>(
    input: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, E>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> String {
    match decode(input) {
        Ok(object) => {
            let again = decode(&encode(&object)).map_err(|error| error.to_string());
            assert_eq!(again.as_ref(), Ok(&object), "written and read again");
            "read".to_owned()
        }
        Err(error) => unreadable(error),
    }
}
