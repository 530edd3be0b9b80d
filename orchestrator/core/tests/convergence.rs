//! G2, G4, G7: duplicated, reordered, lost and redelivered messages, crashes between commit and dispatch, code that is
//! forgotten at any moment: the same end. And the two properties that make a log a log: fold(prefix) + suffix =
//! fold(whole), and fresh code asks again for what the history records (G8).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod script;

use std::collections::{BTreeMap, BTreeSet};

use millrace_core::{
    Blocked, Command, Coroutine, Effect, Event, EventKind, IdConflict, Incoming, Message, OutcomeResult,
    Replay, Run, RunInfo, Status, Timestamp, Verdict, WorkflowCode,
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

/// A queue that keeps what is not deleted, in no order; and a worker that answers tasks.
#[derive(Default)]
struct Queue {
    /// Messages with the time at which they can be received.
    waiting: Vec<(Timestamp, Incoming)>,
}

impl Queue {
    fn send(&mut self, at: Timestamp, message: Incoming) {
        self.waiting.push((at, Incoming { receive_count: 0, ..message }));
    }

    /// Every activity fails at its first attempts: how often is its number. The same attempt always ends alike.
    fn work(&mut self, world: &World, activity_id: u64, attempt: u32, at: Timestamp) {
        if world.run().task(activity_id, attempt, at).is_none() {
            return; // as the dispatcher does
        }
        let message = if u64::from(attempt) > activity_id {
            completed(activity_id, attempt)
        } else {
            failed(activity_id, attempt)
        };
        self.send(at, for_run(world.run().info.run_id, message));
    }

    fn dispatch(&mut self, world: &World, effects: impl Iterator<Item = Effect>) {
        let Some(run_id) = world.live.as_ref().map(|live| live.run.info.run_id) else { return };
        for effect in effects {
            match effect {
                Effect::SendTask { activity_id, attempt, at } => self.work(world, activity_id, attempt, at),
                Effect::SendTimer { timer_id, at } => self.send(at, for_run(run_id, timer(timer_id))),
                Effect::SendWake { wake: n, at } => self.send(at, for_run(run_id, wake(n))),
                Effect::CancelActivity { .. } | Effect::IndexOpen | Effect::IndexClosed => {}
            }
        }
    }
}

/// What may go wrong, drawn step by step. When the draws run out, nothing goes wrong any more.
struct Chance(std::vec::IntoIter<u8>);

impl Chance {
    fn next(&mut self) -> u8 {
        self.0.next().unwrap_or(0)
    }

    fn one_in(&mut self, n: u8) -> bool {
        self.0.next().is_some_and(|draw| draw % n == 1)
    }
}

fn drive(draws: Vec<u8>) -> World {
    let mut chance = Chance(draws.into_iter());
    let mut world = World::with(Order);
    let mut queue = Queue::default();
    for message in [
        start_with_signal("start", "hello", IdConflict::Fail),
        signal("s1", "approve"),
        signal("s2", "approve"), // another one by the same name
    ] {
        // Never too old to wait for the run: how long that is, is another test's.
        queue.send(at(0.0), Incoming { sent_at: at(1e9), ..message });
    }
    for step in 0..5_000 {
        assert!(step < 4_999, "the run does not come to an end");
        if queue.waiting.is_empty() {
            break;
        }
        let batch = receive(&mut queue, &mut world, &mut chance);
        turn(&mut queue, &mut world, &mut chance, batch);
    }
    world
}

/// A batch of one to four messages in any order; some arrive twice, some keep a copy in the queue.
fn receive(queue: &mut Queue, world: &mut World, chance: &mut Chance) -> Vec<Incoming> {
    let due = |now: f64, queue: &Queue| -> Vec<usize> {
        (0..queue.waiting.len()).filter(|i| queue.waiting[*i].0 <= at(now)).collect()
    };
    if due(world.now, queue).is_empty() {
        let next = queue.waiting.iter().map(|(at, _)| *at).min().expect("a message");
        world.now = (next.as_millis() - T0) as f64 / 1000.0 + 0.001;
    }
    let mut batch = Vec::new();
    for _ in 0..=chance.next() % 4 {
        let due = due(world.now, queue);
        let Some(i) = due.get(usize::from(chance.next()) % due.len().max(1)) else { break };
        let (_, mut message) = queue.waiting.swap_remove(*i);
        message.receive_count += 1;
        if chance.one_in(5) {
            batch.push(message.clone()); // twice in one batch
        }
        if chance.one_in(5) {
            queue.waiting.push((at(world.now + 40.0), message.clone())); // and once more, late
        }
        batch.push(message);
    }
    batch
}

/// One turn, with its crashes: before the commit, and between commit and dispatch, where only redelivery repairs.
fn turn(queue: &mut Queue, world: &mut World, chance: &mut Chance, batch: Vec<Incoming>) {
    let give_back = |queue: &mut Queue, now: f64, batch: &[Incoming]| {
        queue.waiting.extend(batch.iter().map(|message| (at(now + 30.0), message.clone())));
    };
    if chance.one_in(8) {
        return give_back(queue, world.now, &batch);
    }
    if chance.one_in(4) {
        world.cool();
    }
    let decision = world.turn(&batch);
    if chance.one_in(5) {
        world.cool();
        return give_back(queue, world.now, &batch);
    }
    let effects: Vec<_> = decision.effects.iter().map(|pending| pending.effect.clone()).collect();
    let sent = if chance.one_in(6) { effects.len() / 2 } else { effects.len() };
    queue.dispatch(world, effects[..sent].iter().cloned());
    if sent < effects.len() {
        world.cool();
        return give_back(queue, world.now, &batch);
    }
    for (message, verdict) in batch.into_iter().zip(decision.verdicts) {
        settle(queue, world, message, verdict);
    }
}

fn settle(queue: &mut Queue, world: &World, message: Incoming, verdict: Verdict) {
    match verdict {
        Verdict::Absorbed => {}
        Verdict::Repeated | Verdict::Stale(_) => {
            let guard = message.message.identity();
            let open: Vec<_> = world.run().effects_guarded_by(&guard).map(|p| p.effect.clone()).collect();
            queue.dispatch(world, open.into_iter());
        }
        Verdict::Early(due) => queue.send(due, message),
        Verdict::Wait => queue.waiting.push((at(world.now + 1.0), message)),
        Verdict::Rejected(_) => {
            assert!(matches!(message.message, Message::Signal { .. }) && !world.run().status.is_open());
        }
        Verdict::Elsewhere(_) | Verdict::Again => panic!("{verdict:?} of {message:?}"),
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
    let mut world = World::with(Order);
    let mut queue = Queue::default();
    queue.send(at(0.0), plain("start"));
    for draw in draws.iter().take(12) {
        let mut chance = Chance(vec![0, *draw].into_iter());
        if queue.waiting.is_empty() {
            break;
        }
        let batch = receive(&mut queue, &mut world, &mut chance);
        turn(&mut queue, &mut world, &mut Chance(vec![].into_iter()), batch);
    }
    if world.live.is_none() {
        world.turn(&[plain("start")]);
    }
    world
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
