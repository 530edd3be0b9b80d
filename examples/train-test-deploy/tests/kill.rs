//! The real binary, a real folder, SIGKILL at random moments: it goes on where it stopped (G1, G2, G4).
//! More: `MILLRACE_KILLS=300 cargo test --release -p train-test-deploy --test kill -- --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

/// The seed of the moments; a run is not reproducible to the instant, but its plan is.
const SEED: u64 = 0x6d69_6c6c;

struct Moments(u64);

impl Moments {
    /// SplitMix64, between 20 ms (still starting) and 900 ms (two or three digits further).
    fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_millis(20 + (z ^ (z >> 31)) % 880)
    }
}

fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_train-test-deploy"));
    command.args(arguments).arg("--data").arg(data).stdin(Stdio::null());
    command
}

/// Runs the job and kills it after `moment`; `true` if it was done before.
fn run_and_kill(data: &Path, id: &str, moment: Duration) -> bool {
    let mut job = command(data, &["--id", id]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = job.id();
    let (ended, wait) = channel();
    let waiter = std::thread::spawn(move || {
        let status = job.wait().unwrap();
        let _ = ended.send(());
        status
    });
    if wait.recv_timeout(moment) == Err(RecvTimeoutError::Timeout) {
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        assert!(killed.success() || waiter.is_finished());
    }
    let status = waiter.join().unwrap();
    assert!(status.success() || status.code().is_none(), "it failed by itself: {status}");
    status.success()
}

fn finish(data: &Path, id: &str) -> Output {
    command(data, &["--id", id]).output().unwrap()
}

/// How often an event of this type is in the history for each activity number.
fn ends_by_activity(data: &Path, id: &str) -> Vec<(u64, usize)> {
    let output = command(data, &["show", id, "--json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let events: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let completed = |event: &&Value| event["type"] == "ActivityCompleted";
    let ids: Vec<u64> = events.iter().filter(completed).map(|e| e["activity_id"].as_u64().unwrap()).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    unique.into_iter().map(|id| (id, ids.iter().filter(|other| **other == id).count())).collect()
}

#[test]
fn g1_g2_g4_killed_at_any_moment_it_goes_on_and_counts_every_step_once() {
    let kills: u32 = std::env::var("MILLRACE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (mut moments, mut killed, mut runs) = (Moments(SEED), 0, 1);
    while killed < kills {
        let moment = moments.next();
        if run_and_kill(&data, &format!("digits-{runs}"), moment) {
            runs += 1; // done before the kill: the next one begins a new run beside it
        } else {
            killed += 1;
        }
    }
    for n in 1..=runs {
        let id = format!("digits-{n}");
        let output = finish(&data, &id);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{id}: {output:?}");
        assert!(text.contains("successfully trained, tested, and deployed!"), "{id}: {text}");
        assert!(text.contains("accuracy 0.96"), "{id}: {text}");
        assert_eq!(ends_by_activity(&data, &id), [(1, 1), (2, 1), (3, 1)], "{id}: each step is counted once");
    }
    let models = std::fs::read_dir(data.join("registry/models")).unwrap().count();
    assert_eq!(models, 1, "the same digits give the same model, deployed once");
    println!("{killed} kills over {runs} runs");
}
