//! A history that cannot be what was written is `Corrupt`, with its key and line: never a panic, never another history.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::path::Path;

use millrace_format::history::{self, SealedPart};
use millrace_format::{Corrupt, Head};
use proptest::prelude::*;

fn recorded(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories/v1").join(name)).unwrap()
}

fn part() -> (SealedPart, Vec<u8>) {
    let head = Head::decode("k", &recorded("sealed.ndjson")).unwrap();
    let part = head.header.parts[0];
    (part, recorded(&format!("sealed.{:012}-{:012}.zst", part.first, part.last)))
}

#[track_caller]
fn corrupt(body: &[u8]) -> Corrupt {
    let error = Head::decode("ns/the/key", body).expect_err("it is corrupt");
    assert_eq!(error.key, "ns/the/key");
    let lines = 2 + body.iter().filter(|b| **b == b'\n').count();
    assert!((1..=lines).contains(&error.line), "{error}");
    error
}

fn lines(body: &[u8]) -> Vec<String> {
    std::str::from_utf8(body).unwrap().lines().map(str::to_owned).collect()
}

fn unlines(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>().into_bytes()
}

#[test]
fn cut_short_at_any_byte() {
    for name in ["completed.ndjson", "running.ndjson", "sealed.ndjson"] {
        let body = recorded(name);
        for length in 0..body.len() {
            corrupt(&body[..length]);
        }
    }
}

#[test]
fn cut_short_within_an_event_names_the_line() {
    let body = recorded("completed.ndjson");
    let line_starts =
        |n: usize| body.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(n - 2).unwrap().0 + 1;
    for line in 2..6 {
        assert_eq!(corrupt(&body[..line_starts(line) + 10]).line, line);
    }
}

#[test]
fn lines_lost_swapped_or_doubled() {
    let whole = lines(&recorded("completed.ndjson"));
    for i in 0..whole.len() {
        let mut without = whole.clone();
        without.remove(i);
        corrupt(&unlines(&without));
        let mut twice = whole.clone();
        twice.insert(i, whole[i].clone());
        corrupt(&unlines(&twice));
    }
    for i in 1..whole.len() {
        let mut swapped = whole.clone();
        swapped.swap(i - 1, i);
        let error = corrupt(&unlines(&swapped));
        assert_eq!(error.line, i.max(1), "{error}"); // the first line that is out of order
    }
}

#[test]
fn an_edited_value_in_an_event_or_in_the_header() {
    let text = String::from_utf8(recorded("completed.ndjson")).unwrap();
    for (from, to) in [
        ("0.97", "0.98"),
        ("\"stage\":\"trained\"", "\"stage\":\"drained\""),
        ("\"status\":\"completed\"", "\"status\":\"running\""),
        ("\"turn\":5", "\"turn\":6"),
        ("\"nonce\":\"00", "\"nonce\":\"10"),
        ("r:s-1", "r:s-2"),
    ] {
        assert!(text.contains(from), "{from}");
        assert!(corrupt(text.replacen(from, to, 1).as_bytes()).reason.contains("edited"), "{from}");
    }
    let running = String::from_utf8(recorded("running.ndjson")).unwrap();
    let error = corrupt(running.replacen("\"attempt\":2,\"at\"", "\"attempt\":3,\"at\"", 1).as_bytes());
    assert!(error.reason.contains("header was edited"), "{error}");
}

#[test]
fn a_header_that_has_lost_its_sealed_parts() {
    let text = String::from_utf8(recorded("sealed.ndjson")).unwrap();
    let (from, to) = (text.find("\"parts\"").unwrap(), text.find("\"first\":603").unwrap());
    let error = corrupt(format!("{}{}", &text[..from], &text[to..]).as_bytes());
    assert!(error.reason.contains("header was edited"), "{error}");
}

#[test]
fn not_a_history_at_all() {
    for (body, line) in [
        (b"".as_slice(), 1),
        (b"\n", 1),
        (b"{}\n", 1),
        (b"null\n", 1),
        (b"plain text", 1),
        (b"\xff\xfe\n", 1),
        (b"{}\n{}\n\xff", 3),
    ] {
        assert_eq!(corrupt(body).line, line, "{body:?}");
    }
}

#[test]
fn numbers_at_the_end_of_their_range_do_not_overflow() {
    let mut head = Head::decode("k", &recorded("sealed.ndjson")).unwrap();
    for (first, last) in [(0, 0), (0, u64::MAX), (u64::MAX, u64::MAX), (1, u64::MAX)] {
        (head.header.first, head.header.last, head.header.crc) = (first, last, 0);
        for tail in [
            "",
            "{\"n\":18446744073709551615,\"t\":\"2026-11-23T02:00:00Z\",\"type\":\"TimerFired\",\"timer_id\":1}\n",
        ] {
            corrupt(&history::encode(&head.header, tail).unwrap());
        }
        let (_, bytes) = part();
        assert!(history::decode_part("k", SealedPart { first, last, crc: 0 }, &bytes).is_err());
    }
}

#[test]
fn an_unknown_event_is_named() {
    let mut head = Head::decode("k", &recorded("canceled.ndjson")).unwrap();
    let tail = head.tail.text.replace("RunCanceled", "RunDissolved");
    head.header.crc = 0;
    let error = corrupt(&history::encode(&head.header, &tail).unwrap());
    assert_eq!((error.line, error.reason.as_str()), (4, "unknown event type `RunDissolved`"));
}

#[test]
fn events_that_were_edited_with_their_checksum_are_found_when_they_are_read() {
    let mut head = Head::decode("k", &recorded("completed.ndjson")).unwrap();
    let tail = head.tail.text.replacen("\"n\":2,", "\"n\":3,", 1);
    head.header.crc = crc32fast::hash(tail.as_bytes());
    let head = Head::decode("ns/the/key", &history::encode(&head.header, &tail).unwrap()).unwrap();
    let error = head.lines().unwrap_err();
    assert_eq!((error.key.as_str(), error.line), ("ns/the/key", 3));
    assert_eq!(error.reason, "event 2 was expected, this is 3");
}

#[test]
fn an_event_without_a_field_names_the_field() {
    for (line, reason) in [
        (r#"{"n":1,"t":"2026-11-23T02:00:00Z","type":"TimerFired"}"#, "TimerFired: missing field `timer_id`"),
        (r#"{"n":1,"t":"soon","type":"TimerFired","timer_id":1}"#, "expected a time such as"),
        (r#"{"n":1,"t":"2026-11-23T02:00:00Z"}"#, "missing field `type`"),
        (r#"{"n":-1,"t":"2026-11-23T02:00:00Z","type":"TimerFired"}"#, "invalid value"),
    ] {
        let error = history::decode_event(line).unwrap_err();
        assert!(error.contains(reason), "{line}: {error}");
    }
}

/// Whoever reads can tell a newer build's history from a broken one by the first field alone, though everything else has
/// changed (`engine/src/load.rs`, `newer_format`).
#[test]
fn a_newer_format_is_told_apart_before_anything_else_is_read() {
    let mut head = Head::decode("k", &recorded("completed.ndjson")).unwrap();
    head.header.format = history::FORMAT + 1;
    let body = history::encode(&head.header, &head.tail.text).unwrap();
    assert!(body.starts_with(b"{\"format\":2,"));
    assert!(corrupt(&body).reason.contains("format 2 is not known"));
    head.header.format = 0;
    corrupt(&history::encode(&head.header, &head.tail.text).unwrap());
}

#[test]
fn a_sealed_part_that_is_cut_or_another_one() {
    let (part, bytes) = part();
    let decode = |part, bytes: &[u8]| history::decode_part("ns/the/part", part, bytes);
    for length in 0..bytes.len() {
        assert_eq!(decode(part, &bytes[..length]).expect_err("cut short").key, "ns/the/part");
    }
    for wrong in [
        SealedPart { last: part.last + 1, ..part },
        SealedPart { last: part.last - 1, ..part },
        SealedPart { first: part.first + 1, ..part },
        SealedPart { crc: part.crc ^ 1, ..part },
    ] {
        assert!(decode(wrong, &bytes).is_err(), "{wrong:?}");
    }
    // A part that is whole, but whose text was edited and compressed again.
    let text = String::from_utf8(zstd::stream::decode_all(&bytes[..]).unwrap()).unwrap();
    let edited = text.replacen("\"input\":1", "\"input\":2", 1);
    let error = decode(part, &zstd::bulk::compress(edited.as_bytes(), 1).unwrap()).unwrap_err();
    assert!(error.reason.contains("edited"), "{error}");
}

fn accepted(body: &[u8]) -> Option<(millrace_format::Header, Vec<millrace_format::Line>)> {
    let head = Head::decode("k", body).ok()?;
    let lines = head.lines().unwrap();
    Some((head.header, lines))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_never_give_another_history(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4),
        name in prop::sample::select(vec!["completed.ndjson", "running.ndjson", "blocked.ndjson", "sealed.ndjson", "large_payload.ndjson"]),
    ) {
        let whole = recorded(name);
        let mut body = whole.clone();
        for (at, with) in flips {
            let at = at.index(body.len());
            body[at] ^= with;
        }
        if let Some(read) = accepted(&body) {
            prop_assert_eq!(Some(read), accepted(&whole)); // flipped back, or a digit of no meaning
        }
    }

    #[test]
    fn flipped_bytes_never_give_another_part(at in any::<prop::sample::Index>(), with in 1..=255_u8) {
        let (part, whole) = part();
        let mut body = whole.clone();
        let at = at.index(body.len());
        body[at] ^= with;
        if let Ok(events) = history::decode_part("k", part, &body) {
            prop_assert_eq!(events, history::decode_part("k", part, &whole).unwrap());
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Head::decode("k", &body);
        let _ = history::decode_part("k", SealedPart { first: 1, last: 2, crc: 3 }, &body);
        let text = String::from_utf8_lossy(&body);
        let _ = history::decode_event(&text);
        let _ = millrace_format::message::read_inbox(&text, "m");
        let _ = millrace_format::message::read_event(&text);
        let _ = millrace_format::message::read_task(&text);
    }
}
