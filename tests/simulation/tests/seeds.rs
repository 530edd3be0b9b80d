//! Seeds of the fault injector: `MILLRACE_SEEDS=10000 cargo test --release -p millrace-simulation -- --nocapture`.
//! One seed alone: `MILLRACE_SEED=17 cargo test -p millrace-simulation one_seed -- --nocapture`.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use millrace_conformance::{Fault, Faults};
use millrace_simulation::{Report, World, operator};

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

fn run(seed: u64, faults: Faults) -> Report {
    ended(seed, World::new(seed, faults), "one_seed")
}

fn run_operated(seed: u64, faults: Faults) -> Report {
    ended(seed, World::of(seed, faults, operator::cast()), "one_operated_seed")
}

fn ended(seed: u64, world: World, test: &str) -> Report {
    let again = format!("MILLRACE_SEED={seed} cargo test -p millrace-simulation {test} -- --nocapture");
    let report = world.run().unwrap_or_else(|why| panic!("seed {seed}: {why}\n  {again}"));
    assert!(report.violations.is_empty(), "seed {seed}: {:#?}\n  {again}", report.violations);
    report
}

#[test]
fn g8_one_seed_twice_is_the_same_to_the_byte() {
    let twice = [7, 7].map(|seed| run(seed, Faults::of_seed(seed)));
    assert_eq!(twice[0], twice[1]);
    let operated = [7, 7].map(|seed| run_operated(seed, Faults::of_seed(seed)));
    assert_eq!(operated[0], operated[1]);
    assert!(twice[0].large_payloads > 5, "odd worlds have large payloads: {}", twice[0].large_payloads);
}

#[test]
fn one_seed() {
    let Some(seed) = variable("MILLRACE_SEED") else { return };
    let report = run(seed, Faults::of_seed(seed));
    println!("{report:#?}");
}

#[test]
fn one_operated_seed() {
    let Some(seed) = variable("MILLRACE_SEED") else { return };
    let report = run_operated(seed, Faults::of_seed(seed));
    println!("{report:#?}");
}

#[test]
fn g1_to_g11_every_seed_ends_as_the_faultless_world_does() {
    every_seed(run);
}

/// Pauses, retries at once, resets, forks, signals in order: in the end nobody can tell.
#[test]
fn g2_g4_g8_every_seed_of_an_operator_ends_as_if_nobody_had_intervened() {
    every_seed(run_operated);
}

fn every_seed(run: impl Fn(u64, Faults) -> Report + Sync) {
    let expected = run(0, Faults::none());
    let seeds = variable("MILLRACE_SEEDS").unwrap_or(100);
    let next = AtomicU64::new(1);
    let total: Mutex<BTreeMap<Fault, u64>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds {
                        return;
                    }
                    let report = run(seed, Faults::of_seed(seed));
                    assert_eq!(report.ends, expected.ends, "seed {seed}");
                    let mut total = total.lock().unwrap();
                    for (fault, n) in report.faults {
                        *total.entry(fault).or_default() += n;
                    }
                }
            });
        }
    });
    println!(
        "{seeds} seeds; without faults: {:?} of virtual time; faults: {:?}",
        expected.took,
        total.lock().unwrap()
    );
}
