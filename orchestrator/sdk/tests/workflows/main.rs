//! Workflows as authors write them, run through the core's turns and replayed from the start after each.
#![allow(missing_docs, unreachable_pub, reason = "examples")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests, outside of `#[test]` too")]

mod approval;
mod blocked;
mod cancellation;
mod determinism;
#[path = "../driver/mod.rs"]
mod driver;
mod embedded;
mod fan_out;
mod main_job;
mod saga;
mod state;
