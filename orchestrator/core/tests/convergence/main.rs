//! G2, G4, G7: duplicated, reordered, lost and redelivered messages, crashes between commit and dispatch, code that is
//! forgotten at any moment: the same end. And the two properties that make a log a log: fold(prefix) + suffix =
//! fold(whole), and fresh code asks again for what the history records (G8).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "../script/mod.rs"]
mod script;

mod chain;
mod disorder;
mod operated;

use std::collections::{BTreeMap, BTreeSet};

use disorder::{Chance, Drive};
use millrace_core::{
    Blocked, Command, Coroutine, Event, EventKind, IdConflict, OutcomeResult, Replay, Run, RunInfo, Status,
    WorkflowCode,
};
use proptest::prelude::*;
use script::*;

/// Three activities, two timers, two signals: an end that depends on all of them, but on no order among them.
struct Order;

#[derive(Default)]
struct OrderCode {
    done: BTreeSet<String>,
}

const NEEDED: usize = 9;

impl Coroutine for OrderCode {
    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        let mut commands = Vec::new();
        match &event.kind {
            EventKind::RunStarted(_) => commands.extend([
                schedule(1, "reserve"),
                schedule_with(2, "charge", within(100_000)),
                schedule_with(3, "ship", exclusive()),
                sleep(1, 30),
            ]),
            EventKind::ActivityCompleted(e) => {
                self.done.insert(format!("a{}", e.activity_id));
                if e.activity_id == 1 {
                    commands.push(schedule_with(4, "pack", exclusive()));
                }
            }
            EventKind::ActivityFailed(e) => {
                self.done.insert(format!("a{}", e.activity_id));
            }
            EventKind::TimerFired(e) => {
                self.done.insert(format!("t{}", e.timer_id));
                if e.timer_id == 1 {
                    commands.push(sleep(2, 2_000));
                }
            }
            EventKind::SignalReceived(e) => {
                self.done.insert(format!("s-{}", e.request_id));
            }
            _ => {}
        }
        if self.done.len() == NEEDED {
            commands.push(Command::CompleteRun(payload(&serde_json::to_string(&self.done).unwrap())));
        }
        Ok(commands)
    }
}

impl WorkflowCode for Order {
    fn instantiate(&self, _: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        Ok(Box::<OrderCode>::default())
    }
}

/// What a history says, whatever the order of its facts and the numbers of its attempts.
fn facts(history: &[Event]) -> BTreeMap<String, usize> {
    let mut facts = BTreeMap::new();
    for event in history {
        let fact = match &event.kind {
            EventKind::ActivityAttemptFailed(_) | EventKind::RunBlocked(_) => continue,
            EventKind::ActivityCompleted(e) => format!("completed {}", e.activity_id),
            EventKind::TimerStarted(e) => format!("timer {}", e.timer_id),
            other => show_event(other),
        };
        *facts.entry(fact).or_default() += 1;
    }
    facts
}

fn drive(draws: Vec<u8>) -> World {
    let messages = [
        start_with_signal("start", "hello", IdConflict::Fail),
        signal("s1", "approve"),
        signal("s2", "approve"), // another one by the same name
    ];
    disorder::drive(Order, &messages, draws).world
}

fn undisturbed() -> World {
    drive(vec![])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn g2_g4_g7_whatever_happens_to_messages_the_end_is_the_same(draws in prop::collection::vec(any::<u8>(), 0..800)) {
        let world = drive(draws);
        prop_assert_eq!(world.run().status, Status::Completed);
        prop_assert_eq!(facts(&world.history), facts(&undisturbed().history));
    }

    #[test]
    fn g8_fresh_code_asks_again_for_what_the_history_records(draws in prop::collection::vec(any::<u8>(), 0..400)) {
        let world = drive(draws);
        for known in 0..=world.history.len() {
            let info = &world.run().info;
            let mut replay = Replay::new(Order.instantiate(info).unwrap());
            prop_assert_eq!(replay.follow(&world.history[..known]), Ok(()));
        }
    }

    #[test]
    fn fold_of_prefix_and_suffix_is_fold_of_whole(draws in prop::collection::vec(any::<u8>(), 0..400), cut in any::<prop::sample::Index>()) {
        let world = drive(draws);
        let (history, info) = (&world.history, world.run().info.clone());
        let (prefix, suffix) = history.split_at(cut.index(history.len() + 1));
        let fold = |run: Run, events: &[Event]| events.iter().fold(run, |mut run, event| { run.apply(event); run });
        let whole = fold(Run::new(info.clone()), history);
        prop_assert_eq!(fold(fold(Run::new(info), prefix), suffix), whole.clone());
        // What the header keeps beside the log is all that a live run knows more.
        let live = world.run();
        let log = |run: &Run| (run.status, run.last_event, run.last_time, run.deadline, run.requests.clone());
        prop_assert_eq!(log(&whole), log(live));
        prop_assert_eq!((whole.activities, whole.timers), (live.activities.clone(), live.timers.clone()));
    }

    #[test]
    fn g8_a_warm_run_and_one_that_was_just_read_decide_alike(draws in prop::collection::vec(any::<u8>(), 0..60), message in 0..7_u8) {
        let (mut warm, mut cold) = (halfway(&draws), halfway(&draws));
        cold.cool();
        let message = match message {
            0 => completed(1, 2),
            1 => failed(2, 1),
            2 => timer(1),
            3 => wake(1),
            4 => signal("s9", "other"),
            5 => cancel("c"),
            _ => outcome(3, 9, 4, OutcomeResult::Failed(boom())),
        };
        prop_assert_eq!(warm.lines(std::slice::from_ref(&message)), cold.lines(&[message]));
        prop_assert_eq!(warm.run(), cold.run());
    }
}

/// The run after a few undisturbed turns.
fn halfway(draws: &[u8]) -> World {
    let mut drive = Drive::of(Order, &[plain("start")]);
    for draw in draws.iter().take(12) {
        if drive.is_done() {
            break;
        }
        let batch = drive.receive(&mut Chance::of(vec![0, *draw]));
        drive.turns(batch, &mut Chance::of(vec![]));
    }
    if drive.world.live.is_none() {
        drive.world.turn(&[plain("start")]);
    }
    drive.world
}

#[test]
fn the_undisturbed_run_is_what_the_others_are_measured_by() {
    let world = undisturbed();
    assert_eq!(world.run().status, Status::Completed);
    assert_eq!(
        facts(&world.history)["RunCompleted [\"a1\",\"a2\",\"a3\",\"a4\",\"s-s1\",\"s-s2\",\"s-start\",\"t1\",\"t2\"]"],
        1
    );
    assert!(world.run().effects.values().all(|pending| pending.effect.outlives_run()));
}
