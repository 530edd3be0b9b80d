//! What every adapter must do, a fault injector, and a deterministic simulation with virtual time.
//!
//! - [`Suite`]: functions over the ports; each panics with a readable text when the adapter does not conform. They
//!   run against memory, the embedded store, the emulators and AWS, on a real clock or on the simulated one.
//! - [`Faulty`]: ports that misbehave in every way the guarantees G2 to G7 allow for, as a seed decides.
//! - [`Sim`]: one seed → everything: the order of tasks, time, random bits, crashes.

mod faults;
mod injector;
mod lost_reply;
mod objects;
mod queues;
mod rng;
mod sim;
mod suite;

pub use faults::Faulty;
pub use injector::{Fault, Faults, Happened, Injector, Spot};
pub use lost_reply::LostReply;
pub use rng::Rng;
pub use sim::{Process, Sim, Stuck};
pub use suite::Suite;
