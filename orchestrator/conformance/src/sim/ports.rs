//! The world's clock and random bits as ports.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use millrace_core::Timestamp;
use millrace_engine::ports::{Clock, Entropy};

use super::{BEGINNING, Sim};

pub(super) struct SimClock(pub(super) Sim);

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.0.world.lock().now
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        Sleep { sim: self.0.clone(), time, timer: None }.boxed()
    }
}

/// A clock that is wrong, and goes too fast or too slow.
pub(super) struct SkewedClock {
    pub(super) sim: Sim,
    /// Wrong by so much when the world begins.
    pub(super) offset_ms: i64,
    /// Too fast by so many millionths.
    pub(super) ppm: i64,
}

impl SkewedClock {
    /// What it shows when it is `time`.
    fn shows(&self, time: Timestamp) -> Timestamp {
        let passed = time.as_millis() - BEGINNING.as_millis();
        let ahead = self.offset_ms.saturating_add(passed.saturating_mul(self.ppm) / 1_000_000);
        Timestamp::from_millis(time.as_millis().saturating_add(ahead))
    }

    /// When it shows `shown`, to the millisecond at which it does for sure.
    fn is(&self, shown: Timestamp) -> Timestamp {
        let passed = shown.as_millis().saturating_sub(BEGINNING.as_millis()).saturating_sub(self.offset_ms);
        let passed = i128::from(passed) * 1_000_000 / i128::from(1_000_000 + self.ppm);
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        Timestamp::from_millis(BEGINNING.as_millis().saturating_add(passed).saturating_add(1))
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        self.shows(self.sim.world.lock().now)
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        if self.now() >= time {
            return std::future::ready(()).boxed();
        }
        Sleep { sim: self.sim.clone(), time: self.is(time), timer: None }.boxed()
    }
}

struct Sleep {
    sim: Sim,
    time: Timestamp,
    timer: Option<(Timestamp, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let sim = self.sim.clone();
        let mut inner = sim.world.lock();
        if inner.now >= self.time {
            return Poll::Ready(());
        }
        let timer = self.timer.unwrap_or_else(|| (self.time, inner.next_id()));
        let before = inner.timers.insert(timer, context.waker().clone());
        drop(inner);
        drop(before);
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let waker = self.timer.and_then(|timer| self.sim.world.lock().timers.remove(&timer));
        drop(waker);
    }
}

pub(super) struct SimEntropy(pub(super) Sim);

impl Entropy for SimEntropy {
    fn bits(&self) -> u128 {
        let mut inner = self.0.world.lock();
        let (high, low) = (inner.entropy.bits(), inner.entropy.bits());
        (u128::from(high) << 64) | u128::from(low)
    }
}
