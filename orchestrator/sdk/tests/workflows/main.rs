//! Workflows as authors write them, in the test kit: through the core's turns, and replayed from the start after each.
#![allow(missing_docs, unreachable_pub, reason = "examples")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests, outside of `#[test]` too")]

mod approval;
mod blocked;
mod cancellation;
mod children;
mod codecs;
mod context;
mod determinism;
mod embedded;
mod entity;
mod fan_out;
mod kit;
mod main_job;
mod map_pages;
mod maps;
mod operate;
mod queries;
mod saga;
mod schedule_costs;
mod schedules;
mod standalone;
mod starts;
mod state;
mod test_kit;
mod unconfirmed;
mod updates;
