//! The same while somebody intervenes: pauses and unpauses the run and its activities, retries at once, resets the run to an
//! early event, and sends signals that have an order. Everything ends as if nobody had.

use std::collections::BTreeSet;

use millrace_core::{EventKind, Fork, Message, Replay, Status, WorkflowCode, WorkflowId};
use proptest::prelude::*;

use crate::disorder::{self, Drive};
use crate::script::*;
use crate::{Order, undisturbed};

/// Two holds, a retry at once and two resets, of which the second may come first; `s2` names `s1`.
fn drive(draws: Vec<u8>, operated: bool) -> Drive {
    let told = [
        start_with_signal("start", "hello", millrace_core::IdConflict::Fail),
        signal("s1", "approve"),
        signal_after("s2", "approve", Some("s1")),
    ];
    let operations = [
        pause("p1", None),
        unpause("u1", None),
        pause("p2", Some(2)),
        unpause("u2", Some(2)),
        pause("p3", Some(1)),
        retry("r1", 1),
        retry("r2", 2),
        reset("x1", 3),
        reset("x2", 5),
    ];
    let operations = operations.into_iter().filter(|_| operated);
    let messages: Vec<_> = told.into_iter().chain(operations).collect();
    disorder::drive(Order, &messages, draws)
}

fn reset(id: &str, event: u64) -> millrace_core::Incoming {
    incoming(Message::Fork(Box::new(Fork {
        source: WorkflowId::new("w-1").unwrap(),
        source_run: None, // The drive names it.
        event,
        reapply: true,
        replaces: true,
        reason: String::new(),
        request_id: request(id),
        log: Err("not read".into()),
        replaced: None,
    })))
}

/// What the run says at its end.
fn end(history: &[millrace_core::Event]) -> String {
    history.last().map(|event| show_event(&event.kind)).unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn g2_g4_g7_whatever_is_held_back_retried_and_reset_the_end_is_the_same(draws in prop::collection::vec(any::<u8>(), 0..800)) {
        let drive = drive(draws, true);
        prop_assert_eq!(drive.world.run().status, Status::Completed);
        prop_assert_eq!(end(&drive.world.history), end(&undisturbed().history));
        for (_, history) in drive.histories() {
            let mut ended = BTreeSet::new();
            let mut told = Vec::new();
            for event in history {
                match &event.kind {
                    EventKind::ActivityCompleted(e) => prop_assert!(ended.insert(e.activity_id), "{}", event.n),
                    EventKind::SignalReceived(e) => told.push(e.request_id.to_string()),
                    _ => {}
                }
            }
            let place = |id: &str| told.iter().position(|told| told == id);
            prop_assert!(place("s2").is_none() || place("s1") < place("s2"), "{told:?}");
        }
    }

    #[test]
    fn g8_fresh_code_asks_again_for_what_operated_runs_record(draws in prop::collection::vec(any::<u8>(), 0..400)) {
        let drive = drive(draws, true);
        for (info, history) in drive.histories() {
            for known in 0..=history.len() {
                let mut replay = Replay::new(Order.instantiate(info).unwrap());
                prop_assert_eq!(replay.follow(&history[..known]), Ok(()));
            }
        }
    }
}

#[test]
fn the_undisturbed_resets_make_two_more_runs() {
    let drive = drive(vec![], true);
    assert_eq!(drive.world.run().status, Status::Completed);
    assert_eq!(drive.histories().count(), 3);
    assert_eq!(self::drive(vec![], false).histories().count(), 1);
}
