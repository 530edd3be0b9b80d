//! Children, updates, continue-as-new, local activities, a map, completion by token: the engine in process, over the
//! emulator's S3 and SQS; requests and reads by a client that is not ours.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use millrace_cloud_tests::Deadline;
use millrace_cloud_tests::in_process::{Site, never, orchestrator, turn_all, worker};
use millrace_cloud_tests::language::Spoken;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_else_that_the_language_has() {
    let Some(site) = Site::new().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    let (orchestrator, worker) =
        (orchestrator(site.real_ports(), Duration::ZERO), worker(site.real_ports(), Duration::ZERO));
    let inbox = site.queue("inbox");
    let send = |message: serde_json::Value| site.foreign.send(&inbox, &message.to_string());
    send(json!({
        "type": "start", "workflow": "Language", "id": "speaker", "input": token_file, "start_delay_s": 1,
    }));
    turn_all(&orchestrator).await;
    let deadline = Deadline::in_secs(300);
    let (mut asked, mut completed) = (false, false);
    while site.history("speaker").status() == "running" {
        turn_all(&orchestrator).await;
        worker.drain(never()).await;
        if !asked && !site.history("speaker").of("ChildScheduled").is_empty() {
            asked = true; // Not before the code has begun: what it cannot check yet is recorded.
            for (n, id) in [(10, "a"), (0, "b"), (20, "c"), (20, "c")] {
                let input = json!({ "n": n });
                send(
                    json!({"type": "update", "id": "speaker", "name": "add", "input": input, "request_id": id}),
                );
            }
        }
        if let (false, Ok(token)) = (completed, std::fs::read_to_string(&token_file)) {
            send(json!({"type": "complete", "token": token, "result": "boto3"}));
            completed = true;
        }
        deadline.pause(|| site.history("speaker").outline());
    }
    let history = site.history("speaker");
    history.check();
    let spoken: Spoken = serde_json::from_value(history.result().clone()).unwrap();
    let expected = Spoken {
        child: 8,
        ward: 21,
        failed: true,
        stopped: true,
        local: (1..=10).collect(),
        mapped: vec![None, Some(1), Some(2), None, Some(4)],
        by_token: "boto3".into(),
        told_by_wanderer: 2,
        total: 30,
    };
    assert_eq!(spoken, expected, "{}", history.outline());
    assert_eq!(history.of("LocalActivityCompleted").len(), 10);
    assert_eq!(history.of("UpdateReceived").len(), 2, "one was refused, one came twice");
    turn_all(&orchestrator).await;
    let letters = ["inbox-dead", "events-dead", "task-cpu-dead"];
    let dead: Vec<_> = letters.iter().map(|queue| site.foreign.depth(&site.queue(queue)).visible).collect();
    assert_eq!(dead, [0, 0, 0], "no dead letters");
}
