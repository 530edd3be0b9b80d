//! Cancel is a request to the code; terminate needs no code.

use millrace_core::Command;

use crate::script::*;

#[test]
fn cancel_resumes_the_code() {
    let mut world = World::started([
        (On::Started, [schedule_with(1, "a", exclusive())].into()),
        (On::Canceled, [Command::CancelRun("superseded".into())].into()),
    ]);
    world.expect(
        [cancel("c1")],
        [
            "CancelRequested superseded",
            "RunCanceled superseded",
            "→ cancel 1: the run is canceled [r:c1]",
            "→ index closed [r:c1]",
            "= Absorbed",
        ],
    );
    world.expect([cancel("c1")], ["= Repeated"]);
}

#[test]
fn code_may_ignore_a_cancel() {
    let mut world = World::started([]);
    world.expect([cancel("c1")], ["CancelRequested superseded", "= Absorbed"]);
    assert!(world.run().status.is_open());
}

#[test]
fn g9_terminate_closes_by_force() {
    let mut world = World::started([(
        On::Started,
        [schedule(1, "a"), schedule_with(2, "b", exclusive()), sleep(1, 60)].into(),
    )]);
    world.expect(
        [terminate("t1")],
        [
            "RunTerminated runaway",
            "→ cancel 2: the run is terminated [r:t1]",
            "→ index closed [r:t1]",
            "= Absorbed",
        ],
    );
    world.expect([terminate("t1")], ["= Repeated"]);
}

#[test]
fn g10_stops_of_a_closed_run_are_counted_and_dropped() {
    let mut world = World::started([(On::Started, [complete("null")].into())]);
    for message in [cancel("x"), terminate("x"), resume("x")] {
        world.expect([message], ["= Stale(\"the run is closed\")"]);
    }
}

#[test]
fn resume_of_a_run_that_works_changes_nothing() {
    World::started([]).expect([resume("x")], ["= Stale(\"the run is not blocked\")"]);
}
