//! Activities without a workflow of the user's.

use millrace::{RunError, TestEnv, prelude::*};

use crate::kit::{fault, kinds};

#[activity(task_queue = "gpu", max_attempts = 2)]
async fn train(epochs: u32, rate: f64) -> Result<f64, ActivityError>;

#[tokio::test]
async fn an_activity_runs_under_an_id_of_its_own() {
    let mut tries = 0;
    let env = TestEnv::new().mock(train, move |(epochs, rate)| {
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
    let env = TestEnv::new().mock(train, |_| Err(ApplicationFailure::new("TooHot", "80 degrees").into()));
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
    let env = TestEnv::new();
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
