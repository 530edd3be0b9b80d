//! Times that nobody was there for: what is made up for, and what is passed over.

use super::*;

/// Starts it as if nothing had been at work since `settled`.
async fn after_downtime(env: &TestEnv, schedule: &Schedule, settled: &str) -> ScheduleHandle {
    let input = json!({ "schedule": schedule, "so_far": { "settled": settled } });
    env.start(BuiltIn, "s", serde_json::from_value(input).unwrap()).await.unwrap();
    env.schedule_handle("s").unwrap()
}

#[tokio::test]
async fn what_was_missed_is_made_up_for_within_the_window() {
    let env = env();
    let schedule = hourly(1).overlap(Overlap::AllowAll).catch_up(hours(2));
    let s = after_downtime(&env, &schedule, "1999-12-31T10:30:00Z").await;
    assert_eq!(counts(&s).await, (3, 0, 11), "11:00 to 21:00 were missed");
    let times: Vec<_> = starts(&env).await.into_iter().map(|(time, _)| time).collect();
    assert_eq!(times, ["1999-12-31T22:00:00", "1999-12-31T23:00:00", "00:00:00"]);
}

#[tokio::test]
async fn what_was_missed_does_not_pile_up_where_overlaps_are_skipped() {
    let env = env();
    let s = after_downtime(&env, &hourly(1).catch_up(days(2)), "1999-12-30T23:30:00Z").await;
    assert_eq!(counts(&s).await, (1, 24, 0));
    env.advance(hours(1)).await;
    assert_eq!(counts(&s).await, (2, 24, 0));
}

#[tokio::test]
async fn a_year_of_missed_seconds_is_passed_over_in_one_turn() {
    let env = env();
    let schedule = Schedule::every(secs(1)).starts(job, 0).catch_up(secs(0));
    let s = after_downtime(&env, &schedule, "1999-01-01T00:00:00Z").await;
    let (fired, skipped, missed) = counts(&s).await;
    assert_eq!((fired, skipped), (1, 0));
    assert_eq!(missed, 20_000, "so far they are counted");
    assert!(s.workflow().history().await.unwrap().len() < 10);
}

#[tokio::test]
async fn a_backfill_goes_one_after_the_other_or_all_at_once() {
    let env = env();
    let s = env.schedule("s", Schedule::cron("0 0 * * *").starts(job, 60)).await.unwrap();
    let (from, to) = (at("1999-12-29T00:00:00Z"), at("2000-01-01T00:00:00Z"));
    assert_eq!(s.backfill(from, to).await.unwrap().actions, 3);
    assert_eq!(s.describe().await.unwrap().waiting, 2);
    env.advance(hours(4)).await;
    let expected = [
        ("1999-12-29T00:00:00", "00:00:00"),
        ("1999-12-30T00:00:00", "01:00:00"),
        ("1999-12-31T00:00:00", "02:00:00"),
    ];
    assert_eq!(starts(&env).await, expected.map(|(time, start)| (time.to_owned(), start.to_owned())));

    let earlier = at("1999-12-27T00:00:00Z");
    assert_eq!(s.backfill_at_once(earlier, at("1999-12-30T00:00:00Z")).await.unwrap().actions, 3);
    let state = s.describe().await.unwrap();
    assert_eq!((state.running, state.fired), (2, 5), "the 29th has completed");
    assert!(
        matches!(&state.recent[0].outcome, ActionOutcome::NotStarted { reason } if reason.contains("was used"))
    );

    let refused = rejected(s.backfill(to, from).await);
    assert!(refused.starts_with("to: 1999-12-29T00:00:00.000Z is not after from"), "{refused}");
    let refused = rejected(s.backfill(from, at("2000-01-02T00:00:00Z")).await);
    assert!(refused.contains("lies in the future"), "{refused}");
    let refused = rejected(s.backfill(at("1990-01-01T00:00:00Z"), to).await);
    assert!(refused.contains("more than the 1000 times"), "{refused}");
    let refused = rejected(s.backfill(at("1999-12-30T01:00:00Z"), at("1999-12-30T02:00:00Z")).await);
    assert!(refused.contains("has no time"), "{refused}");
}
