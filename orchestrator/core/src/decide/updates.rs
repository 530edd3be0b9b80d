//! Updates: requests that the code checks before they are recorded, and answers.

use super::{Decider, Live, Verdict};
use crate::{Event, Incoming, Message, Payload, RejectedUpdate, RequestId, Run, UpdateReceived};

impl Decider<'_> {
    /// Offers an update to the code. One that it refuses at once leaves no event; without code that could say, it is
    /// recorded and waits.
    pub(super) fn update(
        &mut self,
        live: &mut Live,
        incoming: &Incoming,
        (name, input): (&str, &Payload),
        request_id: &RequestId,
    ) -> Verdict {
        let received =
            UpdateReceived { name: name.to_owned(), input: input.clone(), request_id: request_id.clone() };
        if self.runs_code && live.replay.is_none() {
            // What that leads to has this message as its guard, refused or not.
            self.guard.get_or_insert_with(|| incoming.message.identity());
            self.bring_up(live);
        }
        if !live.run.status.is_open() {
            // Bringing up its code has closed the run. A start begins the next one.
            return match incoming.message {
                Message::Start(_) => Verdict::Again,
                _ => Verdict::Rejected(super::absorb::CLOSED.into()),
            };
        }
        let Some(replay) = live.replay.as_mut().filter(|_| self.runs_code) else {
            return self.fact(live, incoming, received);
        };
        let t = self.turn.now.max(live.run.last_time);
        let offered = Event { n: live.run.last_event + 1, t, kind: received.into() };
        match replay.offer(&offered) {
            Ok(Some(reason)) => {
                live.run.reject(RejectedUpdate { request_id: request_id.clone(), reason: reason.clone() });
                self.decision.header_changed = true;
                Verdict::Refused(reason)
            }
            Ok(None) => {
                self.guard.get_or_insert_with(|| incoming.message.identity());
                self.record(&mut live.run, offered.kind);
                self.commands(live);
                Verdict::Absorbed
            }
            Err(reason) => {
                self.guard.get_or_insert_with(|| incoming.message.identity());
                self.record(&mut live.run, offered.kind);
                live.replay = None;
                self.block(&mut live.run, reason);
                Verdict::Absorbed
            }
        }
    }
}

impl Run {
    /// Whether the update was refused lately.
    pub fn has_rejected(&self, request_id: &RequestId) -> bool {
        self.rejection(request_id).is_some()
    }

    /// Why an update was refused, if it was, lately.
    pub fn rejection(&self, request_id: &RequestId) -> Option<&str> {
        let of = |update: &&RejectedUpdate| update.request_id == *request_id;
        self.rejected.iter().find(of).map(|update| update.reason.as_str())
    }

    fn reject(&mut self, update: RejectedUpdate) {
        self.rejected.push(update);
        let surplus = self.rejected.len().saturating_sub(Self::MOST_REJECTED);
        self.rejected.drain(..surplus);
    }
}
