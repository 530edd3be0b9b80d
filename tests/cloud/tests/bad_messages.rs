//! What strangers may drop on the inbox, and what is too large for a message.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use millrace_cloud_tests::bootstraps::Functions;
use millrace_cloud_tests::foreign::{Depth, Received};
use millrace_cloud_tests::{Stack, eventually};
use serde_json::{Value, json};

const MIB: usize = 1 << 20;

/// Text that is neither JSON nor compressible, as large as a message may be.
fn noise() -> String {
    let mut state = 0x6d69_6c6c_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + ((state >> 33) % 94) as u8)
    };
    (0..MIB).map(next).collect()
}

/// Each with a word that its reason must have.
fn not_ours() -> Vec<(&'static str, String, &'static str)> {
    let s3 = json!({ "Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": "b" }, "object": { "key": "k", "size": 1 } },
    }]});
    let sns = json!({
        "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:us-east-1:000000000000:t",
        "Message": r#"{"type":"start","workflow":"Chain","id":"by-sns","input":1}"#,
    });
    let run_id = "0198c0de-0000-4000-8000-000000000007";
    let outcome = json!({
        "type": "outcome", "v": 1, "workflow_id": "good", "run_id": run_id, "activity_id": 1, "attempt": 1,
        "receive_count": 1, "result": { "completed": 99 },
    });
    let timer = json!({ "type": "timer", "v": 1, "workflow_id": "good", "run_id": run_id, "timer_id": 1 });
    let bad_id = json!({ "type": "start", "workflow": "Chain", "id": "a/../b", "input": 1 });
    let elsewhere = json!({ "type": "start", "workflow": "Chain", "id": "a", "namespace": "other" });
    let pointer = json!({ "v": 1, "body": format!("inbox-payload/{}", "0".repeat(64)) });
    let internal = json!({ "v": 1, "body": format!("message/{}", "0".repeat(64)) });
    vec![
        ("an S3 event notification", s3.to_string(), "type"),
        ("an SNS envelope", sns.to_string(), "type"),
        ("plain text", "hello, is anybody there?".into(), "JSON"),
        ("an internal type: outcome", outcome.to_string(), "outcome"),
        ("an internal type: timer", timer.to_string(), "timer"),
        ("a bad id", bad_id.to_string(), "id"),
        ("another namespace", elsewhere.to_string(), "other"),
        ("a pointer to a payload that is not there", pointer.to_string(), "type"),
        ("a pointer out of the inbox's folder", internal.to_string(), "type"),
    ]
}

fn stack() -> Option<Stack> {
    Stack::deploy(Functions::TestApp, &[])
}

#[test]
fn g10_what_is_not_ours_goes_to_the_dead_letters_with_the_reason_and_the_rest_of_its_batch_proceeds() {
    let Some(stack) = stack() else { return };
    let inbox = stack.queue("inbox");
    let bad = not_ours();
    // All in one batch: ten messages that wait when the orchestrator begins.
    stack.foreign.set_mapping(&inbox, false);
    let good = json!({ "type": "start", "workflow": "Chain", "id": "good", "input": 2 });
    let mut batch: Vec<String> = bad.iter().map(|(_, body, _)| body.clone()).collect();
    batch.push(good.to_string());
    assert_eq!(batch.len(), 10);
    let ids = stack.foreign.send_all(&inbox, &batch);
    assert_eq!(stack.foreign.depth(&inbox), Depth { visible: 10, ..Depth::default() });
    stack.foreign.set_mapping(&inbox, true);

    let history = stack.closed("good", 300);
    history.check();
    assert_eq!(history.result(), &json!(3), "no forged outcome was believed: {}", history.outline());
    let dead = wait_for_dead(&stack, bad.len());
    for (what, body, word) in &bad {
        let found = dead.iter().find(|message| is_copy(&message.body, body));
        let found = found.unwrap_or_else(|| panic!("{what} is not among the dead letters: {dead:#?}"));
        let reason = found.attributes.get("error").unwrap_or_else(|| panic!("{what} has no reason"));
        println!("{what}: {reason}");
        assert!(reason.contains(word), "{what}: {reason}");
        assert!(!ids.contains(&found.id), "a dead letter is a message of its own");
    }
    stack.comes_to_rest(300);

    stack.foreign.send(&inbox, &noise());
    let dead = wait_for_dead(&stack, 1);
    let reason = &dead[0].attributes["error"];
    println!("1 MiB of noise: {reason}");
    assert!(reason.contains("JSON"), "{reason}");
    assert_eq!(whole(&stack, &dead[0]).len(), MIB);
    assert_eq!(whole(&stack, &dead[0]), noise(), "not a byte is lost");
    stack.comes_to_rest(300);
    let started = stack.foreign.keys(&stack.bucket, "default/workflow/");
    assert!(started.iter().all(|key| key.contains("/good/")), "{started:?}");
}

/// A request that names no id of its own has been given its message's; everything else is as it came.
fn is_copy(dead: &str, sent: &str) -> bool {
    let (Ok(mut copy), Ok(original)) =
        (serde_json::from_str::<Value>(dead), serde_json::from_str::<Value>(sent))
    else {
        return dead == sent;
    };
    let is_request = original["type"] == "start" && copy["id"] == original["id"];
    if let Some(copy) = copy.as_object_mut().filter(|_| is_request) {
        assert!(copy.remove("request_id").is_some(), "{dead}");
    }
    copy == original
}

/// Reads so many dead letters, and deletes them.
fn wait_for_dead(stack: &Stack, n: usize) -> Vec<Received> {
    let mut dead = Vec::new();
    eventually(300, "the dead letters", || {
        for message in stack.dead("inbox") {
            stack.foreign.delete(&stack.queue("inbox-dead"), &message);
            dead.push(message);
        }
        (dead.len() >= n).then_some(())
    });
    assert_eq!(dead.len(), n, "{dead:#?}");
    dead
}

/// The body of a message; a large one's lies in the bucket.
fn whole(stack: &Stack, message: &Received) -> String {
    let pointer: Option<Value> = serde_json::from_str(&message.body).ok();
    let Some(name) = pointer.as_ref().and_then(|pointer| pointer["body"].as_str()) else {
        return message.body.clone();
    };
    let object = stack.foreign.get(&stack.bucket, &format!("default/{name}"));
    String::from_utf8(object.expect("a dead letter's body is where it says")).unwrap()
}

#[test]
fn an_input_and_a_result_of_two_mib_go_through_the_bucket() {
    let Some(stack) = stack() else { return };
    let text = noise().repeat(2);
    let start = json!({
        "type": "start", "workflow": "Large", "id": "large", "request_id": "large-1", "input": [text, 2 * MIB],
    });
    let pointer = stack.foreign.put_inbox_payload(&stack.bucket, "default", &start.to_string());
    stack.foreign.send(&stack.queue("inbox"), &pointer);

    let history = stack.closed("large", 300);
    history.check();
    assert_eq!(history.result(), &json!([2 * MIB, 2 * MIB]));
    assert_eq!(history.events[0]["input"][0].as_str().map(str::len), Some(2 * MIB));
    let bodies = stack.foreign.keys(&stack.bucket, "default/message/");
    assert_eq!(bodies.len(), 1, "the outcome of the activity was too large for a message: {bodies:?}");
    stack.comes_to_rest(300);
    stack.assert_no_dead_letters();
}
