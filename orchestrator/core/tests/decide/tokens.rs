//! Activities that complete later: whoever has an attempt's token reports how it ended (§6, G2, G7, G10).

use millrace_core::{ActivityOptions, CompletionToken, OutcomeResult};

use crate::script::*;

fn reviewed() -> OutcomeResult {
    OutcomeResult::Completed(payload("1"))
}

/// A run that waits for a review, and the token that its first attempt's worker was given.
fn reviewing(options: ActivityOptions) -> (World, CompletionToken) {
    let mut world = World::started([
        (On::Started, [schedule_with(1, "review", options)].into()),
        (On::Completed(1), [complete("1")].into()),
        (On::Failed(1), [complete("2")].into()),
    ]);
    let token = token(&mut world, 1);
    (world, token)
}

fn token(world: &mut World, attempt: u32) -> CompletionToken {
    let task = world.run().task(1, attempt, at(0.0)).expect("the current attempt");
    task.token.expect("it completes later")
}

#[test]
fn the_secret_is_in_the_log_and_only_of_an_activity_that_completes_later() {
    let (mut world, first) = reviewing(completes_later());
    let millrace_core::EventKind::ActivityScheduled(scheduled) = &world.history[1].kind else { panic!() };
    assert_eq!(scheduled.secret.as_ref(), Some(&first.secret));
    assert_eq!(first.secret.len(), 32);
    assert_eq!((first.activity_id, first.attempt, first.run_id), (1, 1, world.run_id()));
    world.cool();
    world.turn(&[signal("s", "x")]);
    assert_eq!(token(&mut world, 1), first, "replayed code asks again, and the secret stays");
    let mut world = World::started([(
        On::Started,
        [
            schedule(1, "train"),
            schedule_with(2, "a", completes_later()),
            schedule_with(3, "b", completes_later()),
        ]
        .into(),
    )]);
    let secret = |world: &World, id| world.run().activities[&id].scheduled.secret.clone();
    assert_eq!(secret(&world, 1), None);
    assert_ne!(secret(&world, 2), secret(&world, 3));
    assert!(world.turn(&[completed(1, 1)]).events.len() == 1);
}

#[test]
fn a_token_ends_the_activity() {
    let (mut world, token) = reviewing(completes_later());
    world.expect(
        [for_run(token.run_id, completion(&token.secret, 1, 1, reviewed()))],
        ["ActivityCompleted 1 #1 1", "RunCompleted 1", "→ index closed [a:1:1]", "= Absorbed"],
    );
}

#[test]
fn g10_without_the_secret_nothing_is_believed() {
    let (mut world, token) = reviewing(completes_later());
    for secret in ["", "0", &token.secret[1..], &token.secret.to_uppercase()] {
        if secret != token.secret {
            world.expect([completion(secret, 1, 1, reviewed())], ["= Rejected token"]);
        }
    }
    let mut world = World::started([(On::Started, [schedule(1, "train")].into())]);
    world.expect([completion("", 1, 1, reviewed())], ["= Rejected token"]);
}

#[test]
fn g2_a_second_report_is_found_absorbed_and_repairs() {
    let (mut world, token) = reviewing(completes_later());
    let report = completion(&token.secret, 1, 1, reviewed());
    world.turn(std::slice::from_ref(&report));
    world.expect([report.clone()], ["= Repeated"]);
    world.expect([completion(&token.secret, 1, 1, OutcomeResult::Failed(boom()))], ["= Repeated"]);
    let (mut world, token) = reviewing(completes_later());
    let report = completion(&token.secret, 1, 1, reviewed());
    world.expect(
        [report.clone(), report],
        ["ActivityCompleted 1 #1 1", "RunCompleted 1", "→ index closed [a:1:1]", "= Absorbed", "= Repeated"],
    );
}

#[test]
fn a_failure_is_one_of_the_attempt_and_the_retry_policy_says_what_follows() {
    let (mut world, first) = reviewing(ActivityOptions { completes_later: true, ..retries(2) });
    world.expect(
        [completion(&first.secret, 1, 1, OutcomeResult::Failed(boom()))],
        ["ActivityAttemptFailed 1 #1, #2 at 1.0s", "→ task 1#2 at 1.0s [a:1:1]", "= Absorbed"],
    );
    let second = token(&mut world, 2);
    assert_eq!((&second.secret, second.attempt), (&first.secret, 2));
    world.now = 5.0;
    // G7: a failure of the attempt before changes nothing.
    world.expect([completion(&first.secret, 1, 1, OutcomeResult::Failed(boom()))], ["= Repeated"]);
    world.expect(
        [completion(&second.secret, 1, 2, OutcomeResult::Failed(boom()))],
        [
            "ActivityFailed 1: activity `review` (attempts: 2): Boom: x",
            "RunCompleted 2",
            "→ index closed [a:1:2]",
            "= Absorbed",
        ],
    );
}

#[test]
fn g7_the_token_of_an_earlier_attempt_may_still_bring_success() {
    let (mut world, first) = reviewing(completes_later());
    world.turn(&[failed(1, 1)]);
    world.now = 5.0;
    world.expect(
        [completion(&first.secret, 1, 1, reviewed())],
        ["ActivityCompleted 1 #1 1", "RunCompleted 1", "→ index closed [a:1:1]", "= Absorbed"],
    );
    // Not of an exclusive one.
    let (mut world, first) = reviewing(ActivityOptions { completes_later: true, ..exclusive() });
    world.turn(&[failed(1, 1)]);
    world.now = 5.0;
    world.expect([completion(&first.secret, 1, 1, reviewed())], ["= Repeated"]);
}

#[test]
fn g7_late_reports_change_nothing() {
    let (mut world, token) = reviewing(completes_later());
    world.turn(&[terminate("t")]);
    world.expect([completion(&token.secret, 1, 1, reviewed())], ["= Repeated"]);
    // The id was used again: the token names a run.
    world.entropy += 1;
    world.turn(&[plain("again")]);
    let late = for_run(token.run_id, completion(&token.secret, 1, 1, reviewed()));
    world.expect([late], ["= Elsewhere"]);
    let mut world = World::new([]);
    world.expect([completion("x", 1, 1, reviewed())], ["= Stale(\"the run was purged\")"]);
}

/// G8: who reports does not matter to the code.
#[test]
fn what_a_token_reported_replays() {
    let (mut world, token) = reviewing(completes_later());
    world.code = Box::new(Code(vec![(On::Started, [schedule_with(1, "review", completes_later())].into())]));
    world.cool();
    world.turn(&[completion(&token.secret, 1, 1, reviewed())]);
    world.cool();
    world.expect([signal("s", "x")], ["SignalReceived x 1", "= Absorbed"]);
}
