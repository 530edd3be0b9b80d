//! The operating side over real processes: finding runs, batches, dead letters, retention.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod process;

use std::path::Path;

use process::{Engine, eventually, run};
use serde_json::Value;

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(data: &Path, args: &[&str]) -> Vec<String> {
    let (code, out, err) = run(data, &[&["list", "--json"], args].concat());
    assert_eq!(code, 0, "{err}");
    lines(&out).iter().map(|line| line["workflow_id"].as_str().unwrap().to_owned()).collect()
}

/// Approvals that wait, of two customers.
fn populate(data: &Path) {
    for (id, customer, priority) in [("a-1", "ann", "1"), ("a-2", "ann", "5"), ("b-1", "bob", "5")] {
        let attributes = [format!("customer={customer}"), format!("priority={priority}")];
        let (code, _, err) = run(
            data,
            &["start", "Approval", "--id", id, "--attribute", &attributes[0], "--attribute", &attributes[1]],
        );
        assert_eq!(code, 0, "{err}");
    }
}

#[test]
fn runs_are_found_by_what_they_were_started_with() {
    let folder = tempfile::tempdir().unwrap();
    let (data, engine) = (folder.path(), Engine::start(folder.path()));
    populate(data);
    assert_eq!(run(data, &["start", "Welcome", "--id", "c-1", "--input", "\"Ann\""]).0, 0);
    let check = || {
        assert_eq!(ids(data, &["--attribute", "customer=ann"]), ["a-2", "a-1"]);
        assert_eq!(ids(data, &["--attribute", "priority>=5", "--attribute", "customer!=bob"]), ["a-2"]);
        assert_eq!(ids(data, &["--id-prefix", "b"]), ["b-1"]);
        assert_eq!(ids(data, &["--since", "1h", "--type", "Welcome"]), ["c-1"]);
        assert!(
            ids(data, &["--until", "1h"]).is_empty()
                && ids(data, &["--since", "2100-01-01T00:00:00Z"]).is_empty()
        );
    };
    check();
    let (_, out, _) = run(data, &["list"]);
    assert!(out.contains("ATTRIBUTES") && out.contains("customer=bob priority=5"), "{out}");
    assert_eq!(engine.terminate(), 0);
    check();
    for args in [["--attribute", "customer"], ["--since", "monday"], ["--attribute", "vip<true"]] {
        let (code, _, err) = run(data, &["list", args[0], args[1]]);
        assert!(code == 2 && err.contains(args[1]), "{code} {err}");
    }
    let (code, _, err) = run(data, &["start", "Approval", "--id", "d", "--attribute", "who={\"a\":1}"]);
    assert!(code == 6 && err.contains("attributes: `who` is neither"), "{code} {err}");
}

#[test]
fn a_batch_asks_each_run_once_however_often_it_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _engine) = (folder.path(), Engine::start(folder.path()));
    populate(data);
    let approve = |options: &[&str]| {
        let signal =
            ["batch", "signal", "approve", "--input", r#"{"by":"boss"}"#, "--attribute", "customer=ann"];
        run(data, &[&signal, options].concat())
    };
    let (code, _, err) = approve(&[]);
    assert!(code == 2 && err.contains("--yes"), "nobody is there to be asked: {code} {err}");
    let (code, out, err) = approve(&["--dry-run"]);
    assert!(
        code == 0 && out.contains("a-1") && !out.contains("b-1") && err.contains("2 open runs"),
        "{out} {err}"
    );
    assert_eq!(ids(data, &["--status", "running"]).len(), 3, "nothing was sent");
    let (code, out, err) = approve(&["--yes", "--json", "--request-id", "end-of-year"]);
    assert_eq!(code, 0, "{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["batch"], &told["runs"], &told["sent"]), (&"end-of-year".into(), &2.into(), &2.into()));
    for id in ["a-1", "a-2"] {
        assert_eq!(run(data, &["result", id, "-q"]).1, "\"boss\"");
    }

    // A run that goes on is asked once, though the batch is begun twice.
    assert_eq!(run(data, &["start", "Sum", "--id", "s", "--input", "1"]).0, 0);
    for _ in 0..2 {
        let batch = ["batch", "signal", "note", "--type", "Sum", "--yes", "--request-id", "twice"];
        assert_eq!(run(data, &batch).0, 0);
    }
    assert_eq!(run(data, &["update", "s", "add", "--input", "2"]).1, "3", "the signals are ahead of this");
    let (_, out, _) = run(data, &["show", "s", "--json"]);
    let signals = lines(&out).into_iter().filter(|event| event["type"] == "SignalReceived").count();
    assert_eq!(signals, 1);

    let (code, out, err) =
        run(data, &["batch", "terminate", "--reason", "over", "--id-prefix", "b-", "--yes"]);
    assert!(code == 0 && out.starts_with("sent 1, failed 0 (batch batch-"), "{out} {err}");
    assert!(run(data, &["result", "b-1", "-q"]).2.contains("over"));
    let (code, out, _) = run(data, &["batch", "cancel", "--id-prefix", "nobody", "--yes"]);
    assert!(code == 0 && out.starts_with("sent 0"), "{out}");
    for wrong in [
        &["batch", "cancel", "--status", "completed", "--yes"][..],
        &["batch", "resume", "--yes", "--request-id", "a/b"],
    ] {
        let (code, _, err) = run(data, wrong);
        assert!(code == 6 && (err.contains("closed runs") || err.contains("request_id")), "{code} {err}");
    }
    let (code, _, _) = run(data, &["batch", "cancel", "--rate", "0", "--yes"]);
    assert_eq!(code, 2);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the time that a process takes")]
fn a_batch_keeps_its_pace() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _engine) = (folder.path(), Engine::start(folder.path()));
    populate(data);
    let begin = std::time::Instant::now();
    assert_eq!(run(data, &["batch", "cancel", "--rate", "4", "--yes"]).0, 0);
    assert!(begin.elapsed() >= std::time::Duration::from_millis(500), "three at four a second");
    assert_eq!(run(data, &["result", "b-1", "-q"]).0, 3);
}

#[test]
fn dead_letters_are_seen_sent_again_and_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    let (data, engine) = (folder.path(), Engine::start(folder.path()));
    assert_eq!(run(data, &["dead-letters", "list"]).1, "QUEUE  MESSAGE ID  SINCE  WHY  MESSAGE");
    populate(data);
    // Two that the engine refuses: the id is open.
    engine.terminate();
    for request in ["r-1", "r-2"] {
        let start = ["start", "Approval", "--id", "a-1", "--request-id", request];
        assert_eq!(run(data, &start).0, 0, "the inbox takes them");
    }
    let engine = Engine::start(data);
    let letters = |args: &[&str]| {
        let (code, out, err) = run(data, &[&["dead-letters", "list", "--json"], args].concat());
        assert_eq!(code, 0, "{err}");
        lines(&out)
    };
    let found = eventually("both letters", || Some(letters(&[])).filter(|found| found.len() == 2));
    for letter in &found {
        assert_eq!(letter["queue"], "inbox");
        assert!(letter["error"].as_str().unwrap().contains("is open"), "{letter}");
    }
    assert_eq!(letters(&["--queue", "inbox"]).len(), 2, "looking takes nothing away");
    assert!(letters(&["--queue", "cpu"]).is_empty());
    let (_, out, _) = run(data, &["dead-letters", "list"]);
    assert!(out.contains("of `a-1` is ope…") && out.contains(r#"{"type":"start","id":"a-1""#), "{out}");

    let redrive =
        |args: &[&str]| run(data, &[&["dead-letters", "redrive", "--queue", "inbox"], args].concat());
    assert_eq!(redrive(&[]).0, 2, "which ones?");
    let (code, _, err) = redrive(&["--message-id", "nope"]);
    assert!(code == 5 && err.contains("nope"), "{code} {err}");
    // Once the run is closed, its id is free.
    assert_eq!(run(data, &["terminate", "a-1"]).0, 0);
    let first = found[0]["message_id"].as_str().unwrap();
    assert_eq!(redrive(&["--message-id", first]).1, "sent again: 1 of `inbox`");
    assert_eq!(letters(&[]).len(), 1);
    eventually("the new run", || {
        Some(ids(data, &["--id-prefix", "a-1", "--status", "running"])).filter(|ids| !ids.is_empty())
    });
    assert_eq!(
        run(data, &["dead-letters", "delete", "--queue", "inbox", "--all"]).1,
        "thrown away: 1 of `inbox`"
    );
    assert_eq!(letters(&[]).len(), 0);

    // Without an engine, on the folder.
    assert_eq!(engine.terminate(), 0);
    assert_eq!(run(data, &["start", "Approval", "--id", "a-1"]).0, 0);
    let engine = Engine::start(data);
    eventually("the letter", || Some(letters(&[])).filter(|found| !found.is_empty()));
    assert_eq!(engine.terminate(), 0);
    assert_eq!(letters(&[]).len(), 1);
    let (code, out, _) = redrive(&["--all", "--json"]);
    assert_eq!((code, lines(&out)[0]["done"].as_array().unwrap().len()), (0, 1));
    assert!(letters(&[]).is_empty());
    let (code, _, err) = run(data, &["dead-letters", "list", "--queue", "a/b"]);
    assert!(code == 6 && err.contains("queue: "), "{code} {err}");
}

#[test]
fn a_retention_that_is_too_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (retention, said) in [("13d", "at least 14d, not for 13d"), ("30", "not a number of days")] {
        let (code, _, err) = run(folder.path(), &["dev", "--retention", retention]);
        assert!(code == 2 && err.contains(said), "{code} {err}");
    }
}
