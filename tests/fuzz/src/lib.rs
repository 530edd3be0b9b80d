//! Whatever comes from outside is read without a panic, in bounded memory, and comes out as it went in.
//!
//! A [`Target`] is a function over bytes that asserts what must hold. Its corpus is replayed, then inputs made of it are
//! read: a fixed slice in every test run, the same each time, or a campaign:
//!
//! ```sh
//! MILLRACE_FUZZ_SECONDS=600 cargo test --release -p millrace-fuzz -- --nocapture   # each target for so long
//! MILLRACE_FUZZ_SECONDS=60 MILLRACE_FUZZ_SEED=7 cargo test -p millrace-fuzz inbox  # one target, from a seed
//! ```
//!
//! It needs no other toolchain than the project's. What it lacks beside a fuzzer with an instrumented build is the
//! coverage of branches; it goes by the kinds of answers instead.

mod campaign;
mod corpus;
mod dice;
mod json;
mod mutate;
pub mod targets;

pub use campaign::{Report, run};
pub use corpus::Seeds;

/// Something that reads data from outside.
#[derive(Debug)]
pub struct Target {
    /// The name of its folder under `corpus/`.
    pub name: &'static str,
    /// What it begins with, beside that.
    pub seeds: &'static [Seeds],
    /// Reads an input and asserts what must hold. The answer tells kinds of inputs apart.
    pub read: fn(&[u8]) -> String,
    /// How much memory an input may take at a time.
    pub memory: Memory,
    /// How many inputs are made in an ordinary test run.
    pub slice: u64,
}

/// So many bytes for each byte of input, and so many beside that.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// For each byte of input.
    pub times: u64,
    /// Whatever the input.
    pub plus: u64,
}

impl Memory {
    fn most(self, input: usize) -> u64 {
        self.plus.saturating_add(self.times.saturating_mul(input as u64))
    }
}
