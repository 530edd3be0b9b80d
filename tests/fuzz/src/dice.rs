//! What chance does here: choices that a seed decides.

use millrace_conformance::Rng;

/// Choices from one seed.
#[derive(Debug)]
pub(crate) struct Dice(Rng);

impl Dice {
    /// The choices of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rng::new(seed))
    }

    /// A number below `end`; 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0.below(end as u64) as usize
    }

    /// True once in `n` times.
    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these; the default if there are none.
    pub(crate) fn one_of<T: Clone + Default>(&mut self, these: &[T]) -> T {
        these.get(self.below(these.len())).cloned().unwrap_or_default()
    }

    /// A byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    /// A length: mostly small, now and then very large.
    pub(crate) fn length(&mut self) -> usize {
        match self.below(64) {
            0 => 1 << (10 + self.below(8)),
            1..8 => 1 << self.below(10),
            _ => 1 + self.below(8),
        }
    }
}
