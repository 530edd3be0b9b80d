//! Runs that begin with the events of another: reset and fork.

use millrace_core::{
    ActivityOptions, Event, EventKind, Fork, Incoming, Message, OutcomeResult, ParentClose, RetryPolicy,
    SourceLog, Verdict, WorkflowId,
};

use crate::script::*;

fn script() -> [Row; 7] {
    [
        (On::Started, [schedule(1, "load")].into()),
        (On::Completed(1), [schedule_with(2, "train", within(60)), sleep(1, 90)].into()),
        (On::Completed(2), [schedule(3, "score")].into()),
        (On::Failed(2), [complete("\"too late\"")].into()),
        (On::Completed(3), [child(1, ParentClose::Terminate)].into()),
        (On::ChildCompleted(1), [complete("\"done\"")].into()),
        (On::Signal("more"), [schedule(4, "extra")].into()),
    ]
}

/// A run that is after its training, and was told something then.
fn source() -> World {
    let mut world = World::started(script());
    world.turn(&[completed(1, 1)]); // 3; 4, 5 ask.
    world.now = 10.0;
    world.turn(&[completed(2, 1)]); // 6; 7 asks.
    world.turn(&[signal("s", "more")]); // 8; 9 asks.
    assert_eq!(world.history.len(), 9);
    world
}

fn fork_of(world: &World, event: u64, replaces: bool) -> Incoming {
    let log = SourceLog { run_id: world.run_id(), events: world.history.clone().into() };
    incoming(Message::Fork(Box::new(Fork {
        source: WorkflowId::new("w-1").unwrap(),
        source_run: None,
        event,
        reapply: true,
        replaces,
        reason: "a bug in the scoring".into(),
        request_id: request("f"),
        log: Ok(log),
        replaced: None,
    })))
}

/// What the engine reads for the second half of a reset: the source may have gone on.
fn reset(world: &mut World, event: u64) -> Vec<String> {
    let mut lines = world.lines(&[fork_of(world, event, true)]);
    if lines.last().is_some_and(|line| line == "= Again") {
        world.entropy += 1;
        let second = fork_of(world, event, true);
        lines.extend(world.lines(&[second]));
    }
    lines
}

fn kinds(history: &[Event]) -> Vec<&'static str> {
    history.iter().map(|event| event.kind.name()).collect()
}

#[test]
fn a_reset_ends_the_run_and_asks_again_for_what_had_no_end() {
    let mut world = source();
    let before = world.history.clone();
    world.now = 1_000.0;
    let lines = reset(&mut world, 5);
    assert_eq!(lines[0], "RunTerminated reset to event 5: a bug in the scoring");
    assert_eq!(kinds(&world.history[..5]), kinds(&before[..5]), "taken over");
    assert_eq!(world.history[1..5], before[1..5], "as it was, times included");
    assert_eq!(
        lines[lines.len() - 6..],
        [
            "→ task 2#1 at 1000.0s [r:f]", // Its time limit counts anew.
            "→ timer 1 at 90.0s [r:f]",
            "→ task 4#1 at 1000.0s [r:f]", // The signal was told again.
            "→ index open [r:f]",
            "→ wake 1 at 1060.0s [r:f]",
            "= Absorbed",
        ]
    );
    world.expect([signal("s", "more")], ["= Repeated"]);
    world.expect([fork_of(&world, 5, true)], ["= Repeated"]);
    let lines = world.lines(&[completed(2, 1)]);
    assert_eq!(lines[..2], ["ActivityCompleted 2 #1 1", "ActivityScheduled 3 score"]);
}

#[test]
fn the_first_event_says_where_the_others_come_from() {
    let mut world = source();
    let run_id = world.run_id();
    reset(&mut world, 3);
    let EventKind::RunStarted(started) = &world.history[0].kind else { panic!() };
    let from = started.forked_from.as_ref().unwrap();
    assert_eq!((from.run_id, from.event, from.seed), (run_id, 3, run_id));
    assert_eq!(world.run().info.seed, run_id, "the code draws the numbers that it drew");
    assert_ne!(world.run_id(), run_id);
    // A reset of the reset still does.
    reset_again(&mut world, run_id);
}

fn reset_again(world: &mut World, seed: millrace_core::RunId) {
    let again = |world: &World| {
        let mut message = fork_of(world, 3, true);
        if let Message::Fork(fork) = &mut message.message {
            fork.request_id = request("f2");
        }
        message
    };
    let first = again(world);
    world.entropy += 1;
    world.turn(&[first]);
    world.entropy += 1;
    let second = again(world);
    world.turn(&[second]);
    assert_eq!(world.run().info.seed, seed);
}

#[test]
fn signals_after_the_event_are_told_again_only_if_wanted() {
    let mut world = source();
    let mut message = fork_of(&world, 3, true);
    let Message::Fork(fork) = &mut message.message else { panic!() };
    fork.reapply = false;
    world.turn(&[message.clone()]);
    world.entropy += 1;
    let lines = world.lines(&[message]);
    assert!(!lines.iter().any(|line| line.starts_with("SignalReceived")), "{lines:?}");
}

#[test]
fn a_fork_leaves_the_source_alone_and_needs_an_id_that_is_free() {
    let source = source();
    let mut other = World::new(script());
    other.now = 20.0;
    let lines = other.lines(&[fork_of(&source, 6, false)]);
    assert!(lines.contains(&"ActivityScheduled 3 score".to_owned()), "{lines:?}");
    assert_eq!(other.lines(&[fork_of(&source, 6, false)]), ["= Repeated"]);
    let mut taken = World::started(script());
    assert_eq!(taken.lines(&[fork_of(&source, 6, false)]), ["= Rejected id"]);
    assert!(taken.run().status.is_open());
}

#[test]
fn what_cannot_be_reset_costs_the_open_run_nothing() {
    let mut world = source();
    for event in [0, 10, u64::MAX] {
        assert_eq!(world.lines(&[fork_of(&world, event, true)]), ["= Rejected event"]);
    }
    let mut message = fork_of(&world, 3, true);
    let Message::Fork(fork) = &mut message.message else { panic!() };
    fork.log = Err("from: there is no workflow `x`".into());
    assert_eq!(world.lines(&[message]), ["= Rejected from"]);
    assert!(world.run().status.is_open());
}

#[test]
fn an_open_child_has_one_parent() {
    let mut world = source();
    world.turn(&[completed(3, 1)]);
    let started = world.history.len() as u64;
    assert_eq!(world.lines(&[fork_of(&world, started, true)]), ["= Rejected event"]);
    world.turn(&[child_completed(1)]);
    assert!(!world.run().status.is_open());
    let closed = world.history.len() as u64;
    assert_eq!(world.lines(&[fork_of(&world, closed, true)]), ["= Rejected event"], "it closes the run");
    let lines = world.lines(&[fork_of(&world, closed - 1, true)]);
    assert!(lines.contains(&"RunCompleted \"done\"".to_owned()), "{lines:?}");
}

#[test]
fn g11_an_open_activity_that_runs_at_most_once_is_not_begun_by_another_run() {
    let once = RetryPolicy { maximum_attempts: 1, ..RetryPolicy::default() };
    let options = ActivityOptions { exclusive: true, retry: once, ..ActivityOptions::default() };
    let mut world = World::started([
        (On::Started, [schedule_with(1, "pay", options), schedule(2, "load")].into()),
        (On::Completed(2), [schedule(3, "score")].into()),
    ]);
    world.turn(&[completed(2, 1)]);
    let open = world.history.len() as u64;
    assert_eq!(world.lines(&[fork_of(&world, open, true)]), ["= Rejected event"]);
    let lines = reset(&mut world, 1);
    assert!(lines.iter().any(|line| line.contains("pay")), "before its start it is begun anew: {lines:?}");
}

#[test]
fn g9_changed_code_that_does_not_fit_the_events_blocks_the_new_run() {
    let mut world = source();
    world.turn(&[terminate("t")]);
    world.deploy("b2", [(On::Started, [schedule(1, "fetch")].into())]);
    let decision = world.turn(&[fork_of(&world, 5, true)]);
    assert_eq!(decision.verdicts, [Verdict::Absorbed]);
    assert!(world.run().blocked.is_some());
}

#[test]
fn a_paused_run_is_reset_to_one_that_is_not() {
    let mut world = source();
    world.turn(&[pause("p", None)]);
    let event = world.history.len() as u64;
    let lines = reset(&mut world, event);
    assert!(lines.contains(&"RunUnpaused".to_owned()) && world.run().paused.is_none(), "{lines:?}");
}

#[test]
fn g10_a_reset_to_a_run_before_the_one_it_replaces_loses_no_signal() {
    let mut world = source();
    let (first, events) = (world.run_id(), world.history.clone());
    reset(&mut world, 3);
    world.turn(&[signal("t", "late")]);
    // Somebody else's reset, of the run that he saw.
    for _ in 0..2 {
        let mut message = fork_of(&world, 5, true);
        let Message::Fork(fork) = &mut message.message else { panic!() };
        fork.request_id = request("other");
        fork.log = Ok(SourceLog { run_id: first, events: events.clone().into() });
        fork.replaced = Some(world.history.clone().into());
        world.entropy += 1;
        world.turn(&[message]);
    }
    let told = |event: &Event| match &event.kind {
        EventKind::SignalReceived(e) => Some(e.request_id.to_string()),
        _ => None,
    };
    assert_eq!(world.history.iter().filter_map(told).collect::<Vec<_>>(), ["s", "t"], "each once");
    world.expect([signal("t", "late")], ["= Repeated"]);
}

#[test]
fn nobody_has_held_back_the_activities_of_the_new_run() {
    let mut world = World::started([
        (On::Started, [schedule(1, "charge"), schedule(2, "ship")].into()),
        (On::Completed(9), [complete("1")].into()),
    ]);
    world.turn(&[failed(1, 1)]);
    world.turn(&[pause("p1", Some(1)), pause("p2", Some(2))]);
    let event = world.history.len() as u64;
    world.turn(&[terminate("t")]);
    world.now = 100.0;
    let lines = world.lines(&[fork_of(&world, event, true)]);
    assert_eq!(
        lines[event as usize..],
        [
            "ActivityUnpaused 1 #3",
            "ActivityUnpaused 2 #1",
            "→ task 1#3 at 100.0s [r:f]",
            "→ task 2#1 at 100.0s [r:f]",
            "→ index open [r:f]",
            "= Absorbed",
        ]
    );
}

#[test]
fn g10_the_token_of_the_other_run_is_of_no_use_for_this_one() {
    let mut world = World::started([(On::Started, [schedule_with(1, "review", completes_later())].into())]);
    let secret = |world: &World| world.run().activities[&1].scheduled.secret.clone().unwrap();
    let before = secret(&world);
    reset(&mut world, 2);
    let result = || OutcomeResult::Completed(payload("1"));
    assert_eq!(world.lines(&[completion(&before, 1, 1, result())]), ["= Rejected token"]);
    let lines = world.lines(&[completion(&secret(&world), 1, 1, result())]);
    assert_eq!(lines[0], "ActivityCompleted 1 #1 1");
}
