//! Undoing.

use millrace::prelude::*;

use crate::driver::{World, fails};

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

fn world(refused: &'static str) -> World {
    let booked =
        move |what: String| if what.starts_with(refused) { Err(fails("Sold", "out")) } else { Ok(what) };
    World::new(App::new().workflow(trip)).mock(book, booked)
}

#[test]
fn what_was_done_is_undone_last_first() {
    let mut world = world("car").mock(cancel_booking, |_| Ok(()));
    world.start(trip, "Rome".into()).finish();
    assert!(world.result::<Vec<String>>().unwrap_err().is("Sold"));
    assert_eq!(world.inputs(cancel_booking), ["flight in Rome", "hotel in Rome"]);
}

#[test]
fn nothing_is_undone_if_all_went_well() {
    let mut world = world("nothing").mock(cancel_booking, |_| Ok(()));
    world.start(trip, "Rome".into()).finish();
    assert_eq!(world.result::<Vec<String>>().unwrap().len(), 3);
    assert!(world.inputs(cancel_booking).is_empty());
}

#[test]
fn a_failure_to_undo_is_a_cause_and_stops_no_other() {
    let mut world = world("car").mock(cancel_booking, |id| {
        if id.starts_with("flight") { Err(fails("Closed", "try tomorrow")) } else { Ok(()) }
    });
    world.start(trip, "Rome".into()).finish();
    let fault = world.result::<Vec<String>>().unwrap_err();
    let causes = &fault.application().unwrap().causes;
    assert!(causes[0].contains("`cancel_booking`") && causes[0].contains("try tomorrow"), "{fault}");
    assert_eq!(world.inputs(cancel_booking), ["flight in Rome", "hotel in Rome"]);
}

#[test]
fn a_canceled_saga_is_undone_and_then_canceled() {
    let mut world = world("nothing").mock(cancel_booking, |_| Ok(()));
    world.start(trip, "Rome".into()).advance(minutes(1)).cancel("too hot").finish();
    assert_eq!(world.result::<Vec<String>>().unwrap_err().to_string(), "canceled: too hot");
    assert_eq!(world.inputs(cancel_booking).len(), 3);
}
