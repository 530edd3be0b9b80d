//! What people hold back: pause, unpause, retry at once.

use crate::script::*;

const CLOSED: &str = "→ index closed";

fn waiting() -> World {
    World::started([
        (On::Started, [schedule_with(1, "charge", retries(3)), sleep(1, 60)].into()),
        (On::Signal("go"), [schedule(2, "ship")].into()),
        (On::Completed(1), [schedule(3, "mail")].into()),
        (On::Failed(1), [complete("\"refused\"")].into()),
        (On::Canceled, [millrace_core::Command::CancelRun("superseded".into())].into()),
    ])
}

fn paused() -> World {
    let mut world = waiting();
    world.expect([pause("p", None)], ["RunPaused the vendor is down", "= Absorbed"]);
    world
}

#[test]
fn g9_a_paused_run_absorbs_without_its_code_and_catches_up_in_order() {
    let mut world = paused();
    world.expect([signal("s", "go")], ["SignalReceived go 1", "= Absorbed"]);
    world.expect([completed(1, 1)], ["ActivityCompleted 1 #1 1", "= Absorbed"]);
    world.cool();
    world.expect(
        [unpause("u", None)],
        [
            "RunUnpaused",
            "ActivityScheduled 2 ship",
            "ActivityScheduled 3 mail",
            "→ task 2#1 at 0.0s [r:u]",
            "→ task 3#1 at 0.0s [r:u]",
            "= Absorbed",
        ],
    );
    world.expect([signal("s", "go"), pause("p", None)], ["= Repeated", "= Repeated"]);
}

#[test]
fn one_turn_may_pause_tell_and_unpause() {
    let mut world = waiting();
    world.expect(
        [pause("p", None), signal("s", "go"), unpause("u", None)],
        [
            "RunPaused the vendor is down",
            "SignalReceived go 1",
            "RunUnpaused",
            "ActivityScheduled 2 ship",
            "→ task 2#1 at 0.0s [r:p]",
            "= Absorbed",
            "= Absorbed",
            "= Absorbed",
        ],
    );
}

#[test]
fn a_pause_stops_local_activities_that_nobody_has_run_and_they_are_asked_for_again() {
    let mut world = World::started([
        (On::Signal("go"), [local(1, "look")].into()),
        (On::LocalCompleted(1), [complete("1")].into()),
    ]);
    world.expect(
        [signal("s", "go"), pause("p", None)],
        ["SignalReceived go 1", "RunPaused the vendor is down", "= Absorbed", "= Absorbed"],
    );
    world.expect_locals(
        [unpause("u", None)],
        [local_completed(1, "look")],
        ["RunUnpaused", "LocalActivityCompleted 1 1", "RunCompleted 1", "→ index closed [r:u]", "= Absorbed"],
    );
}

#[test]
fn an_update_waits_while_the_run_is_paused() {
    let mut world = World::started([(On::Update("add"), [answer("u", "7")].into())]);
    world.turn(&[pause("p", None)]);
    world.expect([update("u", "add")], ["UpdateReceived add u", "= Absorbed"]);
    world.expect([unpause("v", None)], ["RunUnpaused", "UpdateCompleted u 7", "= Absorbed"]);
}

#[test]
fn what_is_paused_or_not_is_not_said_twice() {
    let mut world = paused();
    world.expect([pause("q", None)], ["= Stale(\"the run is paused already\")"]);
    world.expect([resume("r")], ["= Stale(\"the run is paused, not blocked: unpause it\")"]);
    world.turn(&[unpause("u", None)]);
    world.expect([unpause("v", None)], ["= Stale(\"the run is not paused\")"]);
    world.expect([unpause("w", Some(1))], ["= Stale(\"the activity is not paused\")"]);
    world.expect([pause("x", Some(9))], ["= Rejected activity_id"]);
    world.expect([retry("y", 9)], ["= Rejected activity_id"]);
}

#[test]
fn terminate_and_time_limits_need_no_code_of_a_paused_run() {
    let mut world = paused();
    let lines = world.lines(&[terminate("t")]);
    assert_eq!(lines[0], "RunTerminated runaway");
    assert!(lines[1].starts_with(CLOSED) && world.run().paused.is_none(), "{lines:?}");
    let mut world = World::started([(On::Started, [schedule_with(1, "charge", within(60))].into())]);
    world.turn(&[pause("p", None)]);
    world.now = 60.0;
    let lines = world.lines(&[wake(1)]);
    assert!(lines[0].starts_with("ActivityFailed 1"), "{lines:?}");
}

#[test]
fn a_cancel_request_waits_for_the_code() {
    let mut world = paused();
    world.expect([cancel("c")], ["CancelRequested superseded", "= Absorbed"]);
    let lines = world.lines(&[unpause("u", None)]);
    assert_eq!(lines[..2], ["RunUnpaused", "RunCanceled superseded"]);
}

#[test]
fn a_blocked_run_that_is_paused_is_not_tried_again() {
    let mut world = World::started([(On::Signal("go"), panics("bug"))]);
    world.turn(&[signal("s", "go")]);
    world.turn(&[pause("p", None)]);
    world.deploy("b2", [(On::Signal("go"), [complete("1")].into())]);
    world.now = 900.0;
    world.expect([wake(1)], ["= Absorbed"]);
    assert!(world.run().wake.is_none() && world.run().blocked.is_some());
    let lines = world.lines(&[unpause("u", None)]);
    assert_eq!(lines[..2], ["RunUnpaused", "RunCompleted 1"]);
}

#[test]
fn g7_a_paused_activity_keeps_the_attempt_under_way_and_makes_no_other() {
    let mut world = waiting();
    world.entropy = 1 << 32;
    world.expect([pause("p", Some(1))], ["ActivityPaused 1", "= Absorbed"]);
    world.expect([failed(1, 1)], ["ActivityAttemptFailed 1 #1, #2 at 1.0s", "= Absorbed"]);
    assert!(world.run().activities[&1].withheld);
    world.now = 30.0;
    world.cool();
    world.expect(
        [unpause("u", Some(1))],
        ["ActivityUnpaused 1 #3", "→ task 1#3 at 30.0s [r:u]", "= Absorbed"],
    );
    // Attempt 2 was never made: the policy's three attempts are 1, 3 and 4.
    world.now = 31.0;
    let lines = world.lines(&[failed(1, 3)]);
    assert!(lines[0].starts_with("ActivityAttemptFailed 1 #3, #4"), "{lines:?}");
    let lines = world.lines(&[failed(1, 4)]);
    assert_eq!(lines[0], "ActivityFailed 1: activity `charge` (attempts: 3): Boom: x");
}

#[test]
fn an_attempt_that_waits_for_its_time_is_void_once_paused() {
    let mut world = waiting();
    world.turn(&[failed(1, 1)]);
    world.expect([pause("p", Some(1))], ["ActivityPaused 1", "= Absorbed"]);
    assert!(world.guarded("a:1:1").is_empty(), "nobody sends the task again");
    // Its task was on its way, and some worker could not read the log.
    world.expect(
        [completed(1, 2)],
        ["ActivityCompleted 1 #2 1", "ActivityScheduled 3 mail", "→ task 3#1 at 0.0s [a:1:2]", "= Absorbed"],
    );
}

#[test]
fn unpausing_an_activity_whose_attempt_goes_on_sends_nothing() {
    let mut world = waiting();
    world.turn(&[pause("p", Some(1))]);
    world.expect([unpause("u", Some(1))], ["ActivityUnpaused 1 #1", "= Absorbed"]);
    let lines = world.lines(&[failed(1, 1)]);
    assert!(lines[1].starts_with("→ task 1#2"), "{lines:?}");
}

#[test]
fn a_retry_at_once_takes_the_place_of_the_attempt_that_waits() {
    let mut world = waiting();
    world.expect([retry("r", 1)], ["= Rejected activity_id"]);
    world.turn(&[failed(1, 1)]);
    world.expect([retry("r", 1)], ["ActivityRetryRequested 1 #3", "→ task 1#3 at 0.0s [r:r]", "= Absorbed"]);
    world.expect([failed(1, 2)], ["= Repeated"]);
    world.expect([retry("r", 1)], ["= Repeated"]);
    world.expect([retry("q", 1)], ["= Rejected activity_id"]);
    world.turn(&[failed(1, 3)]);
    world.turn(&[pause("p", Some(1))]);
    world.expect([retry("s", 1)], ["= Rejected activity_id"]);
}

#[test]
fn the_deadline_of_a_paused_activity_holds() {
    let mut world = World::started([
        (On::Started, [schedule_with(1, "charge", within(60))].into()),
        (On::Failed(1), [complete("1")].into()),
    ]);
    world.turn(&[failed(1, 1)]);
    world.turn(&[retry("r", 1)]);
    world.turn(&[pause("p", Some(1))]);
    world.now = 60.0;
    let lines = world.lines(&[wake(1)]);
    // Attempt 2 was void: attempt 3 is the second.
    assert!(lines[0].starts_with("ActivityFailed 1: activity `charge` (attempts: 2)"), "{lines:?}");
    assert_eq!(lines[1], "RunCompleted 1");
}
