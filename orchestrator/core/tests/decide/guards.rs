//! G4: crash repair is redelivery, through guards.

use crate::script::*;

fn fan() -> World {
    World::started([
        (On::Started, [schedule(1, "a"), schedule(2, "b")].into()),
        (On::Completed(1), [schedule(3, "c")].into()),
        (On::Completed(2), [schedule(4, "d"), sleep(1, 60)].into()),
        (On::Signal("end"), [complete("null")].into()),
    ])
}

#[test]
fn g4_all_effects_of_a_turn_carry_one_guard_that_it_newly_absorbed() {
    let mut world = fan();
    world.expect(
        [completed(1, 1), completed(2, 1)],
        [
            "ActivityCompleted 1 #1 1",
            "ActivityScheduled 3 c",
            "ActivityCompleted 2 #1 1",
            "ActivityScheduled 4 d",
            "TimerStarted 1 until 60.0s",
            "→ task 3#1 at 0.0s [a:1:1]",
            "→ task 4#1 at 0.0s [a:1:1]",
            "→ timer 1 at 60.0s [a:1:1]",
            "= Absorbed",
            "= Absorbed",
        ],
    );
}

#[test]
fn g4_a_repeated_message_does_not_guard_what_a_new_one_brings() {
    let mut world = fan();
    world.expect(
        [plain("start"), completed(1, 1)],
        [
            "ActivityCompleted 1 #1 1",
            "ActivityScheduled 3 c",
            "→ task 3#1 at 0.0s [a:1:1]",
            "= Repeated",
            "= Absorbed",
        ],
    );
}

#[test]
fn g4_a_redelivered_guard_yields_exactly_the_open_effects_of_its_turn() {
    let mut world = fan();
    world.turn(&[completed(1, 1), completed(2, 1)]);
    assert_eq!(world.guarded("r:start"), ["→ index open [r:start]"]); // tasks 1 and 2 have outcomes
    let open = |world: &World| world.guarded("a:1:1");
    assert_eq!(
        open(&world),
        ["→ task 3#1 at 0.0s [a:1:1]", "→ task 4#1 at 0.0s [a:1:1]", "→ timer 1 at 60.0s [a:1:1]"]
    );
    world.turn(&[completed(3, 1)]);
    assert_eq!(open(&world), ["→ task 4#1 at 0.0s [a:1:1]", "→ timer 1 at 60.0s [a:1:1]"]);
    world.now = 60.0;
    world.turn(&[timer(1), failed(4, 1)]);
    assert_eq!(open(&world), [] as [&str; 0]);
    assert_eq!(world.guarded("t:1"), ["→ task 4#2 at 61.0s [t:1]"]);
}

#[test]
fn g4_an_absorbed_message_that_guards_nothing_yields_nothing() {
    let mut world = fan();
    world.turn(&[completed(1, 1), completed(2, 1)]);
    assert_eq!(world.guarded("a:2:1"), [] as [&str; 0]);
    world.expect([completed(2, 1)], ["= Repeated"]);
}

#[test]
fn g4_a_closed_run_keeps_only_the_effects_that_outlive_it() {
    let mut world = World::started([
        (On::Started, [schedule(1, "a"), schedule_with(2, "b", exclusive()), sleep(1, 60)].into()),
        (On::Signal("drop"), [millrace_core::Command::CancelActivity(2, false)].into()),
        (On::Signal("end"), [complete("null")].into()),
    ]);
    world.turn(&[signal("s1", "drop")]);
    world.turn(&[signal("s2", "end")]);
    assert_eq!(world.guarded("r:start"), [] as [&str; 0]);
    assert_eq!(world.guarded("r:s1"), ["→ cancel 2: the workflow no longer waits for it [r:s1]"]);
    assert_eq!(world.guarded("r:s2"), ["→ index closed [r:s2]"]);
}

#[test]
fn g4_every_kind_of_message_can_guard_and_is_known_again() {
    let script =
        || [(On::Started, [schedule(1, "a"), schedule_with(2, "b", within(60)), sleep(1, 5)].into())];
    for (message, guard) in [
        (signal("x", "a"), "r:x"),
        (cancel("x"), "r:x"),
        (terminate("x"), "r:x"),
        (completed(1, 1), "a:1:1"),
        (failed(1, 1), "a:1:1"),
        (timer(1), "t:1"),
        (wake(1), "w:1"),
    ] {
        let mut world = World::started(script());
        world.now = 60.0;
        let decision = world.turn(std::slice::from_ref(&message));
        assert!(decision.commits(), "{message:?}");
        let sent = world.guarded(guard).len();
        assert_eq!(sent, decision.effects.len());
        for receive_count in [1, 2, 3, 1_000] {
            world.cool();
            world.expect([times(receive_count, message.clone())], ["= Repeated"]);
            assert_eq!(world.guarded(guard).len(), sent);
        }
    }
}

#[test]
fn g7_g4_a_message_of_an_earlier_run_is_sent_to_that_run() {
    let mut world = fan();
    let first = world.run().info.run_id;
    world.turn(&[signal("s1", "end")]);
    world.entropy += 1;
    let decision = world.turn(&[plain("again")]);
    let replaced = decision.replaces.expect("the closed run");
    assert_eq!(replaced.info.run_id, first);
    for message in [completed(1, 1), timer(1), wake(1), terminate("t")] {
        world.expect([for_run(first, message)], ["= Elsewhere"]);
    }
    // What the archive of that run still has to do for a guard is its closed-index entry.
    let guard = "r:s1".parse().unwrap();
    assert_eq!(
        replaced.effects_guarded_by(&guard).map(show_effect).collect::<Vec<_>>(),
        ["→ index closed [r:s1]"]
    );
}

#[test]
fn g12_a_turn_that_commits_nothing_leaves_the_run_as_it_was() {
    let mut world = fan();
    let before = world.run().clone();
    for message in [
        plain("start"),
        plain("other"),
        failed(9, 1),
        timer(9),
        wake(9),
        resume("x"),
        for_run(millrace_core::RunId::from_random(1), signal("y", "a")),
    ] {
        let decision = world.turn(&[message]);
        assert!(!decision.commits());
        assert_eq!(*world.run(), before);
    }
}
