//! An engine over counted ports, in virtual time, that runs one workflow after the other: what each call costs.

mod features;
mod world;

pub use world::{Cost, World};
