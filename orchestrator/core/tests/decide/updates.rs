//! Updates: requests that the code checks before they are recorded, and answers. One that it refuses leaves no event, and
//! is refused for good.

use millrace_core::{IdConflict, IdReuse, Run, RunId, Verdict};

use crate::script::*;

fn script() -> [Row; 6] {
    [
        (On::Started, [schedule(1, "a")].into()),
        (On::Update("ask"), [answer("u1", "42"), schedule(2, "b")].into()),
        (On::Update("later"), [schedule(3, "c")].into()),
        (On::Completed(3), [answer("u1", "43")].into()),
        (On::Update("set"), Do::Refuse("no")),
        (On::Signal("end"), [complete("null")].into()),
    ]
}

fn open() -> World {
    World::started(script())
}

fn refused(request_id: &str) -> World {
    let mut world = open();
    world.expect([update(request_id, "set")], ["= Refused(\"no\")"]);
    world
}

#[test]
fn an_update_is_recorded_with_its_answer() {
    let mut world = open();
    world.expect(
        [update("u1", "ask")],
        [
            "UpdateReceived ask u1",
            "UpdateCompleted u1 42",
            "ActivityScheduled 2 b",
            "→ task 2#1 at 0.0s [r:u1]",
            "= Absorbed",
        ],
    );
    assert!(world.run().updates.is_empty());
    world.expect([update("u1", "ask")], ["= Repeated"]);
    world.cool();
    world.expect([update("u1", "ask")], ["= Repeated"]);
}

#[test]
fn an_update_may_be_answered_later() {
    let mut world = open();
    world.turn(&[update("u1", "later")]);
    assert_eq!(world.run().updates.len(), 1);
    world.expect([completed(3, 1)], ["ActivityCompleted 3 #1 1", "UpdateCompleted u1 43", "= Absorbed"]);
    assert!(world.run().updates.is_empty());
}

#[test]
fn an_update_that_is_refused_at_once_leaves_no_event() {
    let mut world = open();
    let before = world.history.len();
    let decision = world.turn(&[update("u1", "set")]);
    assert_eq!(decision.verdicts, [Verdict::Refused("no".into())]);
    assert!(decision.commits() && decision.events.is_empty() && decision.effects.is_empty());
    assert_eq!(world.history.len(), before);
    assert_eq!(world.run().rejection(&request("u1")), Some("no"));
    assert!(world.run().updates.is_empty());
}

#[test]
fn g2_an_update_is_refused_once_and_for_good() {
    let mut world = refused("u1");
    world.expect([update("u1", "set"), update("u1", "set")], ["= Repeated", "= Repeated"]);
    // Though by now the code would take it, or there is no code at all.
    world.deploy(
        "b2",
        [(On::Started, [schedule(1, "a")].into()), (On::Update("set"), [answer("u1", "1")].into())],
    );
    world.expect([update("u1", "set")], ["= Repeated"]);
    world.expect([signal("s1", "x")], ["SignalReceived x 1", "= Absorbed"]);
    world.turn(&[terminate("t")]);
    world.expect([update("u1", "set")], ["= Repeated"]);
    world.entropy += 1;
    world.turn(&[plain("again")]);
    world.expect([update("u1", "set")], ["= Repeated"]);
    assert!(world.run().updates.is_empty());
}

#[test]
fn g2_two_copies_of_an_update_in_one_batch_are_refused_once() {
    let mut world = open();
    world.expect(
        [update("u1", "set"), update("u1", "set"), update("u2", "set")],
        ["= Refused(\"no\")", "= Repeated", "= Refused(\"no\")"],
    );
    assert_eq!(world.run().rejected.len(), 2);
}

#[test]
fn g8_a_refused_update_is_as_if_it_had_never_come() {
    let (mut with, mut without) = (refused("u1"), open());
    with.cool();
    without.cool();
    assert_eq!(with.lines(&[signal("s1", "x")]), without.lines(&[signal("s1", "x")]));
    assert_eq!(with.history, without.history);
}

#[test]
fn refusals_are_remembered_within_limits_the_latest_first() {
    let mut world = open();
    let many: Vec<_> = (0..Run::MOST_REJECTED + 3).map(|i| update(&format!("u-{i}"), "set")).collect();
    world.turn(&many);
    assert_eq!(world.run().rejected.len(), Run::MOST_REJECTED);
    assert_eq!(
        (world.run().has_rejected(&request("u-2")), world.run().has_rejected(&request("u-3"))),
        (false, true)
    );
}

#[test]
fn code_that_refuses_and_asks_for_more_has_taken_the_update() {
    let mut world = World::started([(On::Update("set"), [refuse("u1"), schedule(2, "b")].into())]);
    world.expect(
        [update("u1", "set")],
        [
            "UpdateReceived set u1",
            "UpdateRejected u1 no",
            "ActivityScheduled 2 b",
            "→ task 2#1 at 0.0s [r:u1]",
            "= Absorbed",
        ],
    );
    assert!(world.run().updates.is_empty() && world.run().rejected.is_empty());
}

#[test]
fn code_that_refuses_another_update_has_taken_this_one() {
    let mut world = World::started([(On::Update("b"), [refuse("u1")].into())]);
    world.turn(&[update("u1", "a")]);
    world.expect([update("u2", "b")], ["UpdateReceived b u2", "UpdateRejected u1 no", "= Absorbed"]);
    assert_eq!(world.run().updates.keys().map(|id| id.as_str()).collect::<Vec<_>>(), ["u2"]);
}

#[test]
fn g9_an_update_of_a_blocked_run_waits_and_is_answered_or_refused_when_it_goes_on() {
    for (name, end) in [("ask", "UpdateCompleted u1 42"), ("set", "UpdateRejected u1 no")] {
        let mut world = open();
        world.deploy("b2", [(On::Started, panics("bug"))]);
        world.expect(
            [update("u1", name)],
            [
                "RunBlocked panic bug",
                &format!("UpdateReceived {name} u1"),
                "→ wake 1 at 900.0s [r:u1]",
                "= Absorbed",
            ],
        );
        world.expect([update("u1", name)], ["= Repeated"]);
        assert_eq!(world.run().updates.len(), 1);
        world.deploy("b3", script());
        let lines = world.lines(&[resume("r")]);
        assert_eq!(lines[1], end);
        assert!(world.run().updates.is_empty());
        world.cool();
        world.expect([signal("s1", "x")], ["SignalReceived x 1", "= Absorbed"]);
    }
}

#[test]
fn g9_a_suspect_update_is_recorded_without_code() {
    let mut world = open();
    world.expect(
        [times(3, update("u1", "set"))],
        ["UpdateReceived set u1", "RunBlocked suspect r:u1", "→ wake 1 at 1.0s [r:u1]", "= Absorbed"],
    );
    world.now = 1.0;
    world.expect([wake(1)], ["UpdateRejected u1 no", "= Absorbed"]);
}

#[test]
fn g9_an_update_at_which_the_code_panics_blocks_it() {
    let mut world =
        World::started([(On::Started, [schedule(1, "a")].into()), (On::Update("set"), panics("bug"))]);
    world.expect(
        [update("u1", "set"), signal("s1", "x")],
        [
            "UpdateReceived set u1",
            "RunBlocked panic bug",
            "SignalReceived x 1",
            "→ wake 1 at 900.0s [r:u1]",
            "= Absorbed",
            "= Absorbed",
        ],
    );
    world.deploy("b2", script());
    let lines = world.lines(&[resume("r")]);
    assert_eq!(lines[1], "UpdateRejected u1 no");
}

#[test]
fn g4_a_refused_update_that_brought_the_code_up_repairs_what_that_led_to() {
    let mut world = open();
    world.deploy("b2", [(On::Started, panics("bug"))]);
    world.turn(&[signal("s1", "x"), completed(1, 1)]);
    world.deploy(
        "b3",
        [
            (On::Started, [schedule(1, "a")].into()),
            (On::Completed(1), [schedule(2, "b")].into()),
            (On::Update("set"), Do::Refuse("no")),
        ],
    );
    world.expect(
        [update("u1", "set")],
        ["ActivityScheduled 2 b", "→ task 2#1 at 0.0s [r:u1]", "= Refused(\"no\")"],
    );
    world.expect([update("u1", "set")], ["= Repeated"]);
    assert_eq!(world.guarded("r:u1"), ["→ task 2#1 at 0.0s [r:u1]"]);
}

#[test]
fn g10_an_update_of_a_closed_run_is_rejected() {
    let mut world = open();
    world.turn(&[update("u1", "ask"), signal("s1", "end")]);
    world.expect([update("u1", "ask"), update("u2", "ask")], ["= Repeated", "= Rejected the run is closed"]);
    // One that came before the end counts, and one in the same batch behind it does not.
    let mut world = open();
    let lines = world.lines(&[signal("s1", "end"), update("u2", "ask")]);
    assert_eq!(lines.last().unwrap(), "= Rejected the run is closed");
}

#[test]
fn g4_an_update_that_is_refused_guards_nothing_that_others_bring() {
    let mut world = open();
    let lines = world.lines(&[update("u2", "set"), update("u1", "later")]);
    assert_eq!(lines[2..], ["→ task 3#1 at 0.0s [r:u1]", "= Refused(\"no\")", "= Absorbed"]);
}

/// The update unblocks a run whose code then ends: it is too late, and what the end led to has it as its guard.
#[test]
fn g4_an_update_that_unblocks_a_run_which_ends_is_rejected_and_repairs() {
    let mut world = open();
    world.deploy("b2", [(On::Started, panics("bug"))]);
    world.turn(&[signal("s1", "end")]);
    world.deploy("b3", script());
    world.expect(
        [update("u1", "ask")],
        ["RunCompleted null", "→ index closed [r:u1]", "= Rejected the run is closed"],
    );
    world.expect([update("u1", "ask")], ["= Rejected the run is closed"]);
}

#[test]
fn g10_an_update_waits_for_a_run_that_does_not_exist_yet() {
    let mut world = World::new([]);
    world.now = 59.0;
    world.expect([times(11, update("u1", "x"))], ["= Wait"]);
    world.now = 60.0;
    world.expect([times(11, update("u1", "x"))], ["= Rejected there is no workflow `w-1`"]);
}

#[test]
fn update_with_start_begins_with_the_update() {
    let mut world = World::new([
        (On::Started, [schedule(1, "a")].into()),
        (On::Update("ask"), [answer("start", "42")].into()),
    ]);
    let message = || start_with_update("start", "ask", IdConflict::Fail);
    world.expect(
        [message()],
        [
            "RunStarted",
            "UpdateReceived ask start",
            "ActivityScheduled 1 a",
            "UpdateCompleted start 42",
            "→ task 1#1 at 0.0s [r:start]",
            "→ index open [r:start]",
            "= Absorbed",
        ],
    );
    world.expect([message()], ["= Repeated"]);
    assert!(world.run().updates.is_empty());
}

#[test]
fn an_update_with_start_that_the_code_refuses_has_begun_the_run() {
    let mut world = World::new(script());
    let lines = world.lines(&[start_with_update("start", "set", IdConflict::Fail)]);
    assert_eq!(
        lines[..4],
        ["RunStarted", "UpdateReceived set start", "ActivityScheduled 1 a", "UpdateRejected start no"]
    );
}

#[test]
fn update_with_start_asks_an_open_run() {
    let mut world = open();
    let message = || start_with_update("u1", "ask", IdConflict::UseExisting);
    let lines = world.lines(&[message()]);
    assert_eq!(lines[..2], ["UpdateReceived ask u1", "UpdateCompleted u1 42"]);
    world.expect([message()], ["= Repeated"]);
    world.expect([start_with_update("u2", "ask", IdConflict::Fail)], ["= Rejected id"]);
}

/// G2: the start counts as done, refused or not. Its duplicate asks nothing again and begins no run.
#[test]
fn g2_an_update_with_start_that_an_open_run_refused_is_refused_for_good() {
    let mut world = open();
    let message = || start_with_update("u1", "set", IdConflict::UseExisting);
    world.expect([message(), message()], ["= Refused(\"no\")", "= Repeated"]);
    world.deploy(
        "b2",
        [(On::Started, [schedule(1, "a")].into()), (On::Update("set"), [answer("u1", "1")].into())],
    );
    world.expect([message()], ["= Repeated"]);
    world.turn(&[terminate("t")]);
    world.entropy += 1;
    world.expect([message()], ["= Repeated"]);
    assert!(!world.run().status.is_open(), "nobody asked for a new run");
    world.turn(&[plain("again")]);
    world.expect([message()], ["= Repeated"]);
    assert_eq!(world.run().started.as_ref().unwrap().request_id, request("again"));
}

#[test]
fn update_with_start_that_replaces_asks_the_new_run() {
    let mut world = open();
    world.entropy += 1;
    let mut message = start_with_update("u1", "ask", IdConflict::TerminateExisting);
    let lines = world.turns(std::slice::from_ref(&message));
    assert!(lines.contains(&"UpdateCompleted u1 42".to_owned()), "{lines:?}");
    message = start_if("x", IdReuse::RejectDuplicate, IdConflict::TerminateExisting);
    world.expect([message], ["= Rejected id"]);
}

#[test]
fn g7_an_update_for_another_run_is_checked_against_that_run() {
    let mut world = refused("u1");
    world.expect([for_run(RunId::from_random(99), update("u2", "ask"))], ["= Elsewhere"]);
    let this = world.run_id();
    world.expect([for_run(this, update("u1", "set"))], ["= Repeated"]);
}

#[test]
fn g9_a_refused_update_is_news_once() {
    use std::time::Duration;
    let mut world = open();
    world.runaway = Some(millrace_core::Runaway { turns: 1, within: Duration::from_secs(60) });
    world.turn(&[update("u1", "set")]);
    world.turn(&[completed(1, 1)]);
    world.turn(&[completed(99, 1), failed(1, 1)]);
    let pace = world.run().pace;
    world.turn(&[update("u1", "set")]);
    assert_eq!(world.run().pace, pace);
    assert_eq!(pace.unwrap().turns, 1);
}

#[test]
fn g2_the_start_of_a_run_is_remembered_as_such_though_its_signal_or_update_has_the_same_request() {
    for message in
        [start_with_signal("start", "x", IdConflict::Fail), start_with_update("start", "x", IdConflict::Fail)]
    {
        let mut world = World::new([]);
        world.turn(&[message]);
        let many: Vec<_> = (0..Run::MOST_CARRIED + 10).map(|i| signal(&format!("m-{i}"), "x")).collect();
        world.turn(&many);
        world.turn(&[terminate("t")]);
        world.entropy += 1;
        world.turn(&[plain("again")]);
        world.expect([plain("start")], ["= Elsewhere"]);
    }
}
