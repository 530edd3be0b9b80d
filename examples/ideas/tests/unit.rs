//! The unit tests that a user would write for some of the ideas: virtual time, mocks, work that is held back.

use millrace::{App, Fault, IdConflict, RunError, TestEnv, prelude::*};
use millrace_ideas::{
    completed_by_token as token, declared_elsewhere as declared, patched, racing, retries, schedules,
    shielded_cleanup as shielded, signal_with_start as batches, start_delay, time_limits,
};

fn env(app: fn(App) -> App) -> TestEnv {
    TestEnv::of(app(App::new()))
}

#[tokio::test]
async fn another_teams_activity_is_mocked() {
    let env = TestEnv::new().workflow(declared::subtitle).mock(declared::transcribe, |audio| {
        Ok(declared::Transcript { text: format!("Hum, {} s.", audio.seconds), language: "de".into() })
    });
    let audio = declared::Audio { key: "hum.wav".into(), seconds: 3 };
    let run = env.start(declared::subtitle, "hum", audio).await.unwrap();
    assert_eq!(run.result().await.unwrap(), ["[de] Hum, 3 s."]);
}

#[tokio::test]
async fn nobody_comes_to_the_desk_for_two_weeks() {
    let env = env(token::app);
    let (desk, begun) = (tempfile::tempdir().unwrap(), env.now());
    let draft = token::Draft { caption: "a cat".into(), desk: desk.path().into() };
    let run = env.start(token::caption_video, "v", draft).await.unwrap();
    assert_eq!(env.tokens(token::ask_a_person).len(), 1);
    let Err(RunError::Failed(failure)) = run.result().await else { panic!("somebody came") };
    assert!(failure.is_timeout(), "{failure}");
    assert_eq!(env.now() - begun, days(14));
}

#[tokio::test]
async fn a_rented_gpu_is_released_when_the_run_is_canceled_at_night() {
    let env = env(shielded::app);
    let run = env.start(shielded::rented, "r", "reviews".into()).await.unwrap();
    env.advance(hours(3)).await;
    run.cancel("the dataset is withdrawn").await.unwrap();
    let Err(RunError::Failed(failure)) = run.result().await else { panic!("it went on") };
    assert_eq!(failure.fault, Fault::Canceled { reason: "the dataset is withdrawn".into() });
    assert_eq!(env.calls(shielded::release_gpu), ["h100-in-rack-4"]);
    assert!(env.calls(shielded::train_on).is_empty());
}

#[tokio::test]
async fn a_batch_goes_out_after_ten_quiet_minutes() {
    let env = env(batches::app);
    let begun = env.now();
    let document = |text: &str| {
        let start = env.start(batches::batch, "b", 100).id_conflict(IdConflict::UseExisting);
        start.signal(batches::Document(text.into()))
    };
    let run = document("one").await.unwrap();
    env.advance(minutes(9)).await;
    document("three").await.unwrap();
    assert_eq!(run.result().await.unwrap(), [3, 5]);
    assert_eq!(env.now() - begun, minutes(19));
}

#[tokio::test]
async fn whoever_is_asked_first_may_never_answer() {
    let env = env(racing::app);
    env.hold(racing::ask);
    let provider = |name: &str| racing::Provider { name: name.into(), takes_ms: 0 };
    let input = ("why?".to_owned(), [provider("near"), provider("far")]);
    let run = env.start(racing::quickest, "r", input).await.unwrap();
    run.signal(racing::Interrupt).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "interrupted");
    env.release(racing::ask).await;
    assert!(env.calls(racing::ask).is_empty(), "nobody wants it any more");
}

#[tokio::test]
async fn a_run_of_before_the_change_takes_the_old_way_and_a_new_one_the_new() {
    let old = env(patched::app_v1);
    let run = old.start(patched::v1::index_document, "post", "darn".into()).await.unwrap();
    let waiting = run.history().await.unwrap();
    run.signal(patched::Publish).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "stored: darn");
    let new = env(patched::app);
    new.replay(patched::v2::index_document, &waiting).unwrap();
    new.replay(patched::v2::index_document, &run.history().await.unwrap()).unwrap();
    let run = new.start(patched::v2::index_document, "post", "darn".into()).await.unwrap();
    run.signal(patched::Publish).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "stored: ****");
}

#[tokio::test]
async fn the_backoff_doubles_unless_the_service_says_when() {
    let mut busy = 3;
    let env = TestEnv::new().workflow(retries::converse).mock(retries::generate, move |prompt| {
        busy -= 1;
        if busy >= 0 { Err("no answer".into()) } else { Ok(prompt.text) }
    });
    let begun = env.now();
    let prompt = retries::Prompt { text: "why".into(), busy: 0 };
    let run = env.start(retries::converse, "c", prompt).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "why");
    let waited = env.now() - begun;
    assert!(
        (millis(100)..=millis(200)).contains(&waited),
        "20 + 40 + 80 ms, give or take jitter: {waited:?}"
    );
    assert_eq!(env.calls(retries::generate).len(), 4);
}

#[tokio::test]
async fn a_deletion_waits_for_its_thirty_days() {
    let env = env(start_delay::app);
    let run = env.start(start_delay::forget, "f", "ann".into()).delay(days(30)).await.unwrap();
    env.advance(days(29)).await;
    assert!(env.calls(start_delay::delete_dataset).is_empty());
    env.advance(days(1)).await;
    assert_eq!(run.result().await.unwrap().1, ["ann"]);
}

#[tokio::test]
async fn ten_years_are_a_limit_too() {
    let env = env(time_limits::app);
    let begun = env.now();
    let run =
        env.start(time_limits::wait_for_dataset, "w", "april".into()).run_timeout(days(365)).await.unwrap();
    let Err(RunError::Failed(failure)) = run.result().await else { panic!("it waits on") };
    assert!(failure.is_timeout(), "{failure}");
    assert_eq!(env.now() - begun, days(365));
}

#[tokio::test]
async fn a_month_of_sundays() {
    let env = env(schedules::app);
    let sundays = millrace::Schedule::cron("0 3 * * SUN").time_zone("Europe/Berlin");
    let schedule = env.schedule("s", sundays.starts(schedules::sync_bucket, "raw".into())).await.unwrap();
    env.advance(days(28)).await;
    assert_eq!(schedule.describe().await.unwrap().fired, 4);
    assert_eq!(env.calls(schedules::copy_new_objects).len(), 4);
}
