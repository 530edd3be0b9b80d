//! Recorded histories of every format version: read, restored, and written again byte for byte. The files under
//! `histories/` are never edited; a test that fails on one of them has found an incompatible change.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod recorder;
#[path = "../../core/tests/script/mod.rs"]
mod script;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use millrace_core::{Event, EventKind, Status};
use millrace_format::history::{self, Commit, SealedPart, Tail};
use millrace_format::{Head, Header, Line, Reference};
use recorder::recorded;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories/v1")
}

/// Records the histories that are not there yet; those that are there stay as they are. For a new format version:
/// `MILLRACE_RECORD=1 cargo test -p millrace-format --test histories record`.
#[test]
fn record() {
    if std::env::var_os("MILLRACE_RECORD").is_none() {
        return;
    }
    for (name, recorder) in recorded() {
        let mut files = vec![(format!("{name}.ndjson"), recorder.bytes())];
        for (part, bytes) in recorder.parts {
            files.push((part_name(name, part), bytes));
        }
        for (reference, payload) in recorder.payloads {
            files.push((payload_name(name, &reference), payload.as_str().into()));
        }
        for (file, bytes) in files {
            let path = folder().join(file);
            if !path.exists() {
                std::fs::write(path, bytes).unwrap();
            }
        }
    }
}

fn part_name(name: &str, part: SealedPart) -> String {
    format!("{name}.{:012}-{:012}.zst", part.first, part.last)
}

fn payload_name(name: &str, reference: &Reference) -> String {
    format!("{name}.{}.json", reference.sha256)
}

fn whole(name: &str, line: Line) -> Event {
    let fetch = |reference: &Reference| {
        let object = std::fs::read(folder().join(payload_name(name, reference))).unwrap();
        Some(reference.verify(&object).unwrap())
    };
    line.filled(fetch).unwrap()
}

fn read(name: &str) -> (Vec<u8>, Head, Vec<Event>) {
    let body = std::fs::read(folder().join(format!("{name}.ndjson"))).unwrap();
    let head = Head::decode(name, &body).unwrap();
    let mut events = Vec::new();
    for part in &head.header.parts {
        let file = part_name(name, *part);
        let body = std::fs::read(folder().join(&file)).unwrap();
        let lines = history::decode_part(&file, *part, &body).unwrap();
        events.extend(lines.into_iter().map(|line| whole(name, line)));
    }
    events.extend(head.lines().unwrap().into_iter().map(|line| whole(name, line)));
    (body, head, events)
}

fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".ndjson").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() >= 12, "{names:?}");
    names
}

#[test]
fn recorded_histories_are_read_and_written_again_byte_for_byte() {
    for name in names() {
        let (body, head, events) = read(&name);
        assert_eq!(history::encode(&head.header, &head.tail.text).unwrap(), body, "{name}");
        let mut text = String::new();
        head.lines().unwrap().iter().for_each(|line| line.write(&mut text));
        assert_eq!(text, head.tail.text, "{name}");
        assert!(events.iter().zip(1..).all(|(event, n)| event.n == n), "{name}");
        assert_eq!(events.len() as u64, head.header.last, "{name}");
    }
}

#[test]
fn recorded_histories_are_restored_to_the_run_that_their_header_describes() {
    for name in names() {
        let (_, head, events) = read(&name);
        let run = head.header.restore(&events);
        let commit = Commit { nonce: &head.header.nonce, build: &head.header.build };
        assert_eq!(Header::of(&run, commit, &head.tail), head.header, "{name}");
    }
}

#[test]
fn sealed_parts_hold_the_text_that_was_sealed() {
    let (_, head, events) = read("sealed");
    let [part] = head.header.parts[..] else { panic!("one part") };
    let mut tail = Tail::empty();
    tail.push(&events[..usize::try_from(part.last).unwrap()]);
    let (again, bytes) = tail.seal(part.last).unwrap().expect("long enough");
    // Compressors may differ between builds; the text and its checksum may not.
    assert_eq!(again, part);
    let lines = history::decode_part("k", part, &bytes).unwrap();
    let sealed: Vec<Event> = lines.into_iter().map(|line| line.whole().unwrap()).collect();
    assert_eq!(sealed, events[..usize::try_from(part.last).unwrap()]);
    assert_eq!(tail.sealed(part).first, head.header.first);
}

#[test]
fn recorded_histories_show_every_kind_of_event_and_status() {
    let all: Vec<_> = names().iter().map(|name| read(name)).collect();
    let kinds: BTreeSet<_> =
        all.iter().flat_map(|(.., events)| events).map(|event| event.kind.name()).collect();
    assert_eq!(kinds, EventKind::NAMES.iter().copied().collect());
    let statuses: BTreeSet<_> = all.iter().map(|(_, head, _)| head.header.status.as_str()).collect();
    let known = [
        Status::Running,
        Status::Completed,
        Status::Failed,
        Status::Canceled,
        Status::Terminated,
        Status::TimedOut,
        Status::ContinuedAsNew,
    ];
    assert_eq!(statuses, known.iter().map(|status| status.as_str()).collect());
}

/// G8: the code of these runs is in this file; it asks again for what was recorded.
#[test]
fn g8_recorded_histories_replay() {
    for (name, recorder) in recorded() {
        let (_, head, events) = read(name);
        let code = recorder.world.code.instantiate(&recorder.world.run().info).unwrap();
        let followed = millrace_core::Replay::new(code).follow(&events);
        assert_eq!(followed.err(), head.header.blocked.map(|mark| mark.reason), "{name}");
    }
}

/// The events of the recorded runs are also what this build would record.
#[test]
fn this_build_writes_what_was_recorded() {
    for (name, recorder) in recorded() {
        let (body, ..) = read(name);
        assert_eq!(String::from_utf8(recorder.bytes()).unwrap(), String::from_utf8(body).unwrap(), "{name}");
    }
}
