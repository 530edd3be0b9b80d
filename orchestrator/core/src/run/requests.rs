//! Which requests a run and those before it have absorbed: each counts once (G2).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Run;
use crate::{RequestId, RunId, Timestamp};

/// A request that an earlier run of the same workflow id has absorbed, or a start that this one has answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedRequest {
    /// The request.
    pub request_id: RequestId,
    /// The run that absorbed it.
    pub run_id: RunId,
    /// When that run closed, or answered.
    pub at: Timestamp,
}

impl Run {
    /// The most carried requests that a header keeps.
    pub const MOST_CARRIED: usize = 4_096;
    /// How long a carried request is kept: as long as a queue may keep its message.
    pub const CARRY_FOR: Duration = Duration::from_secs(14 * 86_400);

    /// Whether this run or an earlier one of its id has absorbed the request; says which.
    pub fn absorbed_request(&self, request_id: &RequestId) -> Option<RunId> {
        if self.requests.contains_key(request_id) {
            return Some(self.info.run_id);
        }
        self.carried.iter().find(|carried| carried.request_id == *request_id).map(|carried| carried.run_id)
    }

    pub(super) fn remember(&mut self, request_id: &RequestId) {
        // A start may bring a signal or an update of the same request: the start counts.
        self.requests.entry(request_id.clone()).or_insert(self.last_event);
    }

    /// What the next run of this id must know of the requests that this one and those before it have absorbed.
    pub fn carry(&self, now: Timestamp) -> Vec<CarriedRequest> {
        let run_id = self.info.run_id;
        let mut own: Vec<(&RequestId, u64)> = self.requests.iter().map(|(id, n)| (id, *n)).collect();
        if let Some(surplus) = own.len().checked_sub(Self::MOST_CARRIED + 1) {
            // The oldest are forgotten, but never the start: its late duplicate would begin another run.
            let mut ages: Vec<u64> = own.iter().map(|(_, n)| *n).filter(|n| *n > 1).collect();
            let (_, oldest_kept, _) = ages.select_nth_unstable(surplus);
            let last_forgotten = *oldest_kept;
            own.retain(|(_, n)| *n == 1 || *n > last_forgotten);
        }
        let carried = |(id, _): (&RequestId, u64)| CarriedRequest {
            request_id: id.clone(),
            run_id,
            at: self.last_time,
        };
        Self::worth_carrying(self.carried.iter().cloned().chain(own.into_iter().map(carried)).collect(), now)
    }

    /// Remembers a start that found this run open and counts as done, without an event of its own.
    pub(crate) fn answer(&mut self, request_id: &RequestId, now: Timestamp) {
        let answered = CarriedRequest { request_id: request_id.clone(), run_id: self.info.run_id, at: now };
        self.carried.push(answered);
        self.carried = Self::worth_carrying(std::mem::take(&mut self.carried), now);
    }

    fn worth_carrying(mut all: Vec<CarriedRequest>, now: Timestamp) -> Vec<CarriedRequest> {
        all.retain(|carried| now.since(carried.at) <= Self::CARRY_FOR);
        let surplus = all.len().saturating_sub(Self::MOST_CARRIED);
        all.drain(..surplus);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Headers, Payload, RunInfo, RunStarted, SignalReceived};

    fn request(id: &str) -> RequestId {
        RequestId::new(id).unwrap()
    }

    #[test]
    fn g2_above_the_limit_the_oldest_requests_are_forgotten_but_never_the_start() {
        let info = RunInfo::new(
            "w".parse().unwrap(),
            RunId::from_random(1),
            "W".parse().unwrap(),
            Timestamp::default(),
        );
        let mut run = Run::new(info);
        let started = RunStarted {
            workflow: "W".parse().unwrap(),
            input: Payload::null(),
            request_id: request("start"),
            run_timeout: None,
            memo: None,
            attributes: None,
            headers: Headers::new(),
            execution_deadline: None,
            begins_at: None,
            parent: None,
            continued_from: None,
            first_run_id: None,
            unread: crate::Unread::default(),
            version: None,
            forked_from: None,
        };
        run.apply(&Event { n: 1, t: Timestamp::default(), kind: started.into() });
        for n in 2..=5_000 {
            // Names whose order is not the order of arrival.
            let signal = SignalReceived {
                name: "s".into(),
                input: Payload::null(),
                request_id: request(&format!("{}", 9_999 - n)),
            };
            run.apply(&Event { n, t: Timestamp::default(), kind: signal.into() });
        }
        let carried = run.carry(Timestamp::default());
        let has = |id: &str| carried.iter().any(|c| c.request_id == request(id));
        assert_eq!(carried.len(), Run::MOST_CARRIED);
        assert!(has("start") && has("4999") && !has("9997"), "start, newest, oldest");
    }
}
