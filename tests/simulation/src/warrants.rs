//! Stands between a process and the faults that happen to it, and asks of everything that it sends for the message that
//! makes it do so. What a step costs follows from that: whoever was told once sends once, whatever goes wrong, and each
//! delivery more is a fault's.
//!
//! What must hold:
//! - An effect is dispatched by a process that has a delivery of its guard in hand (G4), once for each delivery.
//! - A task, a timer, a wake, or what a parent is told, is sent again by a process that has it in hand, once for each delivery.
//! - A timer in the bucket is sent by who has just read it, once for each time.
//! - What a run left when it was replaced is sent once for each try to replace it.
//! - A cancel request is written into a lease that had none when it was read.
//! - All that once more for each write of a history that did not come about.
//! - Nobody lists anything but timers.
//! - A history is read [so often](MOST_READS) for each message at most, once more for each write, and as often again for each
//!   write that did not come about.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_core::{
    ApplicationFailure, Effect, EffectKey, Identity, Message, OutcomeResult, RequestId, RunId, StopChild,
    WorkflowId,
};
use millrace_engine::ports::{
    Condition, DeleteError, Delivery, ETag, ObjectStore, OutMessage, Ports, PutError, QueueError, QueueName,
    Queues, Receipt, SendError, StoreError, Stored,
};
use millrace_format::message::{self, Addressed};
use millrace_format::{Keys, Lease, TimerEntry};

use crate::watch::Watch;

/// For each message: a turn that finds the run cold, a look before a turn that changes nothing (G12), and two for a run that
/// is not the current one, whose head may be in its archive.
const MOST_READS: u64 = 4;
/// A reset reads its source and the run that it replaces, whole, in each of its two turns.
const MOST_READS_OF_A_FORK: u64 = 3 * MOST_READS;

/// One thing that one run has its host do: of an activity this attempt, of the wakes this one.
pub type EffectId = (RunId, EffectKey, u64);

/// One message, wherever it is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    workflow_id: WorkflowId,
    /// Requests count once for their workflow, everything else for its run.
    run_id: Option<RunId>,
    identity: Identity,
}

impl Told {
    /// What this run of this workflow knows under this identity.
    pub fn new(workflow_id: &WorkflowId, run_id: Option<RunId>, identity: Identity) -> Self {
        let workflow_id = workflow_id.clone();
        match identity {
            Identity::Earlier(run_id, identity) => Self::new(&workflow_id, Some(run_id), *identity),
            Identity::Request(_) => Self { workflow_id, run_id: None, identity },
            identity => Self { workflow_id, run_id, identity },
        }
    }
}

/// The ports of one process, in front of its faults.
pub struct Warranted {
    store: Arc<dyn ObjectStore>,
    queues: Arc<dyn Queues>,
    keys: Keys,
    watch: Arc<Watch>,
    process: String,
    warrants: Mutex<Vec<Warrant>>,
    /// The leases that were read with a cancel request: whoever writes them again keeps it.
    canceled: Mutex<BTreeSet<String>>,
    /// How often it may read a history yet.
    reads: AtomicU64,
}

/// Why something may be sent.
struct Warrant {
    source: Source,
    /// What this delivery is, as a guard, and as an effect of whoever sent it.
    told: Option<Told>,
    itself: Option<EffectId>,
    /// What was sent because of it.
    spent: BTreeSet<EffectId>,
}

#[derive(PartialEq, Eq)]
enum Source {
    Delivery(Receipt),
    /// A timer's object.
    Timer(String),
    /// The archive of a run that is about to be replaced.
    Archive(RunId),
}

impl Warrant {
    fn new(source: Source) -> Self {
        Self { source, told: None, itself: None, spent: BTreeSet::new() }
    }

    fn is_for(&self, effect: &EffectId, guards: &BTreeSet<Told>) -> bool {
        match &self.source {
            Source::Archive(run_id) => *run_id == effect.0,
            _ => {
                self.itself.as_ref() == Some(effect)
                    || self.told.as_ref().is_some_and(|told| guards.contains(told))
            }
        }
    }

    fn covers(&self, effect: &EffectId, guards: &BTreeSet<Told>) -> bool {
        self.is_for(effect, guards) && !self.spent.contains(effect)
    }
}

impl Warranted {
    /// Watches what this process does with its ports.
    pub fn wrap(ports: &Ports, keys: Keys, watch: Arc<Watch>, process: &str) -> Ports {
        let warranted = Arc::new(Self {
            store: ports.store.clone(),
            queues: ports.queues.clone(),
            keys,
            watch,
            process: process.to_owned(),
            warrants: Mutex::default(),
            canceled: Mutex::default(),
            reads: AtomicU64::new(0),
        });
        Ports { store: warranted.clone(), queues: warranted, ..ports.clone() }
    }

    fn warrants(&self) -> MutexGuard<'_, Vec<Warrant>> {
        self.warrants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blame(&self, what: impl std::fmt::Display) {
        self.watch.blames(format!("{}: {what}", self.process));
    }

    /// It is about to do this; for which it needs a warrant that is not spent.
    fn does(&self, effect: &EffectId) {
        let guards = self.watch.guards_of(effect);
        let mut warrants = self.warrants();
        match warrants.iter_mut().find(|warrant| warrant.covers(effect, &guards)) {
            Some(warrant) => _ = warrant.spent.insert(*effect),
            None => {
                self.blame(format_args!("G4: {effect:?} is sent without need; its guards are {guards:?}"))
            }
        }
    }

    fn has(&self, warrant: Warrant) {
        let mut warrants = self.warrants();
        warrants.retain(|known| known.source != warrant.source);
        warrants.push(warrant);
    }

    fn lets_go(&self, source: &Source) {
        let mut warrants = self.warrants();
        let Some(place) = warrants.iter().position(|known| known.source == *source) else { return };
        let gone = warrants.remove(place);
        // Of two that were alike it was this one, perhaps, and not the other, that was spent.
        let mut taken = gone.spent.clone();
        for other in warrants.iter_mut() {
            other.spent.retain(|effect| {
                let was_it = !taken.contains(effect) && gone.is_for(effect, &self.watch.guards_of(effect));
                !(was_it && taken.insert(*effect))
            });
        }
    }

    /// A turn that could not be written is made again, and does again what comes before.
    fn was_not_written(&self) {
        self.may_read(MOST_READS);
        self.warrants().iter_mut().for_each(|warrant| warrant.spent.clear());
    }

    fn received(&self, queue: &QueueName, delivery: &Delivery) {
        let mut warrant = Warrant::new(Source::Delivery(delivery.receipt.clone()));
        warrant.itself = self.effect_of(queue, &delivery.body);
        let read = match queue {
            queue if queue.carries_tasks() => {
                self.may_read(MOST_READS);
                return self.has(warrant);
            }
            queue if *queue == QueueName::inbox() => {
                message::read_inbox(&delivery.body, &delivery.message_id)
            }
            _ => message::read_event(&delivery.body),
        };
        let is_fork = |read: &Addressed| matches!(read.message, Message::Fork(_));
        self.may_read(if read.as_ref().is_ok_and(is_fork) { MOST_READS_OF_A_FORK } else { MOST_READS });
        warrant.told = read.ok().map(|Addressed { workflow_id, run_id, message, .. }| {
            Told::new(&workflow_id, run_id, message.identity())
        });
        self.has(warrant);
    }

    fn puts(&self, key: &str, body: &[u8]) {
        if key.starts_with(&self.keys.timers()) {
            let effect = TimerEntry::decode(body).ok().and_then(|entry| effect_of_timer(&entry));
            return effect.iter().for_each(|effect| self.does(effect));
        }
        if let Some(effect) = canceled(key, body).filter(|_| !self.canceled().contains(key)) {
            return self.does(&effect);
        }
        if let Some(run_id) = archived(key) {
            return self.has(Warrant::new(Source::Archive(run_id)));
        }
        if let Some((_, run_id)) = self.keys.index_run(key) {
            let is_open = key.contains("/index/open/");
            self.does(&(run_id, if is_open { EffectKey::IndexOpen } else { EffectKey::IndexClosed }, 0));
        }
    }

    /// What was to be written of an effect was not, or nobody knows: it is read again, and then perhaps written.
    fn was_not_put(&self, effect: &EffectId) {
        self.warrants().iter_mut().for_each(|warrant| _ = warrant.spent.remove(effect));
    }

    fn canceled(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.canceled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The effect as which a message is sent. What a parent is told names only which child.
    fn effect_of(&self, queue: &QueueName, body: &str) -> Option<EffectId> {
        match effect_of(queue, body)? {
            (parent, EffectKey::Parent, child_id) => {
                Some((self.watch.run_of(parent, child_id).unwrap_or(parent), EffectKey::Parent, 0))
            }
            effect => Some(effect),
        }
    }

    fn may_read(&self, times: u64) {
        self.reads.fetch_add(times, Ordering::Relaxed);
    }

    fn reads(&self, key: &str) {
        if !is_history(key) {
            return;
        }
        let left = self.reads.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_err() {
            self.blame(format_args!(
                "cost: `{key}` is read, and so was a history {MOST_READS} times for each message"
            ));
        }
    }
}

/// The head of a workflow, or the archive of one of its runs.
fn is_history(key: &str) -> bool {
    key.ends_with("/history")
}

/// The run whose archive this is; `None` if it is none.
fn archived(key: &str) -> Option<RunId> {
    match key.split('/').collect::<Vec<_>>()[..] {
        [_, "workflow", _, _, run_id, "history"] => run_id.parse().ok(),
        _ => None,
    }
}

/// The cancel request that a lease holds.
fn canceled(key: &str, body: &[u8]) -> Option<EffectId> {
    let [_, "workflow", _, _, run_id, "activity", activity_id] = key.split('/').collect::<Vec<_>>()[..]
    else {
        return None;
    };
    Lease::decode(body).ok()?.cancel?;
    Some((run_id.parse().ok()?, EffectKey::Cancel(activity_id.parse().ok()?), 0))
}

/// Names an effect of a run.
pub fn named(run_id: RunId, effect: &Effect) -> EffectId {
    let nth = match effect {
        Effect::SendTask { attempt, .. } => u64::from(*attempt),
        Effect::SendWake { wake, .. } => *wake,
        Effect::StopChild { how, .. } => nth_of(*how),
        _ => 0,
    };
    (run_id, effect.key(), nth)
}

fn nth_of(how: StopChild) -> u64 {
    u64::from(how == StopChild::Terminate)
}

/// The effect as which a message is sent, if it is one that is named.
fn effect_of(queue: &QueueName, body: &str) -> Option<EffectId> {
    if queue.carries_tasks() {
        let task = message::read_task(body).ok()?;
        return Some((task.run_id, EffectKey::Task(task.activity_id), u64::from(task.attempt)));
    }
    if *queue != QueueName::events() {
        return None;
    }
    let Addressed { run_id, message, .. } = message::read_event(body).ok()?;
    Some(match message {
        Message::Timer { timer_id } => (run_id?, EffectKey::Timer(timer_id), 0),
        // The helper's wake 0 is no run's effect.
        Message::Wake { wake } if wake > 0 => (run_id?, EffectKey::Wake, wake),
        Message::Start(start) => {
            let parent = start.parent?;
            (parent.run_id, EffectKey::Start(parent.child_id), 0)
        }
        Message::Stop(stop) => (stop.parent.run_id, EffectKey::Stop(stop.parent.child_id), nth_of(stop.how)),
        Message::ChildOutcome { child_id, result } if has_begun(&result) => {
            (run_id?, EffectKey::Parent, child_id)
        }
        Message::Signal { request_id, .. } | Message::Cancel { request_id, .. } => sent(&request_id)?,
        _ => return None,
    })
}

/// Of a child that could not be started whoever refused it tells, not a run.
fn has_begun(result: &OutcomeResult) -> bool {
    !matches!(result, OutcomeResult::Failed(fault) if fault.is(ApplicationFailure::CHILD_NOT_STARTED))
}

/// What a run tells another goes by an id of its own.
fn sent(request_id: &RequestId) -> Option<EffectId> {
    let (run_id, n) = request_id.as_str().strip_prefix("~sent:")?.split_once(':')?;
    Some((run_id.parse().ok()?, EffectKey::Send(n.parse().ok()?), 0))
}

fn effect_of_timer(entry: &TimerEntry) -> Option<EffectId> {
    effect_of(&QueueName::from(entry.queue.as_str()), entry.message.as_str())
}

#[async_trait]
impl ObjectStore for Warranted {
    async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.reads(key);
        let got = self.store.get(key).await;
        if let Ok(Some(object)) = &got
            && canceled(key, &object.body).is_some()
        {
            self.canceled().insert(key.to_owned());
        }
        if let Ok(Some(object)) = &got
            && key.starts_with(&self.keys.timers())
        {
            let itself = TimerEntry::decode(&object.body).ok().and_then(|entry| effect_of_timer(&entry));
            self.has(Warrant { itself, ..Warrant::new(Source::Timer(key.to_owned())) });
        }
        got
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        self.puts(key, &body);
        if is_history(key) {
            self.may_read(1);
        }
        let cancels = canceled(key, &body);
        let put = self.store.put(key, body, condition).await;
        if is_history(key) && put.is_err() {
            self.was_not_written();
        }
        if let (Some(effect), Err(_)) = (cancels, &put) {
            self.was_not_put(&effect);
        }
        put
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.lets_go(&Source::Timer(key.to_owned()));
        self.store.delete(key).await
    }

    async fn delete_if(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        self.store.delete_if(key, version).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        if !prefix.starts_with(&self.keys.timers()) {
            self.blame(format_args!("cost: it lists `{prefix}`"));
        }
        self.store.list(prefix, after, before, limit).await
    }
}

#[async_trait]
impl Queues for Warranted {
    fn batch_limit(&self) -> usize {
        self.queues.batch_limit()
    }

    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>> {
        let effects = messages.iter().filter_map(|message| self.effect_of(queue, &message.body));
        effects.for_each(|effect| self.does(&effect));
        self.queues.send(queue, messages).await
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let received = self.queues.receive(queue, max, wait, visibility).await?;
        received.iter().for_each(|delivery| self.received(queue, delivery));
        Ok(received)
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        receipts.iter().for_each(|receipt| self.lets_go(&Source::Delivery(receipt.clone())));
        self.queues.delete(queue, receipts).await
    }

    async fn change_visibility(
        &self,
        queue: &QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        // A worker hides its task for longer; an orchestrator gives a message back.
        if !queue.carries_tasks() {
            self.lets_go(&Source::Delivery(receipt.clone()));
        }
        self.queues.change_visibility(queue, receipt, visibility).await
    }

    async fn settle(&self) -> Result<(), QueueError> {
        self.queues.settle().await
    }
}
