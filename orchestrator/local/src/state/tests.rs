//! Tests of the queue state machine: time is a number here.

use std::time::Duration;

use millrace_core::Timestamp;
use millrace_engine::ports::{Delivery, OutMessage, QueueError, QueueName, Queues, Receipt};

use super::{MOST_RECEIVED_BYTES, QueueConfig, State};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn events() -> QueueName {
    QueueName::events()
}

fn send(state: &mut State, queue: &QueueName, body: &str, now: Timestamp) -> u64 {
    state.send(queue, OutMessage::now(body.into()), now, &mut ()).unwrap()
}

fn receive(state: &mut State, queue: &QueueName, max: usize, now: Timestamp) -> Vec<Delivery> {
    let received = state.receive(queue, max, MINUTE, now, &mut ());
    received.messages.into_iter().map(|taken| taken.into_delivery()).collect()
}

fn bodies(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.body.as_str()).collect()
}

#[test]
fn ready_messages_come_in_order_and_lapsed_ones_behind_them() {
    let mut state = State::new(0, false);
    for body in ["a", "b", "c"] {
        send(&mut state, &events(), body, at(0));
    }
    assert_eq!(bodies(&receive(&mut state, &events(), 1, at(0))), ["a"]);
    assert_eq!(state.next_due(&events()), Some(at(60)));
    let rest = receive(&mut state, &events(), 10, at(60));
    assert_eq!(bodies(&rest), ["b", "c", "a"]);
    assert_eq!(rest[2].receive_count, 2);
}

#[test]
fn receipts_are_void_after_a_lapse_and_after_a_later_receive() {
    let mut state = State::new(0, false);
    send(&mut state, &events(), "a", at(0));
    let first = receive(&mut state, &events(), 1, at(0)).remove(0);
    let lapsed = state.change_visibility(&events(), &first.receipt, MINUTE, at(61), &mut ());
    assert_eq!(lapsed, Err(QueueError::ReceiptVoid));
    let second = receive(&mut state, &events(), 1, at(61)).remove(0);
    state.delete(&events(), &first.receipt, at(61), &mut ());
    assert_eq!(state.len(&events()), 1, "a void receipt deletes nothing");
    assert_eq!(state.change_visibility(&events(), &second.receipt, 2 * MINUTE, at(62), &mut ()), Ok(()));
    assert_eq!(state.next_due(&events()), Some(at(182)));
    state.delete(&events(), &second.receipt, at(181), &mut ());
    assert_eq!((state.len(&events()), state.next_due(&events()), state.body_bytes()), (0, None, 0));
    let odd = Receipt("no receipt of ours".into());
    assert_eq!(
        state.change_visibility(&events(), &odd, MINUTE, at(181), &mut ()),
        Err(QueueError::ReceiptVoid)
    );
}

#[test]
fn tasks_wait_until_they_are_durable() {
    let (mut state, queue) = (State::new(0, true), QueueName::from("task-cpu"));
    let first = send(&mut state, &queue, "a", at(0));
    send(&mut state, &queue, "b", at(0));
    send(&mut state, &events(), "outcome", at(0));
    assert_eq!(receive(&mut state, &queue, 10, at(0)), []);
    assert_eq!(bodies(&receive(&mut state, &events(), 10, at(0))), ["outcome"], "other messages do not wait");
    assert_eq!(state.durable(first, at(0)).len(), 1);
    assert_eq!(bodies(&receive(&mut state, &queue, 10, at(0))), ["a"]);
}

#[test]
fn poison_keeps_its_id_and_says_why() {
    let (mut state, queue) = (State::new(0, false), QueueName::from("task-cpu"));
    state.configure(&queue, QueueConfig { max_receive: 2 });
    send(&mut state, &queue, "a", at(0));
    let id = receive(&mut state, &queue, 1, at(0)).remove(0).message_id;
    receive(&mut state, &queue, 1, at(60));
    assert_eq!(receive(&mut state, &queue, 1, at(120)), []);
    let dead = receive(&mut state, &queue.dead_letters(), 1, at(120)).remove(0);
    assert_eq!((dead.message_id, dead.error.as_deref()), (id, Some("received 2 times")));
    assert_eq!((dead.receive_count, dead.sent_at), (1, at(0)));
}

#[test]
fn the_limits_of_a_queue_follow_its_name() {
    let of = |name: &str| QueueConfig::of(&QueueName::from(name)).max_receive;
    assert_eq!(
        (of("inbox"), of("events"), of("task-gpu"), of("task-gpu-dead")),
        (1_000, 1_000, 100, u32::MAX)
    );
}

#[test]
fn messages_in_memory_are_kept_for_14_days() {
    let mut state = State::new(0, false);
    send(&mut state, &events(), "a", at(0));
    receive(&mut state, &events(), 1, at(0).plus(13 * DAY));
    send(&mut state, &events(), "b", at(0).plus(13 * DAY));
    assert_eq!(bodies(&receive(&mut state, &events(), 10, at(0).plus(14 * DAY))), ["b"]);
    assert_eq!(state.len(&events()), 1);
}

#[test]
fn messages_on_disk_are_kept_until_they_are_deleted() {
    let mut state = State::new(0, true);
    send(&mut state, &events(), "a", at(0));
    assert_eq!(bodies(&receive(&mut state, &events(), 10, at(0).plus(400 * DAY))), ["a"]);
}

#[test]
fn what_sqs_refuses_is_refused() {
    let mut state = State::new(0, false);
    let mut refused =
        |message| matches!(state.send(&events(), message, at(0), &mut ()), Err(QueueError::Invalid { .. }));
    assert!(refused(OutMessage::now("x".repeat(<dyn Queues>::LARGEST_BODY_BYTES + 1))));
    assert!(refused(OutMessage { delay: 16 * MINUTE, ..OutMessage::now(String::new()) }));
}

#[test]
fn a_receive_brings_only_so_much_but_always_something() {
    let mut state = State::new(0, false);
    let sizes = [3, 1, MOST_RECEIVED_BYTES, 1, <dyn Queues>::LARGEST_BODY_BYTES, 2];
    for size in sizes {
        send(&mut state, &events(), &"x".repeat(size), at(0));
    }
    let mut sizes_of =
        || receive(&mut state, &events(), 10, at(1)).iter().map(|d| d.body.len()).collect::<Vec<_>>();
    assert_eq!(
        [sizes_of(), sizes_of(), sizes_of(), sizes_of()],
        [&sizes[..3], &sizes[3..5], &sizes[5..], &[]]
    );
}

#[test]
fn a_hundred_thousand_messages_are_fine() {
    let mut state = State::new(0, false);
    for n in 0..100_000 {
        send(&mut state, &events(), &n.to_string(), at(0));
    }
    let mut seen = 0;
    while seen < 100_000 {
        let received = receive(&mut state, &events(), 256, at(1));
        assert!(!received.is_empty());
        seen += received.len();
        received.iter().for_each(|delivery| state.delete(&events(), &delivery.receipt, at(2), &mut ()));
    }
    assert!(state.counts().is_empty());
}
