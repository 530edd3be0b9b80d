//! Wakes: one for the earliest deadline, armed again when an earlier one comes.

use std::time::Duration;

use millrace_core::{Message, Start};

use crate::script::*;

#[test]
fn a_run_arms_one_wake_for_its_earliest_deadline() {
    let mut world = World::new([(
        On::Started,
        [schedule_with(1, "a", within(60)), schedule_with(2, "b", within(30)), schedule(3, "c")].into(),
    )]);
    let lines = world.lines(&[plain("start")]);
    let wakes: Vec<_> = lines.iter().filter(|line| line.contains("wake")).collect();
    assert_eq!(wakes, ["→ wake 1 at 30.0s [r:start]"]);
}

#[test]
fn a_later_deadline_arms_nothing_an_earlier_one_arms_again() {
    let mut world = World::started([
        (On::Started, [schedule_with(1, "a", within(60))].into()),
        (On::Signal("later"), [schedule_with(2, "b", within(600))].into()),
        (On::Signal("earlier"), [schedule_with(3, "c", within(5))].into()),
    ]);
    world.expect(
        [signal("s1", "later")],
        ["SignalReceived later 1", "ActivityScheduled 2 b", "→ task 2#1 at 0.0s [r:s1]", "= Absorbed"],
    );
    world.expect(
        [signal("s2", "earlier")],
        [
            "SignalReceived earlier 1",
            "ActivityScheduled 3 c",
            "→ task 3#1 at 0.0s [r:s2]",
            "→ wake 2 at 5.0s [r:s2]",
            "= Absorbed",
        ],
    );
    world.now = 60.0;
    world.expect([wake(1)], ["= Repeated"]); // the first wake was replaced
}

#[test]
fn a_wake_looks_after_what_is_due_and_arms_the_next() {
    let mut world = World::started([(
        On::Started,
        [schedule_with(1, "a", within(30)), schedule_with(2, "b", within(60))].into(),
    )]);
    world.now = 30.0;
    world.expect(
        [wake(1)],
        [
            "ActivityFailed 1: activity `a` (attempts: 1): timed out (schedule-to-close)",
            "→ wake 2 at 60.0s [w:1]",
            "= Absorbed",
        ],
    );
    world.expect([wake(1)], ["= Repeated"]);
    assert_eq!(world.guarded("w:1"), ["→ wake 2 at 60.0s [w:1]"]); // G4: the lost wake is sent again
}

#[test]
fn a_wake_with_nothing_due_still_commits_that_it_came() {
    let mut world = World::started([(On::Started, [schedule_with(1, "a", within(30))].into())]);
    world.turn(&[completed(1, 1)]);
    world.now = 30.0;
    let decision = world.turn(&[wake(1)]);
    assert!(decision.events.is_empty() && decision.commits());
    assert_eq!((world.run().wake, world.run().wakes_absorbed), (None, 1));
    world.expect([wake(1)], ["= Repeated"]);
}

#[test]
fn an_early_wake_comes_again() {
    let mut world = World::started([(On::Started, [schedule_with(1, "a", within(30))].into())]);
    world.now = 29.0;
    world.expect([wake(1)], ["= Early 30.0s"]);
}

fn limited() -> World {
    let mut world = World::new([(On::Started, [schedule_with(1, "a", exclusive())].into())]);
    let run_timeout = Some(Duration::from_secs(60));
    world.turn(&[incoming(Message::Start(Box::new(Start { run_timeout, ..start("start") })))]);
    world
}

#[test]
fn a_run_that_passes_its_limit_is_closed_without_its_code() {
    let mut world = limited();
    assert!(world.guarded("r:start").contains(&"→ wake 1 at 60.0s [r:start]".to_owned()));
    world.now = 60.0;
    world.expect(
        [wake(1)],
        ["RunTimedOut 60s", "→ cancel 1: the run is timed_out [w:1]", "→ index closed [w:1]", "= Absorbed"],
    );
    world.expect([wake(1)], ["= Repeated"]);
}

#[test]
fn g9_a_blocked_run_passes_its_limit_too() {
    let mut world = limited();
    world.deploy("b2", [(On::Started, panics("bug"))]);
    world.turn(&[signal("s1", "x")]);
    world.now = 60.0;
    assert_eq!(world.lines(&[wake(1)])[0], "RunTimedOut 60s");
}
