//! The verbs that intervene, over real processes: pause, unpause, retry, reset, fork, and signals in order.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod process;

use std::path::Path;

use process::{Engine, eventually, run};
use serde_json::Value;

/// What a verb that works prints.
#[track_caller]
fn out(data: &Path, args: &[&str]) -> String {
    let (code, out, err) = run(data, args);
    assert_eq!(code, 0, "{args:?}: {out} {err}");
    out
}

/// What a verb that is refused says.
#[track_caller]
fn refused(data: &Path, args: &[&str], with: i32, text: &str) {
    let (code, out, err) = run(data, args);
    assert!(code == with && err.contains(text), "{args:?}: {code} {out} {err}");
}

/// The events of the current run.
fn events(data: &Path, id: &str) -> Vec<Value> {
    let lines = out(data, &["show", id, "--json"]);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until the run has an event of this kind, and says its number.
fn until(data: &Path, id: &str, kind: &str) -> String {
    eventually(&format!("{id} to have {kind}"), || {
        events(data, id).iter().rev().find(|event| event["type"] == kind).map(|event| event["n"].to_string())
    })
}

#[test]
fn a_run_is_paused_its_activity_retried_and_all_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (data, engine) = (folder.path(), Engine::start(folder.path()));
    out(data, &["start", "Order", "--id", "o-1", "--input", "\"tea\""]);
    until(data, "o-1", "ActivityAttemptFailed");
    assert!(out(data, &["pause", "o-1", "--reason", "the vendor is down"]).starts_with("paused `o-1` (run "));
    refused(data, &["pause", "o-1"], 6, "paused already");
    out(data, &["signal", "o-1", "note", "--input", "1"]);
    let shown = out(data, &["show", "o-1"]);
    assert!(shown.contains("running, paused") && shown.contains("the vendor is down"), "{shown}");
    let listed = out(data, &["list", "--paused"]);
    assert!(listed.contains("o-1") && listed.contains("paused"), "{listed}");
    assert_eq!(out(data, &["list", "--paused", "--type", "Other", "--json"]), "");
    assert!(out(data, &["unpause", "o-1"]).starts_with("unpaused `o-1` (run "));
    refused(data, &["unpause", "o-1"], 6, "not paused");
    assert_eq!(out(data, &["list", "--paused", "--json"]), "");

    refused(data, &["retry", "o-1", "--activity", "ship"], 6, "of `ship` the run has no open activity");
    out(data, &["pause", "o-1", "--activity", "charge"]);
    assert!(out(data, &["show", "o-1"]).contains("attempt 2 is paused"));
    refused(data, &["retry", "o-1"], 6, "unpause it");
    out(data, &["unpause", "o-1", "--activity", "1"]);
    assert!(out(data, &["retry", "o-1"]).starts_with("retried `o-1` (run "));
    until(data, "o-1", "ActivityCompleted");
    let shown = out(data, &["show", "o-1"]);
    assert!(shown.contains("retried at once, attempt 4") && shown.contains("unpaused"), "{shown}");
    refused(data, &["retry", "o-1"], 6, "no open activity");
    for verb in ["pause", "unpause"] {
        refused(data, &[verb, "nobody"], 5, "nobody");
    }
    assert_eq!(engine.terminate(), 0);
}

#[test]
fn a_run_is_reset_and_forked() {
    let folder = tempfile::tempdir().unwrap();
    let (data, engine) = (folder.path(), Engine::start(folder.path()));
    out(data, &["start", "Order", "--id", "o-2", "--input", "\"tea\""]);
    until(data, "o-2", "ActivityAttemptFailed");
    out(data, &["retry", "o-2"]);
    let charged = until(data, "o-2", "ActivityCompleted");
    out(data, &["signal", "o-2", "note", "--input", "2", "--request-id", "n-2", "--after", "n-1"]);
    out(data, &["signal", "o-2", "note", "--input", "1", "--request-id", "n-1"]);
    until(data, "o-2", "SignalReceived");
    let told_both =
        || events(data, "o-2").iter().filter(|event| event["type"] == "SignalReceived").count() == 2;
    eventually("the second note", || told_both().then_some(()));
    let told = until(data, "o-2", "SignalReceived");

    let reset = out(data, &["reset", "o-2", "--event", &charged, "--reason", "a bug", "--json"]);
    let run_id = serde_json::from_str::<Value>(&reset).unwrap()["run_id"].as_str().unwrap().to_owned();
    let shown = out(data, &["show", "o-2"]);
    assert!(shown.contains(&run_id) && shown.contains("(a bug)") && shown.contains("begins with"), "{shown}");
    let forked = out(data, &["fork", "o-2", "--id", "o-2-b", "--event", &told, "--no-reapply"]);
    assert!(forked.starts_with("begun `o-2-b` (run "), "{forked}");
    for id in ["o-2", "o-2-b"] {
        out(data, &["signal", id, "approve", "--input", r#"{"by":"ann"}"#]);
        assert_eq!(out(data, &["result", id, "-q"]), r#"["charged for tea",[1,2]]"#, "{id}");
    }
    refused(data, &["reset", "o-2", "--event", "99"], 6, "has the events 1 to");
    refused(data, &["reset", "nobody", "--event", "1"], 5, "nobody");
    refused(data, &["fork", "o-2", "--id", "o-2", "--event", "1"], 6, "use `reset`");
    refused(data, &["fork", "nobody", "--id", "b", "--event", "1"], 5, "nobody");
    assert_eq!(engine.terminate(), 0);
}
