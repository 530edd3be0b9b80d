//! Many seeds, on many threads: what became of them, and what went wrong on the way.
//!
//! A seed decides its cast, its faults and everything that follows. The environment says which seeds:
//!
//! - `MILLRACE_SEEDS`: how many. `MILLRACE_FIRST_SEED`: from which on, 1 if it is not set.
//! - `MILLRACE_THREADS`: on how many threads, as many as there are cores if it is not set.
//! - `MILLRACE_CAST`: this cast only, instead of the one that the seed decides.
//!
//! Of the first seed that fails, the faults are [shrunk](crate::shrink) to the few that it takes.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millrace_conformance::{Fault, Faults, Happened, Spot};
use millrace_engine::ports::QueueName;

use crate::casts::{self, Named};
use crate::cost::Cost;
use crate::{Report, World, shrink};

/// How often a campaign says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// A campaign that has found so many seeds wanting has enough to tell.
const ENOUGH_FAILURES: usize = 5;

/// Which seeds, and on how many threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// The first seed.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// How many are played at once.
    pub threads: usize,
    /// The cast that plays all of them; without one each seed decides.
    pub cast: Option<&'static Named>,
}

/// What became of a campaign.
#[derive(Debug, Default)]
pub struct Summary {
    /// How many seeds were played, by cast.
    pub seeds: BTreeMap<&'static str, u64>,
    /// How many steps all worlds made: polls of one task.
    pub steps: u64,
    /// What went wrong, and was made good.
    pub faults: BTreeMap<Fault, u64>,
    /// What all worlds cost, by cast, and by whether bodies went through the bucket.
    pub costs: BTreeMap<(&'static str, bool), Cost>,
    /// How many bodies went through the bucket, by queue.
    pub large_bodies: BTreeMap<QueueName, u64>,
    /// Virtual time, of all worlds together.
    pub virtual_time: Duration,
    /// Time that it took.
    pub took: Duration,
    /// The seeds that did not end as they must.
    pub failures: Vec<Failure>,
}

/// A seed that did not end as it must.
#[derive(Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Who played.
    pub cast: &'static Named,
    /// What was wrong, and the command that plays it again.
    pub why: String,
}

impl Campaign {
    /// What the environment asks for, else so many seeds from 1 on.
    ///
    /// # Errors
    /// A variable has a value that cannot be meant.
    pub fn from_environment(seeds: u64) -> Result<Self, String> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let threads = number("MILLRACE_THREADS")?.unwrap_or(cores).max(1);
        Ok(Self {
            first: number("MILLRACE_FIRST_SEED")?.unwrap_or(1),
            seeds: number("MILLRACE_SEEDS")?.unwrap_or(seeds),
            threads: usize::try_from(threads).map_err(|e| format!("MILLRACE_THREADS: {e}"))?,
            cast: cast_from_environment()?,
        })
    }

    /// Plays all seeds, and says every few seconds how far it is.
    #[allow(
        clippy::disallowed_methods,
        reason = "how long a campaign takes is told to people, and to nothing in a world"
    )]
    pub fn run(&self) -> Summary {
        let begin = Instant::now();
        let next = AtomicU64::new(0);
        let summary = Mutex::new((Summary::default(), begin));
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    loop {
                        let nth = next.fetch_add(1, Ordering::Relaxed);
                        if nth >= self.seeds || lock(&summary).0.failures.len() >= ENOUGH_FAILURES {
                            return;
                        }
                        let seed = self.first + nth;
                        let cast = self.cast.unwrap_or_else(|| casts::of_seed(seed));
                        let Played { outcome, .. } = play(seed, cast, Faults::of_seed(seed));
                        let mut summary = lock(&summary);
                        summary.0.add(seed, cast, outcome);
                        if summary.1.elapsed() >= PROGRESS_EVERY {
                            summary.0.took = begin.elapsed();
                            println!("{} of {}", summary.0, self.seeds);
                            summary.1 = Instant::now();
                        }
                    }
                });
            }
        });
        let (mut summary, _) = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        summary.took = begin.elapsed();
        summary.failures.sort_by_key(|failure| failure.seed);
        summary
    }
}

impl Summary {
    fn add(&mut self, seed: u64, cast: &'static Named, played: Result<Report, String>) {
        *self.seeds.entry(cast.name).or_default() += 1;
        match played {
            Ok(report) => {
                self.steps += report.steps;
                self.virtual_time += report.took;
                let points = !report.large_bodies.is_empty();
                *self.costs.entry((cast.name, points)).or_default() += report.cost;
                for (queue, n) in report.large_bodies {
                    *self.large_bodies.entry(queue).or_default() += n;
                }
                for (fault, n) in report.faults {
                    *self.faults.entry(fault).or_default() += n;
                }
            }
            Err(why) => {
                let why = format!("seed {seed} ({}): {why}\n  {}", cast.name, command(seed, cast));
                println!("{why}");
                self.failures.push(Failure { seed, cast, why });
            }
        }
    }

    /// What the worlds cost, and what they cost without faults, two or three lines for each cast.
    pub fn cost_table(&self) -> String {
        casts::ALL.iter().fold(String::new(), |table, cast| {
            let faultless = cast.cost().map_or_else(|why| why, |cost| cost.to_string());
            let of_seeds = |title: &str, points: bool| {
                let cost = self.costs.get(&(cast.name, points))?;
                Some(format!("{:<12}{title:<19}{cost}\n", ""))
            };
            let [plain, pointed] = [of_seeds("these seeds:", false), of_seeds("with large bodies:", true)]
                .map(Option::unwrap_or_default);
            format!("{table}{:<12}{:<19}{faultless}\n{plain}{pointed}", cast.name, "without faults:")
        })
    }

    /// The faults, one to a line.
    pub fn fault_table(&self) -> String {
        Fault::ALL.iter().fold(String::new(), |table, fault| {
            let n = self.faults.get(fault).copied().unwrap_or(0);
            format!("{table}{:<22}{n:>10}\n", format!("{fault:?}"))
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seeds, faults): (u64, u64) = (self.seeds.values().sum(), self.faults.values().sum());
        let days = self.virtual_time.as_secs() / 86_400;
        let (took, failed) = (self.took.as_secs(), self.failures.len());
        write!(f, "{took:>5} s: {seeds} seeds, {failed} failed, {} steps, ", self.steps)?;
        write!(f, "{faults} faults, {days} days of virtual time; {:?}; ", self.seeds)?;
        write!(f, "bodies through the bucket: {:?}", self.large_bodies)
    }
}

/// One seed, played.
#[derive(Clone, Debug)]
pub struct Played {
    /// The report, if the world ends as the one without faults does and no promise is broken; else why not.
    pub outcome: Result<Report, String>,
    /// All that went wrong, in its order.
    pub happened: Vec<Happened>,
}

/// Plays one seed.
pub fn play(seed: u64, cast: &Named, faults: Faults) -> Played {
    let world = World::of(seed, faults, cast.cast());
    let injector = world.injector();
    let outcome = catch_unwind(AssertUnwindSafe(|| ends_as_it_must(world, cast)));
    let outcome = outcome.unwrap_or_else(|panic| Err(panic_text(panic.as_ref())));
    Played { outcome, happened: injector.happened() }
}

fn ends_as_it_must(world: World, cast: &Named) -> Result<Report, String> {
    let expected = cast.expected()?;
    let report = world.run()?;
    if !report.violations.is_empty() {
        return Err(format!("{:#?}", report.violations));
    }
    for (id, expected) in expected {
        match report.ends.get(id) {
            Some(end) if end == expected => {}
            end => return Err(format!("{id} ends with\n  {end:?}\nand without faults with\n  {expected:?}")),
        }
    }
    Ok(report)
}

/// The command that plays this seed again.
pub fn command(seed: u64, cast: &Named) -> String {
    let cast = match casts::of_seed(seed).name == cast.name {
        true => String::new(),
        false => format!("MILLRACE_CAST={} ", cast.name),
    };
    format!(
        "{cast}MILLRACE_SEED={seed} cargo test -p millrace-simulation --test seeds one_seed -- --nocapture"
    )
}

/// Why a seed fails, told by as few faults as it takes, with the command that plays it with these alone.
pub fn explain(seed: u64, cast: &Named, faults: &Faults) -> String {
    let Some((few, why)) = shrink::seed(seed, cast, faults) else {
        return format!(
            "seed {seed} does not fail a second time: is there anything that its number does not decide?"
        );
    };
    let list =
        |text: fn(&Happened) -> String, between| few.iter().map(text).collect::<Vec<_>>().join(between);
    let (lines, spots) = (
        list(|happened| format!("  {}: {}", happened.spot, happened.what), "\n"),
        list(|happened| happened.spot.to_string(), " "),
    );
    let (n, command) = (few.len(), command(seed, cast));
    format!("seed {seed} fails with {n} faults alone:\n{lines}\n{why}\n  MILLRACE_FAULTS='{spots}' {command}")
}

/// The faults of this seed; of these only those that `MILLRACE_FAULTS` names, if it is set.
///
/// # Errors
/// It names none that there can be.
pub fn faults_from_environment(seed: u64) -> Result<Faults, String> {
    let faults = Faults::of_seed(seed);
    let Ok(spots) = std::env::var("MILLRACE_FAULTS") else { return Ok(faults) };
    let spots = spots.split_whitespace().map(str::parse).collect::<Result<Vec<Spot>, _>>();
    spots.map(|spots| faults.only(spots)).map_err(|why| format!("MILLRACE_FAULTS: {why}"))
}

/// A number from the environment.
///
/// # Errors
/// It is something else.
pub fn number(name: &str) -> Result<Option<u64>, String> {
    let Ok(value) = std::env::var(name) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| format!("{name} is {value:?}; set it to a whole number"))
}

/// The cast that the environment names.
///
/// # Errors
/// There is none of this name.
pub fn cast_from_environment() -> Result<Option<&'static Named>, String> {
    let Ok(name) = std::env::var("MILLRACE_CAST") else { return Ok(None) };
    let names = || casts::ALL.iter().map(|cast| cast.name).collect::<Vec<_>>().join(", ");
    let cast = casts::ALL.iter().find(|cast| cast.name == name);
    cast.map(Some).ok_or_else(|| format!("MILLRACE_CAST is {name:?}; there are: {}", names()))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
