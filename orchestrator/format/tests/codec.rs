//! Whatever is written is read again: events, headers, parts, leases, timer and index entries, messages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod marked;
#[path = "codec/messages.rs"]
mod messages;
#[path = "codec/runs.rs"]
mod runs;
#[path = "codec/values.rs"]
mod values;

use millrace_core::*;
use millrace_format::history::{self, Commit, Tail};
use millrace_format::{Attributes, Head, Header, IndexEntry, Lease, Line, Reference, TimerEntry};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use self::runs::{kind, run};
use self::values::*;

fn lines(events: Vec<Event>) -> Vec<Line> {
    events.into_iter().map(Line::from).collect()
}

proptest! {
    #[test]
    fn large_payloads(kind in kind(), above in 0..40_usize) {
        let event = Event { n: 1, t: Timestamp::from_millis(0), kind };
        let mut line = String::new();
        let large = history::encode_above(&event, above, &mut line);
        let read = Line::read(line.trim_end_matches('\n')).unwrap();
        prop_assert_eq!(read.stored().len(), large.len());
        let get = |reference: &Reference| {
            large.iter().find(|(of, _)| of == reference).and_then(|(_, payload)| reference.verify(payload.as_str().as_bytes()).ok())
        };
        prop_assert_eq!(read.filled(get), Ok(event));
    }

    #[test]
    fn no_payload_is_forgotten(kind in kind()) {
        marked::places(&Event { n: 1, t: Timestamp::from_millis(0), kind });
    }

    #[test]
    fn events(n in any::<u64>(), t in time(), kind in kind()) {
        let event = Event { n, t, kind };
        let mut line = String::new();
        history::encode_event(&event, &mut line);
        prop_assert_eq!(line.matches('\n').count(), 1);
        let prefix = format!(r#"{{"n":{n},"t":"{t}","type":"{}""#, event.kind.name());
        prop_assert!(line.starts_with(&prefix), "{}", line);
        prop_assert_eq!(history::decode_event(line.trim_end_matches('\n')), Ok(event));
    }

    #[test]
    fn heads(mut run in run(), kinds in vec(kind(), 0..8), nonce in text(), build in text()) {
        let events: Vec<_> = kinds.into_iter().zip(1..).map(|(kind, n)| Event { n, t: run.last_time, kind }).collect();
        let mut tail = Tail::empty();
        tail.push(&events);
        run.last_event = events.len() as u64;
        let header = Header::of(&run, Commit { nonce: &nonce, build: &build }, &tail);
        let body = history::encode(&header, &tail.text).unwrap();
        let head = Head::decode("k", &body).unwrap();
        prop_assert_eq!(history::encode(&head.header, &head.tail.text).unwrap(), body);
        let events = lines(events);
        prop_assert_eq!((head.lines().unwrap(), head.last.as_ref()), (events.clone(), events.last()));
        prop_assert_eq!(head.header, header);
    }

    #[test]
    fn parts(kinds in vec(kind(), 1..8), first in 1..u64::MAX / 2) {
        let events: Vec<_> = kinds.into_iter().zip(first..).map(|(kind, n)| Event { n, t: Timestamp::from_millis(0), kind }).collect();
        let mut tail = Tail::empty();
        tail.first = first;
        tail.push(&events);
        let last = first + events.len() as u64 - 1;
        while tail.text.len() < history::SEAL_AT {
            // Long enough to be sealed: the last event again, and the part ends before it.
            tail.push(&[Event { n: last + 1, t: Timestamp::from_millis(0), kind: RunCanceled { reason: "x".repeat(history::SEAL_AT), before_start: false }.into() }]);
        }
        let (part, bytes) = tail.seal(last + 1).unwrap().unwrap();
        let read = history::decode_part("k", part, &bytes).unwrap();
        prop_assert_eq!(&read[..events.len()], &lines(events.clone())[..]);
        prop_assert_eq!(tail.sealed(part).first, last + 2);
    }

    #[test]
    fn leases(holder in of(text()), epoch in any::<u64>(), (attempt, vanished, left) in any::<(u32, u32, bool)>(), good_for_ms in any::<u64>(),
              details in of(payload()), cancel in of(text()), outcome in of(outcome())) {
        let lease = Lease {
            v: 1, holder, epoch, attempt, vanished, left, good_for_ms, details: present(details), cancel, outcome,
        };
        prop_assert_eq!(Lease::decode(&lease.encode()).unwrap(), lease);
    }

    #[test]
    fn timer_entries(due in time(), queue in text(), message in payload()) {
        let entry = TimerEntry { v: 1, due, queue, message };
        prop_assert_eq!(TimerEntry::decode(&entry.encode()).unwrap(), entry);
    }

    #[test]
    fn index_entries(run in run(), closed_at in of(time())) {
        let RunInfo { workflow_id, run_id, workflow, started_at, .. } = run.info;
        let entry = IndexEntry { workflow_id, run_id, workflow, status: Status::TimedOut, started_at, closed_at, attributes: Attributes::of_recorded(Payload::parse(r#"{"a":1.5,"b":true,"c":"x"}"#).ok().as_ref()) };
        prop_assert_eq!(IndexEntry::decode(&entry.encode()).unwrap(), entry);
    }
}
