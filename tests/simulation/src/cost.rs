//! What came of a world's calls: how many there were to the bucket and the queues, for how many turns and events.

use std::fmt;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, PoisonError};

use millrace_engine::ports::{CallCounts, Counting, Ports};

/// What all processes of a world did together, behind the faults: what really reached the bucket and the queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Turns that were committed.
    pub turns: u64,
    /// Events that were recorded with them.
    pub events: u64,
    /// The calls.
    pub calls: CallCounts,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.turns += other.turns;
        self.events += other.events;
        self.calls += other.calls;
    }
}

/// `1.32 PUT, 0.61 GET, … per turn`
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CallCounts { puts, gets, deletes, messages_sent, messages_received, messages_deleted, .. } =
            self.calls;
        let per_turn = |n: u64| n as f64 / self.turns.max(1) as f64;
        write!(f, "{} events in {} turns; per turn ", self.events, self.turns)?;
        let (puts, gets, deletes) = (per_turn(puts), per_turn(gets), per_turn(deletes));
        write!(f, "{puts:.2} PUT, {gets:.2} GET, {deletes:.2} DELETE; messages: ")?;
        let (sent, received) = (per_turn(messages_sent), per_turn(messages_received));
        write!(f, "{sent:.2} sent, {received:.2} received, {:.2} deleted", per_turn(messages_deleted))
    }
}

/// Counts the calls of all processes that there are, one after the other. Clones are the same meter.
#[derive(Clone, Default)]
pub struct Meter(Arc<Mutex<Vec<Arc<Counting>>>>);

impl Meter {
    /// The ports of one more process, counted.
    pub fn wrap(&self, ports: &Ports) -> Ports {
        let (calls, counted) = Counting::wrap(ports);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(calls);
        counted
    }

    /// The calls so far.
    pub fn calls(&self) -> CallCounts {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().fold(CallCounts::default(), |mut sum, of_process| {
            sum += of_process.counts();
            sum
        })
    }
}
