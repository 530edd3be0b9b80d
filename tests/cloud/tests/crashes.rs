//! Rounds of crashes on one deployment: `MILLRACE_ROUNDS=300 cargo test -p millrace-cloud-tests --test crashes -- --nocapture`.
//!
//! In each round a run is started, twice, and a function is killed, or a worker of the fleet is killed or frozen. All runs end,
//! with the right result, and nothing is left over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, VecDeque};

use millrace_cloud_tests::Stack;
use millrace_cloud_tests::app::{ChaosSpec, Memory};
use millrace_cloud_tests::bootstraps::{Functions, test_binary};
use millrace_cloud_tests::poll::{Watch, wait};
use millrace_cloud_tests::processes::{Process, functions, kill_function};
use millrace_conformance::Rng;
use serde_json::json;

/// Messages come back soon after a function that had them is gone.
const IMPATIENT: [(&str, &str); 3] =
    [("OrchestratorVisibility", "10"), ("CpuWorkerTimeout", "9"), ("CpuTaskVisibility", "10")];
/// So many runs are on their way at most.
const MOST_OPEN: usize = 10;

fn rounds() -> u64 {
    std::env::var("MILLRACE_ROUNDS").map_or(8, |rounds| rounds.parse().expect("MILLRACE_ROUNDS is a number"))
}

/// What happens in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    FunctionKilled,
    WorkerKilled,
    WorkerFrozen,
}

impl Fate {
    fn of(rng: &mut Rng) -> Self {
        match rng.below(6) {
            0 => Self::WorkerFrozen,
            1 => Self::WorkerKilled,
            _ => Self::FunctionKilled,
        }
    }
}

/// Twice, under the same request ids: each counts once.
fn start(stack: &Stack, spec: &ChaosSpec) {
    let id = &spec.name;
    let start = json!({
        "type": "start", "workflow": "Journey", "id": id, "input": spec, "request_id": format!("start-{id}"),
    });
    let signal = json!({
        "type": "signal", "id": id, "name": "go", "input": { "by": "boto3" }, "request_id": format!("go-{id}"),
    });
    let messages = [&start, &signal, &start, &signal].map(|message| message.to_string());
    stack.foreign.send_all(&stack.queue("inbox"), &messages);
}

fn check_end(stack: &Stack, spec: &ChaosSpec) {
    let history = stack.closed(&spec.name, 600);
    history.check();
    assert_eq!(history.result(), &json!([6, "boto3", 5, "charged"]), "{}", history.outline());
    let once = ["ActivityScheduled", "TimerFired", "SignalReceived"].map(|kind| history.of(kind).len());
    assert_eq!((once, history.completed()), ([5, 1, 1], 5), "{}", history.outline());
    spec.check_charges();
}

#[test]
fn every_run_ends_whatever_becomes_of_functions_and_workers() {
    let Some(stack) = Stack::deploy(Functions::TestApp, &IMPATIENT) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (binary, log) = (test_binary("test-gpu-worker"), folder.path().join("gpu-worker.log"));
    let worker = || Process::gpu_worker(&stack, &binary, 4, &log);
    let mut fleet = VecDeque::from([worker(), worker()]);
    let mut open = VecDeque::new();
    let (mut rng, watch) = (Rng::new(2_026), Watch::start());
    let mut fates: BTreeMap<Fate, u64> = BTreeMap::new();
    for round in 0..rounds() {
        let spec = ChaosSpec {
            name: format!("journey-{round}"),
            memory: Memory::in_folder(folder.path()),
            turns: BTreeMap::new(),
            aborts: 0,
            doomed: false,
        };
        start(&stack, &spec);
        open.push_back(spec);
        wait(rng.below(1_500));
        let fate = Fate::of(&mut rng);
        let running = functions(&stack);
        let next = fleet.pop_front().unwrap();
        match fate {
            Fate::FunctionKilled => {
                let pick = rng.below(running.len().max(1) as u64) as usize;
                if let Some(pid) = running.get(pick) {
                    kill_function(*pid);
                }
                fleet.push_back(next);
            }
            Fate::WorkerKilled => {
                next.kill();
                fleet.push_back(worker());
            }
            Fate::WorkerFrozen => {
                next.freeze();
                wait(rng.below(3_000));
                next.thaw();
                fleet.push_back(next);
            }
        }
        *fates.entry(fate).or_default() += 1;
        while open.len() >= MOST_OPEN {
            check_end(&stack, &open.pop_front().unwrap());
        }
        if round % 25 == 24 {
            println!("{} rounds, {:.0} s", round + 1, watch.elapsed().as_secs_f64());
        }
    }
    open.iter().for_each(|spec| check_end(&stack, spec));
    stack.comes_to_rest(300);
    stack.assert_no_dead_letters();
    println!("{} rounds ({fates:?}), all ended well, {:.0} s", rounds(), watch.elapsed().as_secs_f64());
}
