//! Activities without a workflow of the user's.

use millrace::client::{Filter, Payload};
use millrace::codec::{AesGcm, Key};
use millrace::{ActionOutcome, RunError, Schedule, TestEnv, prelude::*};

use crate::kit::{fault, kinds};

#[activity(task_queue = "gpu", max_attempts = 2)]
async fn train(epochs: u32, rate: f64) -> Result<f64, ActivityError>;

#[tokio::test]
async fn an_activity_runs_under_an_id_of_its_own() {
    let mut tries = 0;
    let env = TestEnv::new().standalone(train).mock(train, move |(epochs, rate)| {
        tries += 1;
        if tries == 1 { Err("no room".into()) } else { Ok(f64::from(epochs) * rate) }
    });
    let training = env.run_activity(train, "t-1", (20, 0.5)).await.unwrap();
    assert_eq!(training.result().await.unwrap(), 10.0);
    assert_eq!(env.calls(train), [(20, 0.5), (20, 0.5)]);
    assert_eq!(env.activity_handle(train, "t-1").unwrap().result().await.unwrap(), 10.0);
    let kinds = kinds(&training).await;
    assert_eq!(
        kinds,
        ["RunStarted", "ActivityScheduled", "ActivityAttemptFailed", "ActivityCompleted", "RunCompleted"]
    );
    let again = env.run_activity(train, "t-1", (1, 1.0)).or_existing().await.unwrap();
    assert_eq!(again.result().await.unwrap(), 10.0);
}

#[tokio::test]
async fn its_options_are_those_of_a_call() {
    let env = TestEnv::new()
        .standalone(train)
        .mock(train, |_| Err(ApplicationFailure::new("TooHot", "80 degrees").into()));
    let training = env.run_activity(train, "t", (1, 1.0)).task_queue("tpu").start_to_close(hours(2));
    let training = training.max_attempts(3).heartbeat(secs(30)).await.unwrap();
    let fault = fault(&training).await;
    assert!(fault.is("TooHot"), "{fault}");
    assert_eq!(env.calls(train).len(), 3);
    let history = training.history().await.unwrap();
    let scheduled = history.iter().find_map(|event| match &event.kind {
        millrace::client::EventKind::ActivityScheduled(scheduled) => Some(scheduled.clone()),
        _ => None,
    });
    let scheduled = scheduled.unwrap();
    assert_eq!(scheduled.task_queue.as_str(), "tpu");
    assert_eq!((scheduled.options.start_to_close, scheduled.options.heartbeat), (hours(2), Some(secs(30))));
}

#[tokio::test]
async fn it_is_canceled_as_any_run_and_refused_before_it_is_sent() {
    let env = TestEnv::new().standalone(train);
    env.hold(train);
    let training = env.run_activity(train, "t", (1, 1.0)).await.unwrap();
    training.cancel("superseded").await.unwrap();
    assert!(fault(&training).await.is_canceled());
    for (asked, hint) in [
        (env.run_activity(train, "a b", (1, 1.0)), "id: "),
        (env.run_activity(train, "t-2", (1, 1.0)).task_queue("a b"), "task_queue: "),
        (env.run_activity(train, "t-2", (1, 1.0)).start_to_close(secs(0)), "start_to_close_ms: 0"),
    ] {
        let Err(RunError::Rejected(text)) = asked.await else { panic!("{hint}") };
        assert!(text.contains(hint), "{text}");
    }
}

#[tokio::test]
async fn what_the_app_does_not_allow_is_refused_before_it_begins() {
    let env = TestEnv::new().mock(train, |_| Ok(1.0));
    let Err(RunError::Rejected(text)) = env.run_activity(train, "t", (1, 1.0)).await else {
        panic!("nobody has allowed it")
    };
    assert!(
        text.contains("`train` is called by workflows only") && text.contains(".standalone(train)"),
        "{text}"
    );
    assert!(env.calls(train).is_empty() && env.list(&Filter::default()).await.unwrap().is_empty());
    // Nor has a schedule's action more rights.
    let schedule = Schedule::every(hours(1)).starts_named("millrace.activity", asked("hush"));
    let schedule = env.schedule("s", schedule).await.unwrap();
    env.advance(hours(1)).await;
    let action = schedule.describe().await.unwrap().recent.remove(0);
    let ActionOutcome::NotStarted { reason } = action.outcome else { panic!("{action:?}") };
    assert!(reason.contains(".standalone(shout)"), "{reason}");
}

#[tokio::test]
async fn what_has_begun_goes_on_when_it_is_not_allowed_any_more() {
    let env = TestEnv::new().standalone(train).mock(train, |_| Ok(1.0));
    let run = env.run_activity(train, "t", (1, 1.0)).await.unwrap();
    run.result().await.unwrap();
    assert_eq!(App::new().replay(&run.record().await.unwrap()), Ok(()));
}

#[activity]
async fn shout(text: String) -> Result<String, ActivityError> {
    Ok(text.to_uppercase())
}

fn asked(text: &str) -> Payload {
    Payload::of(&serde_json::json!({"activity": "shout", "input": text})).unwrap()
}

#[tokio::test]
async fn what_a_schedule_gives_an_activity_is_encoded() {
    let codec = AesGcm::new(Key::new("k", [7; 32]).unwrap());
    let env = TestEnv::new().activity(shout).standalone(shout).codec(codec);
    let schedule = Schedule::every(hours(1)).starts_named("millrace.activity", asked("hush")).remaining(1);
    env.schedule("s", schedule).await.unwrap();
    env.advance(hours(1)).await;
    assert_eq!(env.calls(shout), ["hush"]);
    let all = env.list(&Filter::default()).await.unwrap();
    assert_eq!(all.len(), 2, "the schedule and its action");
    for run in all {
        let stored = env.record(&run.entry.workflow_id, Some(run.entry.run_id)).await.unwrap().write();
        assert!(!stored.contains("hush") && !stored.contains("HUSH"), "{stored}");
    }
}

#[activity(max_concurrent = 2)]
async fn heavy() -> Result<(), ActivityError> {
    Ok(())
}

#[test]
fn limits_are_the_attributes_or_the_apps() {
    let most = |app: App, name: &str| app.activity_code().limit(name).map(|limit| limit.most());
    assert_eq!(most(App::new().activity(heavy), "heavy"), Some(2));
    assert_eq!(most(App::new().activity(heavy).limit("heavy", 5), "heavy"), Some(5));
    assert_eq!(most(App::new().limit("heavy", 5).activity(heavy), "heavy"), Some(5));
    assert_eq!(most(App::new().activity(heavy), "other"), None);
    let wrong = App::new().activity(heavy).limit("hevy", 1).limit("heavy", 0).check().unwrap_err();
    assert!(wrong.contains("`hevy`, which is not registered") && wrong.contains("is 0"), "{wrong}");
    // One limit for all workers of the process.
    let app = App::new().activity(heavy);
    let (one, other) = (app.activity_code().limit("heavy"), app.clone().activity_code().limit("heavy"));
    assert!(std::sync::Arc::ptr_eq(&one.unwrap(), &other.unwrap()));
}
