//! G9: a run that goes on and on without input from outside is held until its window has passed.

use std::time::Duration;

use millrace_core::{ActivityOptions, IdConflict, IdReuse, RetryPolicy, Runaway};

use crate::script::*;

const LIMIT: Option<Runaway> = Some(Runaway { turns: 3, within: Duration::from_secs(60) });

/// Code that schedules one activity after the other, in a run that may make three turns a minute on its own.
fn endless() -> World {
    let mut world = World::new([
        (On::Started, [schedule(1, "a")].into()),
        (On::Completed(1), [schedule(2, "a")].into()),
        (On::Completed(2), [schedule(3, "a")].into()),
        (On::Completed(3), [schedule(4, "a")].into()),
        (On::Completed(4), [schedule(5, "a")].into()),
        (On::Completed(5), [schedule(6, "a")].into()),
    ]);
    world.runaway = LIMIT;
    world.turn(&[plain("start")]);
    world
}

/// The same after its three turns, at 1, 2 and 3 seconds.
fn used_up() -> World {
    let mut world = endless();
    for n in 1..=3 {
        world.now = n as f64;
        let lines = world.lines(&[completed(n, 1)]);
        assert_eq!(lines[1], format!("ActivityScheduled {} a", n + 1), "turn {n}");
    }
    world
}

/// The same, held by the turn after.
fn held() -> World {
    let mut world = used_up();
    world.expect(
        [completed(4, 1)],
        [
            "ActivityCompleted 4 #1 1",
            "RunBlocked runaway until 61.0s",
            "→ wake 1 at 61.0s [a:4:1]",
            "= Absorbed",
        ],
    );
    world
}

fn goes_on(world: &mut World, message: millrace_core::Incoming) {
    let lines = world.lines(&[message]);
    assert!(lines.contains(&"ActivityScheduled 5 a".to_owned()), "{lines:?}");
    assert!(world.run().blocked.is_none());
}

#[test]
fn g9_a_run_that_has_used_up_its_turns_is_held_and_says_what_to_do() {
    let world = held();
    let reason = world.run().blocked.as_ref().unwrap().reason.to_string();
    assert_eq!(
        reason,
        "the run made 3 turns within 60s without input from outside: its code, or an activity that is tried again and \
         again, may go in circles; it goes on at 2026-11-23T02:01:01.000Z; fix the code and `resume` it, or raise the \
         limit (MILLRACE_MAX_TURNS_PER_HOUR)"
    );
}

#[test]
fn g9_while_it_is_held_its_facts_are_absorbed_without_code_and_its_block_is_recorded_once() {
    let mut world = World::new([
        (On::Started, [schedule(1, "a"), schedule(2, "a"), schedule(3, "a"), sleep(1, 5)].into()),
        (On::Completed(3), [schedule(4, "a")].into()),
    ]);
    world.runaway = Some(Runaway { turns: 1, ..LIMIT.unwrap() });
    world.turn(&[plain("start")]);
    world.turn(&[completed(1, 1)]);
    world.turn(&[completed(2, 1)]);
    assert!(world.run().blocked.is_some());
    world.expect([completed(3, 1)], ["ActivityCompleted 3 #1 1", "= Absorbed"]);
    world.now = 5.0;
    world.expect([timer(1)], ["TimerFired 1", "= Absorbed"]);
    world.expect([completed(3, 1)], ["= Repeated"]);
    world.now = 60.0;
    world.expect([wake(1)], ["ActivityScheduled 4 a", "→ task 4#1 at 60.0s [w:1]", "= Absorbed"]);
}

#[test]
fn g9_the_wake_tries_again_when_the_window_has_passed_and_not_before() {
    let mut world = held();
    world.now = 60.9;
    world.expect([wake(1)], ["= Early 61.0s"]);
    world.now = 61.0;
    goes_on(&mut world, wake(1));
    assert_eq!(world.run().pace.map(|pace| (pace.since, pace.turns)), Some((at(61.0), 1)), "a new window");
}

#[test]
fn g9_a_runaway_makes_no_more_turns_of_code_than_its_limit_in_every_window() {
    let mut world = held();
    world.now = 61.0;
    world.turn(&[wake(1)]);
    let lines = world.lines(&[completed(5, 1)]);
    assert_eq!(lines[1], "ActivityScheduled 6 a");
    world.turn(&[completed(6, 1)]);
    let lines = world.lines(&[completed(99, 1), failed(6, 1)]);
    assert_eq!(lines, ["= Repeated", "= Repeated"]);
    assert_eq!(world.run().pace.unwrap().turns, 3, "what commits nothing is not counted");
}

#[test]
fn g9_input_from_outside_tries_at_once_and_counts_from_zero() {
    for message in
        [resume("r"), signal("s", "x"), cancel("c"), start_with_signal("s", "x", IdConflict::UseExisting)]
    {
        let mut world = held();
        goes_on(&mut world, message);
        assert_eq!(world.run().pace, None);
        // Before the limit is met, too.
        let mut world = used_up();
        world.turn(&[signal("s", "x")]);
        goes_on(&mut world, completed(4, 1));
    }
}

#[test]
fn g9_what_is_not_news_from_outside_does_not_try_a_held_run() {
    let another = millrace_core::RunId::from_random(99);
    for message in [
        failed(99, 1),
        timer(9),
        wake(9),
        plain("start"),
        start_if("s2", Default::default(), IdConflict::UseExisting),
        for_run(another, signal("s", "x")),
    ] {
        let mut world = held();
        world.turn(std::slice::from_ref(&message));
        assert!(world.run().blocked.is_some(), "{message:?}");
    }
}

#[test]
fn g9_input_in_the_turn_that_would_be_one_too_many_lets_it_run() {
    let mut world = used_up();
    let lines = world.lines(&[completed(4, 1), signal("s", "x")]);
    assert!(lines.contains(&"ActivityScheduled 5 a".to_owned()), "{lines:?}");
}

#[test]
fn g9_a_raised_limit_or_none_lets_a_held_run_go_on_at_its_next_message() {
    for runaway in [None, Some(Runaway::per_hour(1_000))] {
        let mut world = held();
        world.runaway = runaway;
        world.expect([failed(99, 1)], ["= Repeated"]);
        goes_on(&mut world, start_if("x", IdReuse::default(), IdConflict::UseExisting));
    }
}

#[test]
fn g9_a_slow_run_is_never_held() {
    let mut world = endless();
    for n in 1..=5 {
        world.now = 25.0 * n as f64;
        world.turn(&[completed(n, 1)]);
        assert!(world.run().blocked.is_none(), "turn {n}");
    }
}

#[test]
fn g9_attempts_without_a_pause_wait_for_the_window_too() {
    let at_once = RetryPolicy { initial_interval: Duration::ZERO, ..RetryPolicy::default() };
    let mut world = World::new([(
        On::Started,
        [schedule_with(1, "a", ActivityOptions { retry: at_once, ..within(3600) })].into(),
    )]);
    world.runaway = LIMIT;
    world.turn(&[plain("start")]);
    for n in 1..=3 {
        world.turn(&[failed(1, n)]);
    }
    let lines = world.lines(&[failed(1, 4)]);
    assert_eq!(lines[0], "ActivityAttemptFailed 1 #4, #5 at 60.0s");
    assert_eq!(lines[1], "RunBlocked runaway until 60.0s");
    assert!(lines.contains(&"→ task 1#5 at 60.0s [a:1:4]".to_owned()), "{lines:?}");
}

#[test]
fn g9_one_turn_counts_once_however_many_outcomes_it_absorbs() {
    let calls: Vec<_> = (1..=1_000).map(|n| schedule(n, "a")).collect();
    let mut world = World::new([(On::Started, Do::Ask(calls))]);
    world.runaway = Some(Runaway { turns: 100, ..LIMIT.unwrap() });
    world.turn(&[plain("start")]);
    for ten in 0..100 {
        let outcomes: Vec<_> = (1..=10).map(|n| completed(ten * 10 + n, 1)).collect();
        world.turn(&outcomes);
    }
    assert!(world.run().blocked.is_none());
    assert_eq!(world.run().pace.unwrap().turns, 100);
}

#[test]
fn g9_a_held_run_can_be_terminated_and_its_id_used_again() {
    let mut world = held();
    world.expect([terminate("t")], ["RunTerminated runaway", "→ index closed [r:t]", "= Absorbed"]);
    world.turn(&[plain("again")]);
    assert_eq!((world.run().pace, &world.run().blocked), (None, &None));
}
