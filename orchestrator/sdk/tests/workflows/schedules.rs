//! Schedules: when they start what, and what becomes of times that overlap, were missed, or are asked for.

mod missed;

use millrace::client::{EventKind, Filter, Payload, Status};
use millrace::{
    ActionOutcome, Change, Overlap, RunError, Schedule, ScheduleHandle, ScheduleWorkflow, TestEnv, Timestamp,
    Workflow, WorkflowRef, prelude::*,
};
use serde_json::json;

/// Takes so many minutes.
#[workflow]
async fn job(ctx: WorkflowContext, n: u64) -> Result<(), WorkflowError> {
    Ok(ctx.sleep(minutes(n)).await?)
}

/// Takes an hour and a half; if it is asked to stop, it needs five minutes for that.
#[workflow]
async fn stubborn(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    let slept = ctx.sleep(minutes(90)).await;
    if slept.is_err() {
        ctx.shielded().sleep(minutes(5)).await?;
    }
    Ok(slept?)
}

#[workflow]
async fn broken(_ctx: WorkflowContext) -> Result<(), WorkflowError> {
    Err(ApplicationFailure::new("Broken", "as ever").into())
}

/// The built-in type, for what a client would not send.
struct BuiltIn;

impl WorkflowRef<()> for BuiltIn {
    type Workflow = ScheduleWorkflow;
}

/// It is 2000-01-01T00:00:00Z.
fn env() -> TestEnv {
    TestEnv::new().workflow(job).workflow(stubborn).workflow(broken)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// `23:05:01` for `2000-01-01T23:05:01.000Z`, and the whole for other days.
fn short(time: Timestamp) -> String {
    let time = time.to_string().replace(".000Z", "");
    time.strip_prefix("2000-01-01T").unwrap_or(&time).to_owned()
}

/// What was started: for which time, and when.
async fn starts(env: &TestEnv) -> Vec<(String, String)> {
    let all = env.list(&Filter { limit: 10_000, ..Filter::default() }).await.unwrap();
    let mut started: Vec<_> = all
        .into_iter()
        .filter(|run| run.entry.workflow.as_str() != ScheduleWorkflow::NAME)
        .map(|run| {
            let id = run.entry.workflow_id.to_string();
            (id.strip_prefix("s-").map(at).map(short).unwrap(), run.entry.started_at)
        })
        .collect();
    started.sort_by_key(|(_, started_at)| *started_at);
    started.into_iter().map(|(time, started_at)| (time, short(started_at))).collect()
}

/// The same where everything began on time.
async fn on_time(env: &TestEnv) -> Vec<String> {
    let starts = starts(env).await;
    starts.iter().for_each(|(time, started_at)| assert_eq!(time, started_at));
    starts.into_iter().map(|(time, _)| time).collect()
}

fn hourly(n: u64) -> Schedule {
    Schedule::cron("0 * * * *").starts(job, n)
}

/// What it has counted: fired, skipped, missed.
async fn counts(schedule: &ScheduleHandle) -> (u64, u64, u64) {
    let state = schedule.describe().await.unwrap();
    (state.fired, state.skipped, state.missed)
}

/// How many timers its current run has begun.
async fn timers(schedule: &ScheduleHandle) -> usize {
    let history = schedule.workflow().history().await.unwrap();
    history.iter().filter(|event| matches!(event.kind, EventKind::TimerStarted(_))).count()
}

fn rejected<T: std::fmt::Debug>(result: Result<T, RunError>) -> String {
    match result {
        Err(RunError::Rejected(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_time_starts_the_workflow_under_an_id_of_its_own() {
    let env = env();
    let s = env.schedule("s", hourly(1)).await.unwrap();
    let next = s.describe().await.unwrap().next;
    assert_eq!(next.iter().copied().map(short).collect::<Vec<_>>()[..2], ["01:00:00", "02:00:00"]);
    env.advance(minutes(200)).await;
    assert_eq!(on_time(&env).await, ["01:00:00", "02:00:00", "03:00:00"]);
    let state = s.describe().await.unwrap();
    assert_eq!((state.fired, state.running), (3, 0));
    assert_eq!(state.recent[0].workflow_id, "s-2000-01-01T03:00:00Z");
    assert_eq!(state.recent[0].outcome, ActionOutcome::Completed);
    assert_eq!(state.recent[0].ended_at, Some(at("2000-01-01T03:01:00Z")));
}

#[tokio::test]
async fn skip_leaves_out_what_overlaps_and_is_not_even_woken_for_it() {
    let env = env();
    let s = env.schedule("s", hourly(150)).await.unwrap();
    env.advance(hours(9)).await; // 01:00–03:30, 04:00–06:30, 07:00–09:30
    assert_eq!(on_time(&env).await, ["01:00:00", "04:00:00", "07:00:00"]);
    assert_eq!(counts(&s).await, (3, 4, 0), "02:00, 03:00, 05:00, 06:00");
    assert_eq!(timers(&s).await, 3);
}

#[tokio::test]
async fn buffer_one_makes_up_for_one_time_that_overlapped() {
    let env = env();
    let s = env.schedule("s", hourly(150).overlap(Overlap::BufferOne)).await.unwrap();
    env.advance(minutes(6 * 60 + 15)).await; // 01:00–03:30, 03:30–06:00, 06:00–
    let expected = [("01:00:00", "01:00:00"), ("02:00:00", "03:30:00"), ("04:00:00", "06:00:00")];
    assert_eq!(starts(&env).await, expected.map(|(time, start)| (time.to_owned(), start.to_owned())));
    assert_eq!(counts(&s).await, (3, 3, 0), "03:00, 05:00, 06:00");
}

#[tokio::test]
async fn allow_all_starts_each_on_time() {
    let env = env();
    let s = env.schedule("s", hourly(150).overlap(Overlap::AllowAll)).await.unwrap();
    env.advance(hours(4)).await;
    assert_eq!(on_time(&env).await, ["01:00:00", "02:00:00", "03:00:00", "04:00:00"]);
    assert_eq!(s.describe().await.unwrap().running, 3);
}

#[tokio::test]
async fn cancel_other_waits_until_what_runs_has_stopped() {
    let env = env();
    let stubborn = Schedule::cron("0 * * * *").starts(stubborn, ()).overlap(Overlap::CancelOther);
    let s = env.schedule("s", stubborn).await.unwrap();
    env.advance(minutes(190)).await;
    let expected = [("01:00:00", "01:00:00"), ("02:00:00", "02:05:00"), ("03:00:00", "03:05:00")];
    assert_eq!(starts(&env).await, expected.map(|(time, start)| (time.to_owned(), start.to_owned())));
    let state = s.describe().await.unwrap();
    let reason = "canceled: the schedule's next time has come".to_owned();
    assert_eq!(state.recent[1].outcome, ActionOutcome::Failed { reason });
    assert_eq!((state.fired, state.skipped, state.running), (3, 0, 1));
}

#[tokio::test]
async fn terminate_other_waits_for_nobody() {
    let env = env();
    let stubborn = Schedule::cron("0 * * * *").starts(stubborn, ()).overlap(Overlap::TerminateOther);
    let s = env.schedule("s", stubborn).await.unwrap();
    env.advance(minutes(190)).await;
    assert_eq!(on_time(&env).await, ["01:00:00", "02:00:00", "03:00:00"]);
    let first = env.handle(job, "s-2000-01-01T01:00:00Z").unwrap().describe().await.unwrap();
    assert_eq!((first.status, first.closed_at), (Status::Terminated, Some(at("2000-01-01T02:00:00Z"))));
    let reason = "terminated: the schedule's next time has come".to_owned();
    assert_eq!(s.describe().await.unwrap().recent[1].outcome, ActionOutcome::Failed { reason });
}

#[tokio::test]
async fn an_action_that_fails_is_told_of_and_the_next_comes_all_the_same() {
    let env = env();
    let s = env.schedule("s", Schedule::every(hours(1)).starts(broken, ())).await.unwrap();
    env.advance(hours(2)).await;
    let state = s.describe().await.unwrap();
    assert_eq!(state.fired, 2);
    assert!(
        matches!(&state.recent[0].outcome, ActionOutcome::Failed { reason } if reason.contains("as ever"))
    );
}

#[tokio::test]
async fn jitter_stays_below_its_bound_and_below_the_next_time() {
    let env = env();
    for (n, jitter) in [(1, minutes(10)), (2, days(30))] {
        let schedule = Schedule::every(hours(1)).jitter(jitter).catch_up(days(40)).starts(job, 0);
        let s = env.schedule(format!("j{n}"), schedule.overlap(Overlap::AllowAll)).await.unwrap();
        env.advance(hours(60)).await;
        s.delete("enough").await.unwrap();
        let most = jitter.min(hours(1));
        let all = env.list(&Filter { limit: 10_000, ..Filter::default() }).await.unwrap();
        let mut late = Vec::new();
        for run in all {
            if let Some(time) = run.entry.workflow_id.as_str().strip_prefix(&format!("j{n}-")) {
                assert!(run.entry.started_at >= at(time));
                late.push(run.entry.started_at - at(time));
            }
        }
        assert!(late.len() >= 58, "{}", late.len());
        assert!(late.iter().all(|late| *late < most), "{late:?}");
        let (least, longest) = (late.iter().min().unwrap(), late.iter().max().unwrap());
        assert!(*longest - *least > most / 2, "from {least:?} to {longest:?}");
    }
}

#[tokio::test]
async fn a_time_zones_clock_change_moves_the_times() {
    let env = env();
    // In Berlin, 02:00 to 03:00 is missing on 2000-03-26, and comes twice on 2000-10-29.
    for (id, start, expected) in [
        (
            "gap",
            "2000-03-25T00:00:00Z",
            ["2000-03-25T01:30:00Z", "2000-03-26T01:00:00Z", "2000-03-27T00:30:00Z"],
        ),
        (
            "fold",
            "2000-10-28T00:00:00Z",
            ["2000-10-28T00:30:00Z", "2000-10-29T00:30:00Z", "2000-10-30T01:30:00Z"],
        ),
    ] {
        let schedule =
            Schedule::cron("30 2 * * *").time_zone("Europe/Berlin").starts_at(at(start)).remaining(3);
        let s = env.schedule(id, schedule.starts(job, 1)).await.unwrap();
        let state = s.workflow().result().await.unwrap();
        let mut times: Vec<_> = state.recent.iter().map(|action| action.scheduled_at).collect();
        times.reverse();
        assert_eq!(times, expected.map(at));
    }
}

#[tokio::test]
async fn a_paused_schedule_starts_nothing_and_goes_on_with_the_next_time() {
    let env = env();
    let s = env.schedule("s", hourly(1)).await.unwrap();
    env.advance(minutes(70)).await;
    s.pause("the holidays").await.unwrap();
    let state = s.describe().await.unwrap();
    assert_eq!((state.paused, state.note.as_str(), state.next.len()), (true, "the holidays", 0));
    env.advance(hours(5)).await;
    assert_eq!(timers(&s).await, 2, "nobody is woken while it is paused");
    s.unpause("back").await.unwrap();
    assert_eq!(rejected(s.unpause("again").await), "schedule `s` is not paused");
    env.advance(hours(1)).await;
    assert_eq!(on_time(&env).await, ["01:00:00", "07:00:00"]);
    assert_eq!(counts(&s).await, (2, 0, 0));
}

#[tokio::test]
async fn a_trigger_starts_it_now_also_while_it_is_paused() {
    let env = env();
    let s = env.schedule("s", hourly(30)).await.unwrap();
    s.pause("").await.unwrap();
    env.advance(millis(1_500)).await;
    let triggered = s.trigger().await.unwrap();
    assert_eq!(triggered.workflow_id, "s-2000-01-01T00:00:01.500Z");
    let refused = rejected(s.trigger().await);
    assert!(refused.starts_with("overlap: an action still runs, and the policy is `skip`"), "{refused}");
    let second = s.trigger_with(Overlap::AllowAll).await.unwrap();
    assert_eq!(second.workflow_id, "s-2000-01-01T00:00:01.501Z");
    let third = s.trigger_with(Overlap::BufferOne).await.unwrap();
    let refused = rejected(s.trigger_with(Overlap::BufferOne).await);
    assert!(refused.starts_with("overlap: an action waits already"), "{refused}");
    env.advance(minutes(31)).await;
    let state = s.describe().await.unwrap();
    assert_eq!((state.fired, state.running), (3, 1));
    assert_eq!(state.recent[0].workflow_id, third.workflow_id);
}

#[tokio::test]
async fn a_run_continues_as_new_and_loses_no_time() {
    for overlap in [Overlap::Skip, Overlap::CancelOther] {
        let env = env();
        let schedule = Schedule::every(minutes(1)).starts(job, 0).overlap(overlap);
        let s = env.schedule("s", schedule).await.unwrap();
        let expected: Vec<_> = (1..=220).map(|n| short(env.now().plus(minutes(n)))).collect();
        env.advance(minutes(220)).await;
        assert_eq!(on_time(&env).await, expected);
        assert_eq!(counts(&s).await, (220, 0, 0));
        let all = env.list(&Filter { limit: 10_000, ..Filter::default() }).await.unwrap();
        let runs = all.iter().filter(|run| run.entry.workflow.as_str() == ScheduleWorkflow::NAME).count();
        assert_eq!(runs, 3, "100 actions a run");
        env.replay(BuiltIn, &s.workflow().history().await.unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_run_that_continues_as_new_leaves_what_runs_alone() {
    let env = env().history_limit(60);
    let schedule = Schedule::every(hours(1)).starts(job, 90).overlap(Overlap::AllowAll);
    let s = env.schedule("s", schedule).await.unwrap();
    env.advance(hours(40)).await;
    assert_eq!(on_time(&env).await.len(), 40);
    assert_eq!(counts(&s).await, (40, 0, 0));
    assert!(s.workflow().describe().await.unwrap().first_run_id.is_some());
    let filter = Filter { status: Some(Status::Terminated), limit: 100, ..Filter::default() };
    assert_eq!(env.list(&filter).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_schedule_is_over_after_its_last_time_or_action() {
    let env = env();
    let by_end = hourly(1).ends_at(at("2000-01-01T03:00:00Z"));
    let s = env.schedule("s", by_end).await.unwrap();
    assert_eq!(s.workflow().result().await.unwrap().fired, 2);
    assert_eq!(on_time(&env).await, ["01:00:00", "02:00:00"]);
    let by_count = env.schedule("n", hourly(90).overlap(Overlap::AllowAll).remaining(3)).await.unwrap();
    let state = by_count.workflow().result().await.unwrap();
    assert_eq!((state.fired, state.running), (3, 0), "it waits for their ends");
    assert!(state.recent.iter().all(|action| action.outcome == ActionOutcome::Completed));
    assert_eq!(rejected(by_count.pause("").await), "the run is closed");
}

#[tokio::test]
async fn what_it_does_can_be_replaced() {
    let env = env();
    let s = env.schedule("s", hourly(1)).await.unwrap();
    env.advance(minutes(70)).await;
    s.update(Schedule::cron("*/10 * * * *").starts(job, 1)).await.unwrap();
    env.advance(minutes(20)).await;
    assert_eq!(on_time(&env).await, ["01:00:00", "01:20:00", "01:30:00"]);
    let bad = Schedule::cron("every day").starts(job, 1);
    let refused = rejected(s.update(bad.clone()).await);
    assert!(refused.starts_with("cron: `every day` cannot be read"), "{refused}");
    let by_hand = rejected(s.workflow().update(Change { schedule: bad }).await);
    assert_eq!(by_hand, refused);
    env.advance(minutes(10)).await;
    assert_eq!(counts(&s).await, (4, 0, 0));
}

#[tokio::test]
async fn a_schedule_that_cannot_work_is_not_even_sent() {
    let env = env();
    let refused = rejected(env.schedule("s", Schedule::cron("0 25 * * *").starts(job, 1)).await);
    assert!(refused.starts_with("cron: `0 25 * * *` cannot be read"), "{refused}");
    let zone = Schedule::cron("0 2 * * *").time_zone("Mars/Olympus").starts(job, 1);
    assert!(rejected(env.schedule("s", zone).await).starts_with("time_zone: there is no `Mars/Olympus`"));
    assert!(rejected(env.schedule("s".repeat(171), hourly(1)).await).starts_with("id: 171 bytes"));
    assert!(matches!(env.schedule_handle("s").unwrap().describe().await, Err(RunError::NotFound(_))));

    let by_hand = serde_json::from_value(json!({ "schedule": { "cron": "0 25 * * *", "workflow": "Job" } }));
    let run = env.start(BuiltIn, "s", by_hand.unwrap()).await.unwrap();
    let Err(RunError::Failed(failure)) = run.result().await else { panic!() };
    assert!(failure.is("BadSchedule"), "{failure}");
}

#[tokio::test]
async fn one_id_is_one_schedule() {
    let env = env();
    env.schedule("s", hourly(1)).await.unwrap();
    let refused = rejected(env.schedule("s", hourly(1)).await);
    assert!(refused.starts_with("id: run "), "{refused}");
    env.schedule("t", hourly(1)).await.unwrap();
    assert_eq!(env.schedules(10).await.unwrap().len(), 2);
    env.start(job, "other", 1).await.unwrap();
    let other = env.schedule_handle("other").unwrap();
    assert!(matches!(other.describe().await, Err(RunError::NotFound(_))));
}

#[tokio::test]
async fn what_a_deleted_schedule_has_started_goes_on() {
    let env = env();
    let s = env.schedule("s", hourly(30)).await.unwrap();
    env.advance(minutes(70)).await;
    s.delete("done with it").await.unwrap();
    assert_eq!(s.workflow().describe().await.unwrap().status, Status::Canceled);
    env.advance(hours(3)).await;
    assert_eq!(on_time(&env).await, ["01:00:00"]);
    let started = env.handle(job, "s-2000-01-01T01:00:00Z").unwrap().describe().await.unwrap();
    assert_eq!(started.status, Status::Completed);

    // The same times again, under a schedule of the same id: what has completed is not done twice.
    let again = env.schedule("s", hourly(30)).await.unwrap();
    let (from, to) = (at("2000-01-01T01:00:00Z"), at("2000-01-01T01:00:01Z"));
    again.backfill(from, to).await.unwrap();
    assert_eq!(counts(&again).await, (0, 0, 0));
}

#[tokio::test]
async fn the_times_are_recorded_so_another_zone_database_changes_no_replay() {
    let env = env();
    let schedule = Schedule::cron("0 2 * * *").time_zone("Europe/Berlin").starts(job, 1);
    let s = env.schedule("s", schedule).await.unwrap();
    env.advance(days(12)).await;
    let mut history = s.workflow().history().await.unwrap();
    // As if the build that made this history had other rules than this one.
    let EventKind::RunStarted(started) = &mut history[0].kind else { panic!() };
    let input = started.input.as_str().replace("0 2 * * *", "0 4 * * SUN");
    started.input = Payload::parse(&input).unwrap();
    env.replay(BuiltIn, &history).unwrap();
    history.retain(|event| !matches!(event.kind, EventKind::Patched(_)));
    env.replay(BuiltIn, &history).unwrap_err();
}

#[tokio::test]
async fn a_pause_holds_what_waits() {
    let env = env();
    let s = env.schedule("s", hourly(90).overlap(Overlap::BufferOne)).await.unwrap();
    env.advance(minutes(60)).await;
    s.trigger().await.unwrap();
    s.pause("").await.unwrap();
    s.backfill(at("1999-12-31T23:00:00Z"), at("2000-01-01T00:00:00Z")).await.unwrap();
    env.advance(hours(5)).await;
    assert_eq!(s.describe().await.unwrap().waiting, 1, "the trigger has run, the backfill waits");
    s.unpause("").await.unwrap();
    assert_eq!(counts(&s).await, (3, 0, 0));
}

/// The engine itself, and real time.
#[test]
fn the_embedded_engine_fires_and_terminates() {
    use millrace::dev::{Dev, Options};
    let app = App::new().workflow(job).workflow(stubborn);
    let dev = Dev::start(&app, Options::in_memory()).unwrap();
    futures::executor::block_on(async {
        let every_second = Schedule::every(secs(1)).starts(job, 0).remaining(2);
        let s = dev.client().schedule("s", every_second).await.unwrap();
        let state = s.workflow().result().await.unwrap();
        assert_eq!((state.fired, state.recent[0].outcome.clone()), (2, ActionOutcome::Completed));

        let never = Schedule::cron("0 0 1 1 *").starts(stubborn, ()).overlap(Overlap::TerminateOther);
        let s = dev.client().schedule("t", never).await.unwrap();
        let first = s.trigger().await.unwrap();
        let second = s.trigger().await.unwrap();
        let first = dev.client().handle(stubborn, &first.workflow_id).unwrap();
        let Err(RunError::Failed(failure)) = first.result().await else { panic!() };
        assert_eq!(failure.fault.to_string(), "terminated: the schedule's next time has come");
        s.delete("").await.unwrap();
        let second = dev.client().handle(stubborn, &second.workflow_id).unwrap();
        second.terminate("").await.unwrap();
    });
}
