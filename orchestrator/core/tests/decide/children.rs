//! Child workflows, from both sides: the parent's calls and what their ends resume; the child's stop, which may come
//! before its start, after its end, or to an id that another run has.

use millrace_core::ParentClose::{Abandon, Cancel, Terminate};
use millrace_core::{Command, Fault, IdConflict, IdReuse, OutcomeResult, RunId, Status, StopChild};

use crate::script::*;

fn parent_of(policy: millrace_core::ParentClose) -> World {
    World::started([
        (On::Started, [child(1, policy), schedule(1, "a")].into()),
        (On::ChildCompleted(1), [schedule(2, "b")].into()),
        (On::ChildFailed(1), [schedule(3, "c")].into()),
        (On::Signal("drop"), [cancel_child(1)].into()),
        (On::Signal("end"), [complete("null")].into()),
        (On::Signal("next"), [continue_as_new("2")].into()),
    ])
}

#[test]
fn g1_a_child_is_an_event_and_then_a_start() {
    let mut world = World::new([(On::Started, [child(1, Terminate)].into())]);
    world.expect(
        [plain("start")],
        [
            "RunStarted",
            "ChildScheduled 1 child-1",
            "→ start child 1 [r:start]",
            "→ index open [r:start]",
            "= Absorbed",
        ],
    );
    world.expect([plain("start")], ["= Repeated"]);
    assert_eq!(world.guarded("r:start"), ["→ start child 1 [r:start]", "→ index open [r:start]"]);
}

#[test]
fn the_end_of_a_child_resumes_the_code() {
    let mut world = parent_of(Terminate);
    world.expect(
        [child_completed(1)],
        ["ChildCompleted 1 1", "ActivityScheduled 2 b", "→ task 2#1 at 0.0s [c:1]", "= Absorbed"],
    );
    let mut world = parent_of(Terminate);
    world.expect(
        [child_failed(1)],
        [
            "ChildFailed 1: workflow `W`: Boom: x",
            "ActivityScheduled 3 c",
            "→ task 3#1 at 0.0s [c:1]",
            "= Absorbed",
        ],
    );
}

#[test]
fn g2_a_child_ends_once_even_in_one_batch() {
    let mut world = parent_of(Terminate);
    let lines = world.lines(&[child_failed(1), child_completed(1), child_failed(1)]);
    assert_eq!(lines[3..], ["= Absorbed", "= Repeated", "= Repeated"]);
    world.expect([child_completed(1)], ["= Repeated"]);
    // G4: its start is answered, and no longer pending.
    assert_eq!(world.guarded("r:start"), ["→ task 1#1 at 0.0s [r:start]", "→ index open [r:start]"]);
    assert!(world.run().children.is_empty());
}

#[test]
fn g7_an_outcome_of_a_child_that_nobody_asked_for_changes_nothing() {
    let mut world = parent_of(Terminate);
    world.expect([child_completed(9)], ["= Repeated"]);
    world.expect([for_run(RunId::from_random(99), child_completed(1))], ["= Elsewhere"]);
    world.turn(&[signal("s1", "end")]);
    world.expect([child_completed(1)], ["= Repeated"]);
    World::new([]).expect([child_completed(1)], ["= Stale(\"the run was purged\")"]);
}

#[test]
fn g9_a_child_that_ends_while_its_parent_is_blocked_is_caught_up_with() {
    let mut world =
        World::started([(On::Started, [child(1, Terminate)].into()), (On::Signal("go"), panics("bug"))]);
    world.turn(&[signal("s1", "go")]);
    world.expect([child_completed(1)], ["ChildCompleted 1 1", "= Absorbed"]);
    world.deploy(
        "b2",
        [
            (On::Started, [child(1, Terminate)].into()),
            (On::Signal("go"), [cancel_child(1)].into()),
            (On::ChildCompleted(1), [complete("null")].into()),
        ],
    );
    // Its cancellation, recorded behind its end, stops nobody.
    world.expect(
        [resume("r")],
        [
            "ResumeRequested",
            "ChildCancelRequested 1 enough",
            "RunCompleted null",
            "→ index closed [r:r]",
            "= Absorbed",
        ],
    );
    let other = [(On::Started, [child(2, Terminate)].into())];
    let mut world = World::started([(On::Started, [child(1, Terminate)].into())]);
    world.deploy("b2", other);
    let lines = world.lines(&[signal("s1", "x")]);
    assert_eq!(
        lines[1],
        "RunBlocked at event 2 expected ChildScheduled `W` (child 1) got ChildScheduled `W` (child 2)"
    );
}

#[test]
fn a_canceled_child_is_asked_to_stop_and_its_end_still_resumes_the_code() {
    let mut world = parent_of(Terminate);
    world.expect(
        [signal("s1", "drop")],
        [
            "SignalReceived drop 1",
            "ChildCancelRequested 1 enough",
            "→ cancel child 1 child-1: enough [r:s1]",
            "= Absorbed",
        ],
    );
    // G4: a start that was not sent is not sent any more: the stop leaves what answers it.
    assert_eq!(world.guarded("r:start"), ["→ task 1#1 at 0.0s [r:start]", "→ index open [r:start]"]);
    let canceled = OutcomeResult::Failed(Fault::Canceled { reason: "enough".into() });
    let lines = world.lines(&[child_outcome(1, canceled)]);
    assert_eq!(lines[..2], ["ChildFailed 1: workflow `W`: canceled: enough", "ActivityScheduled 3 c"]);
}

#[test]
fn a_child_that_is_terminated_is_ended_by_force_and_that_resumes_the_code() {
    let mut world = World::started([
        (On::Started, [child(1, Abandon)].into()),
        (On::Signal("go"), [terminate_child(1)].into()),
        (On::ChildFailed(1), [complete("null")].into()),
    ]);
    world.expect(
        [signal("s1", "go")],
        [
            "SignalReceived go 1",
            "ChildCancelRequested 1 enough",
            "→ terminate child 1 child-1: enough [r:s1]",
            "= Absorbed",
        ],
    );
    let terminated = OutcomeResult::Failed(Fault::Terminated { reason: "enough".into() });
    let lines = world.lines(&[child_outcome(1, terminated)]);
    assert_eq!(lines[..2], ["ChildFailed 1: workflow `W`: terminated: enough", "RunCompleted null"]);
}

#[test]
fn g4_a_child_that_its_own_turn_canceled_is_only_told_to_stop() {
    let mut world = World::new([(On::Started, [child(1, Abandon), cancel_child(1)].into())]);
    world.expect(
        [plain("start")],
        [
            "RunStarted",
            "ChildScheduled 1 child-1",
            "ChildCancelRequested 1 enough",
            "→ cancel child 1 child-1: enough [r:start]",
            "→ index open [r:start]",
            "= Absorbed",
        ],
    );
}

#[test]
fn the_end_of_the_parent_is_the_end_of_its_children_unless_they_are_abandoned() {
    for (policy, effect) in [
        (Terminate, Some("→ terminate child 1 child-1: the parent is completed [r:s1]")),
        (Cancel, Some("→ cancel child 1 child-1: the parent is completed [r:s1]")),
        (Abandon, None),
    ] {
        let mut world = parent_of(policy);
        let lines = world.lines(&[signal("s1", "end")]);
        let stops: Vec<_> = lines.iter().filter(|line| line.contains("child")).map(String::as_str).collect();
        assert_eq!(stops, effect.into_iter().collect::<Vec<_>>(), "{policy:?}");
        world.expect([signal("s1", "end")], ["= Repeated"]);
    }
    // However it ends.
    for (message, status) in [(terminate("t"), "terminated"), (signal("s1", "next"), "continued_as_new")] {
        let mut world = parent_of(Terminate);
        let lines = world.lines(&[message]);
        let stop = format!("child 1 child-1: the parent is {status}");
        assert!(lines.iter().any(|line| line.contains(&stop)), "{lines:?}");
    }
    // One that has ended is told nothing.
    let mut world = parent_of(Terminate);
    world.turn(&[child_completed(1)]);
    let lines = world.lines(&[signal("s1", "end")]);
    assert!(!lines.iter().any(|line| line.contains("child")), "{lines:?}");
}

#[test]
fn g4_the_stop_of_a_child_outlives_the_run_and_replaces_an_earlier_one() {
    let mut world = parent_of(Terminate);
    world.turn(&[signal("s1", "drop")]);
    world.turn(&[signal("s2", "end")]);
    assert_eq!(world.guarded("r:s1"), [] as [&str; 0]);
    assert_eq!(
        world.guarded("r:s2"),
        ["→ terminate child 1 child-1: the parent is completed [r:s2]", "→ index closed [r:s2]"]
    );
}

/// A child that may outlive its parent is started, though the parent ends in the turn that asked for it.
#[test]
fn g4_g10_an_abandoned_child_is_started_though_its_parent_has_ended() {
    let mut world = World::new([(On::Started, [child(1, Abandon), complete("null")].into())]);
    world.expect(
        [plain("start")],
        [
            "RunStarted",
            "ChildScheduled 1 child-1",
            "RunCompleted null",
            "→ start child 1 [r:start]",
            "→ index closed [r:start]",
            "= Absorbed",
        ],
    );
    world.expect([plain("start")], ["= Repeated"]);
    assert_eq!(world.guarded("r:start"), ["→ start child 1 [r:start]", "→ index closed [r:start]"]);
    // Nobody hears of its end.
    world.expect([child_completed(1)], ["= Repeated"]);
    assert_eq!(world.run().children.keys().copied().collect::<Vec<_>>(), [1]);
}

#[test]
fn g4_g10_the_start_of_an_abandoned_child_that_was_lost_is_repaired_after_the_end_of_its_parent() {
    let mut world = parent_of(Abandon); // and nothing dispatched
    world.turn(&[signal("s1", "end")]);
    world.expect([plain("start")], ["= Repeated"]);
    assert_eq!(world.guarded("r:start"), ["→ start child 1 [r:start]"]);
    // Not one that was canceled, or has ended.
    for message in [signal("s0", "drop"), child_completed(1)] {
        let mut world = parent_of(Abandon);
        world.turn(&[message]);
        world.turn(&[signal("s1", "end")]);
        assert_eq!(world.guarded("r:start"), [] as [&str; 0]);
    }
}

#[test]
fn g4_a_child_of_a_run_that_ends_in_the_same_turn_is_not_started_but_its_stop_leaves_an_answer() {
    let mut world = World::new([(On::Started, [child(1, Terminate), complete("null")].into())]);
    world.expect(
        [plain("start")],
        [
            "RunStarted",
            "ChildScheduled 1 child-1",
            "RunCompleted null",
            "→ terminate child 1 child-1: the parent is completed [r:start]",
            "→ index closed [r:start]",
            "= Absorbed",
        ],
    );
}

// The child's side.

fn as_child() -> World {
    let mut world = World::new([
        (On::Started, [schedule(1, "a")].into()),
        (On::Signal("end"), [complete("7")].into()),
        (On::Canceled, [Command::CancelRun("enough".into())].into()),
    ]);
    world.turn(&[start_child()]);
    world
}

const START: &str = "r:~child:00000000-0000-4000-8000-000000000f00:4";

#[test]
fn g2_a_child_is_started_once_by_its_call() {
    let mut world = as_child();
    assert_eq!(start_child().message.identity().to_string(), START);
    world.expect([start_child()], ["= Repeated"]);
    world.turn(&[signal("s1", "end")]);
    world.expect([start_child()], ["= Repeated"]);
}

#[test]
fn g4_the_parent_is_told_of_the_end_and_again_for_every_repeated_guard() {
    let mut world = as_child();
    world.expect(
        [signal("s1", "end")],
        [
            "SignalReceived end 1",
            "RunCompleted 7",
            "→ report to parent [r:s1]",
            "→ index closed [r:s1]",
            "= Absorbed",
        ],
    );
    for _ in 0..3 {
        world.cool();
        world.expect([signal("s1", "end")], ["= Repeated"]);
        assert_eq!(world.guarded("r:s1"), ["→ report to parent [r:s1]", "→ index closed [r:s1]"]);
    }
    let (to, result) = world.run().report_to_parent().unwrap();
    assert_eq!((to, result), (&parent(), OutcomeResult::Completed(payload("7"))));
}

#[test]
fn a_parent_is_told_of_every_end() {
    for (message, fault) in [
        (terminate("t"), Fault::Terminated { reason: "runaway".into() }),
        (cancel("c"), Fault::Canceled { reason: "enough".into() }),
        (stop_child(StopChild::Terminate), Fault::Terminated { reason: "enough".into() }),
        (
            start_if("again", IdReuse::default(), IdConflict::TerminateExisting),
            Fault::Terminated { reason: "replaced by a new run".into() },
        ),
    ] {
        let mut world = as_child();
        let lines = world.lines(&[message]);
        assert!(lines.iter().any(|line| line.starts_with("→ report to parent")), "{lines:?}");
        assert_eq!(world.run().report_to_parent().unwrap().1, OutcomeResult::Failed(fault));
    }
    // A run that was started by nobody reports to nobody.
    let mut world = World::started([(On::Signal("end"), [complete("7")].into())]);
    let lines = world.lines(&[signal("s1", "end")]);
    assert!(!lines.iter().any(|line| line.contains("parent")));
}

#[test]
fn g2_a_stop_counts_once() {
    let mut world = as_child();
    let lines = world.lines(&[stop_child(StopChild::Cancel), stop_child(StopChild::Cancel)]);
    assert_eq!(
        lines,
        [
            "CancelRequested enough",
            "RunCanceled enough",
            "→ report to parent [r:~cancel:00000000-0000-4000-8000-000000000f00:4]",
            "→ index closed [r:~cancel:00000000-0000-4000-8000-000000000f00:4]",
            "= Absorbed",
            "= Repeated"
        ]
    );
    world.expect([stop_child(StopChild::Cancel)], ["= Repeated"]);
    world.expect([stop_child(StopChild::Terminate)], ["= Stale(\"the child has ended\")"]);
}

#[test]
fn a_child_may_ignore_a_cancel_but_not_a_terminate() {
    let mut world = World::new([]);
    world.turn(&[start_child()]);
    world.expect([stop_child(StopChild::Cancel)], ["CancelRequested enough", "= Absorbed"]);
    let lines = world.lines(&[stop_child(StopChild::Terminate)]);
    assert_eq!(lines[0], "RunTerminated enough");
}

#[test]
fn g10_a_stop_before_the_start_leaves_a_closed_history_that_answers_it() {
    for (how, end) in
        [(StopChild::Cancel, "RunCanceled enough"), (StopChild::Terminate, "RunTerminated enough")]
    {
        let mut world = World::new([(On::Started, panics("the code must not run"))]);
        let lines = world.lines(&[stop_child(how)]);
        assert_eq!(lines[0], "RunStarted");
        assert!(lines.contains(&end.to_owned()), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("→ report to parent")), "{lines:?}");
        assert_eq!(lines.last().unwrap(), "= Absorbed");
        world.expect([start_child(), stop_child(how)], ["= Repeated", "= Repeated"]);
        let other = if how == StopChild::Cancel { StopChild::Terminate } else { StopChild::Cancel };
        world.expect([stop_child(other)], ["= Stale(\"the child has ended\")"]);
        // The id is free again for others, and the call's start is known to them.
        world.entropy += 1;
        world.code = Box::new(Code(vec![]));
        let lines = world.lines(&[plain("someone")]);
        assert_eq!(lines.last().unwrap(), "= Absorbed", "{lines:?}");
        world.expect([start_child()], ["= Elsewhere"]);
        world.expect([stop_child(how)], ["= Elsewhere"]);
        assert!(world.run().status.is_open());
    }
}

#[test]
fn a_start_and_its_stop_in_one_batch() {
    let mut world = World::new([(On::Canceled, [Command::CancelRun("enough".into())].into())]);
    let lines = world.lines(&[stop_child(StopChild::Cancel), start_child()]);
    assert_eq!(lines[..3], ["RunStarted", "CancelRequested enough", "RunCanceled enough"]);
    assert_eq!(lines[lines.len() - 2..], ["= Absorbed", "= Absorbed"]);
}

#[test]
fn g9_a_terminated_child_needs_no_code() {
    let mut world = as_child();
    world.deploy("b2", [(On::Started, panics("bug"))]);
    world.turn(&[signal("s1", "x")]);
    assert!(world.run().blocked.is_some());
    let lines = world.lines(&[times(9, stop_child(StopChild::Terminate))]);
    assert_eq!(lines[0], "RunTerminated enough");
    assert_eq!(world.run().status, Status::Terminated);
}

/// The id is another run's. The parent, which may wait for the child's end, must hear that there will be none; and the
/// start, should it come late, must not begin what was stopped.
#[test]
fn g10_a_stop_of_a_child_whose_id_another_run_has_is_answered_and_its_start_begins_nothing() {
    for closed in [false, true] {
        let mut world = World::started([(On::Signal("end"), [complete("null")].into())]);
        if closed {
            world.turn(&[signal("s1", "end")]);
            world.entropy += 1;
        }
        let before = world.run().last_event;
        for _ in 0..3 {
            world.cool();
            world.expect([stop_child(StopChild::Cancel)], ["= Rejected id"]);
        }
        assert_eq!(world.run().last_event, before, "nothing happened to the other run");
        world.expect([start_child()], ["= Repeated"]);
        world.expect([stop_child(StopChild::Terminate)], ["= Rejected id"]);
        assert_eq!(world.run().status.is_open(), !closed);
    }
}

#[test]
fn g10_a_child_whose_id_another_open_run_has_is_rejected() {
    let mut world = World::started([]);
    world.expect([start_child()], ["= Rejected id"]);
}

#[test]
fn g7_a_stop_of_a_child_that_has_ended_does_not_touch_the_run_that_has_its_id_now() {
    let mut world = as_child();
    world.turn(&[signal("s1", "end")]);
    world.entropy += 1;
    world.turn(&[plain("someone")]);
    world.expect([stop_child(StopChild::Terminate)], ["= Stale(\"the child has ended\")"]);
    assert!(world.run().status.is_open());
}

#[test]
fn g9_what_runs_tell_each_other_is_no_input() {
    use std::time::Duration;
    let calls: Vec<_> = (1..=6).map(|n| (On::ChildCompleted(n), [child(n + 1, Terminate)].into())).collect();
    let rows: Vec<Row> = [(On::Started, [child(1, Terminate)].into())].into_iter().chain(calls).collect();
    let mut world = World::with(Code(rows));
    world.runaway = Some(millrace_core::Runaway { turns: 3, within: Duration::from_secs(60) });
    world.turn(&[plain("start")]);
    for n in 1..=4 {
        world.turn(&[child_completed(n)]);
    }
    assert!(world.run().blocked.is_some());
    for message in [signal("~sent:x:1", "x"), cancel("~sent:x:2")] {
        world.turn(&[message]);
        assert!(world.run().blocked.is_some());
    }
}
