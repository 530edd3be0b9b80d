//! A trip of three bookings that are all made or all undone.
//!
//! Three services that know nothing of each other, and no transaction around them: what was booked is canceled again if what
//! follows fails, or if the traveler changes their mind.

mod service;

use millrace::{OnCancel, prelude::*};
use serde::{Deserialize, Serialize};
pub use service::{Service, Services};
use uuid::Uuid;

/// What a traveler wants.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trip {
    pub traveler: String,
}

/// A place that is the traveler's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Booking {
    pub service: Service,
    pub place: u32,
}

#[activity(start_to_close = "10s")]
pub async fn book(
    services: Shared<Services>,
    service: Service,
    key: Uuid,
    traveler: String,
) -> Result<Booking, ActivityError> {
    let place = services.book(service, key, &traveler)?;
    let sold_out = || ApplicationFailure::new("SoldOut", format!("{service:?} is sold out")).non_retryable();
    Ok(Booking { service, place: place.ok_or_else(sold_out)? })
}

#[activity(start_to_close = "10s")]
pub async fn cancel(services: Shared<Services>, service: Service, key: Uuid) -> Result<(), ActivityError> {
    Ok(services.cancel(service, key)?)
}

#[workflow]
pub async fn book_trip(ctx: WorkflowContext, trip: Trip) -> Result<Vec<Booking>, WorkflowError> {
    ctx.saga(async |saga| {
        let mut bookings = Vec::new();
        for service in Service::ALL {
            // The key is chosen here, and the undoing is kept before the doing: a booking whose answer is lost is undone, too.
            let key = ctx.uuid();
            saga.undo(ctx.activity(cancel, (service, key)));
            // Undone only once the attempt has ended: it could book after the cancellation.
            let booked = ctx.activity(book, (service, key, trip.traveler.clone())).on_cancel(OnCancel::Wait);
            bookings.push(booked.await?);
        }
        Ok(bookings)
    })
    .await
}

/// Everything that the program can run.
pub fn app(services: Services) -> App {
    App::new().share(services).workflow(book_trip).activity(book).activity(cancel)
}
