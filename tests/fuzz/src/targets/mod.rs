//! What reads data from outside, each with what must hold of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what does not hold is a panic")]

pub mod bodies;
pub mod command_line;
pub mod engine;
pub mod events;
pub mod history;
pub mod http;
pub mod inbox;
pub mod invocation;
pub mod names;
pub mod objects;
pub mod part;
pub mod schedule;
pub mod task;

mod world;

use std::fmt::Display;

/// No error repeats what it was given at length: it goes into logs, attributes and answers.
const LONGEST_ERROR: usize = 1_500;

/// The answer to an object that cannot be read: its error stays in our own logs.
fn unreadable(error: impl Display) -> String {
    error.to_string()
}

/// The answer to what was refused.
fn refused(error: impl Display) -> String {
    let text = error.to_string();
    assert!(text.chars().count() <= LONGEST_ERROR, "an error of {} bytes: {text:.200}", text.len());
    text
}

/// Lines of an input that is a script, as text; what is not UTF-8 is replaced.
fn lines(input: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(input).lines().map(str::to_owned).collect()
}
