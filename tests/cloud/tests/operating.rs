//! What an operator does to a deployment, over the emulator's S3 and SQS: batches and dead letters by the verbs, retention by the
//! purger on a clock that the test moves. The engine in process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use futures::future::join;
use millrace_cloud_tests::bootstraps::test_binary;
use millrace_cloud_tests::in_process::{DrivenClock, Site, never, orchestrator, turn_all, turns, worker};
use millrace_cloud_tests::processes::{bare, ends};
use millrace_cloud_tests::{Deadline, eventually};
use millrace_engine::{PurgeReport, Purger, Retention};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_secs(86_400);
const POLL: Duration = Duration::from_secs(1);
/// What the verb says of a letter that it cannot receive.
const HIDDEN: &str = "somebody may be looking at it";
/// When to give up, in seconds: a message whose receiver is lost comes again after a minute, and perhaps a few times.
const PATIENCE: u64 = 300;

/// Runs the engine until the test ends.
#[allow(clippy::disallowed_methods, reason = "a test's own task")]
fn set_to_work(site: &Site) {
    let (orchestrator, worker) = (orchestrator(site.real_ports(), POLL), worker(site.real_ports(), POLL));
    tokio::spawn(async move {
        let at_work = async { panic!("the orchestrator has ended: {}", turns(&orchestrator).await) };
        join::<_, _>(at_work, worker.run(never())).await;
    });
}

/// What a verb prints, each line as JSON; it must succeed.
fn verb(site: &Site, arguments: &[&str]) -> Vec<Value> {
    try_verb(site, arguments).unwrap_or_else(|said| panic!("{arguments:?}: {said}"))
}

/// The same, or what it says if it does not succeed.
fn try_verb(site: &Site, arguments: &[&str]) -> Result<Vec<Value>, String> {
    let mut command = bare(&test_binary("test-verbs"));
    let output = ends(command.args(arguments).arg("--json").envs(site.environment()), PATIENCE);
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.success() {
        true => Ok(said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()),
        false => Err(format!("{said}{complained}")),
    }
}

/// Starts a run, and waits until it has begun: the verb gives up waiting after half a minute.
fn listen(site: &Site, id: &str, customer: &str) {
    let attribute = format!("customer={customer}");
    verb(site, &["start", "Listener", "--id", id, "--input", "2", "--attribute", &attribute]);
    stands(site, id, "running");
}

fn stands(site: &Site, id: &str, status: &str) {
    eventually(PATIENCE, &format!("`{id}` to be {status}"), || {
        site.try_history(id).filter(|history| history.status() == status)
    });
}

fn tell(site: &Site, id: &str, n: u64) {
    let signal = json!({ "type": "signal", "id": id, "name": "tell", "input": { "n": n } });
    site.foreign.send(&site.queue("inbox"), &signal.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_asks_each_run_that_it_finds_once() {
    let Some(site) = Site::new().await else { return };
    set_to_work(&site);
    for (id, customer) in [("a-1", "ann"), ("a-2", "ann"), ("b-1", "bob")] {
        listen(&site, id, customer);
    }
    let anns = ["--attribute", "customer=ann", "--yes"];
    let told = |how: &[&str]| {
        let sent = verb(&site, &[&["batch"], how, &anns].concat());
        sent.first().map(|report| report["sent"].clone())
    };
    eventually(PATIENCE, "both runs in the list", || {
        (verb(&site, &["list", "--attribute", "customer=ann"]).len() == 2).then_some(())
    });
    for _ in 0..2 {
        let batch = ["signal", "tell", "--input", r#"{"n":20}"#, "--request-id", "welcome"];
        assert_eq!(told(&batch), Some(json!(2)));
    }
    assert_eq!(told(&["pause", "--reason", "a moment"]), Some(json!(2)));
    eventually(PATIENCE, "them to be paused", || {
        ["a-1", "a-2"].iter().all(|id| !site.history(id).of("RunPaused").is_empty()).then_some(())
    });
    assert_eq!(told(&["unpause"]), Some(json!(2)));
    tell(&site, "a-1", 1);
    stands(&site, "a-1", "completed");
    assert_eq!(site.history("a-1").result(), &json!(21), "20 was told once");
    assert_eq!(told(&["terminate", "--reason", "the contract has ended"]), Some(json!(1)), "a-1 has ended");
    stands(&site, "a-2", "terminated");
    assert_eq!(site.history("b-1").types(), ["RunStarted"], "nobody else's is touched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_seen_sent_again_and_thrown_away() {
    let Some(site) = Site::new().await else { return };
    set_to_work(&site);
    listen(&site, "a", "ann");
    verb(&site, &["terminate", "a"]);
    stands(&site, "a", "terminated"); // else what it is told now would count
    tell(&site, "a", 1);
    tell(&site, "a", 2);
    site.foreign.send(&site.queue("inbox"), "hello?");
    let letters = || verb(&site, &["dead-letters", "list"]);
    let found =
        eventually(PATIENCE, "three dead letters", || Some(letters()).filter(|found| found.len() == 3));
    let of = |word: &str| {
        let letter = found.iter().find(|letter| letter["body"].as_str().unwrap().contains(word));
        letter.unwrap_or_else(|| panic!("{word}: {found:?}"))
    };
    assert!(of("\"n\":1")["error"].as_str().unwrap().contains("closed"), "{found:?}");
    // A letter that could not be given back after the look is hidden for a minute.
    let treated = |how: &str, letter: &Value| {
        let id = letter["message_id"].as_str().unwrap();
        let treat = || try_verb(&site, &["dead-letters", how, "--queue", "inbox", "--message-id", id]);
        let is_hidden =
            |treated: &Result<_, String>| treated.as_ref().is_err_and(|said| said.contains(HIDDEN));
        eventually(PATIENCE, "the letter", || Some(treat()).filter(|treated| !is_hidden(treated)))
    };
    let treat = |how: &str, letter: &Value| treated(how, letter).unwrap().remove(0);
    let refused = treated("redrive", of("hello?")).unwrap_err();
    assert!(refused.contains("JSON"), "what the door would refuse again stays: {refused}");

    listen(&site, "a", "ann");
    for letter in [of("\"n\":1"), of("\"n\":2")] {
        assert_eq!(treat("redrive", letter)["done"], json!([letter["message_id"]]));
    }
    stands(&site, "a", "completed"); // it has heard both
    assert_eq!(site.history("a").result(), &json!(3));
    let left = eventually(PATIENCE, "one that is left", || Some(letters()).filter(|left| left.len() == 1));
    assert_eq!(treat("delete", &left[0])["done"], json!([left[0]["message_id"]]));
    eventually(PATIENCE, "none to be left", || letters().is_empty().then_some(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_run_is_gone_after_its_time_and_an_open_one_stays() {
    let Some(site) = Site::new().await else { return };
    let clock = DrivenClock::start();
    let ports = site.ports(clock.clone());
    let (orchestrator, worker) =
        (orchestrator(ports.clone(), Duration::ZERO), worker(ports.clone(), Duration::ZERO));
    site.start("Chain", "closed", &json!(2));
    site.start("Listener", "open", &json!(1));
    let deadline = Deadline::in_secs(PATIENCE);
    loop {
        turn_all(&orchestrator).await;
        worker.drain(never()).await;
        if site.history("closed").status() == "completed" && site.history("open").status() == "running" {
            break;
        }
        deadline.pause(|| site.history("closed").outline());
    }
    let keys = || site.foreign.keys(&site.settings.bucket, "default/");
    let of = |id: &str| keys().into_iter().filter(|key| key.contains(id)).collect::<Vec<_>>();
    let purger = Purger::new(ports, site.keys(), Retention::new(14 * DAY).unwrap());

    clock.advance(13 * DAY);
    assert_eq!(purger.purge(None).await, PurgeReport::default(), "its time is not over");
    assert!(!of("closed").is_empty());
    clock.advance(2 * DAY);
    let report = purger.purge(None).await;
    assert_eq!((report.runs, report.purged, report.failed), (1, 1, 0), "{report:?}");
    assert!(of("closed").is_empty(), "{:?}", keys());
    assert_eq!(site.history("open").status(), "running");
    assert_eq!(purger.purge(None).await, PurgeReport::default(), "nothing is left to be done");
}
