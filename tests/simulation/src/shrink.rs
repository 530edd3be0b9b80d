//! The few faults, out of the many of a seed, without which it would not fail.

use millrace_conformance::{Faults, Happened, Spot};

use crate::campaign;
use crate::casts::Named;

/// So many worlds are played at most to find them.
const MOST_TRIES: usize = 150;

/// Leaves out as many of these as it can while what is left still fails: halves first, then smaller and smaller parts
/// (delta debugging). Nothing of what comes out can be left out alone, unless the tries were over before.
pub fn shrink<T: Clone>(
    all: Vec<T>,
    mut most_tries: usize,
    mut still_fails: impl FnMut(&[T]) -> bool,
) -> Vec<T> {
    let mut left = all;
    let mut parts = 2;
    while !left.is_empty() && most_tries > 0 {
        let size = left.len().div_ceil(parts);
        let mut fewer = None;
        for start in (0..left.len()).step_by(size) {
            if most_tries == 0 {
                break;
            }
            let without: Vec<T> =
                left.iter().take(start).chain(left.iter().skip(start + size)).cloned().collect();
            most_tries -= 1;
            if still_fails(&without) {
                fewer = Some(without);
                break;
            }
        }
        match fewer {
            Some(fewer) => {
                left = fewer;
                parts = (parts - 1).max(2);
            }
            None if size == 1 => break,
            None => parts = (parts * 2).min(left.len()),
        }
    }
    left
}

/// The few faults with which this seed still fails, and how it does; `None` if it does not fail with the faults that it
/// had.
pub fn seed(seed: u64, cast: &Named, faults: &Faults) -> Option<(Vec<Happened>, String)> {
    let again = |spots: &[Spot]| campaign::play(seed, cast, faults.clone().only(spots.iter().cloned()));
    let all: Vec<Spot> = campaign::play(seed, cast, faults.clone())
        .happened
        .into_iter()
        .map(|happened| happened.spot)
        .collect();
    let few = shrink(all, MOST_TRIES, |spots| again(spots).outcome.is_err());
    let played = again(&few);
    Some((played.happened, played.outcome.err()?))
}
