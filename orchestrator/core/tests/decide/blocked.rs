//! G9: a workflow that cannot go on is blocked, not lost.

use millrace_core::{IdConflict, IdReuse, Message, Start, WorkflowType};

use crate::script::*;

const WAKE: &str = "→ wake 1 at 900.0s [r:s1]";

/// Code that panics on the signal `go`.
fn buggy() -> World {
    World::started([(On::Started, [schedule(1, "a")].into()), (On::Signal("go"), panics("bug"))])
}

fn blocked() -> World {
    let mut world = buggy();
    world.turn(&[signal("s1", "go")]);
    assert!(world.run().blocked.is_some());
    world
}

const FIXED: [(On, fn() -> Do); 3] = [
    (On::Started, || [schedule(1, "a")].into()),
    (On::Signal("go"), || [schedule(2, "b")].into()),
    (On::Completed(1), || [schedule(3, "c")].into()),
];

fn fix(world: &mut World) {
    world.deploy("b2", FIXED.map(|(on, script)| (on, script())));
}

#[test]
fn g9_a_panic_blocks_with_its_fact_absorbed_and_a_wake_armed() {
    buggy().expect([signal("s1", "go")], ["SignalReceived go 1", "RunBlocked panic bug", WAKE, "= Absorbed"]);
}

#[test]
fn g9_nondeterminism_names_the_event_and_both_sides() {
    let mut world = World::started([(On::Started, [schedule(1, "charge"), sleep(1, 9)].into())]);
    world.deploy("b2", [(On::Started, [schedule(1, "ship"), sleep(1, 9)].into())]);
    world.expect(
        [signal("s1", "x")],
        [
            "SignalReceived x 1",
            "RunBlocked at event 2 expected ActivityScheduled `charge` (activity 1) got ActivityScheduled `ship` (activity 1)",
            WAKE,
            "= Absorbed",
        ],
    );
    world.deploy("b3", [(On::Started, [schedule(1, "charge")].into())]);
    let lines = world.lines(&[signal("s2", "x")]);
    assert_eq!(lines[1], "RunBlocked at event 3 expected TimerStarted (timer 1) got nothing");
}

#[test]
fn g8_options_and_inputs_may_change_without_blocking_a_run() {
    let mut world = World::started([(On::Started, [schedule(1, "charge")].into())]);
    world.deploy("b2", [(On::Started, [schedule_with(1, "charge", within(5))].into())]);
    world.expect([signal("s1", "x")], ["SignalReceived x 1", "= Absorbed"]);
}

#[test]
fn g9_an_unknown_workflow_is_blocked_at_its_start_and_listed() {
    let mut world = World::new([]);
    let unknown = Start { workflow: WorkflowType::new("V").unwrap(), ..start("start") };
    let lines = world.lines(&[incoming(Message::Start(Box::new(unknown)))]);
    assert_eq!(lines[0], "RunStarted");
    assert!(
        lines[1].starts_with("RunBlocked no workflow `V` is registered here (registered: W)"),
        "{lines:?}"
    );
    assert_eq!(lines[2..], ["→ index open [r:start]", "→ wake 1 at 900.0s [r:start]", "= Absorbed"]);
}

#[test]
fn g9_facts_are_absorbed_without_code_and_caught_up_in_order() {
    let mut world = blocked();
    world.expect([completed(1, 1)], ["ActivityCompleted 1 #1 1", "= Absorbed"]);
    fix(&mut world);
    world.expect(
        [signal("s2", "x")],
        [
            "SignalReceived x 1",
            "ActivityScheduled 2 b",
            "ActivityScheduled 3 c",
            "→ task 2#1 at 0.0s [r:s2]",
            "→ task 3#1 at 0.0s [r:s2]",
            "= Absorbed",
        ],
    );
    assert!(world.run().blocked.is_none());
    world.cool(); // and its history replays
    world.expect([signal("s3", "x")], ["SignalReceived x 1", "= Absorbed"]);
}

#[test]
fn g9_facts_behind_the_one_that_blocks_are_absorbed_in_the_same_turn_without_code() {
    buggy().expect(
        [signal("s1", "go"), completed(1, 1)],
        [
            "SignalReceived go 1",
            "RunBlocked panic bug",
            "ActivityCompleted 1 #1 1",
            WAKE,
            "= Absorbed",
            "= Absorbed",
        ],
    );
}

#[test]
fn g9_the_block_is_recorded_once_for_each_reason_and_build() {
    let mut world = blocked();
    world.expect([signal("s2", "x")], ["SignalReceived x 1", "= Absorbed"]);
    world.now = 900.0;
    world.expect([wake(1)], ["→ wake 2 at 1800.0s [w:1]", "= Absorbed"]);
    world.build = "b2";
    world.now = 1800.0;
    world.expect([wake(2)], ["RunBlocked panic bug", "→ wake 3 at 2700.0s [w:2]", "= Absorbed"]);
    world.code = Box::new(Code(vec![(On::Started, panics("other bug"))]));
    world.cool();
    world.expect([signal("s3", "x")], ["SignalReceived x 1", "RunBlocked panic other bug", "= Absorbed"]);
}

#[test]
fn g9_resume_tries_again() {
    let mut world = blocked();
    world.expect([resume("r1")], ["ResumeRequested", "= Absorbed"]);
    fix(&mut world);
    world.expect(
        [resume("r2")],
        ["ResumeRequested", "ActivityScheduled 2 b", "→ task 2#1 at 0.0s [r:r2]", "= Absorbed"],
    );
    world.expect([resume("r2")], ["= Repeated"]);
}

#[test]
fn g9_a_wake_tries_again() {
    let mut world = blocked();
    fix(&mut world);
    world.now = 900.0;
    world.expect([wake(1)], ["ActivityScheduled 2 b", "→ task 2#1 at 900.0s [w:1]", "= Absorbed"]);
}

#[test]
fn g9_any_message_that_the_log_does_not_have_tries_again() {
    let use_existing = start_if("again", IdReuse::default(), IdConflict::UseExisting);
    for message in [use_existing, signal("s2", "x"), cancel("c"), resume("r"), failed(1, 1), wake(1)] {
        let mut world = blocked();
        world.now = 900.0;
        fix(&mut world);
        let guard = message.message.identity();
        let lines = world.lines(std::slice::from_ref(&message));
        assert!(lines.contains(&"ActivityScheduled 2 b".to_owned()), "{message:?} {lines:?}");
        assert_eq!(lines.last().unwrap(), "= Absorbed");
        // G4: redelivered after a crash, it repairs.
        let task = format!("→ task 2#1 at 900.0s [{guard}]");
        assert!(world.guarded(&guard.to_string()).contains(&task), "{lines:?}");
    }
}

/// It may be gone from its queue, and would be the guard of what the code asks for.
#[test]
fn g4_g9_a_message_that_the_log_has_does_not_try_again() {
    for message in
        [plain("start"), signal("s1", "go"), failed(99, 1), timer(9), wake(9), times(2, plain("start"))]
    {
        let mut world = blocked();
        fix(&mut world);
        let decision = world.turn(&[message]);
        assert_eq!((show(&decision), decision.commits()), (vec!["= Repeated".into()], false));
        assert!(world.run().blocked.is_some());
    }
}

#[test]
fn g9_an_unblocked_run_says_so_though_its_code_asks_for_nothing() {
    let mut world = blocked();
    world.deploy("b2", [(On::Started, [schedule(1, "a")].into())]);
    world.now = 900.0;
    let decision = world.turn(&[wake(1)]);
    assert!(decision.events.is_empty() && decision.commits());
    assert!(world.run().blocked.is_none());
}

#[test]
fn g9_a_message_on_its_third_receive_is_absorbed_without_code() {
    let mut world = buggy();
    world.expect(
        [times(3, signal("s1", "go"))],
        ["SignalReceived go 1", "RunBlocked suspect r:s1", "→ wake 1 at 1.0s [r:s1]", "= Absorbed"],
    );
    fix(&mut world);
    world.now = 1.0;
    world.expect([wake(1)], ["ActivityScheduled 2 b", "→ task 2#1 at 1.0s [w:1]", "= Absorbed"]);
}

#[test]
fn g9_one_suspect_blocks_once_and_is_named_whatever_came_with_it() {
    let mut world = buggy();
    world.expect(
        [signal("s1", "x"), completed(1, 1), times(3, signal("s2", "go")), signal("s3", "x")],
        [
            "SignalReceived x 1",
            "RunBlocked suspect r:s2",
            "ActivityCompleted 1 #1 1",
            "SignalReceived go 1",
            "SignalReceived x 1",
            "→ wake 1 at 1.0s [r:s1]",
            "= Absorbed",
            "= Absorbed",
            "= Absorbed",
            "= Absorbed",
        ],
    );
}

#[test]
fn g9_code_that_kills_its_process_at_every_wake_is_tried_ever_more_rarely_and_does_not_grow_the_log() {
    let mut world = buggy();
    world.turn(&[times(3, signal("s1", "go"))]);
    let mut due = 1.0;
    for n in 1..15 {
        world.now = due;
        due += world.now.min(900.0);
        let lines = world.lines(&[times(3, wake(n))]);
        let next = format!("→ wake {} at {due:.1}s [w:{n}]", n + 1);
        assert_eq!(lines, [next.as_str(), "= Absorbed"], "wake {n}");
    }
    let events: Vec<_> = world.history.iter().map(|event| show_event(&event.kind)).collect();
    assert_eq!(events.iter().filter(|event| event.starts_with("RunBlocked")).count(), 1, "{events:?}");
}

#[test]
fn g9_builds_that_take_it_in_turns_are_as_patient_as_one() {
    let mut world = buggy();
    world.turn(&[times(3, signal("s1", "go"))]);
    world.build = "b2";
    world.now = 600.0;
    let lines = world.lines(&[times(3, wake(1))]);
    assert!(lines[0].starts_with("RunBlocked"), "{lines:?}");
    assert_eq!(lines[1..], ["→ wake 2 at 1200.0s [w:1]", "= Absorbed"], "it has been blocked for so long");
}

#[test]
fn g9_a_suspect_start_begins_a_run() {
    let mut world = World::new(FIXED.map(|(on, script)| (on, script())));
    world.expect(
        [times(3, plain("start"))],
        [
            "RunStarted",
            "RunBlocked suspect r:start",
            "→ index open [r:start]",
            "→ wake 1 at 1.0s [r:start]",
            "= Absorbed",
        ],
    );
}

#[test]
fn g9_a_suspect_that_the_log_has_tries_nothing() {
    let mut world = blocked();
    fix(&mut world);
    world.expect([times(3, signal("s1", "go"))], ["= Repeated"]);
}

#[test]
fn g9_terminate_needs_no_code() {
    let mut world = blocked();
    world.expect([times(9, terminate("t"))], ["RunTerminated runaway", "→ index closed [r:t]", "= Absorbed"]);
    assert!(world.run().blocked.is_none());
}

#[test]
fn g9_attempts_go_on_while_the_run_is_blocked() {
    let mut world = blocked();
    world.expect(
        [failed(1, 1)],
        ["ActivityAttemptFailed 1 #1, #2 at 1.0s", "→ task 1#2 at 1.0s [a:1:1]", "= Absorbed"],
    );
}

#[test]
fn g9_deadlines_pass_while_the_run_is_blocked() {
    let mut world = World::started([
        (On::Started, [schedule_with(1, "a", within(60))].into()),
        (On::Signal("go"), panics("bug")),
    ]);
    world.turn(&[signal("s1", "go")]);
    world.now = 60.0;
    world.expect(
        [wake(1)],
        [
            "ActivityFailed 1: activity `a` (attempts: 1): timed out (schedule-to-close)",
            "→ wake 2 at 960.0s [w:1]",
            "= Absorbed",
        ],
    );
}

#[test]
fn g9_commands_that_were_recorded_before_a_block_are_not_recorded_twice() {
    let mut world = World::started([
        (On::Started, [schedule(1, "a")].into()),
        (On::Signal("one"), [schedule(2, "b")].into()),
        (On::Signal("go"), panics("bug")),
    ]);
    // The first message's commands stand, the second blocks.
    world.turn(&[signal("s1", "one"), signal("s2", "go")]);
    world.deploy(
        "b2",
        [
            (On::Started, [schedule(1, "a")].into()),
            (On::Signal("one"), [schedule(2, "b")].into()),
            (On::Signal("go"), [schedule(3, "c")].into()),
        ],
    );
    world.expect(
        [resume("r")],
        ["ResumeRequested", "ActivityScheduled 3 c", "→ task 3#1 at 0.0s [r:r]", "= Absorbed"],
    );
}
