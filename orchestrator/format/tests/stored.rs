//! Payloads that are too large for the history's text: out of it, referred to, and back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod marked;

use std::collections::BTreeSet;
use std::path::Path;

use millrace_core::{
    ActivityCompleted, ApplicationFailure, Event, Fault, Payload, RunFailed, SignalReceived, Timestamp,
};
use millrace_format::history::{self, SEAL_AT, Tail};
use millrace_format::{ContentHash, Line, Reference};

fn payload(text: &str) -> Payload {
    Payload::parse(text).unwrap()
}

fn large(length: usize) -> Payload {
    Payload::of(&"x".repeat(length)).unwrap()
}

fn completed(n: u64, result: Payload) -> Event {
    Event {
        n,
        t: Timestamp::from_millis(0),
        kind: ActivityCompleted { activity_id: n, attempt: 1, result }.into(),
    }
}

fn signal(n: u64, input: Payload) -> Event {
    let kind = SignalReceived { name: "go".into(), input, request_id: "r".parse().unwrap() };
    Event { n, t: Timestamp::from_millis(0), kind: kind.into() }
}

fn recorded() -> Vec<Event> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories/v1");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let histories = files.filter(|path| path.extension().is_some_and(|end| end == "ndjson"));
    let lines = histories.flat_map(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    });
    lines.map(|line| Line::read(&line).unwrap().outline().clone()).collect()
}

/// A field that is a payload and is not in the table of `event/payloads.rs` is found here.
#[test]
fn no_payload_of_any_kind_of_event_stays_in_the_text() {
    let mut found = BTreeSet::new();
    for event in recorded() {
        found
            .extend(marked::places(&event).into_iter().map(|place| format!("{}.{place}", event.kind.name())));
    }
    for known in [
        "RunStarted.input",
        "RunStarted.memo",
        "RunStarted.unread.signals.0.input",
        "RunCompleted.result",
        "ChildScheduled.input",
        "LocalActivityCompleted.result",
        "UpdateCompleted.result",
    ] {
        assert!(found.contains(known), "{known} is not in {found:#?}");
    }
}

#[test]
fn a_payload_up_to_the_limit_is_in_the_line_and_one_above_it_is_not() {
    let event = completed(7, large(98));
    let mut whole = String::new();
    history::encode_event(&event, &mut whole);
    for above in [100, usize::MAX] {
        let mut text = String::new();
        assert_eq!(history::encode_above(&event, above, &mut text), vec![]);
        assert_eq!(text, whole);
    }
    let mut text = String::new();
    let stored = history::encode_above(&event, 99, &mut text);
    let hash = ContentHash::of(large(98).as_str().as_bytes());
    assert_eq!(stored, [(Reference { sha256: hash, bytes: 100 }, large(98))]);
    let line = format!(
        r#"{{"n":7,"t":"1970-01-01T00:00:00.000Z","type":"ActivityCompleted","activity_id":7,"attempt":1,"result":{{"sha256":"{hash}","bytes":100}},"stored":["result"]}}"#
    );
    assert_eq!(text, format!("{line}\n"));
    let read = Line::read(&line).unwrap();
    assert_eq!(read.clone().whole().unwrap_err(), read.stored());
    let mut again = String::new();
    read.write(&mut again);
    assert_eq!(again, text);
    assert_eq!(read.clone().filled(|_| None).unwrap_err().place, "result");
    assert_eq!(read.filled(|reference| reference.verify(large(98).as_str().as_bytes()).ok()), Ok(event));
}

#[test]
fn details_of_a_failure_have_a_place_of_their_own() {
    for (fault, place) in [
        (
            Fault::Application(ApplicationFailure::new("Boom", "no").details(&large(200))),
            "fault.application.details",
        ),
        (
            Fault::TimedOut {
                kind: millrace_core::TimeoutKind::StartToClose,
                cause: Some(ApplicationFailure::new("Boom", "no").details(&large(200))),
            },
            "fault.timed_out.cause.details",
        ),
    ] {
        let event = Event { n: 1, t: Timestamp::from_millis(0), kind: RunFailed { fault }.into() };
        let mut text = String::new();
        assert_eq!(history::encode_above(&event, 100, &mut text).len(), 1);
        let line = Line::read(text.trim_end()).unwrap();
        assert_eq!(line.stored()[0].place, place);
        assert_eq!(line.filled(|reference| reference.verify(large(200).as_str().as_bytes()).ok()), Ok(event));
    }
}

/// Only the line's own `stored` makes a reference, and user data is never there.
#[test]
fn user_data_that_looks_like_a_reference_stays_what_it_is() {
    let hash = ContentHash::of(b"1");
    for forged in [
        format!(r#"{{"sha256":"{hash}","bytes":1}}"#),
        format!(r#"{{"sha256":"{hash}","bytes":1,"stored":["input"]}}"#),
        r#"["x\",\"stored\":[\"input\"]"]"#.to_owned(),
        r#""\"stored\":[\"input\"]""#.to_owned(),
    ] {
        let event = signal(1, payload(&forged));
        let mut text = String::new();
        assert_eq!(history::encode_above(&event, 1_000, &mut text), vec![]);
        assert_eq!(history::decode_event(text.trim_end()), Ok(event.clone()));
        let mut tail = Tail::empty();
        assert_eq!(tail.push_above(&[event], SEAL_AT), vec![]);
    }
}

#[test]
fn a_line_that_says_nonsense_of_what_is_stored_is_refused_and_named() {
    let hash = ContentHash::of(b"1");
    let reference = format!(r#"{{"sha256":"{hash}","bytes":1}}"#);
    let upper = format!(r#"{{"sha256":"{}","bytes":1}}"#, hash.to_string().to_uppercase());
    for (input, stored, said) in [
        (reference.as_str(), r#"["name"]"#, "not as many places"),
        (&reference, r#"["input","input"]"#, "not as many places"),
        (&reference, r#"["input.0"]"#, "not as many places"),
        (&reference, r#"[""]"#, "not as many places"),
        (&reference, r#""input""#, "invalid type"),
        ("17", r#"["input"]"#, "`input` is no reference"),
        (r#"{"sha256":"00","bytes":1}"#, r#"["input"]"#, "no SHA-256"),
        (&upper, r#"["input"]"#, "no SHA-256"),
        (r#"{"sha256":"../../other/history","bytes":1}"#, r#"["input"]"#, "no SHA-256"),
        (&format!(r#"{{"sha256":"{hash}"}}"#), r#"["input"]"#, "bytes"),
        (&format!(r#"{{"sha256":"{hash}","bytes":1,"x":1}}"#), r#"["input"]"#, "unknown field"),
    ] {
        let line = format!(
            r#"{{"n":1,"t":"1970-01-01T00:00:00.000Z","type":"SignalReceived","name":"go","input":{input},"request_id":"r","stored":{stored}}}"#
        );
        let error = Line::read(&line).expect_err(&line);
        assert!(error.contains(said), "{line}: {error}");
    }
}

#[test]
fn what_is_fetched_is_verified() {
    let reference = Reference::to(&payload("[1,2]"));
    assert_eq!(reference.verify(b"[1,2]"), Ok(payload("[1,2]")));
    for (object, said) in [
        (&b"[1,2"[..], "it has 4 bytes instead of 5"),
        (b"[1,2] ", "it has 6 bytes instead of 5"),
        (b"", "it has 0 bytes instead of 5"),
        (b"[1,3]", "its content is not what its name says"),
    ] {
        assert_eq!(reference.verify(object).unwrap_err(), said);
    }
    for (object, said) in [(&b"\xff"[..], "not UTF-8"), (b"[", "not JSON")] {
        let reference = Reference { sha256: ContentHash::of(object), bytes: 1 };
        assert!(reference.verify(object).unwrap_err().contains(said));
    }
}

#[test]
fn a_run_stores_the_same_content_once() {
    let mut tail = Tail::empty();
    let [first, second] = [large(200), large(300)];
    let twice = [completed(1, first.clone()), signal(2, first.clone()), signal(3, second.clone())];
    let payloads = |large: Vec<(Reference, Payload)>| large.into_iter().map(|(_, p)| p).collect::<Vec<_>>();
    assert_eq!(payloads(tail.push_above(&twice, 100)), [first.clone(), second.clone()]);
    assert_eq!(payloads(tail.push_above(&[signal(4, second.clone())], 100)), []);
    // Neither sealing nor reading it again forgets that.
    let lines: Vec<Line> = tail.text.lines().map(|line| Line::read(line).unwrap()).collect();
    let mut read = Tail::empty();
    read.note_stored(&lines);
    assert_eq!(payloads(read.push_above(&[signal(5, first.clone())], 100)), []);
    let sealed = tail.sealed(history::SealedPart { first: 1, last: 4, crc: 0 });
    assert_eq!(payloads(sealed.clone().push_above(&[signal(5, first.clone())], 100)), []);
    assert_eq!(payloads(Tail::empty().push_above(&[signal(1, first.clone())], 100)), [first]);
}

#[test]
fn what_is_not_large_is_written_as_ever() {
    let events: Vec<Event> = (1..100).map(|n| signal(n, large(20))).collect();
    let [mut one, mut other] = [Tail::empty(), Tail::empty()];
    one.push(&events);
    assert_eq!(other.push_above(&events, SEAL_AT), vec![]);
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}
