//! A queue without order, a process that dies at any moment, and the settling of messages as the engine does it.

use std::collections::{BTreeMap, BTreeSet};

use millrace_core::decide::wait_for_run;
use millrace_core::{
    Effect, Event, Identity, Incoming, Message, RequestId, Run, RunId, RunInfo, SourceLog, Status, Timestamp,
    Verdict, WorkflowCode,
};

use crate::script::*;

/// What may go wrong, drawn step by step. When the draws run out, nothing goes wrong any more.
pub(crate) struct Chance(std::vec::IntoIter<u8>);

impl Chance {
    pub(crate) fn of(draws: Vec<u8>) -> Self {
        Self(draws.into_iter())
    }

    fn next(&mut self) -> u8 {
        self.0.next().unwrap_or(0)
    }

    fn one_in(&mut self, n: u8) -> bool {
        self.0.next().is_some_and(|draw| draw % n == 1)
    }
}

/// A queue that keeps what is not deleted, in no order; a worker that answers tasks; other workflows that answer too.
#[derive(Default)]
pub(crate) struct Queue {
    /// Messages with the time at which they can be received.
    waiting: Vec<(Timestamp, Incoming)>,
    /// What was deleted, being in the log: somebody may still hold it, by an outdated receipt.
    deleted: Vec<Incoming>,
    /// Replaced runs.
    archive: BTreeMap<RunId, Run>,
    /// What others were told.
    pub(crate) told: BTreeSet<String>,
    /// The runs that resets name.
    named: BTreeMap<RequestId, RunId>,
    /// Runs whose end is in the index.
    pub(crate) closed: BTreeSet<RunId>,
}

impl Queue {
    fn send(&mut self, at: Timestamp, message: Incoming) {
        self.waiting.push((at, Incoming { receive_count: 0, ..message }));
    }

    /// Every activity fails at its first attempts: how often is its number. The same attempt always ends alike.
    fn work(&mut self, run: &Run, activity_id: u64, attempt: u32, at: Timestamp) {
        if run.task(activity_id, attempt, at).is_none() {
            return; // as the dispatcher does
        }
        let message = if u64::from(attempt) > activity_id {
            completed(activity_id, attempt)
        } else {
            failed(activity_id, attempt)
        };
        self.send(at, for_run(run.info.run_id, message));
    }

    fn dispatch(&mut self, run: &Run, effects: &[Effect]) {
        let run_id = run.info.run_id;
        for effect in effects {
            match effect.clone() {
                Effect::SendTask { activity_id, attempt, at } => self.work(run, activity_id, attempt, at),
                Effect::SendTimer { timer_id, at } => self.send(at, for_run(run_id, timer(timer_id))),
                Effect::SendWake { wake: n, at } => self.send(at, for_run(run_id, wake(n))),
                // A child of a high number has no end.
                Effect::SendStart { child_id, at }
                    if child_id < 9 && run.children.contains_key(&child_id) =>
                {
                    self.send(at, for_run(run_id, child_completed(child_id)));
                }
                Effect::StopChild { child_id, how, .. } => {
                    self.told.insert(format!("{how:?} child {child_id}"));
                }
                Effect::Send { sent_id, .. } if run.sent.contains_key(&sent_id) => {
                    self.told.insert(run.sent[&sent_id].describe());
                }
                Effect::ReportToParent => {
                    self.told.insert(format!("{:?}", run.report_to_parent().expect("an end")));
                }
                Effect::IndexClosed => {
                    self.closed.insert(run_id);
                }
                _ => {} // Nothing that comes back.
            }
        }
    }

    fn repair(&mut self, run: &Run, guard: &Identity) {
        let open: Vec<_> = run.effects_guarded_by(guard).map(|pending| pending.effect.clone()).collect();
        self.dispatch(run, &open);
    }
}

/// One workflow on its way through all that.
pub(crate) struct Drive {
    pub(crate) world: World,
    pub(crate) queue: Queue,
    /// The replaced runs' histories.
    pub(crate) earlier: Vec<(RunInfo, Vec<Event>)>,
}

/// A message in somebody's hands.
#[derive(Clone)]
pub(crate) struct Held {
    message: Incoming,
    /// It is in its queue no longer: what its holder does with it changes nothing there.
    is_outdated: bool,
}

/// Drives a workflow until no message is left.
pub(crate) fn drive(code: impl WorkflowCode + 'static, messages: &[Incoming], draws: Vec<u8>) -> Drive {
    let mut chance = Chance::of(draws);
    let mut drive = Drive::of(code, messages);
    for step in 0..5_000 {
        assert!(step < 4_999, "the run does not come to an end");
        if drive.is_done() {
            drive.undo_holds();
        }
        if drive.is_done() {
            break;
        }
        let batch = drive.receive(&mut chance);
        drive.turns(batch, &mut chance);
    }
    drive
}

impl Drive {
    pub(crate) fn of(code: impl WorkflowCode + 'static, messages: &[Incoming]) -> Self {
        let (world, mut queue) = (World::with(code), Queue::default());
        for message in messages {
            // Never too old to wait for the run: how long that is, is another test's.
            queue.send(at(0.0), Incoming { sent_at: at(1e9), ..message.clone() });
        }
        Self { world, queue, earlier: vec![] }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.queue.waiting.is_empty()
    }

    /// The histories of all runs, the oldest first.
    pub(crate) fn histories(&self) -> impl Iterator<Item = (&RunInfo, &[Event])> {
        let earlier = self.earlier.iter().map(|(info, events)| (info, events.as_slice()));
        earlier.chain([(&self.world.run().info, self.world.history.as_slice())])
    }

    /// A batch of one to four messages in any order; some arrive twice, some keep a copy in the queue. Or one that was deleted
    /// long ago, by a holder who does not know that.
    pub(crate) fn receive(&mut self, chance: &mut Chance) -> Vec<Held> {
        let (queue, world) = (&mut self.queue, &mut self.world);
        let held = |message| Held { message, is_outdated: false };
        if chance.one_in(6) && !queue.deleted.is_empty() {
            let message = queue.deleted[usize::from(chance.next()) % queue.deleted.len()].clone();
            return vec![Held { message, is_outdated: true }];
        }
        let due = |now: f64, queue: &Queue| -> Vec<usize> {
            (0..queue.waiting.len()).filter(|i| queue.waiting[*i].0 <= at(now)).collect()
        };
        if due(world.now, queue).is_empty() {
            let next = queue.waiting.iter().map(|(at, _)| *at).min().expect("a message");
            world.now = (next.as_millis() - T0) as f64 / 1000.0 + 0.001;
        }
        let mut batch = Vec::new();
        for _ in 0..=chance.next() % 4 {
            let due = due(world.now, queue);
            let Some(i) = due.get(usize::from(chance.next()) % due.len().max(1)) else { break };
            let (_, mut message) = queue.waiting.swap_remove(*i);
            message.receive_count += 1;
            if chance.one_in(5) {
                batch.push(held(message.clone())); // twice in one batch
            }
            if chance.one_in(5) {
                queue.waiting.push((at(world.now + 40.0), message.clone())); // and once more, late
            }
            batch.push(held(message));
        }
        batch
    }

    /// Turns until no message of the batch is left to be decided again.
    pub(crate) fn turns(&mut self, mut batch: Vec<Held>, chance: &mut Chance) {
        while !batch.is_empty() {
            batch = self.turn(batch, chance);
        }
    }

    /// One turn, with its crashes: before the commit, and between commit and dispatch, where only redelivery repairs.
    /// Gives the messages that are to be decided again.
    fn turn(&mut self, batch: Vec<Held>, chance: &mut Chance) -> Vec<Held> {
        if chance.one_in(8) {
            return self.give_back(&batch);
        }
        if chance.one_in(4) {
            self.world.cool();
        }
        let history = self.world.history.clone();
        self.world.entropy += 1;
        let read: Vec<Incoming> = batch.iter().map(|held| self.with_source(&held.message)).collect();
        let decision = self.world.turn(&read);
        if let Some(replaced) = decision.replaces {
            // Before the commit, so no crash comes in between.
            let left: Vec<_> = replaced.effects.values().map(|pending| pending.effect.clone()).collect();
            self.queue.dispatch(&replaced, &left);
            self.earlier.push((replaced.info.clone(), history));
            self.queue.archive.insert(replaced.info.run_id, *replaced);
        }
        if chance.one_in(5) {
            return self.give_back(&batch);
        }
        let effects: Vec<_> = decision.effects.iter().map(|pending| pending.effect.clone()).collect();
        let sent = if chance.one_in(6) { effects.len() / 2 } else { effects.len() };
        if let Some(live) = &self.world.live {
            self.queue.dispatch(&live.run, &effects[..sent]);
        }
        if sent < effects.len() {
            return self.give_back(&batch);
        }
        if let Some(live) = &mut self.world.live {
            effects.iter().for_each(|effect| live.run.has_done(effect));
        }
        let settled = batch.into_iter().zip(decision.verdicts);
        settled.filter_map(|(held, verdict)| self.settle(held, verdict)).collect()
    }

    /// As the engine reads them: those that fork a run, together with its events. The run that somebody wants to reset is the
    /// one that is there when he asks.
    fn with_source(&mut self, message: &Incoming) -> Incoming {
        let mut message = message.clone();
        let Message::Fork(fork) = &mut message.message else { return message };
        fork.log = Err("from: there is no such workflow".into());
        let Some(live) = &self.world.live else { return message };
        let current = live.run.info.run_id;
        let named = *self.queue.named.entry(fork.request_id.clone()).or_insert(current);
        let events =
            |of: RunId| self.histories().find(|(info, _)| info.run_id == of).map(|(_, events)| events.into());
        if let Some(events) = events(named) {
            fork.log = Ok(SourceLog { run_id: named, events });
        }
        fork.replaced = events(current).filter(|_| current != named);
        message
    }

    /// Whoever has held back something lets it go on.
    fn undo_holds(&mut self) {
        let Some(live) = &self.world.live else { return };
        let held = live.run.activities.iter().filter(|(_, state)| state.paused).map(|(id, _)| Some(*id));
        let all: Vec<_> = live.run.paused.iter().map(|_| None).chain(held).collect();
        for what in all {
            let id = format!("undo-{}", self.world.entropy);
            self.queue.send(at(self.world.now), unpause(&id, what));
            self.world.entropy += 1;
        }
    }

    /// The process died: the next one knows only what is in the log.
    fn give_back(&mut self, batch: &[Held]) -> Vec<Held> {
        self.world.cool();
        let later = at(self.world.now + 30.0);
        let stays = batch.iter().filter(|held| !held.is_outdated);
        self.queue.waiting.extend(stays.map(|held| (later, held.message.clone())));
        vec![]
    }

    fn settle(&mut self, held: Held, verdict: Verdict) -> Option<Held> {
        let Held { message, is_outdated } = held.clone();
        let (world, queue) = (&self.world, &mut self.queue);
        // The log tells that of a message, and so of an outdated one: what was refused or came too late it does not have.
        let is_known = matches!(verdict, Verdict::Absorbed | Verdict::Repeated | Verdict::Elsewhere(_));
        let identity = message.message.identity();
        match verdict {
            Verdict::Absorbed | Verdict::Refused(_) => {
                if matches!(message.message, Message::Signal { after: Some(_), .. }) {
                    queue.repair(world.run(), &identity);
                }
            }
            Verdict::Repeated | Verdict::Stale(_) => queue.repair(world.run(), &identity),
            Verdict::Early(due) => {
                queue.send(due, message);
                return None;
            }
            Verdict::Wait => {
                if world.live.is_some() {
                    queue.repair(world.run(), &identity);
                }
                let pause = wait_for_run(message.receive_count).as_secs_f64();
                if !is_outdated {
                    queue.waiting.push((at(world.now + pause), message));
                }
                return None;
            }
            Verdict::Again => return Some(held),
            Verdict::Elsewhere(run_id) => {
                queue.repair(world.run(), &Identity::Earlier(run_id, Box::new(identity.clone())));
                let run = queue.archive.get(&run_id).expect("a run of this workflow").clone();
                queue.repair(&run, &identity);
            }
            // Nothing to begin with yet.
            Verdict::Rejected(_) if world.live.is_none() && may_be_refused(&message.message) => {}
            Verdict::Rejected(reason) => {
                queue.repair(world.run(), &identity);
                let (run, told) = (world.run(), &message.message);
                match told {
                    // Its run was ended by a reset, or it came long before the one that it follows: somebody redrives it.
                    Message::Signal { after, .. }
                        if run.status == Status::Terminated || (after.is_some() && run.status.is_open()) =>
                    {
                        queue.send(at(world.now + 60.0), message);
                    }
                    Message::Signal { .. } | Message::Update { .. } => {
                        assert!(!run.status.is_open(), "{reason}")
                    }
                    _ => assert!(may_be_refused(told), "{reason}: {told:?}"),
                }
            }
        }
        if is_known && !is_outdated {
            queue.deleted.push(held.message);
        }
        None
    }
}

/// What is asked of activities that may have ended, or are about to, and of a run that may not have begun.
fn may_be_refused(message: &Message) -> bool {
    matches!(
        message,
        Message::Pause { activity_id: Some(_), .. }
            | Message::Unpause { activity_id: Some(_), .. }
            | Message::Retry { .. }
            | Message::Fork(_)
    )
}
