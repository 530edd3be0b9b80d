//! Which faults happen, how often, and how many have happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::rng::Rng;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident,)*) => {
        /// One way in which the world misbehaves.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: [Self; [$(stringify!($fault)),*].len()] = [$(Self::$fault),*];
        }

        impl FromStr for Fault {
            type Err = String;

            fn from_str(name: &str) -> Result<Self, String> {
                match name {
                    $(stringify!($fault) => Ok(Self::$fault),)*
                    _ => Err(format!("`{name}` is no fault; there are {:?}", Self::ALL)),
                }
            }
        }
    };
}

faults! {
    /// A message sent once arrives twice, the second time up to 15 minutes later.
    Duplicate,
    /// A message arrives up to 15 minutes late.
    Delay,
    /// A received batch comes in another order.
    Reorder,
    /// A delivery is lost on its way: the message comes again after the visibility that was asked for.
    DropDelivery,
    /// A delivery is lost, and the message stays away for up to 6 hours.
    Stall,
    /// A delete is confirmed, but the message comes again within a minute.
    DeleteWithoutEffect,
    /// A send is answered with an error although the message is on its way.
    SendReplyLost,
    /// A write is refused with 412 although nobody wrote.
    PutConflict,
    /// A write is refused with 409.
    PutBusy,
    /// A write happens, its reply is lost.
    PutReplyLost,
    /// A write does not happen, and the answer says nothing.
    PutLost,
    /// A write happens up to two minutes after its caller has given up, if its condition holds then.
    PutLate,
    /// A call fails, and nothing happens.
    Unavailable,
    /// A call acts up to 15 seconds late.
    SlowRequest,
    /// A call acts at once, and answers up to 15 seconds late.
    SlowReply,
    /// The process dies before a call acts.
    CrashBefore,
    /// The process dies after a call has acted, before it returns.
    CrashAfter,
    /// The process stands still for up to an hour, longer than any lease, and goes on as if nothing had been.
    Freeze,
    /// The process begins with a clock that is wrong by up to two minutes, and too fast or too slow by up to a minute a day.
    ClockSkew,
    /// The same code is deployed as another build.
    Deploy,
    /// Code is deployed that blocks every run, and repaired hours later.
    BadDeploy,
}

/// One fault that happened: the nth time that it could have happened to this process. The same in a second run of the same
/// world, as long as nothing before it differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// The process; those that have died and come back are one.
    pub process: String,
    /// What happened.
    pub fault: Fault,
    /// How often it could have happened before.
    pub nth: u64,
}

/// `worker-1:PutLost:17`
impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:?}:{}", self.process, self.fault, self.nth)
    }
}

impl FromStr for Spot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("`{text}` is no fault such as worker-1:PutLost:17: {why}");
        let mut parts = text.rsplitn(3, ':');
        let (Some(nth), Some(fault), Some(process)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("it has three parts"));
        };
        let nth = nth.parse().map_err(|_| bad("it ends with a number"))?;
        Ok(Self { process: process.to_owned(), fault: fault.parse().map_err(|why: String| bad(&why))?, nth })
    }
}

/// A fault that happened, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Where.
    pub spot: Spot,
    /// When, and in which call: for people.
    pub what: String,
}

/// How often each fault happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    seed: u64,
    per_10_000: BTreeMap<Fault, u32>,
    only: Option<BTreeSet<Spot>>,
}

impl Faults {
    /// A perfect world.
    pub fn none() -> Self {
        Self { seed: 0, per_10_000: BTreeMap::new(), only: None }
    }

    /// A world that the seed decides: some faults are absent, some rare, some frequent.
    pub fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x6661_756c_7473);
        let rate = |fault: Fault| {
            let most = match fault {
                Fault::Freeze => 40,
                Fault::Stall | Fault::CrashBefore | Fault::CrashAfter => 100,
                Fault::Reorder | Fault::ClockSkew => 5_000,
                Fault::Deploy => 1_000,
                _ => 600,
            };
            let rate = if rng.happens(4_000) { 0 } else { rng.below(most) as u32 + 1 };
            (fault, rate)
        };
        Self { seed, per_10_000: Fault::ALL.into_iter().map(rate).collect(), only: None }
    }

    /// The same, with this fault happening so often.
    #[must_use]
    pub fn with(mut self, fault: Fault, per_10_000: u32) -> Self {
        self.per_10_000.insert(fault, per_10_000);
        self
    }

    /// The same rates, drawn from another seed.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Of these faults, those at these spots, and no others.
    #[must_use]
    pub fn only(self, spots: impl IntoIterator<Item = Spot>) -> Self {
        Self { only: Some(spots.into_iter().collect()), ..self }
    }
}

/// Decides at each call what goes wrong, and counts. One for all processes of a simulated world.
pub struct Injector {
    inner: Mutex<Inner>,
}

struct Inner {
    faults: Faults,
    /// How often each process was asked about each fault.
    asked: BTreeMap<(String, Fault), u64>,
    /// What the faults of each process are drawn from in detail: its last fault decides.
    details: BTreeMap<String, Rng>,
    happened: Vec<Happened>,
    calm: bool,
}

impl Injector {
    /// Injects these faults.
    pub fn new(faults: Faults) -> std::sync::Arc<Self> {
        let inner = Inner {
            faults,
            asked: BTreeMap::new(),
            details: BTreeMap::new(),
            happened: Vec::new(),
            calm: false,
        };
        std::sync::Arc::new(Self { inner: Mutex::new(inner) })
    }

    /// No more faults from now on (`true`), or faults again: a world must be able to come to rest.
    pub fn set_calm(&self, calm: bool) {
        self.lock().calm = calm;
    }

    /// How often each fault has happened.
    pub fn counts(&self) -> BTreeMap<Fault, u64> {
        let mut counts = BTreeMap::new();
        for happened in &self.lock().happened {
            *counts.entry(happened.spot.fault).or_default() += 1;
        }
        counts
    }

    /// All that has happened, in its order.
    pub fn happened(&self) -> Vec<Happened> {
        self.lock().happened.clone()
    }

    /// Whether the fault happens to this process this time. Each spot has a number of its own, so one fault less does not
    /// move the others.
    pub fn happens(&self, process: &str, fault: Fault, what: impl FnOnce() -> String) -> bool {
        let mut inner = self.lock();
        let rate = inner.faults.per_10_000.get(&fault).copied().unwrap_or(0);
        let asked = inner.asked.entry((process.to_owned(), fault)).or_default();
        let spot = Spot { process: process.to_owned(), fault, nth: *asked };
        *asked += 1;
        if inner.calm || rate == 0 || inner.faults.only.as_ref().is_some_and(|only| !only.contains(&spot)) {
            return false;
        }
        let mut rng = Rng::new(inner.faults.seed ^ number(&spot));
        let happens = rng.happens(rate);
        if happens {
            inner.details.insert(process.to_owned(), rng);
            inner.happened.push(Happened { spot, what: what() });
        }
        happens
    }

    /// A duration up to `longest`, for the fault that has just happened to this process; often a short one.
    pub fn duration(&self, process: &str, longest: Duration) -> Duration {
        let most = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        self.detail(process, |rng| {
            let most = if rng.happens(5_000) { most / 60 } else { most };
            Duration::from_millis(rng.below(most + 1))
        })
    }

    pub(crate) fn shuffle<T>(&self, process: &str, things: &mut [T]) {
        self.detail(process, |rng| rng.shuffle(things));
    }

    /// Draws from the numbers of the fault that has just happened to this process.
    pub fn detail<T>(&self, process: &str, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(self.lock().details.entry(process.to_owned()).or_insert_with(|| Rng::new(0)))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// FNV-1a: the same everywhere.
fn number(spot: &Spot) -> u64 {
    let bytes = spot.process.bytes().chain([spot.fault as u8]).chain(spot.nth.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
