//! Activities: attempts are counted in the log; stale is harmless, success is welcome.

use std::time::Duration;

use millrace_core::{ActivityOptions, ApplicationFailure, Fault, OutcomeResult, RetryPolicy, TimeoutKind};

use crate::script::*;

fn one_with(options: ActivityOptions) -> World {
    World::started([
        (On::Started, [schedule_with(1, "charge", options)].into()),
        (On::Completed(1), [complete("\"paid\"")].into()),
        (On::Failed(1), [complete("\"refused\"")].into()),
    ])
}

fn one() -> World {
    one_with(ActivityOptions::default())
}

#[test]
fn g1_a_scheduled_activity_is_an_event_and_then_a_task() {
    let mut world = World::new([(On::Started, [schedule(1, "charge"), schedule(2, "ship")].into())]);
    world.expect(
        [plain("start")],
        [
            "RunStarted",
            "ActivityScheduled 1 charge",
            "ActivityScheduled 2 ship",
            "→ task 1#1 at 0.0s [r:start]",
            "→ task 2#1 at 0.0s [r:start]",
            "→ index open [r:start]",
            "= Absorbed",
        ],
    );
}

#[test]
fn a_result_resumes_the_code() {
    let mut world = one();
    world.expect(
        [completed(1, 1)],
        ["ActivityCompleted 1 #1 1", "RunCompleted \"paid\"", "→ index closed [a:1:1]", "= Absorbed"],
    );
}

#[test]
fn a_failed_attempt_is_tried_again_after_the_backoff() {
    let mut world = one();
    for (attempt, line, task) in [
        (1, "ActivityAttemptFailed 1 #1, #2 at 1.0s", "→ task 1#2 at 1.0s [a:1:1]"),
        (2, "ActivityAttemptFailed 1 #2, #3 at 2.0s", "→ task 1#3 at 2.0s [a:1:2]"),
        (3, "ActivityAttemptFailed 1 #3, #4 at 4.0s", "→ task 1#4 at 4.0s [a:1:3]"),
    ] {
        world.entropy = u128::from(attempt) << 32; // no jitter
        world.expect([failed(1, attempt)], [line, task, "= Absorbed"]);
    }
}

#[test]
fn g8_jitter_comes_from_the_turns_entropy_and_shortens_by_a_tenth_at_most() {
    for entropy in [0, 1, u128::from(u64::MAX), u128::MAX] {
        let mut world = one();
        world.entropy = entropy;
        world.turn(&[failed(1, 1)]);
        let task = world.guarded("a:1:1");
        assert!(["→ task 1#2 at 0.9s [a:1:1]", "→ task 1#2 at 1.0s [a:1:1]"].contains(&task[0].as_str()));
    }
}

#[test]
fn a_failure_may_ask_for_its_own_wait() {
    let mut world = one();
    let busy = Fault::Application(ApplicationFailure::new("Busy", "x").retry_after(Duration::from_secs(40)));
    world.expect(
        [outcome(1, 1, 1, OutcomeResult::Failed(busy))],
        ["ActivityAttemptFailed 1 #1, #2 at 40.0s", "→ task 1#2 at 40.0s [a:1:1]", "= Absorbed"],
    );
}

#[test]
fn attempts_end() {
    let mut world = one_with(retries(2));
    world.turn(&[failed(1, 1)]);
    world.expect(
        [failed(1, 2)],
        [
            "ActivityFailed 1: activity `charge` (attempts: 2): Boom: x",
            "RunCompleted \"refused\"",
            "→ index closed [a:1:2]",
            "= Absorbed",
        ],
    );
}

#[test]
fn workers_that_vanished_used_up_attempts() {
    let mut world = one_with(retries(5));
    world.entropy = 3 << 32;
    // Received three times: two workers died with it, the third reports.
    world.expect(
        [outcome(1, 1, 3, OutcomeResult::Failed(boom()))],
        ["ActivityAttemptFailed 1 #1, #4 at 4.0s", "→ task 1#4 at 4.0s [a:1:1]", "= Absorbed"],
    );
    world.expect(
        [outcome(1, 4, 2, OutcomeResult::Failed(boom()))],
        [
            "ActivityFailed 1: activity `charge` (attempts: 5): Boom: x",
            "RunCompleted \"refused\"",
            "→ index closed [a:1:4]",
            "= Absorbed",
        ],
    );
}

#[test]
fn absurd_counts_do_not_overflow() {
    let mut world = one();
    world.entropy = u128::from(u16::MAX) << 32;
    let lines = world.lines(&[outcome(1, 1, u32::MAX, OutcomeResult::Failed(boom()))]);
    assert_eq!(lines[0], "ActivityAttemptFailed 1 #1, #4294967295 at 100.0s");
}

#[test]
fn final_failures_are_not_retried() {
    let declined = Fault::Application(ApplicationFailure::new("Declined", "x").non_retryable());
    let late = Fault::TimedOut { kind: TimeoutKind::ScheduleToStart, cause: None };
    let listed = RetryPolicy { non_retryable_error_types: vec!["Boom".into()], ..RetryPolicy::default() };
    let cases = [
        (RetryPolicy::default(), declined, "(attempts: 1): Declined: x"),
        (RetryPolicy::default(), late, "(attempts: 1): timed out (schedule-to-start)"),
        (RetryPolicy::default(), Fault::Canceled { reason: "bye".into() }, "(attempts: 1): canceled: bye"),
        (listed, boom(), "(attempts: 1): Boom: x"),
    ];
    for (retry, fault, end) in cases {
        let mut world = one_with(ActivityOptions { retry, ..ActivityOptions::default() });
        let lines = world.lines(&[outcome(1, 1, 1, OutcomeResult::Failed(fault))]);
        assert_eq!(lines[0], format!("ActivityFailed 1: activity `charge` {end}"));
    }
}

#[test]
fn attempt_timeouts_are_retried() {
    for kind in [TimeoutKind::StartToClose, TimeoutKind::Heartbeat] {
        let mut world = one();
        let fault = Fault::TimedOut { kind, cause: None };
        let lines = world.lines(&[outcome(1, 1, 1, OutcomeResult::Failed(fault))]);
        assert!(lines[0].starts_with("ActivityAttemptFailed 1 #1, #2"), "{lines:?}");
    }
}

#[test]
fn g7_a_late_success_is_welcome() {
    let mut world = one();
    world.turn(&[failed(1, 1)]);
    world.expect(
        [completed(1, 1)],
        ["ActivityCompleted 1 #1 1", "RunCompleted \"paid\"", "→ index closed [a:1:1]", "= Absorbed"],
    );
    assert!(!world.run().effects.values().any(|e| e.effect.key() == millrace_core::EffectKey::Task(1)));
}

#[test]
fn g7_a_late_failure_is_harmless() {
    let mut world = one();
    world.turn(&[failed(1, 1)]);
    world.turn(&[failed(1, 2)]);
    world.expect([failed(1, 1)], ["= Repeated"]);
    world.expect([failed(1, 2), failed(1, 2)], ["= Repeated", "= Repeated"]);
}

#[test]
fn g7_g11_an_exclusive_activity_takes_no_late_success() {
    let mut world = one_with(exclusive());
    world.turn(&[failed(1, 1)]);
    world.expect([completed(1, 1)], ["= Repeated"]);
    let lines = world.lines(&[completed(1, 2)]);
    assert_eq!(lines[0], "ActivityCompleted 1 #2 1");
}

#[test]
fn g2_an_outcome_counts_once_even_in_one_batch() {
    let mut world = World::started([
        (On::Started, [schedule(1, "a"), schedule(2, "b")].into()),
        (On::Completed(2), [complete("null")].into()),
    ]);
    world.expect(
        [completed(1, 1), completed(1, 1), failed(1, 1)],
        ["ActivityCompleted 1 #1 1", "= Absorbed", "= Repeated", "= Repeated"],
    );
}

#[test]
fn g7_an_outcome_of_an_activity_that_nobody_asked_for_changes_nothing() {
    one().expect([completed(99, 1)], ["= Repeated"]);
}

#[test]
fn a_failure_and_a_success_of_the_same_attempt_in_one_batch() {
    let mut world = one();
    world.expect(
        [failed(1, 1), completed(1, 1)],
        [
            "ActivityAttemptFailed 1 #1, #2 at 1.0s",
            "ActivityCompleted 1 #1 1",
            "RunCompleted \"paid\"",
            "→ index closed [a:1:1]", // the task of attempt 2 is void already
            "= Absorbed",
            "= Absorbed",
        ],
    );
}

#[test]
fn schedule_to_close_ends_the_activity_by_wake() {
    let mut world = one_with(within(60));
    assert_eq!(
        world.guarded("r:start"),
        ["→ task 1#1 at 0.0s [r:start]", "→ wake 1 at 60.0s [r:start]", "→ index open [r:start]"]
    );
    world.now = 60.0;
    world.expect(
        [wake(1)],
        [
            "ActivityFailed 1: activity `charge` (attempts: 1): timed out (schedule-to-close)",
            "RunCompleted \"refused\"",
            "→ index closed [w:1]",
            "= Absorbed",
        ],
    );
    world.expect([completed(1, 1)], ["= Repeated"]);
}

#[test]
fn schedule_to_close_ends_it_when_the_next_attempt_would_come_too_late() {
    let mut world = one_with(within(60));
    world.now = 59.5;
    let lines = world.lines(&[failed(1, 1)]);
    let end = "ActivityFailed 1: activity `charge` (attempts: 1): timed out (schedule-to-close); last failure: Boom: x";
    assert_eq!(lines[0], end);
}

#[test]
fn an_overdue_leased_attempt_is_told_to_stop() {
    let mut world = one_with(ActivityOptions { exclusive: true, ..within(60) });
    world.now = 61.0;
    let lines = world.lines(&[wake(1)]);
    assert!(lines.contains(&"→ cancel 1: schedule-to-close [w:1]".to_owned()), "{lines:?}");
}

#[test]
fn a_canceled_activity_is_closed_and_its_leased_attempt_told() {
    let mut world = World::started([
        (On::Started, [schedule_with(1, "a", exclusive()), schedule(2, "b")].into()),
        (
            On::Signal("stop"),
            [
                millrace_core::Command::CancelActivity(1, false),
                millrace_core::Command::CancelActivity(2, false),
            ]
            .into(),
        ),
    ]);
    world.expect(
        [signal("s1", "stop")],
        [
            "SignalReceived stop 1",
            "ActivityCancelRequested 1",
            "ActivityCancelRequested 2",
            "→ cancel 1: the workflow no longer waits for it [r:s1]",
            "= Absorbed",
        ],
    );
    world.expect([completed(1, 1), completed(2, 1)], ["= Repeated", "= Repeated"]);
    assert_eq!(world.guarded("r:start"), ["→ index open [r:start]"]); // the tasks are void
}

#[test]
fn g4_a_retry_that_its_own_turn_made_void_is_not_pending() {
    // The run is blocked; what its code will do once it can is to cancel the activity.
    let script = [
        (On::Started, [schedule(1, "a")].into()),
        (On::Signal("stop"), [millrace_core::Command::CancelActivity(1, false)].into()),
    ];
    let mut world =
        World::started([(On::Started, [schedule(1, "a")].into()), (On::Signal("stop"), panics("bug"))]);
    world.turn(&[signal("s1", "stop")]);
    world.deploy("b2", script);
    world.expect(
        [failed(1, 1)],
        ["ActivityAttemptFailed 1 #1, #2 at 1.0s", "ActivityCancelRequested 1", "= Absorbed"],
    );
}

#[test]
fn g4_a_retry_of_a_run_that_its_own_turn_closed_is_not_pending() {
    let script = [(On::Started, [schedule(1, "a")].into()), (On::Signal("stop"), [complete("null")].into())];
    let mut world =
        World::started([(On::Started, [schedule(1, "a")].into()), (On::Signal("stop"), panics("bug"))]);
    world.turn(&[signal("s1", "stop")]);
    world.deploy("b2", script);
    world.expect(
        [failed(1, 1)],
        [
            "ActivityAttemptFailed 1 #1, #2 at 1.0s",
            "RunCompleted null",
            "→ index closed [a:1:1]",
            "= Absorbed",
        ],
    );
}

#[test]
fn g8_options_are_kept_as_the_log_gives_them_back() {
    let odd = ActivityOptions {
        start_to_close: Duration::from_micros(1_500),
        schedule_to_close: Some(Duration::MAX),
        retry: RetryPolicy {
            initial_interval: Duration::from_nanos(1_000_001),
            backoff_coefficient: f64::INFINITY,
            ..RetryPolicy::default()
        },
        ..ActivityOptions::default()
    };
    let world = one_with(odd);
    let kept = &world.run().activities[&1].scheduled.options;
    let json = serde_json::to_string(kept).unwrap();
    assert_eq!(*kept, serde_json::from_str::<ActivityOptions>(&json).unwrap());
}

/// One that is asked to stop, and waited for.
fn canceling(options: ActivityOptions) -> World {
    let mut world = World::started([
        (On::Started, [schedule_with(1, "a", options)].into()),
        (On::Signal("stop"), [millrace_core::Command::CancelActivity(1, true)].into()),
        (On::Completed(1), [complete("\"done\"")].into()),
        (On::Failed(1), [complete("\"stopped\"")].into()),
    ]);
    world.turn(&[signal("s1", "stop")]);
    world
}

#[test]
fn a_canceled_activity_that_is_waited_for_ends_with_its_attempt() {
    let mut world = canceling(exclusive());
    assert_eq!(world.guarded("r:s1"), ["→ cancel 1: the workflow no longer waits for it [r:s1]"]);
    // G4: its task, if it was lost, is still sent: nobody else would end it.
    assert_eq!(world.guarded("r:start"), ["→ task 1#1 at 0.0s [r:start]", "→ index open [r:start]"]);
    let canceled = Fault::Canceled { reason: "asked".into() };
    let lines = world.lines(&[outcome(1, 1, 1, OutcomeResult::Failed(canceled))]);
    assert_eq!(
        lines[..2],
        ["ActivityFailed 1: activity `a` (attempts: 1): canceled: asked", "RunCompleted \"stopped\""]
    );
}

#[test]
fn no_attempt_follows_a_failed_one_of_an_activity_that_was_canceled() {
    let mut world = canceling(ActivityOptions::default());
    world.cool();
    let lines = world.lines(&[failed(1, 1)]);
    assert_eq!(lines[0], "ActivityFailed 1: activity `a` (attempts: 1): Boom: x");
    world.expect([failed(1, 1), completed(1, 1)], ["= Repeated", "= Repeated"]);
}

#[test]
fn g7_a_canceled_activity_that_succeeds_has_succeeded() {
    let mut world = canceling(exclusive());
    let lines = world.lines(&[completed(1, 1)]);
    assert_eq!(lines[..2], ["ActivityCompleted 1 #1 1", "RunCompleted \"done\""]);
}

#[test]
fn a_canceled_activity_that_is_waited_for_still_has_its_deadline() {
    let mut world = canceling(ActivityOptions { exclusive: true, ..within(60) });
    world.now = 60.0;
    let lines = world.lines(&[wake(1)]);
    assert_eq!(lines[0], "ActivityFailed 1: activity `a` (attempts: 1): timed out (schedule-to-close)");
}
