//! The system in a cloud: an emulator of S3, SQS, Lambda and CloudFormation, the project's template deployed to it with
//! functions that really run, and a client that is not ours.
//!
//! - [`emulator`]: the emulator of a test binary, or the one line that says why there is none.
//! - [`stack`]: a stack of a test's own. [`bootstraps`]: the zips of its functions.
//! - [`foreign`]: boto3, for what somebody else would do. Queues and objects are seen through it, never through our code.
//! - [`history`]: what the bucket says of a run, checked.
//! - [`processes`]: workers that are not functions, and the killing of both.
//! - [`in_process`]: the engine in the test's process, over the emulator; with a clock that the test moves.
//! - [`overheard`]: queues in which some words must not be said.
//! - [`app`]: workflows that can be told to go wrong. [`language`]: one that uses what the language has.
//!
//! Where the emulator is not AWS, the difference is handled here and never in the product.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

pub mod app;
pub mod bootstraps;
pub mod emulator;
pub mod foreign;
pub mod history;
pub mod in_process;
pub mod language;
pub mod overheard;
pub mod poll;
pub mod processes;
pub mod stack;

pub use emulator::Emulator;
pub use foreign::Foreign;
pub use history::History;
pub use poll::{Deadline, eventually};
pub use stack::Stack;
