//! Dead letters in a person's hands: looking loses nothing, a redrive counts once and goes through the door (G2, G10).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod stage;

use std::time::Duration;

use millrace_core::EventKind;
use millrace_engine::ports::{OutMessage, QueueName, Queues};
use millrace_engine::{DeadLetter, DeadLetters, Letters, Treated, Treatment};
use serde_json::json;
use stage::{HOUR, MINUTE, SECOND, Stage, cpu};

fn look(stage: &Stage, queue: &QueueName) -> Vec<DeadLetter> {
    let (client, queue) = (stage.client(), queue.clone());
    stage.block_on(async move { client.dead_letters(&queue, 1_000).await }).unwrap()
}

fn treat(stage: &Stage, queue: &QueueName, treatment: Treatment, letters: Letters) -> Treated {
    let (client, queue) = (stage.client(), queue.clone());
    stage.block_on(async move { client.treat_dead_letters(&queue, treatment, &letters).await }).unwrap()
}

fn put(stage: &Stage, queue: &QueueName, body: &str, error: Option<&str>) {
    let (queues, dead) = (stage.memory.clone(), queue.dead_letters());
    let letter = OutMessage { body: body.into(), delay: Duration::ZERO, error: error.map(str::to_owned) };
    stage.block_on(async move { queues.send(&dead, vec![letter]).await }).remove(0).unwrap();
}

fn signals(stage: &Stage, id: &str) -> usize {
    stage.history(id).1.iter().filter(|kind| matches!(kind, EventKind::SignalReceived(_))).count()
}

#[test]
fn looking_takes_nothing_away_however_many_there_are() {
    let stage = Stage::new(1);
    for n in 0..35 {
        put(&stage, &QueueName::inbox(), &format!("{{\"n\":{n}}}"), Some("why"));
    }
    let first = look(&stage, &QueueName::inbox());
    assert_eq!(first.len(), 35);
    let second = look(&stage, &QueueName::inbox());
    let of = |letters: &[DeadLetter]| {
        let mut all: Vec<_> = letters.iter().map(|l| (l.message_id.clone(), l.body.clone())).collect();
        all.sort();
        all
    };
    assert_eq!(of(&first), of(&second), "at once, under the same ids");
    assert!(second.iter().all(|letter| letter.error.as_deref() == Some("why") && letter.queue == "inbox"));
    let (client, queue) = (stage.client(), QueueName::inbox());
    assert_eq!(stage.block_on(async move { client.dead_letters(&queue, 12).await }).unwrap().len(), 12);
    assert_eq!(look(&stage, &QueueName::inbox()).len(), 35);
}

#[test]
fn g2_a_request_that_comes_again_counts_once_under_the_id_of_its_first_message() {
    let stage = Stage::running(2);
    stage.signal("late", "note");
    stage.pass(5 * MINUTE);
    let letters = look(&stage, &QueueName::inbox());
    assert_eq!(letters.len(), 1);
    let body: serde_json::Value = serde_json::from_str(&letters[0].body).unwrap();
    let id = body["request_id"].as_str().expect("it keeps the id of the message that was sent");
    assert_ne!(id, letters[0].message_id);
    stage.start("late", json!({}));
    stage.pass(MINUTE);
    // Sent, but not deleted: the next redrive finds it again.
    stage.send_to(&QueueName::inbox(), letters[0].body.clone());
    let treated = treat(&stage, &QueueName::inbox(), Treatment::Redrive, Letters::All);
    assert_eq!(treated.done.len(), 1);
    stage.pass(MINUTE);
    assert_eq!(signals(&stage, "late"), 1);
    assert!(look(&stage, &QueueName::inbox()).is_empty());
    // One that no orchestrator has seen has no id but its own.
    put(&stage, &QueueName::inbox(), r#"{"type":"signal","id":"late","name":"note"}"#, None);
    treat(&stage, &QueueName::inbox(), Treatment::Redrive, Letters::All);
    stage.pass(MINUTE);
    assert_eq!(signals(&stage, "late"), 2);
}

#[test]
fn g10_what_the_door_would_refuse_again_stays_and_says_why() {
    let stage = Stage::running(3);
    let bad = [
        (QueueName::inbox(), r#"{"type":"start","id":"a"}"#, "workflow"),
        (QueueName::inbox(), "no JSON", "not JSON"),
        (QueueName::inbox(), r#"{"type":"outcome","id":"a"}"#, "internal"),
        (
            QueueName::inbox(),
            r#"{"type":"resume","id":"a","namespace":"other"}"#,
            "namespace: it is of `other`",
        ),
        (QueueName::events(), r#"{"type":"start","workflow":"script","id":"a"}"#, ""),
        (QueueName::task(&cpu()), r#"{"type":"resume","id":"a"}"#, "not a task"),
    ];
    for (queue, body, said) in bad {
        put(&stage, &queue, body, Some("not a task: it was refused"));
        let treated = treat(&stage, &queue, Treatment::Redrive, Letters::All);
        assert!(treated.done.is_empty() && treated.refused.len() == 1, "{body}: {treated:?}");
        assert!(treated.refused[0].reason.contains(said), "{said}: {treated:?}");
        assert_eq!(stage.memory.messages_in(&queue), 0, "{body}");
        let id = look(&stage, &queue)[0].message_id.clone();
        let these = Letters::Ids([id.clone(), "nope".to_owned()].into());
        let treated = treat(&stage, &queue, Treatment::Delete, these);
        assert_eq!((treated.done, treated.missing), (vec![id], vec!["nope".to_owned()]));
        assert!(look(&stage, &queue).is_empty());
    }
}

#[test]
fn a_dead_task_and_an_internal_message_go_back_to_their_own_queues() {
    let stage = Stage::new(4);
    let orchestrator = stage.orchestrator("o");
    stage.activity("step", |_, _| async { Ok(stage::payload(json!("done"))) });
    stage.call("a", "step", json!({}));
    stage.pass(MINUTE);
    orchestrator.kill();
    let (queues, tasks) = (stage.memory.clone(), QueueName::task(&cpu()));
    let from = tasks.clone();
    let task = stage.block_on(async move {
        let task = queues.receive(&from, 1, SECOND, MINUTE).await.unwrap().remove(0);
        queues.delete(&from, &[task.receipt]).await.unwrap();
        task.body
    });
    put(&stage, &tasks, &task, None);
    assert_eq!(treat(&stage, &tasks, Treatment::Redrive, Letters::All).done.len(), 1);
    let worker = stage.worker("w");
    stage.pass(MINUTE);
    worker.process.kill();
    let (queues, events) = (stage.memory.clone(), QueueName::events());
    let outcome = stage.block_on(async move {
        let outcome = queues.receive(&events, 1, SECOND, MINUTE).await.unwrap().remove(0);
        queues.delete(&events, &[outcome.receipt]).await.unwrap();
        outcome.body
    });
    put(&stage, &QueueName::events(), &outcome, None);
    assert_eq!(treat(&stage, &QueueName::events(), Treatment::Redrive, Letters::All).done.len(), 1);
    stage.orchestrator("o2");
    assert_eq!(stage.result("a", HOUR), json!("done"));
}

#[test]
fn what_is_no_task_can_be_seen_beside_the_consumer_and_holds_up_no_task() {
    let stage = Stage::new(5);
    let tasks = QueueName::task(&cpu());
    for n in 0..25 {
        put(&stage, &tasks, &format!("{{\"n\":{n}}}"), Some("not a task: it lacks everything"));
    }
    let dead = DeadLetters::new(stage.ports(&stage.sim.process("consumer")));
    let buried = stage.block_on(async move { dead.poll(&cpu(), SECOND).await }).unwrap();
    assert_eq!((buried.reported, buried.left), (0, 25));
    assert_eq!(look(&stage, &tasks).len(), 25);
}
