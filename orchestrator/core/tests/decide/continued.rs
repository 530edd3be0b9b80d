//! Continue-as-new: close, then replace. The head of a run that continues as new is half of a decision; whoever meets it
//! finishes it first, and no crash, duplicate or order of messages leaves a workflow without its next run.

mod half;
mod hasty;

use std::time::Duration;

use millrace_core::{IdConflict, IdReuse, Incoming, Message, Run, Runaway, Start, Status, StopChild, Unread};

use self::hasty::Hasty;
use crate::script::*;

/// A run that the signal `next` continues as new, and `end` completes.
fn script() -> [Row; 4] {
    [
        (On::Started, [schedule(1, "a"), sleep(1, 60)].into()),
        (On::Signal("next"), [continue_as_new("2")].into()),
        (On::Completed(1), [continue_as_new("3")].into()),
        (On::Signal("end"), [complete("null")].into()),
    ]
}

fn open() -> World {
    World::started(script())
}

/// The same, closed and not yet followed: the process died after the commit.
fn half() -> World {
    let mut world = open();
    world.turn(&[signal("s1", "next")]);
    assert_eq!(world.run().status, Status::ContinuedAsNew);
    world.entropy += 1;
    world.cool();
    world
}

/// A chain of so many runs; the last is open.
fn chain(runs: usize) -> World {
    let mut world = open();
    for n in 1..runs {
        world.turns(&[signal(&format!("next-{n}"), "next")]);
    }
    world
}

const BEGINS: [&str; 3] = ["RunStarted", "ActivityScheduled 1 a", "TimerStarted 1 until 60.0s"];

fn begins(guard: &str, verdict: &str) -> Vec<String> {
    let effect = |what: &str| format!("→ {what} [{guard}]");
    let effects = ["task 1#1 at 0.0s", "timer 1 at 60.0s", "index open"].map(effect);
    BEGINS.map(str::to_owned).into_iter().chain(effects).chain([format!("= {verdict}")]).collect()
}

#[test]
fn g3_a_run_that_continues_as_new_closes_in_one_commit_and_begins_in_the_next() {
    let mut world = open();
    world.expect(
        [signal("s1", "next")],
        ["SignalReceived next 1", "RunContinuedAsNew 2", "→ index closed [r:s1]", "= Again"],
    );
    let first = world.run_id();
    world.entropy += 1;
    let decision = world.turn(&[signal("s1", "next")]);
    assert_eq!(show(&decision), begins("e:r:s1", "Elsewhere"));
    assert_eq!(decision.replaces.unwrap().info.run_id, first);
    let started = world.run().started.clone().unwrap();
    assert_eq!((started.continued_from, started.first_run_id), (Some(first), Some(first)));
    assert_eq!((started.input.as_str(), started.request_id.is_own()), ("2", true));
}

#[test]
fn the_next_run_is_the_one_that_the_log_names_whoever_begins_it() {
    for message in [signal("s1", "next"), for_run(half().run_id(), wake(0)), terminate("t")] {
        let mut world = half();
        let next = world.run().continued.as_ref().unwrap().new_run_id;
        world.entropy = 12_345;
        world.turn(&[message]);
        assert_eq!(world.run_id(), next);
    }
}

#[test]
fn the_chain_keeps_what_the_first_start_said() {
    let mut world = World::new(script());
    let first = Start {
        run_timeout: Some(Duration::from_secs(100)),
        execution_timeout: Some(Duration::from_secs(250)),
        delay: Some(Duration::from_secs(1)),
        memo: Some(payload("1")),
        attributes: Some(payload("2")),
        parent: Some(parent()),
        ..start("start")
    };
    world.turn(&[incoming(Message::Start(Box::new(first)))]);
    let first = world.run_id();
    world.now = 1.0;
    world.turn(&[timer(0)]);
    world.now = 90.0;
    world.turns(&[signal("s1", "next")]);
    let second = world.run_id();
    assert_eq!(world.run().deadline.unwrap().0, at(190.0), "the run's own");
    assert_eq!(world.run().begins_at(), None);
    world.now = 180.0;
    world.turns(&[signal("s2", "next")]);
    let started = world.run().started.clone().unwrap();
    assert_eq!(world.run().deadline, Some((at(250.0), Duration::from_secs(70))), "the workflow's");
    assert_eq!(
        (started.memo.as_ref(), started.attributes.as_ref()),
        (Some(&payload("1")), Some(&payload("2")))
    );
    assert_eq!(started.parent, Some(parent()));
    assert_eq!((started.continued_from, started.first_run_id), (Some(second), Some(first)));
    world.now = 250.0;
    let wake_id = world.run().wake.unwrap().wake;
    let lines = world.lines(&[wake(wake_id)]);
    assert_eq!(lines[0], "RunTimedOut 70s");
    assert!(lines.iter().any(|line| line.starts_with("→ report to parent")), "{lines:?}");
}

#[test]
fn g2_a_request_of_any_run_of_the_chain_counts_once() {
    let mut world = chain(3);
    world.turn(&[signal("s9", "x")]);
    for message in [plain("start"), signal("next-1", "next"), signal("next-2", "next")] {
        world.expect([message], ["= Elsewhere"]);
    }
    world.expect([signal("s9", "x")], ["= Repeated"]);
}

#[test]
fn g7_a_request_that_names_the_first_run_means_the_last_and_one_that_names_another_that_one() {
    let mut world = open();
    let mut ids = vec![world.run_id()];
    for n in 1..4 {
        world.turns(&[signal(&format!("next-{n}"), "next")]);
        ids.push(world.run_id());
    }
    world.expect([for_run(ids[0], signal("a", "x"))], ["SignalReceived x 1", "= Absorbed"]);
    world.expect([for_run(ids[0], signal("a", "x"))], ["= Repeated"]);
    world.expect([for_run(ids[3], signal("b", "x"))], ["SignalReceived x 1", "= Absorbed"]);
    for middle in [ids[1], ids[2]] {
        world.expect([for_run(middle, signal("c", "x"))], ["= Elsewhere"]);
        world.expect([for_run(middle, terminate("c"))], ["= Elsewhere"]);
    }
    // What the runs themselves send means that run and no other.
    for message in [completed(1, 1), timer(1), wake(1), child_completed(1)] {
        world.expect([for_run(ids[0], message)], ["= Elsewhere"]);
    }
    world.expect([for_run(ids[0], update("u", "x"))], ["UpdateReceived x u", "= Absorbed"]);
    world.expect([for_run(ids[0], resume("r"))], ["= Stale(\"the run is not blocked\")"]);
    world.expect(
        [for_run(ids[0], terminate("t"))],
        ["RunTerminated runaway", "→ index closed [r:t]", "= Absorbed"],
    );
}

#[test]
fn g7_a_new_run_under_the_id_is_not_of_the_chain() {
    let mut world = chain(2);
    let first = world.run().started.as_ref().unwrap().first_run_id.unwrap();
    world.turn(&[signal("e", "end")]);
    world.turns(&[plain("again")]);
    assert_eq!(world.run().started.as_ref().unwrap().first_run_id, None);
    world.expect([for_run(first, signal("s9", "x"))], ["= Elsewhere"]);
}

/// The redelivered message is one of another run's than the one that took its request: it is looked up where its pin says.
#[test]
fn g4_a_pinned_duplicate_of_a_request_of_another_run_repairs_too() {
    let mut world = chain(3);
    let middle = world.run_id();
    world.turn(&[signal("s3", "next")]);
    world.entropy += 1;
    world.of_an_older_build();
    let lines = world.lines(&[signal("s4", "next")]);
    assert_eq!(
        lines[3..],
        ["SignalReceived next 1", "RunContinuedAsNew 2", "→ index closed [r:s4]", "= Again"]
    );
    world.entropy += 1;
    // `next-1` was absorbed by the first run, and is now pinned to a later one. In a head of an older build it may begin one.
    world.of_an_older_build();
    let lines = world.lines(&[for_run(middle, signal("next-1", "next"))]);
    assert_eq!(lines, begins("e:r:next-1", "Elsewhere"));
    assert_eq!(world.guarded(&format!("e:{middle}:r:next-1")).len(), 3);
}

/// A message that unblocks a run which continues as new goes on with it; a known one does not unblock it.
#[test]
fn g4_g9_a_message_that_unblocks_a_run_which_continues_as_new_goes_on_with_it() {
    let blocked = || {
        let mut world =
            World::started([(On::Started, [schedule(1, "a")].into()), (On::Signal("go"), panics("bug"))]);
        world.turn(&[signal("s1", "go")]);
        assert!(world.run().blocked.is_some());
        world.deploy(
            "b2",
            [(On::Started, [schedule(1, "a")].into()), (On::Signal("go"), [continue_as_new("2")].into())],
        );
        world
    };
    for message in [plain("start"), signal("s1", "go"), timer(9), failed(9, 1)] {
        let mut world = blocked();
        world.expect([message], ["= Repeated"]);
        assert!(world.run().blocked.is_some());
    }
    let use_existing = start_if("again", IdReuse::default(), IdConflict::UseExisting);
    for message in [update("u", "x"), signal("s9", "x"), resume("r"), completed(1, 1), wake(1), use_existing]
    {
        let mut world = blocked();
        world.now = 900.0;
        let lines = world.turns(std::slice::from_ref(&message));
        assert_eq!(world.run().started.as_ref().unwrap().input.as_str(), "2", "{message:?} {lines:?}");
        assert!(world.run().status.is_open(), "{lines:?}");
    }
}

#[test]
fn g9_a_slow_chain_is_never_held_and_one_driven_by_its_own_timers_is() {
    for (pause, held) in [(30.0, false), (1.0, true)] {
        let script =
            || [(On::Started, [sleep(1, 1)].into()), (On::Fired(1), [continue_as_new("null")].into())];
        let mut world = World::new(script());
        world.runaway = Some(Runaway { turns: 6, within: Duration::from_secs(60) });
        world.turns(&[plain("start")]);
        for _ in 0..10 {
            world.now += pause;
            let run_id = world.run_id();
            world.turns(&[for_run(run_id, timer(1))]);
        }
        assert_eq!(world.run().blocked.is_some(), held, "every {pause} s");
    }
}

#[test]
fn unread_signals_and_updates_go_over_and_their_requests_stay_known() {
    let unread = || Unread {
        signals: vec![unread_message("s1", "x"), unread_message("s2", "x")],
        updates: vec![unread_message("u1", "ask")],
        cancel: None,
    };
    let mut world = World::started([
        (On::Signal("next"), [continue_with("2", unread())].into()),
        (On::Signal("answer"), [answer("u1", "42")].into()),
    ]);
    world.turn(&[signal("s1", "x"), signal("s2", "x"), update("u1", "ask")]);
    world.turns(&[signal("n", "next")]);
    let run = world.run();
    assert_eq!(run.started.as_ref().unwrap().unread, unread());
    assert_eq!(run.updates.keys().map(|id| id.as_str()).collect::<Vec<_>>(), ["u1"]);
    world.expect([signal("s1", "x"), update("u1", "ask")], ["= Elsewhere", "= Elsewhere"]);
    world.expect([signal("a", "answer")], ["SignalReceived answer 1", "UpdateCompleted u1 42", "= Absorbed"]);
    assert!(world.run().updates.is_empty());
}

/// Facts that were recorded while the code was held, and that it never reads because it continues as new before them.
#[test]
fn g9_g10_what_a_blocked_run_was_told_behind_its_end_goes_over_to_the_next() {
    let begin = || (On::Started, [schedule(1, "a")].into());
    let mut world = World::started([begin(), (On::Signal("go"), panics("bug"))]);
    world.turn(&[signal("s0", "early"), signal("s1", "go"), signal("s2", "late"), update("u1", "ask")]);
    let unread = Unread { signals: vec![unread_message("s0", "early")], ..Unread::default() };
    world.deploy("b2", [begin(), (On::Signal("go"), [continue_with("2", unread)].into())]);
    world.turns(&[resume("r")]);
    let unread = &world.run().started.as_ref().unwrap().unread;
    let ids = |of: &[millrace_core::UnreadMessage]| -> Vec<String> {
        of.iter().map(|message| message.request_id.to_string()).collect()
    };
    assert_eq!(
        (ids(&unread.signals), ids(&unread.updates)),
        (vec!["s0".into(), "s2".into()], vec!["u1".into()])
    );
    assert_eq!(world.run().updates.len(), 1);
    // The signal of a start whose run continues as new at once, too.
    let mut world = World::with(Hasty { until: 1 });
    world.turns(&[start_with_signal("start", "hello", IdConflict::Fail)]);
    assert_eq!(ids(&world.run().started.as_ref().unwrap().unread.signals), ["start"]);
}

#[test]
fn g2_an_update_that_was_refused_stays_refused_in_the_run_that_follows() {
    let mut world = World::started([
        (On::Update("set"), Do::Refuse("no")),
        (On::Signal("next"), [continue_as_new("2")].into()),
    ]);
    world.turn(&[update("u1", "set")]);
    world.turns(&[signal("n", "next")]);
    world.code = Box::new(Code(vec![]));
    world.cool();
    world.expect([update("u1", "set")], ["= Repeated"]);
    assert_eq!(world.run().rejection(&request("u1")), Some("no"));
}

#[test]
fn g9_the_next_run_may_be_of_a_type_that_nobody_knows_here() {
    let unknown = millrace_core::Command::ContinueAsNew {
        workflow: millrace_core::WorkflowType::new("V").unwrap(),
        input: payload("2"),
        unread: Unread::default(),
    };
    let mut world = World::started([(On::Signal("next"), [unknown].into())]);
    let lines = world.turns(&[signal("s1", "next")]);
    assert!(lines.iter().any(|line| line.starts_with("RunBlocked no workflow `V`")), "{lines:?}");
    assert_eq!(world.run().info.workflow.as_str(), "V");
}

#[test]
fn g8_what_was_pending_of_a_run_that_continues_as_new_is_void_or_told() {
    let mut world = World::started([
        (On::Started, [schedule(1, "a"), schedule_with(2, "b", exclusive()), sleep(1, 60)].into()),
        (On::Signal("next"), [continue_as_new("2")].into()),
    ]);
    world.expect(
        [signal("s1", "next")],
        [
            "SignalReceived next 1",
            "RunContinuedAsNew 2",
            "→ cancel 2: the run is continued_as_new [r:s1]",
            "→ index closed [r:s1]",
            "= Again",
        ],
    );
}

#[test]
fn g10_a_parent_is_told_of_the_last_run_of_its_child_and_of_no_other() {
    let mut world = World::new(script());
    world.turn(&[start_child()]);
    let lines = world.turns(&[signal("s1", "next")]);
    assert!(!lines.iter().any(|line| line.contains("parent")), "{lines:?}");
    let lines = world.lines(&[signal("s2", "end")]);
    assert!(lines.contains(&"→ report to parent [r:s2]".to_owned()), "{lines:?}");
    assert_eq!(world.run().report_to_parent().unwrap().0, &parent());
}

/// The child follows its parent's request by continuing as new: the redelivered stop must repair the run that follows.
#[test]
fn g4_a_stop_after_which_the_child_continues_as_new() {
    let mut world = World::new([
        (On::Started, [schedule(1, "a")].into()),
        (On::Canceled, [continue_as_new("\"cleaning up\"")].into()),
    ]);
    world.turn(&[start_child()]);
    world.turns(&[stop_child(StopChild::Cancel)]);
    assert_eq!(world.run().started.as_ref().unwrap().input.as_str(), "\"cleaning up\"");
    world.expect([stop_child(StopChild::Cancel)], ["= Elsewhere"]);
    let lines = world.lines(&[stop_child(StopChild::Terminate)]);
    assert_eq!(lines[0], "RunTerminated enough");
}

/// A chain may outlive what headers remember of requests: it is still its parent's child.
#[test]
fn g10_a_stop_reaches_a_chain_that_is_older_than_what_is_carried() {
    let mut world = World::new(script());
    world.turn(&[start_child()]);
    for days in 1..=3 {
        world.now = f64::from(days) * 10.0 * 86_400.0;
        world.turns(&[signal(&format!("n{days}"), "next")]);
    }
    assert_eq!(world.run().absorbed_request(&parent().start_request()), None);
    let lines = world.lines(&[stop_child(StopChild::Terminate)]);
    assert_eq!(lines[0], "RunTerminated enough");
    assert!(world.run().absorbed_request(&parent().start_request()).is_none());
}

#[test]
fn g2_above_the_limit_a_chain_forgets_its_oldest_requests_first() {
    let mut world = World::started([(On::Signal("next"), [continue_as_new("2")].into())]);
    let many: Vec<Incoming> = (0..Run::MOST_CARRIED + 10).map(|i| signal(&format!("m-{i}"), "x")).collect();
    world.turn(&many);
    world.turns(&[signal("n", "next")]);
    assert_eq!(world.run().carried.len(), Run::MOST_CARRIED);
    world.expect([plain("start"), signal("n", "next")], ["= Elsewhere", "= Elsewhere"]);
}
