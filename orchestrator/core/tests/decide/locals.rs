//! Local activities: asked for and ended within one turn; their ends are what the history records of them (§6, G3, G8).

use millrace_core::{Blocked, Command, Effect, Replay, RunInfo, Verdict, WorkflowCode, end_local};

use crate::script::*;

/// Three at once; their ends come in an order of their own, and the last asks for a fourth.
fn many() -> [Row; 4] {
    [
        (On::Started, [local(1, "a"), local(2, "b"), schedule(3, "train"), local(4, "c")].into()),
        (On::LocalCompleted(1), [local(5, "d")].into()),
        (On::LocalFailed(4), [sleep(1, 60)].into()),
        (On::LocalCompleted(5), [schedule(6, "evaluate")].into()),
    ]
}

fn many_ends() -> [millrace_core::EventKind; 4] {
    [local_failed(4, "c"), local_completed(2, "b"), local_completed(1, "a"), local_completed(5, "d")]
}

fn info(world: &World) -> RunInfo {
    world.run().info.clone()
}

#[test]
fn g3_their_ends_are_events_of_the_turn_that_asks_in_the_order_of_the_ends_under_one_guard() {
    let mut world = World::new(many());
    world.expect_locals(
        [plain("start")],
        many_ends(),
        [
            "RunStarted",
            "ActivityScheduled 3 train",
            "LocalActivityFailed 4: activity `c` (attempts: 2): Boom: x",
            "TimerStarted 1 until 60.0s",
            "LocalActivityCompleted 2 2",
            "LocalActivityCompleted 1 1",
            "LocalActivityCompleted 5 5",
            "ActivityScheduled 6 evaluate",
            "→ task 3#1 at 0.0s [r:start]",
            "→ index open [r:start]",
            "→ timer 1 at 60.0s [r:start]",
            "→ task 6#1 at 0.0s [r:start]",
            "= Absorbed",
        ],
    );
}

#[test]
fn a_turn_that_only_runs_local_activities_commits() {
    let mut world = World::started([(On::Signal("go"), [local(1, "a")].into())]);
    world.expect_locals(
        [signal("s", "go")],
        [local_completed(1, "a")],
        ["SignalReceived go 1", "LocalActivityCompleted 1 1", "= Absorbed"],
    );
}

#[test]
fn all_messages_of_the_batch_are_absorbed_before_the_first_end() {
    let mut world = World::started([
        (On::Signal("go"), [local(1, "a")].into()),
        (On::Signal("stop"), [schedule(2, "train")].into()),
        (On::LocalCompleted(1), [complete("1")].into()),
    ]);
    world.expect_locals(
        [signal("s", "go"), signal("t", "stop")],
        [local_completed(1, "a")],
        [
            "SignalReceived go 1",
            "SignalReceived stop 1",
            "ActivityScheduled 2 train",
            "LocalActivityCompleted 1 1",
            "RunCompleted 1",
            "→ index closed [r:s]",
            "= Absorbed",
            "= Absorbed",
        ],
    );
}

/// A task that the turn schedules and makes void is not sent: seen only when the last end is in.
#[test]
fn effects_that_a_later_end_makes_void_are_not_done() {
    let mut world = World::started([
        (On::Signal("go"), [schedule(1, "train"), local(2, "a")].into()),
        (On::LocalCompleted(2), [Command::CancelActivity(1, false)].into()),
    ]);
    let decision = world.local_turn(&[signal("s", "go")], [local_completed(2, "a")]);
    assert!(!decision.effects.iter().any(|p| matches!(p.effect, Effect::SendTask { .. })), "{decision:?}");
}

#[test]
fn a_continue_as_new_at_an_end_is_decided_again_and_begins_the_next_run() {
    let mut world = World::started([
        (On::Signal("go"), [local(1, "a")].into()),
        (On::LocalCompleted(1), [continue_as_new("2")].into()),
    ]);
    let (first, signalled) = (world.run_id(), signal("s", "go"));
    world.entropy += 1;
    world.expect_locals(
        [signalled.clone(), signal("t", "more")],
        [local_completed(1, "a")],
        [
            "SignalReceived go 1",
            "SignalReceived more 1",
            "LocalActivityCompleted 1 1",
            "RunContinuedAsNew 2",
            "→ index closed [r:s]",
            "= Again",
            "= Again",
        ],
    );
    world.entropy += 1;
    world.turns(&[signalled, signal("t", "more")]);
    assert_ne!(world.run_id(), first);
}

#[test]
fn g9_code_that_panics_at_an_end_is_blocked_and_goes_on_from_the_ends_that_are_recorded() {
    let script = |at_the_end: Do| {
        [
            (On::Signal("go"), [local(1, "a"), local(2, "b")].into()),
            (On::LocalCompleted(1), at_the_end),
            (On::LocalCompleted(2), [complete("2")].into()),
        ]
    };
    let mut world = World::started(script(panics("bug")));
    world.expect_locals(
        [signal("s", "go")],
        [local_completed(1, "a")],
        [
            "SignalReceived go 1",
            "LocalActivityCompleted 1 1",
            "RunBlocked panic bug",
            "→ wake 1 at 900.0s [r:s]",
            "= Absorbed",
        ],
    );
    world.deploy("b2", script([].into()));
    world.expect_locals(
        [resume("r")],
        [local_completed(2, "b")],
        [
            "ResumeRequested",
            "LocalActivityCompleted 2 2",
            "RunCompleted 2",
            "→ index closed [r:r]",
            "= Absorbed",
        ],
    );
}

/// The host may still be running another when the code is gone.
#[test]
fn an_end_that_nobody_waits_for_any_more_changes_nothing() {
    let mut world = World::started([
        (On::Signal("go"), [local(1, "a"), local(2, "b")].into()),
        (On::LocalCompleted(1), [complete("1")].into()),
    ]);
    world.expect_locals(
        [signal("s", "go")],
        [local_completed(1, "a"), local_completed(2, "b")],
        [
            "SignalReceived go 1",
            "LocalActivityCompleted 1 1",
            "RunCompleted 1",
            "→ index closed [r:s]",
            "= Absorbed",
        ],
    );
}

#[test]
fn a_message_that_ends_the_run_ends_its_local_activities() {
    let mut world = World::started([(On::Signal("go"), [local(1, "a")].into())]);
    world.expect(
        [signal("s", "go"), terminate("t")],
        ["SignalReceived go 1", "RunTerminated runaway", "→ index closed [r:s]", "= Absorbed", "= Absorbed"],
    );
}

#[test]
fn an_update_is_answered_with_what_a_local_activity_found() {
    let mut world = World::started([
        (On::Update("ask"), [local(1, "look up")].into()),
        (On::LocalCompleted(1), [answer("u", "1")].into()),
    ]);
    world.expect_locals(
        [update("u", "ask")],
        [local_completed(1, "look up")],
        ["UpdateReceived ask u", "LocalActivityCompleted 1 1", "UpdateCompleted u 1", "= Absorbed"],
    );
}

/// Only an update that leaves nothing behind is as if it had never come.
#[test]
fn an_update_that_is_refused_after_it_asked_for_a_local_activity_is_recorded() {
    let mut world = World::started([(On::Update("ask"), [local(1, "look up"), refuse("u")].into())]);
    world.expect_locals(
        [update("u", "ask")],
        [local_completed(1, "look up")],
        ["UpdateReceived ask u", "UpdateRejected u no", "LocalActivityCompleted 1 1", "= Absorbed"],
    );
    world.cool();
    world.expect([signal("s", "x")], ["SignalReceived x 1", "= Absorbed"]);
}

#[test]
fn g8_what_was_recorded_replays() {
    let mut world = World::new(many());
    world.local_turn(&[plain("start")], many_ends());
    let mut replay = Replay::new(world.code.instantiate(&info(&world)).unwrap());
    assert_eq!(replay.follow(&world.history), Ok(()));
    assert_eq!((replay.next_command(), replay.take_locals().len()), (None, 0));
    assert!(!replay.runs_locals());
    world.cool();
    world.expect([completed(3, 1)], ["ActivityCompleted 3 #1 1", "= Absorbed"]);
}

#[test]
fn g9_code_that_asks_for_another_local_activity_is_blocked() {
    let mut world = World::new(many());
    world.local_turn(&[plain("start")], many_ends());
    world.deploy("b2", [(On::Started, [schedule(3, "train"), local(4, "price")].into())]);
    world.expect(
        [signal("s", "x")],
        [
            "SignalReceived x 1",
            "RunBlocked at event 3 expected LocalActivityFailed `c` (activity 4) got a call of `price`",
            "→ wake 1 at 900.0s [r:s]",
            "= Absorbed",
        ],
    );
    let code = Code(vec![(On::Started, [schedule(3, "train")].into())]).instantiate(&info(&world)).unwrap();
    let Err(Blocked::Nondeterminism { got, .. }) = Replay::new(code).follow(&world.history) else {
        panic!("it does not fit")
    };
    assert_eq!(got, "nothing");
}

#[test]
fn the_core_tells_which_are_to_be_run_and_commits_for_them() {
    let mut world = World::started([(On::Signal("go"), [local(1, "a"), local(2, "b")].into())]);
    let mut live = world.live.take();
    let (id, code) = ("w-1".parse().unwrap(), Code(vec![]));
    let turn = millrace_core::Turn {
        workflow_id: &id,
        now: at(1.0),
        build: "b1",
        entropy: 1,
        code: &code,
        secret: 9,
        runaway: None,
    };
    let mut decision = millrace_core::decide(&mut live, &[signal("s", "go")], &turn);
    let asked: Vec<_> = decision.locals.drain(..).map(|local| (local.activity_id, local.activity)).collect();
    assert_eq!(asked, [(1, "a".to_owned()), (2, "b".to_owned())]);
    assert!(decision.commits());
    let decision = end_local(&mut live, decision, local_completed(1, "a"), &turn);
    assert!(decision.locals.is_empty(), "each is handed out once");
    assert_eq!(decision.verdicts, [Verdict::Absorbed]);
    assert!(live.unwrap().replay.unwrap().runs_locals(), "the other is waited for");
}
