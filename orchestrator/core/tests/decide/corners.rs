//! Where two elements of the language meet.

use millrace_core::{IdConflict, Message, ParentClose, RequestId, RunId, Runaway, Status};

use crate::script::*;

#[test]
fn g9_code_that_continues_as_new_at_once_can_be_terminated() {
    for runaway in [None, Some(Runaway::per_hour(5))] {
        let mut world = World::new([(On::Started, [continue_as_new("2")].into())]);
        world.runaway = runaway;
        world.turn(&[plain("start")]);
        world.entropy += 1;
        world.turns(&[terminate("t")]);
        assert_eq!(world.run().status, Status::Terminated);
    }
}

#[test]
fn g10_a_cancel_that_came_while_the_code_was_held_reaches_the_run_that_follows() {
    let mut world = World::started([(On::Signal("go"), panics("bug"))]);
    world.turn(&[signal("s", "go")]);
    world.turn(&[cancel("c")]);
    world.deploy("b2", [(On::Signal("go"), [continue_as_new("2")].into())]);
    world.turns(&[resume("r")]);
    let kinds: Vec<_> = world.history.iter().map(|event| event.kind.name()).collect();
    assert_eq!(kinds, ["RunStarted", "CancelRequested"]);
}

#[test]
fn a_child_that_is_terminated_is_not_only_asked_to_stop_when_its_parent_closes() {
    let mut world = World::started([
        (On::Started, [child(1, ParentClose::Cancel)].into()),
        (On::Signal("x"), [terminate_child(1), complete("1")].into()),
    ]);
    let lines = world.lines(&[signal("s", "x")]);
    let stops: Vec<_> = lines.iter().filter(|line| line.starts_with("→") && line.contains("child")).collect();
    assert!(stops.len() == 1 && stops[0].contains("erminate"), "{lines:#?}");
}

#[test]
fn an_update_with_start_begins_a_run_if_the_open_one_ends_as_its_code_is_brought_up() {
    let mut world = World::started([(On::Signal("go"), panics("bug"))]);
    world.turn(&[signal("s", "go")]);
    world.deploy("b2", [(On::Signal("go"), [complete("1")].into())]);
    let lines = world.turns(&[start_with_update("u", "up", IdConflict::UseExisting)]);
    assert!(!lines.iter().any(|line| line.contains("Rejected")), "{lines:#?}");
}

#[test]
fn g10_what_a_parent_tells_its_child_may_be_ahead_of_the_start() {
    let mut world = World::started([(On::Started, [complete("1")].into())]);
    let request_id = RequestId::own("sent", RunId::from_random(99), 1);
    let hello = Message::Signal { name: "hello".into(), input: payload("1"), request_id, after: None };
    assert_eq!(world.lines(&[incoming(hello.clone())]), ["= Wait"]);
    let outside = Message::Signal {
        name: "hello".into(),
        input: payload("1"),
        request_id: RequestId::new("from-outside").unwrap(),
        after: None,
    };
    assert_eq!(world.lines(&[incoming(outside)]), ["= Rejected the run is closed"]);
}
