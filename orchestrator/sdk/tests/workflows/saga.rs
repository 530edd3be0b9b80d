//! Undoing.

use millrace::{TestEnv, prelude::*};

use crate::kit::{fails, fault};

#[activity]
async fn book(what: String) -> Result<String, ActivityError>;
#[activity]
async fn cancel_booking(id: String) -> Result<(), ActivityError>;

#[workflow]
async fn trip(ctx: WorkflowContext, to: String) -> Result<Vec<String>, WorkflowError> {
    ctx.saga(async |saga| {
        let mut ids = vec![];
        for what in ["hotel", "flight", "car"] {
            let id = ctx.activity(book, format!("{what} in {to}")).retry(Retry::attempts(2)).await?;
            saga.undo(ctx.activity(cancel_booking, id.clone()).max_attempts(1)); // not made now: kept
            ids.push(id);
        }
        ctx.sleep(hours(1)).await?;
        Ok(ids)
    })
    .await
}

fn env(refused: &'static str) -> TestEnv {
    let booked = move |what: String| if what.starts_with(refused) { fails("Sold", "out") } else { Ok(what) };
    TestEnv::new().workflow(trip).mock(book, booked)
}

#[tokio::test]
async fn what_was_done_is_undone_last_first() {
    let env = env("car").mock(cancel_booking, |_| Ok(()));
    let run = env.start(trip, "t", "Rome".into()).await.unwrap();
    assert!(fault(&run).await.is("Sold"));
    assert_eq!(env.calls(cancel_booking), ["flight in Rome", "hotel in Rome"]);
}

#[tokio::test]
async fn nothing_is_undone_if_all_went_well() {
    let env = env("nothing").mock(cancel_booking, |_| Ok(()));
    let run = env.start(trip, "t", "Rome".into()).await.unwrap();
    assert_eq!(run.result().await.unwrap().len(), 3);
    assert!(env.calls(cancel_booking).is_empty());
}

#[tokio::test]
async fn a_failure_to_undo_is_a_cause_and_stops_no_other() {
    let env = env("car").mock(cancel_booking, |id| {
        if id.starts_with("flight") { fails("Closed", "try tomorrow") } else { Ok(()) }
    });
    let fault = fault(&env.start(trip, "t", "Rome".into()).await.unwrap()).await;
    let causes = &fault.application().unwrap().causes;
    assert!(causes[0].contains("`cancel_booking`") && causes[0].contains("try tomorrow"), "{fault}");
    assert_eq!(env.calls(cancel_booking), ["flight in Rome", "hotel in Rome"]);
}

#[tokio::test]
async fn a_canceled_saga_is_undone_and_then_canceled() {
    let env = env("nothing").mock(cancel_booking, |_| Ok(()));
    let run = env.start(trip, "t", "Rome".into()).await.unwrap();
    env.advance(minutes(1)).await;
    run.cancel("too hot").await.unwrap();
    assert_eq!(fault(&run).await.to_string(), "canceled: too hot");
    assert_eq!(env.calls(cancel_booking).len(), 3);
}
