//! What is typed after the program's name: times, attributes, policies, JSON.

use super::lines;
use crate::{Memory, Target};

/// A command line, a word in each line.
pub const TARGET: Target = Target {
    name: "command_line",
    seeds: &[],
    read,
    // The parser's own tables, help texts included.
    memory: Memory { times: 64, plus: 4_000_000 },
    slice: 120,
};

fn read(input: &[u8]) -> String {
    let lines = lines(input);
    let words: Vec<&str> = std::iter::once("app").chain(lines.iter().map(String::as_str)).collect();
    match millrace::fuzzing::command_line(&words) {
        Ok(read) => read,
        Err(error) => error,
    }
}
