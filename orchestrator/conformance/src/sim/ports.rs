//! The world's clock and random bits as ports.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use millrace_core::Timestamp;
use millrace_engine::ports::{Clock, Entropy};

use super::Sim;

pub(super) struct SimClock(pub(super) Sim);

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.0.world.lock().now
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        Sleep { sim: self.0.clone(), time, timer: None }.boxed()
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
