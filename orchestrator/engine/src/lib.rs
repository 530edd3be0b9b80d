//! The engine: what happens between a message and its effects, over ports.

mod activity_code;
pub mod ports;

pub use activity_code::{ActivityCode, Attempt};
