//! The services: folders with a file for each place that is taken. They stand for what others run; what counts is that they
//! know a booking by its key, so that asking twice books once.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    Hotel,
    Flight,
    Car,
}

impl Service {
    /// In the order of booking.
    pub const ALL: [Self; 3] = [Self::Hotel, Self::Flight, Self::Car];

    fn folder(self) -> &'static str {
        match self {
            Self::Hotel => "hotel",
            Self::Flight => "flight",
            Self::Car => "car",
        }
    }
}

/// All services, each with the same number of places.
pub struct Services {
    root: PathBuf,
    places: u32,
}

impl Services {
    /// Opens the folder, and makes what is not there.
    pub fn open(root: impl Into<PathBuf>, places: u32) -> io::Result<Self> {
        let root = root.into();
        for service in Service::ALL {
            fs::create_dir_all(root.join(service.folder()))?;
        }
        Ok(Self { root, places })
    }

    /// Takes a place, or gives the one that the key has already. `None`: sold out.
    pub fn book(&self, service: Service, key: Uuid, traveler: &str) -> io::Result<Option<u32>> {
        if let Some(place) = self.place(service, key)? {
            return Ok(Some(place));
        }
        // Written first, and linked to a place as a whole: whoever comes second finds the place taken.
        let ticket = self.root.join(format!("{}-{key}", service.folder()));
        fs::write(&ticket, format!("{key} {traveler}\n"))?;
        let taken =
            (1..=self.places).find_map(|place| match fs::hard_link(&ticket, self.path(service, place)) {
                Ok(()) => Some(Ok(place)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => None,
                Err(error) => Some(Err(error)),
            });
        fs::remove_file(&ticket)?;
        taken.transpose()
    }

    /// Gives the key's place back; a key that has none changes nothing.
    pub fn cancel(&self, service: Service, key: Uuid) -> io::Result<()> {
        match self.place(service, key)? {
            Some(place) => fs::remove_file(self.path(service, place)),
            None => Ok(()),
        }
    }

    /// How many places are taken.
    pub fn taken(&self, service: Service) -> io::Result<usize> {
        Ok(self.bookings(service)?.len())
    }

    fn place(&self, service: Service, key: Uuid) -> io::Result<Option<u32>> {
        let has_key = |(_, booking): &(u32, String)| booking.starts_with(&key.to_string());
        Ok(self.bookings(service)?.into_iter().find(has_key).map(|(place, _)| place))
    }

    fn bookings(&self, service: Service) -> io::Result<Vec<(u32, String)>> {
        let read = |place| match fs::read_to_string(self.path(service, place)) {
            Ok(booking) => Some(Ok((place, booking))),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => Some(Err(error)),
        };
        (1..=self.places).filter_map(read).collect()
    }

    fn path(&self, service: Service, place: u32) -> PathBuf {
        self.root.join(service.folder()).join(place.to_string())
    }
}
