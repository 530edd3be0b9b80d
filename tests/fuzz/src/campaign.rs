//! Running a target: first what is kept, then what is made of it.
//!
//! An input that is answered in a way not met before is kept in memory, and more is made of it: a poor man's coverage,
//! which needs no instrumented build. A failure is made smaller and written to a file, for the corpus.

#![allow(clippy::disallowed_methods, reason = "a campaign lasts as long as its clock says")]
#![allow(clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::mutate::mutated;
use crate::{Target, corpus};

/// How long one input may take. Nothing here takes a thousandth of it: more is a loop that does not end.
const LONGEST: Duration = Duration::from_secs(30);
/// How many inputs a campaign remembers beside its seeds.
const MOST_KEPT: usize = 20_000;
/// How many tries a failure is made smaller with.
const SMALLER_TRIES: usize = 400;

/// How long, and from which seed.
#[derive(Clone, Copy, Debug)]
enum Extent {
    /// The same inputs every time.
    Slice(u64),
    /// As many as fit into this time.
    For(Duration),
}

/// What a run of a target has seen.
#[derive(Debug, Default)]
pub struct Report {
    /// Inputs that were read.
    pub inputs: u64,
    /// Kinds of answers.
    pub answers: usize,
    /// The most memory that one input took beyond what is allowed for its length; negative if that was never met.
    pub most_bytes: u64,
    /// The longest that one input took.
    pub longest: Duration,
}

/// Replays the target's corpus, then reads mutated inputs: as many as the target says, or for `MILLRACE_FUZZ_SECONDS`. What
/// fails is written to the folder.
///
/// # Panics
/// An input made the target panic, or took more memory or time than it may. The message names the file with the input.
pub fn run(target: &Target, folder: &Path) -> Report {
    let seconds = variable("MILLRACE_FUZZ_SECONDS");
    let extent = seconds.map_or(Extent::Slice(target.slice), |s| Extent::For(Duration::from_secs(s)));
    let seed = variable("MILLRACE_FUZZ_SEED").unwrap_or_else(|| match extent {
        Extent::Slice(_) => 1,
        Extent::For(_) => RandomState::new().hash_one(target.name),
    });
    quiet_panics();
    let report = Campaign::new(target, seed, folder).run(extent);
    println!(
        "{}: {} inputs, {} kinds of answers, at most {} kB and {:?} for one input, seed {seed}",
        target.name,
        report.inputs,
        report.answers,
        report.most_bytes / 1_000,
        report.longest
    );
    report
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: `{text}` is not a whole number")))
}

struct Campaign<'a> {
    target: &'a Target,
    dice: Dice,
    kept: Vec<Vec<u8>>,
    answers: HashSet<u64>,
    report: Report,
    last: PathBuf,
}

impl<'a> Campaign<'a> {
    fn new(target: &'a Target, seed: u64, folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("`{}`: {error}", folder.display()));
        Self {
            target,
            dice: Dice::new(seed),
            kept: Vec::new(),
            answers: HashSet::new(),
            report: Report::default(),
            last: folder.join(format!("{}.last", target.name)),
        }
    }

    fn run(mut self, extent: Extent) -> Report {
        let seeds = corpus::of(self.target);
        assert!(!seeds.is_empty(), "{}: there is no seed", self.target.name);
        for (name, seed) in &seeds {
            self.read(seed, name);
        }
        self.kept = seeds.into_iter().map(|(_, seed)| seed).collect();
        let began = Instant::now();
        let mut made = 0;
        loop {
            match extent {
                Extent::Slice(inputs) if made == inputs => break,
                Extent::For(time) if began.elapsed() >= time => break,
                _ => made += 1,
            }
            let (one, other) = (self.dice.one_of(&self.kept), self.dice.one_of(&self.kept));
            let input = mutated(&mut self.dice, &one, &other);
            if self.read(&input, "a mutated input") && self.kept.len() < MOST_KEPT {
                self.kept.push(input);
            }
        }
        let _ = std::fs::remove_file(&self.last);
        self.report.answers = self.answers.len();
        self.report
    }

    /// Reads one input; says whether the answer is a new one.
    fn read(&mut self, input: &[u8], name: &str) -> bool {
        // Should the process die of it (a stack that overflows), this is what is left.
        let _ = std::fs::write(&self.last, input);
        let measured = match measured(self.target, input) {
            Ok(measured) => measured,
            Err(why) => self.failed(input, name, &why),
        };
        self.report.inputs += 1;
        self.report.most_bytes = self.report.most_bytes.max(measured.bytes);
        self.report.longest = self.report.longest.max(measured.time);
        self.answers.insert(kind_of(&measured.answer))
    }

    fn failed(&self, input: &[u8], name: &str, why: &str) -> ! {
        let small = smaller(self.target, input);
        let mut hasher = DefaultHasher::new();
        small.hash(&mut hasher);
        let file = self.last.with_extension(format!("{:08x}", hasher.finish() as u32));
        let _ = std::fs::write(&file, &small);
        let text = String::from_utf8_lossy(&small);
        let text: String = text.chars().take(600).collect();
        panic!(
            "{}: {name}: {why}\n  {} bytes, made smaller: `{}`\n  keep it: tests/fuzz/corpus/{}/, under a name that says \
             what was wrong\n{text}",
            self.target.name,
            small.len(),
            file.display(),
            self.target.name
        )
    }
}

struct Measured {
    answer: String,
    bytes: u64,
    time: Duration,
}

fn measured(target: &Target, input: &[u8]) -> Result<Measured, String> {
    let began = Instant::now();
    let mut answer = Ok(String::new());
    let used = allocation_counter::measure(|| {
        answer = QUIET.with(|quiet| {
            quiet.set(true);
            let answer = panic::catch_unwind(AssertUnwindSafe(|| (target.read)(input)));
            quiet.set(false);
            answer
        });
    });
    let (bytes, time) = (used.bytes_max, began.elapsed());
    let answer = answer.map_err(|panic| format!("panicked: {}", text_of(&*panic)))?;
    let most = target.memory.most(input.len());
    if bytes > most {
        let length = input.len();
        return Err(format!("takes {bytes} bytes of memory, where {most} are allowed for {length} of input"));
    }
    if time > LONGEST {
        return Err(format!("takes {time:?}"));
    }
    Ok(Measured { answer, bytes, time })
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a text".to_owned())
}

thread_local! {
    static QUIET: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

static LOUD: AtomicU64 = AtomicU64::new(0);

/// How many panics there were that no campaign caught: on threads of the engine's.
pub(crate) fn loud_panics() -> u64 {
    LOUD.load(Ordering::Relaxed)
}

/// A panic that a campaign catches is told by the campaign.
fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                eprintln!("(caught) {info}");
            } else {
                LOUD.fetch_add(1, Ordering::Relaxed);
                loud(info);
            }
        }));
    });
}

/// The answer without what differs from input to input: numbers, and what is quoted.
fn kind_of(answer: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut quoted = false;
    for c in answer.chars().take(2_000) {
        match c {
            '`' | '"' => quoted = !quoted,
            '0'..='9' => {}
            _ if quoted => {}
            c => c.hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// The same failure, or another, with less input.
fn smaller(target: &Target, input: &[u8]) -> Vec<u8> {
    let mut best = input.to_vec();
    let (mut piece, mut tries) = (best.len() / 2, 0);
    while piece > 0 && tries < SMALLER_TRIES {
        let mut at = 0;
        while at < best.len() && tries < SMALLER_TRIES {
            let mut without = best.clone();
            without.drain(at..(at + piece).min(best.len()));
            tries += 1;
            if measured(target, &without).is_err() {
                best = without;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    best
}

/// The folder of a target's kept inputs.
pub(crate) fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}
