//! Signals: in order, once, and never into a closed run.

use crate::script::*;

#[test]
fn g8_the_code_is_resumed_after_every_single_signal_in_order() {
    let mut world = World::started([
        (On::Signal("a"), [schedule(1, "first")].into()),
        (On::Signal("b"), [schedule(2, "second")].into()),
    ]);
    world.expect(
        [signal("s1", "b"), signal("s2", "a")],
        [
            "SignalReceived b 1",
            "ActivityScheduled 2 second",
            "SignalReceived a 1",
            "ActivityScheduled 1 first",
            "→ task 2#1 at 0.0s [r:s1]",
            "→ task 1#1 at 0.0s [r:s1]",
            "= Absorbed",
            "= Absorbed",
        ],
    );
}

#[test]
fn g2_a_signal_counts_once() {
    let mut world = World::started([]);
    world.expect([signal("s1", "a"), signal("s1", "a")], ["SignalReceived a 1", "= Absorbed", "= Repeated"]);
    world.expect([signal("s1", "a")], ["= Repeated"]);
    world.expect([signal("s2", "a")], ["SignalReceived a 1", "= Absorbed"]);
}

#[test]
fn g2_one_request_id_is_one_request_whatever_its_verb() {
    let mut world = World::started([]);
    world.expect([signal("start", "a")], ["= Repeated"]);
    world.turn(&[signal("s1", "a")]);
    world.expect([cancel("s1"), terminate("s1")], ["= Repeated", "= Repeated"]);
}

#[test]
fn g10_a_signal_for_a_closed_run_is_rejected() {
    let mut world = World::started([(On::Signal("end"), [complete("null")].into())]);
    world.expect(
        [signal("s1", "end"), signal("s2", "late")],
        [
            "SignalReceived end 1",
            "RunCompleted null",
            "→ index closed [r:s1]",
            "= Absorbed",
            "= Rejected the run is closed",
        ],
    );
    world.expect([signal("s3", "late")], ["= Rejected the run is closed"]);
    world.expect([signal("s1", "end")], ["= Repeated"]);
}

#[test]
fn g10_a_request_for_a_run_that_does_not_exist_waits_a_minute() {
    for message in [signal("x", "a"), cancel("x"), terminate("x"), resume("x")] {
        let mut world = World::new([]);
        world.now = 59.0;
        world.expect([times(11, message.clone())], ["= Wait"]);
        world.now = 60.0;
        world.expect([times(11, message)], ["= Rejected there is no workflow `w-1`"]);
    }
}

/// After an outage everything is old, and a queue keeps no order.
#[test]
fn g10_a_request_that_nobody_received_for_an_hour_still_waits_for_its_start() {
    let mut world = World::new([]);
    world.now = 3_600.0;
    for receive in 1..=10 {
        world.expect([times(receive, signal("x", "a"))], ["= Wait"]);
    }
    world.expect([times(11, signal("x", "a"))], ["= Rejected there is no workflow `w-1`"]);
}

/// A frozen receiver may hide the child's start for as long as a queue allows.
#[test]
fn g10_what_a_run_tells_a_child_that_has_not_begun_waits_for_half_a_day() {
    let mut world = World::new([]);
    let told = || times(300, signal("~sent:4426091b-f6d4-4c2a-b4ee-a0c3b91be260:4", "note"));
    world.now = 12.0 * 3_600.0 - 1.0;
    world.expect([told()], ["= Wait"]);
    world.now += 1.0;
    world.expect([told()], ["= Rejected there is no workflow `w-1`"]);
}

#[test]
fn g10_an_internal_message_of_a_purged_run_is_dropped() {
    for message in [completed(1, 1), timer(1), wake(1)] {
        World::new([]).expect([message], ["= Stale(\"the run was purged\")"]);
    }
}

#[test]
fn a_signal_in_the_batch_of_its_start_is_absorbed_after_it() {
    let mut world = World::new([(On::Signal("a"), [complete("null")].into())]);
    world.expect(
        [signal("s1", "a"), plain("start")],
        [
            "RunStarted",
            "SignalReceived a 1",
            "RunCompleted null",
            "→ index closed [r:start]",
            "= Absorbed",
            "= Absorbed",
        ],
    );
}

#[test]
fn g7_a_signal_for_another_run_is_checked_against_that_run() {
    let mut world = World::started([]);
    let other = millrace_core::RunId::from_random(99);
    world.expect([for_run(other, signal("s1", "a"))], ["= Elsewhere"]);
    let this = world.run().info.run_id;
    world.expect([for_run(this, signal("s1", "a"))], ["SignalReceived a 1", "= Absorbed"]);
}
