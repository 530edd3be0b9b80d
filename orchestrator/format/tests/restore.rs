//! After every turn: header → bytes → header → restored run is the run that the turn left (G2, G4). Whatever a cached
//! run knows, one that is read again knows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "../../core/tests/script/mod.rs"]
mod script;

use millrace_core::{
    ActivityOptions, Command, Fault, Fork, IdConflict, IdReuse, Incoming, Message, OutcomeResult,
    ParentClose, RetryPolicy, SourceLog, Start, StopChild, Unread, Verdict,
};
use millrace_format::history::{self, Commit, Tail};
use millrace_format::{Head, Header, Line};
use proptest::prelude::*;
use script::*;
use std::time::Duration;

fn world() -> World {
    let odd = ActivityOptions {
        start_to_close: Duration::from_micros(1_700),
        schedule_to_close: Some(Duration::from_nanos(40_000_000_001)),
        retry: RetryPolicy { backoff_coefficient: f64::NAN, ..RetryPolicy::default() },
        ..exclusive()
    };
    World::new([
        (
            On::Started,
            Do::Publish("{ \"a\" : 1.50 }", vec![schedule_with(1, "a", odd), schedule(2, "b"), sleep(1, 20)]),
        ),
        (On::Signal("a"), [schedule_with(3, "c", within(9)), sleep(2, u64::MAX)].into()),
        (On::Signal("a"), Do::Publish("2", vec![Command::CancelActivity(1, false), Command::CancelTimer(1)])),
        (On::Signal("b"), panics("bug")),
        (On::Completed(2), [schedule(4, "d")].into()),
        (On::Failed(3), [Command::FailRun(boom())].into()),
        (On::Canceled, [Command::CancelRun("asked".into())].into()),
        (
            On::Signal("c"),
            [child(1, ParentClose::Abandon), child(2, ParentClose::Cancel), send_signal(1, "o")].into(),
        ),
        (On::Signal("c"), [cancel_child(2), send_cancel(2, "o"), Command::CancelActivity(2, true)].into()),
        (On::ChildCompleted(2), [Command::Patch("p".into()), complete("null")].into()),
        (On::ChildFailed(1), [continue_with("2", unread())].into()),
        (On::Signal("n"), [continue_with("3", unread())].into()),
        (On::Update("ask"), [answer("r-3", "1"), schedule(5, "e")].into()),
        (On::Update("ask"), [].into()),
        (On::Update("set"), Do::Refuse("no")),
    ])
}

fn unread() -> Unread {
    let unread = |id: &str| vec![unread_message(id, "ask")];
    Unread { signals: unread("r-1"), updates: unread("r-2"), cancel: None }
}

fn delayed(id: &str) -> Incoming {
    let (delay, execution_timeout) = (Some(Duration::from_secs(20)), Some(Duration::from_secs(3_000)));
    incoming(Message::Start(Box::new(Start {
        delay,
        execution_timeout,
        parent: Some(parent()),
        ..start(id)
    })))
}

fn message(draw: (u8, u8, u32)) -> Incoming {
    let (kind, which, receive_count) = draw;
    let n = u64::from(which % 4) + 1;
    let id = format!("r-{which}");
    let message = match kind {
        0 => plain(&id),
        1 => start_if(&id, IdReuse::AllowDuplicate, IdConflict::UseExisting),
        2 => start_if(&id, IdReuse::AllowDuplicate, IdConflict::TerminateExisting),
        3 => start_with_signal(&id, "a", IdConflict::UseExisting),
        4 | 5 => signal(&id, "a"),
        6 => signal(&id, "b"),
        7 => cancel(&id),
        8 => terminate(&id),
        9 => resume(&id),
        10 => completed(n, u32::from(which % 3) + 1),
        11 | 12 => failed(n, u32::from(which % 3) + 1),
        13 => outcome(n, 1, receive_count, OutcomeResult::Failed(Fault::Canceled { reason: id })),
        14 => timer(n),
        16 => signal(&id, "c"),
        17 => signal(&id, "n"),
        18 => update(&id, "ask"),
        19 => update(&id, "set"),
        20 => child_completed(n),
        21 => child_failed(n),
        22 => delayed(&id),
        23 => timer(0),
        24 => start_child(),
        25 => stop_child(if which % 2 == 0 { StopChild::Cancel } else { StopChild::Terminate }),
        26 => start_with_update(&id, "set", IdConflict::UseExisting),
        27 => start_with_update(&id, "ask", IdConflict::Fail),
        28 => pause(&id, None),
        29 => unpause(&id, None),
        30 => pause(&id, Some(n)),
        31 => unpause(&id, Some(n)),
        32 => retry(&id, n),
        33 => signal_after(&id, "a", Some("r-1")),
        _ => wake(n),
    };
    times(receive_count, message)
}

/// A reset of the run that is there, with its events as the engine would read them.
fn reset(world: &World, event: u64, request_id: &str) -> Incoming {
    let events = || SourceLog { run_id: world.run_id(), events: world.history.clone().into() };
    incoming(Message::Fork(Box::new(Fork {
        source: "w-1".parse().unwrap(),
        source_run: None,
        event,
        reapply: event.is_multiple_of(2),
        replaces: true,
        reason: String::new(),
        request_id: request(request_id),
        log: world.live.as_ref().map(|_| events()).ok_or_else(|| "from: none".to_owned()),
        replaced: None,
    })))
}

#[derive(Clone, Debug)]
enum Step {
    Turn(Vec<(u8, u8, u32)>),
    /// A reset to this event.
    Reset(u8),
    Later(u16),
    Cool,
    Deploy,
    /// What was dispatched for certain is forgotten.
    Done,
}

fn step() -> impl Strategy<Value = Step> {
    let message = (0..35_u8, 0..12_u8, 1..4_u32);
    prop_oneof![
        6 => prop::collection::vec(message, 1..4).prop_map(Step::Turn),
        2 => (0..900_u16).prop_map(Step::Later),
        1 => Just(Step::Cool),
        1 => Just(Step::Deploy),
        1 => (0..12_u8).prop_map(Step::Reset),
        1 => Just(Step::Done),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn g2_g4_a_restored_run_is_the_run(steps in prop::collection::vec(step(), 1..40)) {
        let (mut world, mut tail) = (world(), Tail::empty());
        for step in steps {
            match step {
                Step::Later(seconds) => world.now += f64::from(seconds),
                Step::Cool => world.cool(),
                Step::Done => {
                    if let Some(live) = &mut world.live {
                        let effects: Vec<_> = live.run.effects.values().map(|pending| pending.effect.clone()).collect();
                        effects.iter().for_each(|effect| live.run.has_done(effect));
                    }
                }
                Step::Deploy => { world.build = "b2"; world.cool(); }
                Step::Reset(event) => {
                    world.entropy += 1;
                    let request_id = format!("f-{}", world.entropy);
                    // Two turns: the run ends, and another begins.
                    for _ in 0..2 {
                        let reset = reset(&world, event.into(), &request_id);
                        let decision = world.turn(&[reset]);
                        world.entropy += 1;
                        if decision.replaces.is_some() {
                            tail = Tail::empty();
                        }
                        tail.push(&decision.events);
                        check(&world, &tail)?;
                    }
                }
                Step::Turn(messages) => {
                    world.entropy += 1;
                    let mut messages: Vec<_> = messages.into_iter().map(message).collect();
                    // A run that continues as new is gone on with, or found so by the next turn.
                    for _ in 0..2 {
                        let decision = world.turn(&messages);
                        world.entropy += 1;
                        if decision.replaces.is_some() {
                            tail = Tail::empty();
                        }
                        tail.push(&decision.events);
                        check(&world, &tail)?;
                        let again = |(message, verdict)| (verdict == Verdict::Again).then_some(message);
                        messages = messages.into_iter().zip(decision.verdicts).filter_map(again).collect();
                    }
                }
            }
        }
    }
}

fn check(world: &World, tail: &Tail) -> Result<(), TestCaseError> {
    if world.live.is_none() {
        return Ok(());
    }
    let header = Header::of(world.run(), Commit { nonce: "n", build: world.build }, tail);
    let body = history::encode(&header, &tail.text).unwrap();
    let head = Head::decode("k", &body).map_err(|e| TestCaseError::fail(e.to_string()))?;
    prop_assert_eq!(&head.header, &header);
    let events: Result<Vec<_>, _> = head.lines().unwrap().into_iter().map(Line::whole).collect();
    prop_assert_eq!(events.as_ref(), Ok(&world.history));
    prop_assert_eq!(&head.header.restore(&events.unwrap()), world.run());
    Ok(())
}

/// The log names all that was ever sent, the header what may have to be sent again: only that is kept.
#[test]
fn g4_a_restored_run_knows_only_what_may_have_to_be_sent_again() {
    let tell = |id: u64| (On::Signal("tell"), [send_signal(id, "other")].into());
    let mut world = World::started([tell(1), tell(2), tell(3)]);
    let mut tail = Tail::empty();
    tail.push(&world.history);
    for (turn, known) in [(1, vec![1]), (2, vec![2]), (3, vec![2, 3])] {
        let decision = world.turn(&[signal(&format!("s-{turn}"), "tell")]);
        tail.push(&decision.events);
        check(&world, &tail).unwrap();
        assert_eq!(world.run().sent.keys().copied().collect::<Vec<_>>(), known, "turn {turn}");
        if turn == 1 {
            let effects: Vec<_> = decision.effects.into_iter().map(|pending| pending.effect).collect();
            effects.iter().for_each(|effect| world.live.as_mut().unwrap().run.has_done(effect));
        }
    }
    assert_eq!(world.history.iter().filter(|event| event.kind.name() == "SignalSent").count(), 3);
}
