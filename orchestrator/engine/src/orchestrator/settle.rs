//! What becomes of each message after its turn.

use std::time::Duration;

use millrace_core::decide::{SUSPECT_AFTER, wait_for_run};
use millrace_core::{Decision, Identity, Message, PendingEffect, Run, RunId, Verdict, WorkflowId};
use millrace_format::message::Report;

use super::turn::{TurnError, is_known};
use super::{Orchestrator, Received};
use crate::client::with_request_id;
use crate::dispatch::{DispatchError, report_not_started};
use crate::ports::{OutMessage, QueueName, Receipt};

/// Between two tries of a turn that fails. A thousand of them are a week.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

impl Orchestrator {
    /// Repairs, sends again, rejects, gives back and deletes, as the verdicts say. Returns the messages that are to be
    /// decided again. The effects of the decision have been dispatched.
    pub(super) async fn settle(
        &self,
        id: &WorkflowId,
        run: Option<&Run>,
        batch: &[Received],
        decision: &Decision,
    ) -> Result<Vec<Received>, TurnError> {
        let dispatched = decision.effects.as_slice();
        let mut done = Vec::new();
        let mut again = Vec::new();
        for (received, verdict) in batch.iter().zip(&decision.verdicts) {
            match verdict {
                Verdict::Absorbed => {
                    self.repair_late(run, received, dispatched).await?;
                    done.push(received);
                }
                Verdict::Refused(reason) => {
                    // It may have been refused before, so long ago that nobody remembers, and have led to something.
                    self.repair_begun(run, &received.incoming.message.identity(), dispatched).await?;
                    if let Identity::Request(request_id) = received.incoming.message.identity() {
                        self.notices.rejected(&request_id, reason);
                    }
                    self.notices.committed(id, true);
                    done.push(received);
                }
                Verdict::Again => again.push(received.clone()),
                Verdict::Wait => {
                    self.repair_late(run, received, dispatched).await?;
                    let pause = wait_for_run(received.incoming.receive_count);
                    self.give_back(std::slice::from_ref(received), |_| pause).await;
                }
                Verdict::Rejected(reason) => {
                    self.repair_begun(run, &received.incoming.message.identity(), dispatched).await?;
                    self.reject(id, received, reason).await?;
                }
                Verdict::Elsewhere(run_id) => {
                    let identity = Identity::Earlier(*run_id, Box::new(received.incoming.message.identity()));
                    self.repair_begun(run, &identity, dispatched).await?;
                    if self.settle_elsewhere(id, *run_id, received, decision.replaces.as_deref()).await? {
                        done.push(received);
                    }
                }
                Verdict::Early(due) => {
                    if let (Some(run), Some(report)) = (run, report_of(&received.incoming.message)) {
                        self.dispatcher.send_event(run, report, *due).await?;
                    }
                    done.push(received);
                }
                known => {
                    debug_assert!(is_known(known));
                    self.too_late(id, run, received, verdict);
                    self.repair_begun(run, &received.incoming.message.identity(), dispatched).await?;
                    done.push(received);
                }
            }
        }
        self.delete(id, &done).await;
        Ok(again)
    }

    fn too_late(&self, id: &WorkflowId, run: Option<&Run>, received: &Received, verdict: &Verdict) {
        let (kind, identity) = (received.incoming.message.name(), received.incoming.message.identity());
        if let Verdict::Stale(reason) = verdict {
            let run_id = run.map(|run| tracing::field::display(run.info.run_id));
            tracing::info!(workflow_id = %id, run_id, kind, %identity, reason, "a message came too late and was dropped");
            self.settled(id, &identity);
        }
    }

    /// G4: whoever finds a guard in the log does its turn's open effects again, but for those that were dispatched just now. A
    /// run that follows one which continues as new begins with the message that closed that one; its redelivery does the
    /// first turn's effects again, though the message itself is for another run.
    async fn repair_begun(
        &self,
        run: Option<&Run>,
        identity: &Identity,
        dispatched: &[PendingEffect],
    ) -> Result<(), TurnError> {
        match run {
            Some(run) => self.repair_run(run, identity, dispatched).await,
            None => Ok(()),
        }
    }

    /// A signal that must wait for another may have gone on with a run that continues as new, all the same. Whether its
    /// redelivery finds that it still waits or that it does not: that turn's effects are done again.
    async fn repair_late(
        &self,
        run: Option<&Run>,
        received: &Received,
        dispatched: &[PendingEffect],
    ) -> Result<(), TurnError> {
        match &received.incoming.message {
            message @ Message::Signal { after: Some(_), .. } => {
                self.repair_begun(run, &message.identity(), dispatched).await
            }
            _ => Ok(()),
        }
    }

    async fn repair_run(
        &self,
        run: &Run,
        identity: &Identity,
        dispatched: &[PendingEffect],
    ) -> Result<(), TurnError> {
        let open = run.effects_guarded_by(identity).filter(|pending| !dispatched.contains(pending));
        let effects: Vec<PendingEffect> = open.cloned().collect();
        if !effects.is_empty() {
            let (workflow_id, run_id) = (&run.info.workflow_id, run.info.run_id);
            tracing::info!(%workflow_id, %run_id, %identity, effects = effects.len(), "effects are dispatched again");
            self.counters.repaired.add(1);
            self.dispatcher.dispatch(run, &effects).await?;
        }
        Ok(())
    }

    /// G7: a message of an earlier run is checked against that run's archive, then changes nothing. Returns whether it
    /// is to be deleted. Of a run that this very turn has `replaced` everything is known, and what it left is done.
    async fn settle_elsewhere(
        &self,
        id: &WorkflowId,
        run_id: RunId,
        received: &Received,
        replaced: Option<&Run>,
    ) -> Result<bool, TurnError> {
        let message = &received.incoming.message;
        let expects_more = match message {
            Message::Signal { request_id, .. } | Message::Update { request_id, .. } => Some(request_id),
            _ => None,
        };
        let is_lost = |run: &Run| expects_more.is_some_and(|id| run.absorbed_request(id).is_none());
        if let Some(run) = replaced.filter(|run| run.info.run_id == run_id) {
            return self.settled_elsewhere(id, run_id, received, is_lost(run)).await;
        }
        let Some(head) = self.reader.head_of(id, run_id).await? else {
            if received.queue == QueueName::inbox() {
                self.reject(id, received, &format!("run_id: `{id}` has no run {run_id}")).await?;
                return Ok(false);
            }
            tracing::info!(workflow_id = %id, %run_id, kind = message.name(), "a message of a purged run was dropped");
            return Ok(true);
        };
        let identity = message.identity();
        let is_guard = head.header.effects.iter().any(|pending| pending.guard == identity);
        // The log of an earlier run may be long, and mostly nothing in it is of use here.
        let lost = if is_guard || expects_more.is_some() {
            let run = head.header.restore(&self.reader.events(&head).await?);
            self.repair_run(&run, &identity, &[]).await?;
            is_lost(&run)
        } else {
            false
        };
        self.settled_elsewhere(id, run_id, received, lost).await
    }

    async fn settled_elsewhere(
        &self,
        id: &WorkflowId,
        run_id: RunId,
        received: &Received,
        lost: bool,
    ) -> Result<bool, TurnError> {
        if lost {
            self.reject(id, received, &format!("run_id: run {run_id} of `{id}` is closed")).await?;
        } else {
            self.settled(id, &received.incoming.message.identity());
        }
        Ok(!lost)
    }

    /// A request is dealt with although the log says nothing of it: whoever waits for it looks again.
    fn settled(&self, id: &WorkflowId, identity: &Identity) {
        if let Identity::Request(request_id) = identity {
            self.notices.settled(request_id);
            self.notices.committed(id, true);
        }
    }

    async fn reject(&self, id: &WorkflowId, received: &Received, reason: &str) -> Result<(), TurnError> {
        let parent = match &received.incoming.message {
            Message::Start(start) => start.parent.as_ref(),
            Message::Stop(stop) => Some(&stop.parent),
            _ => None,
        };
        if let Some(parent) = parent {
            // No letter for the dead: somebody waits for the answer.
            let keys = &self.reader.keys;
            report_not_started(&self.ports, keys, parent, reason).await.map_err(DispatchError::from)?;
            self.delete(id, &[received]).await;
            return Ok(());
        }
        let dead = (&received.queue, &received.delivery);
        self.dead_letter(Some(id), dead, reason).await.map_err(DispatchError::from)?;
        // Told only once it cannot come back and be absorbed after all.
        if let Identity::Request(request_id) = received.incoming.message.identity() {
            self.notices.rejected(&request_id, reason);
        }
        self.notices.committed(id, true);
        Ok(())
    }

    /// Makes messages visible again after `pause`. If that fails, they come when their visibility lapses.
    pub(super) async fn give_back(&self, batch: &[Received], pause: impl Fn(&Received) -> Duration) {
        self.counters.given_back.add(batch.len());
        for received in batch {
            let pause = pause(received);
            let answer =
                self.ports.queues.change_visibility(&received.queue, &received.delivery.receipt, pause).await;
            if let Err(error) = answer {
                tracing::debug!(%error, "a message could not be given back");
            }
        }
    }

    /// Gives the messages of a lost race back as fresh copies. A receive that ended so says nothing about the code, and
    /// G9 goes by the receive count: in a fan-in every run would be suspect. One that is suspect already keeps its
    /// count. If the original stays, it is found absorbed (G2).
    pub(super) async fn send_back(&self, id: &WorkflowId, batch: &[Received], pause: Duration) {
        let is_suspect = |received: &Received| received.incoming.receive_count >= SUSPECT_AFTER;
        let (mut stay, again): (Vec<Received>, Vec<Received>) = batch.iter().cloned().partition(is_suspect);
        if let Some(first) = again.first() {
            let copy = |received| OutMessage { body: copy_of(received), delay: pause, error: None };
            let answers = self.ports.queues.send(&first.queue, again.iter().map(copy).collect()).await;
            let (sent, failed): (Vec<_>, Vec<_>) =
                again.iter().zip(answers).partition(|(_, answer)| answer.is_ok());
            self.counters.given_back.add(sent.len());
            let sent: Vec<_> = sent.into_iter().map(|(received, _)| received).collect();
            self.acknowledge(id, &sent).await;
            stay.extend(failed.into_iter().map(|(received, _)| received.clone()));
        }
        self.give_back(&stay, |_| pause).await;
    }

    /// Acknowledges. A message that stays, for whatever reason, comes again and is found absorbed.
    async fn delete(&self, id: &WorkflowId, done: &[&Received]) {
        self.counters.messages.add(done.len());
        self.acknowledge(id, done).await;
    }

    async fn acknowledge(&self, id: &WorkflowId, done: &[&Received]) {
        let Some(first) = done.first() else { return };
        let receipts: Vec<Receipt> = done.iter().map(|received| received.delivery.receipt.clone()).collect();
        if let Err(error) = self.ports.queues.delete(&first.queue, &receipts).await {
            let run_id = run_of(done.iter().copied());
            tracing::warn!(workflow_id = %id, run_id, %error, messages = receipts.len(), "messages could not be deleted; they will come again");
        }
    }
}

/// The body of a fresh copy. A request without an id goes by its message's, which the copy would not have.
fn copy_of(received: &Received) -> String {
    let (body, message_id) = (&received.delivery.body, &received.delivery.message_id);
    match received.incoming.message.identity() {
        Identity::Request(id) if id.as_str() == message_id => with_request_id(body, message_id).into_owned(),
        _ => body.clone(),
    }
}

/// The run that the messages name, for logs: internal ones always do.
pub(super) fn run_of<'a>(batch: impl IntoIterator<Item = &'a Received>) -> Option<impl tracing::Value> {
    batch.into_iter().find_map(|received| received.incoming.run_id).map(tracing::field::display)
}

fn report_of(message: &Message) -> Option<Report> {
    match message {
        Message::Timer { timer_id } => Some(Report::Timer { timer_id: *timer_id }),
        Message::Wake { wake } => Some(Report::Wake { wake: *wake }),
        _ => None, // Nothing else comes too early.
    }
}

/// A pause that doubles with each receive. A queue lets a message be received 1,000 times: by two seconds each that is half
/// an hour of a store that is down, or of a permission that is missing; so it is a week.
pub(super) fn longer(first: Duration, receive_count: u32) -> Duration {
    let doubled = first.saturating_mul(1 << receive_count.saturating_sub(1).min(10));
    doubled.min(LONGEST_PAUSE).max(first)
}
