//! Start delay: the run is there at once, its code begins later.

use std::time::Duration;

use millrace_core::{IdConflict, IdReuse, Message, Start, WithStart};

use crate::script::*;

fn delayed(with: Start) -> millrace_core::Incoming {
    incoming(Message::Start(Box::new(Start { delay: Some(Duration::from_secs(60)), ..with })))
}

fn script() -> [Row; 4] {
    [
        (On::Started, [schedule(1, "a"), sleep(1, 10)].into()),
        (On::Signal("early"), [schedule(2, "b")].into()),
        (On::Update("ask"), [answer("u1", "42")].into()),
        (On::Canceled, [complete("\"cleaned up\"")].into()),
    ]
}

fn waiting() -> World {
    let mut world = World::new(script());
    world.turn(&[delayed(start("start"))]);
    world.now = 5.0;
    world
}

#[test]
fn the_code_of_a_delayed_start_begins_when_its_timer_fires() {
    let mut world = World::new(script());
    world.expect(
        [delayed(start("start"))],
        [
            "RunStarted",
            "TimerStarted 0 until 60.0s",
            "→ timer 0 at 60.0s [r:start]",
            "→ index open [r:start]",
            "= Absorbed",
        ],
    );
    assert_eq!(world.run().begins_at(), Some(at(60.0)));
    world.now = 59.9;
    world.expect([timer(0)], ["= Early 60.0s"]);
    world.now = 60.0;
    world.expect(
        [timer(0)],
        [
            "TimerFired 0",
            "ActivityScheduled 1 a",
            "TimerStarted 1 until 70.0s",
            "→ task 1#1 at 60.0s [t:0]",
            "→ timer 1 at 70.0s [t:0]",
            "= Absorbed",
        ],
    );
    world.expect([timer(0)], ["= Repeated"]);
    world.cool(); // and its history replays
    world.expect([signal("s1", "x")], ["SignalReceived x 1", "= Absorbed"]);
}

#[test]
fn g2_g4_a_delayed_start_counts_once_and_its_timer_is_sent_again() {
    let mut world = waiting();
    world.expect([delayed(start("start"))], ["= Repeated"]);
    assert_eq!(world.guarded("r:start"), ["→ timer 0 at 60.0s [r:start]", "→ index open [r:start]"]);
    world.expect([plain("other")], ["= Rejected id"]);
}

#[test]
fn g8_what_comes_during_the_delay_is_recorded_and_read_by_the_code_in_order() {
    let mut world = waiting();
    world.expect([signal("s1", "early")], ["SignalReceived early 1", "= Absorbed"]);
    world.expect([update("u1", "ask")], ["UpdateReceived ask u1", "= Absorbed"]);
    world.expect([signal("s1", "early"), update("u1", "ask")], ["= Repeated", "= Repeated"]);
    world.now = 60.0;
    let lines = world.lines(&[timer(0)]);
    let asked = ["ActivityScheduled 1 a", "TimerStarted 1 until 70.0s", "ActivityScheduled 2 b"];
    assert_eq!(lines[1..4], asked);
    assert_eq!(lines[4], "UpdateCompleted u1 42");
    world.cool();
    world.expect([signal("s2", "x")], ["SignalReceived x 1", "= Absorbed"]);
}

#[test]
fn signal_and_update_with_a_delayed_start_wait_for_the_code_too() {
    let with = |name: &str| Some(WithStart { name: name.into(), input: payload("1") });
    let mut world = World::new(script());
    world.expect(
        [delayed(Start { signal: with("early"), ..start("start") })],
        [
            "RunStarted",
            "SignalReceived early 1",
            "TimerStarted 0 until 60.0s",
            "→ timer 0 at 60.0s [r:start]",
            "→ index open [r:start]",
            "= Absorbed",
        ],
    );
    let mut world = World::new([(On::Update("ask"), [answer("start", "42")].into())]);
    world.turn(&[delayed(Start { update: with("ask"), ..start("start") })]);
    assert_eq!(world.run().updates.len(), 1);
    world.now = 60.0;
    world.expect([timer(0)], ["TimerFired 0", "UpdateCompleted start 42", "= Absorbed"]);
}

#[test]
fn a_cancel_during_the_delay_ends_the_run_for_there_is_no_code_yet_that_could() {
    let mut world = waiting();
    world.expect(
        [cancel("c")],
        ["CancelRequested superseded", "RunCanceled superseded", "→ index closed [r:c]", "= Absorbed"],
    );
    world.expect([cancel("c")], ["= Repeated"]);
    world.now = 60.0;
    world.expect([timer(0)], ["= Repeated"]);
    // In the batch of the start, too.
    let mut world = World::new(script());
    let lines = world.lines(&[cancel("c"), delayed(start("start"))]);
    assert_eq!(
        lines,
        [
            "RunStarted",
            "TimerStarted 0 until 60.0s",
            "CancelRequested superseded",
            "RunCanceled superseded",
            "→ index closed [r:start]",
            "= Absorbed",
            "= Absorbed"
        ]
    );
}

#[test]
fn a_cancel_in_the_batch_that_ends_the_delay_is_the_codes_again() {
    let mut world = waiting();
    world.now = 60.0;
    let lines = world.lines(&[timer(0), cancel("c")]);
    assert!(lines.contains(&"RunCompleted \"cleaned up\"".to_owned()), "{lines:?}");
}

#[test]
fn terminate_and_terminate_existing_end_a_run_that_waits() {
    let mut world = waiting();
    world.expect([terminate("t")], ["RunTerminated runaway", "→ index closed [r:t]", "= Absorbed"]);
    let mut world = waiting();
    world.entropy += 1;
    let lines = world.turns(&[start_if("again", IdReuse::default(), IdConflict::TerminateExisting)]);
    assert!(lines.contains(&"ActivityScheduled 1 a".to_owned()), "{lines:?}");
}

#[test]
fn g9_a_run_that_waits_is_not_blocked_by_what_comes_to_it() {
    let mut world = waiting();
    world.expect([times(3, signal("s1", "x"))], ["SignalReceived x 1", "= Absorbed"]);
    world.expect([resume("r")], ["= Stale(\"the run is not blocked\")"]);
    // But a suspect end of the delay does not run the code.
    world.now = 60.0;
    world.expect(
        [times(3, timer(0))],
        ["TimerFired 0", "RunBlocked suspect t:0", "→ wake 1 at 61.0s [t:0]", "= Absorbed"],
    );
    world.now = 61.0;
    let lines = world.lines(&[wake(1)]);
    assert_eq!(lines[0], "ActivityScheduled 1 a");
}

#[test]
fn a_time_limit_may_pass_before_the_code_begins() {
    let mut world = World::new(script());
    let limits = Start { execution_timeout: Some(Duration::from_secs(30)), ..start("start") };
    world.turn(&[delayed(limits)]);
    world.now = 30.0;
    let lines = world.lines(&[wake(1)]);
    assert_eq!(lines[0], "RunTimedOut 30s");
}

#[test]
fn of_two_time_limits_the_shorter_one_counts() {
    for (run, execution, due) in [(10, 20, 10.0), (20, 10, 10.0)] {
        let mut world = World::new([]);
        let seconds = |s| Some(Duration::from_secs(s));
        let limits =
            Start { execution_timeout: seconds(execution), run_timeout: seconds(run), ..start("start") };
        world.turn(&[incoming(Message::Start(Box::new(limits)))]);
        assert_eq!(world.run().deadline.unwrap().0, at(due));
        world.now = 10.0;
        assert_eq!(world.lines(&[wake(1)])[0], "RunTimedOut 10s");
    }
}

#[test]
fn g8_a_timer_of_the_engines_own_is_no_command_of_the_code() {
    let mut world = waiting();
    world.now = 60.0;
    world.turn(&[timer(0)]);
    world.deploy("b2", [(On::Started, [schedule(1, "z"), sleep(1, 10)].into())]);
    let lines = world.lines(&[signal("s1", "x")]);
    // RunStarted 1, TimerStarted 2, TimerFired 3: the code's first command is event 4.
    assert!(lines[1].starts_with("RunBlocked at event 4 expected ActivityScheduled `a`"), "{lines:?}");
}
