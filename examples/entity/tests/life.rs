//! A model's life in a moment.

use entity::{Lifecycle, Point, Predict, Promote, Retire, Train, app, fit, model};
use millrace::client::{Filter, Status};
use millrace::{RunError, TestEnv, prelude::*};

fn points(slope: f64) -> Vec<Point> {
    (0..5).map(|x| (f64::from(x), slope * f64::from(x) + 1.0)).collect()
}

#[tokio::test]
async fn a_version_is_trained_promoted_and_used() {
    let env = TestEnv::of(app());
    let run = env.start(model, "prices", Lifecycle::default()).await.unwrap();
    assert_eq!(run.query(Predict { x: 10.0 }).await, Ok(None));

    run.signal(Train { points: points(2.0) }).await.unwrap();
    run.signal(Train { points: points(3.0) }).await.unwrap();
    assert_eq!(run.state::<Lifecycle>().await.unwrap().unwrap().versions.len(), 2);

    assert_eq!(run.update(Promote { version: 2 }).await.unwrap().number, 2);
    assert_eq!(run.query(Predict { x: 10.0 }).await, Ok(Some(31.0)));
    assert_eq!(
        run.update(Promote { version: 3 }).await,
        Err(RunError::Rejected("there is no version 3".into()))
    );

    run.signal(Retire).await.unwrap();
    assert_eq!(run.result().await.unwrap().production.unwrap().number, 2);
}

#[tokio::test]
async fn a_training_that_fails_changes_no_version() {
    let env = TestEnv::of(app());
    let run = env.start(model, "prices", Lifecycle::default()).await.unwrap();
    run.signal(Train { points: vec![(1.0, 1.0)] }).await.unwrap();
    let life: Lifecycle = run.state().await.unwrap().unwrap();
    assert!(life.versions.is_empty() && life.last_failure.unwrap().contains("two different places"));
    assert_eq!(env.calls(fit).len(), 1);
    run.signal(Train { points: points(2.0) }).await.unwrap();
    assert_eq!(run.state::<Lifecycle>().await.unwrap().unwrap().last_failure, None);
}

#[tokio::test]
async fn it_lives_on_in_short_runs_and_forgets_nothing() {
    let env = TestEnv::of(app()).history_limit(30);
    let run = env.start(model, "prices", Lifecycle::default()).await.unwrap();
    for n in 1..=50 {
        run.signal(Train { points: points(f64::from(n)) }).await.unwrap();
        run.update(Promote { version: n }).await.unwrap();
    }
    let life: Lifecycle = run.state().await.unwrap().unwrap();
    assert_eq!((life.trained, life.versions.len(), life.production.unwrap().number), (50, 10, 50));
    assert_eq!(run.query(Predict { x: 1.0 }).await, Ok(Some(51.0)));
    assert!(run.history().await.unwrap().len() < 40);
    let runs = env.list(&Filter::default()).await.unwrap();
    let continued = runs.iter().filter(|run| run.entry.status == Status::ContinuedAsNew).count();
    assert!(continued >= 5, "{continued}");
}

#[tokio::test]
async fn trainings_that_nobody_has_read_go_along() {
    let env = TestEnv::of(app()).history_limit(10);
    let run = env.start(model, "prices", Lifecycle::default()).await.unwrap();
    env.hold(fit);
    for n in 1..=12 {
        run.signal(Train { points: points(f64::from(n)) }).await.unwrap();
    }
    env.release(fit).await;
    env.advance(secs(1)).await;
    assert_eq!(run.state::<Lifecycle>().await.unwrap().unwrap().trained, 12);
}
