//! The main example as somebody else would use it: the template deployed, its functions run from their built bootstraps,
//! the training in a process of the fleet, and everything sent and read with boto3.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use millrace_cloud_tests::bootstraps::{Functions, function};
use millrace_cloud_tests::processes::Process;
use millrace_cloud_tests::{Stack, eventually};
use serde_json::json;

#[test]
fn a_foreign_client_trains_approves_and_reads_the_result() {
    let Some(stack) = Stack::deploy(Functions::Example, &[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (log, gpu_worker) = (folder.path().join("gpu-worker.log"), function("gpu-worker"));
    let worker = Process::gpu_worker(&stack, &gpu_worker, 1, &log);

    stack.send(&json!({
        "type": "start", "workflow": "TrainTestDeploy", "id": "digits-1", "request_id": "order-1",
        "input": { "threshold": 0.9, "approval": true },
    }));
    eventually(300, "the test of the model", || {
        stack.history("digits-1").filter(|history| history.completed() == 2)
    });
    let waiting = stack.history("digits-1").unwrap();
    assert_eq!(waiting.status(), "running", "it waits for a person");
    assert!(stack.foreign.keys(&stack.bucket, "registry/").is_empty(), "nothing is deployed unapproved");
    stack.signal("digits-1", "approve", &json!({ "by": "reviewer" }));

    let history = stack.closed("digits-1", 300);
    history.check();
    let expected = [
        "RunStarted",
        "ActivityScheduled",
        "ActivityCompleted",
        "ActivityScheduled",
        "ActivityCompleted",
        "SignalReceived",
        "ActivityScheduled",
        "ActivityCompleted",
        "RunCompleted",
    ];
    assert_eq!(history.types(), expected, "{}", history.outline());
    let scheduled = history.of("ActivityScheduled");
    let called: Vec<_> = scheduled.iter().map(|e| (&e["activity"], &e["task_queue"])).collect();
    assert_eq!(json!(called), json!([["train", "gpu"], ["test", "cpu"], ["deploy", "cpu"]]));
    assert_eq!(history.of("SignalReceived")[0]["input"], json!({ "by": "reviewer" }));

    let result = history.result();
    let accuracy = result["report"]["accuracy"].as_f64().unwrap();
    assert!((accuracy - 0.9638).abs() < 0.00005, "{accuracy}");
    assert_eq!(result["message"], "successfully trained, tested, and deployed!");
    let artifact = result["artifact"].as_str().unwrap();
    let current = stack.foreign.get(&stack.bucket, "registry/current").unwrap();
    assert_eq!(String::from_utf8(current).unwrap(), format!("{artifact}\n"));
    assert_eq!(stack.foreign.sha256(&stack.bucket, &format!("registry/models/{artifact}.json")), artifact);

    stack.comes_to_rest(300);
    let open = stack.foreign.keys(&stack.bucket, "default/index/open/");
    let closed = stack.foreign.keys(&stack.bucket, "default/index/closed/");
    assert!(open.is_empty() && closed.len() == 1 && closed[0].contains("digits-1"), "{open:?} {closed:?}");
    assert_eq!(stack.invocations("cpu-worker", 2), 2, "test and deploy ran in the function");
    stack.invocations("orchestrator", 5); // A start, three outcomes and a signal.
    stack.assert_no_dead_letters();
    let said = || std::fs::read_to_string(&log).unwrap();
    assert!(worker.stop(), "a worker that is asked to stop ends well: {}", said());
    assert!(said().contains("receiving tasks"), "{}", said());
}
