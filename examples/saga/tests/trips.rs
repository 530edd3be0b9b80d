//! Trips that are booked, that cannot be, and that are not wanted any more.

use std::path::Path;

use millrace::{RunError, TestEnv, prelude::*};
use saga::{Service, Services, Trip, app, book, book_trip, cancel};
use uuid::Uuid;

const PLACES: u32 = 2;

fn services(folder: &Path) -> Services {
    Services::open(folder, PLACES).unwrap()
}

/// How many places of each service are taken.
fn taken(folder: &Path) -> [usize; 3] {
    Service::ALL.map(|service| services(folder).taken(service).unwrap())
}

fn ann() -> Trip {
    Trip { traveler: "Ann".into() }
}

#[tokio::test]
async fn all_three_are_booked() {
    let folder = tempfile::tempdir().unwrap();
    let env = TestEnv::of(app(services(folder.path())));
    let bookings = env.start(book_trip, "trip-1", ann()).await.unwrap().result().await.unwrap();
    assert_eq!(bookings.iter().map(|booking| booking.service).collect::<Vec<_>>(), Service::ALL);
    assert_eq!(taken(folder.path()), [1, 1, 1]);
    assert!(env.calls(cancel).is_empty());
}

#[tokio::test]
async fn what_was_booked_is_undone_when_the_next_is_sold_out() {
    let folder = tempfile::tempdir().unwrap();
    for key in [1, 2] {
        services(folder.path()).book(Service::Car, Uuid::from_u128(key), "Bob").unwrap().unwrap();
    }
    let env = TestEnv::of(app(services(folder.path())));
    let run = env.start(book_trip, "trip-1", ann()).await.unwrap();
    let Err(RunError::Failed(failure)) = run.result().await else { panic!("it was booked") };
    assert!(failure.is("SoldOut"), "{failure}");
    assert_eq!(taken(folder.path()), [0, 0, 2]);
    let undone: Vec<Service> = env.calls(cancel).into_iter().map(|(service, _)| service).collect();
    assert_eq!(undone, [Service::Car, Service::Flight, Service::Hotel]);
}

#[tokio::test]
async fn a_trip_that_is_canceled_midway_leaves_no_booking() {
    let folder = tempfile::tempdir().unwrap();
    let env = TestEnv::of(app(services(folder.path())));
    env.hold(book);
    let run = env.start(book_trip, "trip-1", ann()).await.unwrap();
    run.cancel("ill").await.unwrap();
    env.release(book).await;
    let Err(RunError::Failed(failure)) = run.result().await else { panic!("it was booked") };
    assert!(failure.is_canceled(), "{failure}");
    assert_eq!(taken(folder.path()), [0, 0, 0]);
}

#[tokio::test]
async fn places_are_not_sold_twice() {
    let folder = tempfile::tempdir().unwrap();
    let env = TestEnv::of(app(services(folder.path())));
    let mut booked = 0;
    for n in 0..5 {
        booked += usize::from(
            env.start(book_trip, format!("trip-{n}"), ann()).await.unwrap().result().await.is_ok(),
        );
    }
    assert_eq!((booked, taken(folder.path())), (2, [2, 2, 2]));
}

#[tokio::test]
async fn a_booking_that_is_asked_for_twice_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let key = Uuid::from_u128(7);
    for _ in 0..2 {
        let services = Shared::new(services(folder.path()));
        assert_eq!(book(services, Service::Hotel, key, "Ann".into()).await.unwrap().place, 1);
    }
    assert_eq!(taken(folder.path()), [1, 0, 0]);
}
