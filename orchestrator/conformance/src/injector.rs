//! Which faults happen, how often, and how many have happened.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::rng::Rng;

/// One way in which the world misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
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
    /// A call fails, and nothing happens.
    Unavailable,
    /// The process dies before a call acts.
    CrashBefore,
    /// The process dies after a call has acted, before it returns.
    CrashAfter,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Duplicate,
        Self::Delay,
        Self::Reorder,
        Self::DropDelivery,
        Self::Stall,
        Self::DeleteWithoutEffect,
        Self::SendReplyLost,
        Self::PutConflict,
        Self::PutBusy,
        Self::PutReplyLost,
        Self::PutLost,
        Self::Unavailable,
        Self::CrashBefore,
        Self::CrashAfter,
    ];
}

/// How often each fault happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    seed: u64,
    per_10_000: BTreeMap<Fault, u32>,
}

impl Faults {
    /// A perfect world.
    pub fn none() -> Self {
        Self { seed: 0, per_10_000: BTreeMap::new() }
    }

    /// A world that the seed decides: some faults are absent, some rare, some frequent.
    pub fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x6661_756c_7473);
        let rate = |fault: Fault| {
            let most = match fault {
                Fault::Stall | Fault::CrashBefore | Fault::CrashAfter => 100,
                Fault::Reorder => 5_000,
                _ => 600,
            };
            let rate = if rng.happens(4_000) { 0 } else { rng.below(most) as u32 + 1 };
            (fault, rate)
        };
        Self { seed, per_10_000: Fault::ALL.into_iter().map(rate).collect() }
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
}

/// Decides at each call what goes wrong, and counts. One for all processes of a simulated world.
pub struct Injector {
    inner: Mutex<Inner>,
}

struct Inner {
    rng: Rng,
    per_10_000: BTreeMap<Fault, u32>,
    counts: BTreeMap<Fault, u64>,
    calm: bool,
}

impl Injector {
    /// Injects these faults.
    pub fn new(faults: Faults) -> std::sync::Arc<Self> {
        let Faults { seed, per_10_000 } = faults;
        let inner = Inner { rng: Rng::new(seed), per_10_000, counts: BTreeMap::new(), calm: false };
        std::sync::Arc::new(Self { inner: Mutex::new(inner) })
    }

    /// No more faults from now on (`true`), or faults again: a world must be able to come to rest.
    pub fn set_calm(&self, calm: bool) {
        self.lock().calm = calm;
    }

    /// How often each fault has happened.
    pub fn counts(&self) -> BTreeMap<Fault, u64> {
        self.lock().counts.clone()
    }

    /// Whether the fault happens this time.
    pub(crate) fn happens(&self, fault: Fault) -> bool {
        let mut inner = self.lock();
        let rate = inner.per_10_000.get(&fault).copied().unwrap_or(0);
        let happens = !inner.calm && inner.rng.happens(rate);
        if happens {
            *inner.counts.entry(fault).or_default() += 1;
        }
        happens
    }

    /// A duration up to `longest`; often a short one.
    pub(crate) fn duration(&self, longest: Duration) -> Duration {
        let mut inner = self.lock();
        let most = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        let most = if inner.rng.happens(5_000) { most / 60 } else { most };
        Duration::from_millis(inner.rng.below(most + 1))
    }

    pub(crate) fn shuffle<T>(&self, things: &mut [T]) {
        self.lock().rng.shuffle(things);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
