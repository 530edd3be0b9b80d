//! What several tests ask of a run.

use millrace::client::{Event, Handle};
use millrace::{ActivityError, Blocked, Fault, RunError, TestEnv, Workflow};

/// An activity's failure of a kind of its own.
pub fn fails<T>(kind: &str, message: &str) -> Result<T, ActivityError> {
    Err(millrace::ApplicationFailure::new(kind, message).into())
}

/// The kinds of a run's events.
pub async fn kinds<W: Workflow>(run: &Handle<W>) -> Vec<&'static str> {
    run.history().await.unwrap().iter().map(|event: &Event| event.kind.name()).collect()
}

/// Why the run has no result.
pub async fn fault<W: Workflow>(run: &Handle<W>) -> Fault {
    match run.result().await {
        Err(RunError::Failed(failure)) => failure.fault,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the run has a result"),
    }
}

/// Why the run's code cannot go on.
pub async fn blocked<W: Workflow>(run: &Handle<W>) -> Blocked {
    match run.result().await {
        Err(RunError::Blocked(reason)) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the run has a result"),
    }
}

/// The world twice: with code that is brought up for every turn, and with code that is kept.
pub fn cold_and_warm(env: impl Fn() -> TestEnv) -> [TestEnv; 2] {
    [env(), env().keep_code()]
}
