//! How fast a run goes on its own: the guard against runaway code (G9).
//!
//! On AWS every turn is billed, and the platform's own loop detection must be off. A run that makes turn after turn
//! without being told anything from outside is held until a window of time has passed, or until somebody tells it
//! something. The state is one count and the time at which it began; it travels in the header, with the turn's commit.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Incoming, Message, Run, Timestamp};

/// How many turns a run may make without input from outside. Input is a signal, cancel, terminate or resume that the
/// log does not have yet; outcomes, timers and wakes are the run's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runaway {
    /// So many turns …
    pub turns: u32,
    /// … within this time.
    pub within: Duration,
}

impl Runaway {
    /// So many turns an hour.
    pub const fn per_hour(turns: u32) -> Self {
        Self { turns, within: Duration::from_secs(3600) }
    }

    /// When a run that has used up its turns may go on; `None` if it may now.
    pub(crate) fn until(self, pace: Option<Pace>, now: Timestamp) -> Option<Timestamp> {
        let until = pace.filter(|pace| pace.turns >= self.turns)?.since.plus(self.within);
        (now < until).then_some(until)
    }

    /// The count after one more turn. A new window begins with the first turn after the last one has passed.
    pub(crate) fn count(self, pace: Option<Pace>, now: Timestamp) -> Pace {
        match pace.filter(|pace| now < pace.since.plus(self.within)) {
            Some(pace) => Pace { turns: pace.turns.saturating_add(1), ..pace },
            None => Pace { since: now, turns: 1 },
        }
    }
}

impl Default for Runaway {
    /// Ten a second, for an hour: far above a fan-in of thousands, and some cents on the bill.
    fn default() -> Self {
        Self::per_hour(36_000)
    }
}

/// The turns that a run has made without input since a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Since when.
    pub since: Timestamp,
    /// How many.
    pub turns: u32,
}

/// Whether the message tells the run something from outside that its log does not have.
pub(crate) fn is_input(run: &Run, incoming: &Incoming) -> bool {
    let request_id = match &incoming.message {
        Message::Signal { request_id, .. }
        | Message::Update { request_id, .. }
        | Message::Cancel { request_id, .. }
        | Message::Terminate { request_id, .. }
        | Message::Resume { request_id }
        | Message::Pause { request_id, .. }
        | Message::Unpause { request_id, .. }
        | Message::Retry { request_id, .. } => request_id,
        Message::Start(start) if start.signal.is_some() || !run.status.is_open() => &start.request_id,
        Message::Fork(fork) => &fork.request_id,
        Message::Start(_)
        | Message::Outcome(_)
        | Message::Completion { .. }
        | Message::Timer { .. }
        | Message::Wake { .. }
        | Message::ChildOutcome { .. }
        | Message::Stop(_) => return false,
    };
    let is_its_own = incoming.run_id.is_none_or(|run_id| run.is_meant(run_id, &incoming.message));
    let is_known = run.absorbed_request(request_id).is_some() || run.has_rejected(request_id);
    // What runs tell each other is not from outside: two of them could go on for ever.
    is_its_own && !request_id.is_own() && !is_known
}
