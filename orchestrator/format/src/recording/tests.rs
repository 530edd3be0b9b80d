//! What is read is what was written; what is no recording says so, with the line.

use std::path::Path;

use super::*;
use crate::Head;

fn object(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories/v1").join(name))
        .unwrap()
}

#[track_caller]
fn bad(text: &str) -> String {
    Recording::read(text).expect_err("it is no recording").to_string()
}

#[test]
fn a_history_object_is_a_recording() {
    let text = object("language.ndjson");
    let [recording] = &Recording::read(&text).unwrap()[..] else { panic!("one run") };
    let head = Head::decode("k", text.as_bytes()).unwrap();
    let events: Vec<_> =
        head.lines().unwrap().into_iter().map(|line| line.filled(|_| None).unwrap()).collect();
    assert_eq!(recording.events, events);
    assert_eq!(recording.info, head.header.restore(&events).info);
}

#[test]
fn many_runs_in_one_file_are_read_as_they_were_written() {
    let runs: Vec<_> = ["completed.ndjson", "running.ndjson", "blocked.ndjson"]
        .into_iter()
        .flat_map(|name| Recording::read(&object(name)).unwrap())
        .collect();
    let text: String = runs.iter().map(Recording::write).collect();
    assert_eq!(Recording::read(&text).unwrap(), runs);
    assert_eq!(Recording::read(&text.replace('\n', "\n\n")).unwrap(), runs, "empty lines mean nothing");
}

#[test]
fn what_is_not_whole_is_refused_with_its_line() {
    let text = Recording::read(&object("completed.ndjson")).unwrap()[0].write();
    let (whose, events) = text.split_once('\n').unwrap();
    assert_eq!(bad(""), "line 0: there is no run in it");
    assert!(bad(whose).contains("has no events"));
    assert!(bad(events).starts_with("line 1: an event, but no line says whose"), "{}", bad(events));
    let gap: String =
        text.lines().enumerate().filter(|(i, _)| *i != 2).map(|(_, l)| format!("{l}\n")).collect();
    assert!(bad(&gap).starts_with("line 3: event 2 was expected, this is 3"), "{}", bad(&gap));
    assert!(bad(&object("sealed.ndjson")).contains("export the run"));
    assert!(bad(&text.replace("\"format\":1", "\"format\":7")).starts_with("line 1: format 7 is not known"));
    let headless = text.replace("\"n\":2,", "\"n\":1,");
    let headless: Vec<_> =
        headless.lines().enumerate().filter(|(i, _)| *i != 1).map(|(_, line)| line).collect();
    assert!(bad(&headless.join("\n")).starts_with("line 2: a history begins with `RunStarted`, not with"));
    assert!(bad("[1]").starts_with("line 1: "));
    assert!(bad(&text.replace("run_id", "run")).contains("missing field `run_id`"));
}
