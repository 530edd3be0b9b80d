//! After every turn: header → bytes → header → restored run is the run that the turn left (G2, G4). Whatever a cached
//! run knows, one that is read again knows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "../../core/tests/script/mod.rs"]
mod script;

use millrace_core::{
    ActivityOptions, Command, Fault, IdConflict, IdReuse, Incoming, OutcomeResult, RetryPolicy,
};
use millrace_format::history::{self, Commit, Tail};
use millrace_format::{Head, Header};
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
        (On::Signal("a"), Do::Publish("2", vec![Command::CancelActivity(1), Command::CancelTimer(1)])),
        (On::Signal("b"), panics("bug")),
        (On::Completed(2), [schedule(4, "d")].into()),
        (On::Failed(3), [Command::FailRun(boom())].into()),
        (On::Canceled, [Command::CancelRun("asked".into())].into()),
    ])
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
        _ => wake(n),
    };
    times(receive_count, message)
}

#[derive(Clone, Debug)]
enum Step {
    Turn(Vec<(u8, u8, u32)>),
    Later(u16),
    Cool,
    Deploy,
}

fn step() -> impl Strategy<Value = Step> {
    let message = (0..16_u8, 0..12_u8, 1..4_u32);
    prop_oneof![
        6 => prop::collection::vec(message, 1..4).prop_map(Step::Turn),
        2 => (0..900_u16).prop_map(Step::Later),
        1 => Just(Step::Cool),
        1 => Just(Step::Deploy),
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
                Step::Deploy => { world.build = "b2"; world.cool(); }
                Step::Turn(messages) => {
                    world.entropy += 1;
                    let messages: Vec<_> = messages.into_iter().map(message).collect();
                    let decision = world.turn(&messages);
                    if decision.replaces.is_some() {
                        tail = Tail::empty();
                    }
                    tail.push(&decision.events);
                    check(&world, &tail)?;
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
    prop_assert_eq!(&head.events, &world.history);
    prop_assert_eq!(&head.header.restore(&head.events), world.run());
    Ok(())
}
