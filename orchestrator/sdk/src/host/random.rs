//! Numbers that look random and are a function of the position in the history.

use millrace_core::RunId;

/// SplitMix64 over the run id's 128 random bits. A generator of our own, because a recorded run must draw the same
/// numbers from every later version of this crate; ten lines that are never changed keep that promise more easily
/// than a dependency. Not for secrets: the run id is no secret, and the numbers follow from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn of(run_id: RunId) -> Self {
        let bits = run_id.as_u128();
        Self((bits >> 64) as u64 ^ (bits as u64).rotate_left(32))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never edited: recorded runs draw these numbers.
    #[test]
    fn the_numbers_of_a_run_never_change() {
        let mut random = Random(0);
        let drawn = [random.next(), random.next(), random.next()];
        assert_eq!(drawn, [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F]);
        let run_id = RunId::from_random(0x0123_4567_89AB_CDEF_0123_4567_89AB_CDEF);
        assert_eq!(Random::of(run_id).next(), Random::of(run_id).next());
    }
}
