//! Everything at once goes wrong: functions crash, hang and are killed, workers are killed, messages come twice. All runs
//! end, with the right result, and nothing is left over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use millrace_cloud_tests::app::{ChaosResult, ChaosSpec, Memory, Sabotage};
use millrace_cloud_tests::bootstraps::{Functions, test_binary};
use millrace_cloud_tests::poll::Watch;
use millrace_cloud_tests::processes::{self, Process};
use millrace_cloud_tests::{Deadline, History, Stack, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Functions that give up soon, and messages that come back soon after. The orchestrator's own time is set below.
const IMPATIENT: [(&str, &str); 4] = [
    ("OrchestratorVisibility", "10"),
    ("CpuWorkerTimeout", "9"),
    ("CpuTaskVisibility", "10"),
    ("CpuWorkerConcurrency", "4"),
];
/// Of which its host keeps two for giving up.
const ORCHESTRATOR_TIMEOUT_S: u32 = 8;

struct Chaos {
    stack: Stack,
    folder: TempDir,
    specs: Vec<ChaosSpec>,
    kills: u32,
}

impl Chaos {
    fn memory(&self) -> Memory {
        Memory::in_folder(self.folder.path())
    }

    /// Each run is started and signaled, everything twice, under the same request ids.
    fn start_all(&self) {
        let mut messages = Vec::new();
        for spec in &self.specs {
            let id = &spec.name;
            let start = json!({
                "type": "start", "workflow": "Chaos", "id": id, "input": spec, "request_id": format!("start-{id}"),
            });
            let signal = json!({
                "type": "signal", "id": id, "name": "go", "input": { "by": "boto3" }, "request_id": format!("go-{id}"),
            });
            messages.extend([&start, &signal, &start, &signal].map(Value::to_string));
        }
        self.stack.foreign.send_all(&self.stack.queue("inbox"), &messages);
    }

    /// Waits until a queue that nobody serves has so many messages, and sends each of them again.
    fn double(&self, queue: &str, at_least: u64) {
        let (foreign, queue) = (&self.stack.foreign, self.stack.queue(queue));
        eventually(300, &format!("{at_least} messages in {queue}"), || {
            (foreign.depth(&queue).visible >= at_least).then_some(())
        });
        // Visible again at once: their receive counts rise by it, which is a fault too.
        let bodies: Vec<_> = foreign.receive(&queue, 0).into_iter().map(|message| message.body).collect();
        assert!(!bodies.is_empty());
        foreign.send_all(&queue, &bodies);
    }

    /// Kills a function in the middle of what it does, now and then.
    fn monkey(&mut self, deadline: &Deadline) {
        if self.kills < 10 && !deadline.has_passed() {
            let functions = processes::functions(&self.stack);
            let pick = (self.kills as usize * 7 + 3) % functions.len().max(1);
            if let Some(pid) = functions.get(pick) {
                processes::kill_function(*pid);
                self.kills += 1;
            }
        }
    }

    fn fleet(&self) -> [Process; 2] {
        let (binary, log) = (test_binary("test-gpu-worker"), self.folder.path().join("gpu-worker.log"));
        [1, 2].map(|_| Process::gpu_worker(&self.stack, &binary, 8, &log))
    }

    /// Waits for all doomed activities, and kills their workers.
    fn kill_fleet(&mut self, fleet: [Process; 2]) {
        let memory = self.memory();
        let calm = Deadline::in_secs(25);
        let all = |chaos: &Self| {
            let names = chaos.specs.iter().map(|spec| &spec.name);
            names
                .flat_map(|name| [format!("{name}-training"), format!("{name}-charging")])
                .all(|m| memory.has(&m))
        };
        let deadline = Deadline::in_secs(300);
        while !all(self) {
            self.monkey(&calm);
            deadline.pause(|| format!("not all runs came to the fleet: {}", self.outlines()));
        }
        fleet.into_iter().for_each(Process::kill);
    }

    /// What was to go wrong did.
    fn check_faults(&self) {
        let log = self.stack.foreign.log(&format!("/aws/lambda/{}", self.stack.function("orchestrator")));
        let said = |text: &str| log.iter().filter(|line| line.contains(text)).count();
        let given_up = said("turns have not ended within the function's time");
        let repaired = said("effects are dispatched again");
        let histories: Vec<_> = self.specs.iter().filter_map(|spec| self.stack.history(&spec.name)).collect();
        let failed = |text: &str| {
            let events = histories.iter().flat_map(|history| history.of("ActivityAttemptFailed"));
            events.filter(|event| event.to_string().contains(text)).count()
        };
        let faults = json!({
            "functions_killed": self.kills, "turns_given_up": given_up, "turns_repaired": repaired,
            "out_of_time": failed("OutOfTime"), "panics": failed("Panic"), "retryable": failed("Flaky"),
            "blocked": histories.iter().map(|history| history.of("RunBlocked").len()).sum::<usize>(),
        });
        println!("faults: {faults}");
        assert!(failed("OutOfTime") >= 1 && failed("Panic") >= 1, "{faults}");
        let can_kill = cfg!(target_os = "linux") && std::env::var_os("MILLRACE_TEST_ENDPOINT").is_none();
        assert!(self.kills >= 1 || !can_kill, "{faults}");
    }

    fn outlines(&self) -> String {
        let outline = |spec: &ChaosSpec| {
            let outline = self.stack.history(&spec.name).map(|history| history.outline());
            format!("{}:\n{}", spec.name, outline.unwrap_or_default())
        };
        self.specs.iter().map(outline).collect()
    }
}

fn spec(memory: &Memory, name: &str, turns: &[(&str, Sabotage)]) -> ChaosSpec {
    let turns: BTreeMap<_, _> = turns.iter().map(|(place, what)| ((*place).to_owned(), *what)).collect();
    ChaosSpec { name: name.into(), memory: memory.clone(), turns, aborts: 1, doomed: true }
}

#[test]
fn everything_ends_well_whatever_is_killed_hangs_or_comes_twice() {
    let Some(stack) = Stack::deploy(Functions::TestApp, &IMPATIENT) else { return };
    stack.foreign.set_timeout(&stack.function("orchestrator"), ORCHESTRATOR_TIMEOUT_S);
    let folder = tempfile::tempdir().unwrap();
    let memory = Memory::in_folder(folder.path());
    let specs = vec![
        spec(&memory, "calm", &[]),
        spec(&memory, "aborts", &[("begin", Sabotage::Abort), ("slept", Sabotage::Abort)]),
        spec(&memory, "hangs", &[("joined", Sabotage::Hang)]),
        spec(&memory, "both", &[("joined", Sabotage::Abort), ("told", Sabotage::Hang)]),
    ];
    let mut chaos = Chaos { stack, folder, specs, kills: 0 };
    let watch = Watch::start();
    let (task_cpu, events) = (chaos.stack.queue("task-cpu"), chaos.stack.queue("events"));
    chaos.stack.foreign.set_mapping(&task_cpu, false);
    chaos.stack.foreign.set_mapping(&events, false);
    chaos.start_all();
    chaos.double("task-cpu", 16);
    chaos.stack.foreign.set_mapping(&task_cpu, true);
    chaos.double("events", 16);
    chaos.stack.foreign.set_mapping(&events, true);

    eventually(300, "tasks for the fleet", || {
        (chaos.stack.foreign.depth(&chaos.stack.queue("task-gpu")).visible > 0).then_some(())
    });
    chaos.double("task-gpu", 1);
    let fleet = chaos.fleet();
    chaos.kill_fleet(fleet);
    println!(
        "the fleet is killed after {:.1} s, {} functions before it",
        watch.elapsed().as_secs_f64(),
        chaos.kills
    );

    let _fleet = chaos.fleet();
    for spec in &chaos.specs {
        let history = chaos.stack.closed(&spec.name, 300);
        check(spec, &history);
    }
    println!("all runs ended after {:.1} s", watch.elapsed().as_secs_f64());
    chaos.stack.comes_to_rest(300);
    chaos.stack.assert_no_dead_letters();
    println!("all queues empty after {:.1} s", watch.elapsed().as_secs_f64());
    chaos.check_faults();
}

fn check(spec: &ChaosSpec, history: &History) {
    history.check();
    let result: ChaosResult = serde_json::from_value(history.result().clone()).unwrap();
    let expected = ChaosResult {
        squares: vec![0, 1, 4, 9],
        flaky: spec.name.to_uppercase(),
        aborted: spec.aborts,
        late: vec!["blocks: false".into(), "blocks: true".into()],
        panicked: "calm".into(),
        told: "boto3".into(),
        steps: 5,
        charged: "charged".into(),
    };
    assert_eq!(result, expected, "{}", history.outline());
    assert_eq!(
        (history.of("ActivityScheduled").len(), history.completed()),
        (11, 11),
        "{}",
        history.outline()
    );
    assert_eq!(history.of("SignalReceived").len(), 1, "a request counts once");
    for place in spec.turns.keys() {
        assert!(spec.memory.has(&format!("{}-turn-{place}", spec.name)), "the sabotage at {place} happened");
    }
    spec.check_charges();
    let trained = spec.memory.notes(&format!("{}-trained", spec.name));
    assert!(
        trained.iter().any(|line| line.ends_with("from 2")),
        "one went on where another stopped: {trained:?}"
    );
}

#[test]
fn a_task_that_kills_every_function_ends_as_vanished_and_the_run_is_told() {
    let Some(stack) = Stack::deploy(Functions::TestApp, &IMPATIENT) else { return };
    let folder = tempfile::tempdir().unwrap();
    let memory = Memory::in_folder(folder.path());
    let doomed = ChaosSpec { aborts: 1_000, ..spec(&memory, "doomed", &[]) };
    stack.start("Doomed", "doomed", &json!(doomed));
    let history = {
        let deadline = Deadline::in_secs(300);
        loop {
            // The schedule calls it each minute; the test does not wait for that.
            stack.foreign.invoke(&stack.function("dead-letters"), &json!({}));
            match stack.history("doomed") {
                Some(history) if history.status() != "running" => break history,
                history => deadline.pause(|| format!("{:?}", history.map(|h| h.outline()))),
            }
        }
    };
    history.check();
    let result = history.result().as_str().unwrap().to_owned();
    println!("doomed: {result}");
    assert!(result.contains("vanished") || result.contains("received too often"), "{result}");
    assert!(memory.has("doomed-abort.5") && !memory.has("doomed-abort.6"), "five receives, and no more");
    stack.comes_to_rest(300);
    stack.assert_no_dead_letters();
}

#[test]
fn a_worker_that_is_asked_to_stop_gives_its_work_back_and_costs_no_attempt() {
    let Some(stack) = Stack::deploy(Functions::TestApp, &[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let memory = Memory::in_folder(folder.path());
    let (binary, log) = (test_binary("test-gpu-worker"), folder.path().join("gpu-worker.log"));
    stack.start("Training", "training", &json!([spec(&memory, "training", &[]), 5]));
    let worker = Process::gpu_worker(&stack, &binary, 1, &log);
    eventually(300, "the training to be at work", || memory.has("training-training").then_some(()));
    let watch = Watch::start();
    assert!(worker.stop(), "it ends well: {}", std::fs::read_to_string(&log).unwrap());
    let _next = Process::gpu_worker(&stack, &binary, 1, &log);
    let history = stack.closed("training", 300);
    println!("given back and done after {:.1} s", watch.elapsed().as_secs_f64());
    history.check();
    assert_eq!(history.result(), &json!(5));
    assert_eq!(history.types(), ["RunStarted", "ActivityScheduled", "ActivityCompleted", "RunCompleted"]);
    assert_eq!(history.of("ActivityCompleted")[0]["attempt"], 1, "{}", history.outline());
    let notes = memory.notes("training-trained");
    assert_eq!(notes, ["attempt 1 from 0", "attempt 1 from 2"], "its progress is kept");
    stack.comes_to_rest(300);
    stack.assert_no_dead_letters();
}
