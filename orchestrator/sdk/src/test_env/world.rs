//! The world: all workflows, what is due when, and one turn after the other.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_core::decide::wait_for_run;
use millrace_core::{
    ActivityOutcome, ActivityState, ApplicationFailure, Fault, Incoming, Message, OutcomeResult, Parent, Run,
    RunId, SourceLog, Task, Timestamp, Turn, Verdict, WorkflowId, decide,
};

use super::activities::{Activities, Running};
use super::code::Code;
use super::entry::Entry;
use super::locals;
use crate::App;

pub(super) const BUILD: &str = "test";
/// 2000-01-01T00:00:00Z
const BEGINNING: Timestamp = Timestamp::from_millis(946_684_800_000);
/// An activity that has failed so often will go on failing.
const MOST_ATTEMPTS: u32 = 1_000;

thread_local! {
    /// Whether this thread is within a turn.
    pub(super) static DECIDING: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, this thread is within a turn.
pub(super) struct Inside(bool);

impl Inside {
    pub(super) fn enter() -> Self {
        Self(DECIDING.replace(true))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DECIDING.set(self.0);
    }
}

/// All there is.
pub(super) struct World {
    pub(super) code: Arc<Code>,
    pub(super) activities: Activities,
    pub(super) now: Timestamp,
    pub(super) workflows: BTreeMap<WorkflowId, Entry>,
    due: BTreeMap<(Timestamp, u64), Due>,
    counter: u64,
    /// What could not be delivered, in words.
    pub(super) dead_letters: Vec<String>,
    /// Whether code that was made for a turn makes the next one, too.
    pub(super) keeps_code: bool,
    /// Set when an activity has failed too often to go on.
    pub(super) hopeless: Option<String>,
}

/// What happens at some time.
pub(super) enum Due {
    Message(Box<Letter>),
    Task(Box<Task>),
}

/// A message on its way.
pub(super) struct Letter {
    pub(super) to: WorkflowId,
    pub(super) incoming: Incoming,
}

/// What a step of the world found.
pub(super) enum Step {
    /// Nothing is due.
    Nothing,
    /// It is done.
    Done,
    /// An attempt that is to be run without the world's lock, and to be reported then.
    Run(Box<(Running, Task)>),
}

impl World {
    pub(super) fn new(app: App) -> Self {
        Self {
            code: Arc::new(Code::new(app)),
            activities: Activities::default(),
            now: BEGINNING,
            workflows: BTreeMap::new(),
            due: BTreeMap::new(),
            counter: 0,
            dead_letters: Vec::new(),
            keeps_code: false,
            hopeless: None,
        }
    }

    pub(super) fn change(&mut self, change: impl FnOnce(App) -> App) {
        self.code = Arc::new(self.code.change(change));
    }

    /// A number that is never given twice.
    pub(super) fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(super) fn put(&mut self, at: Timestamp, due: Due) {
        let key = (at.max(self.now), self.count());
        self.due.insert(key, due);
    }

    pub(super) fn post(&mut self, at: Timestamp, to: WorkflowId, run_id: Option<RunId>, message: Message) {
        let incoming = Incoming { message, run_id, sent_at: self.now, receive_count: 1 };
        self.put(at, Due::Message(Box::new(Letter { to, incoming })));
    }

    /// The tasks that were held are due now.
    pub(super) fn release(&mut self, activity: &str) {
        for task in self.activities.release(activity) {
            self.put(self.now, Due::Task(Box::new(task)));
        }
    }

    /// Does what is due next, if that is not after `limit`; without one, time moves as far as it must.
    pub(super) fn step(&mut self, limit: Option<Timestamp>) -> Step {
        let next = self.due.iter().find(|(_, due)| limit.is_some() || !self.leads_nowhere(due));
        let Some(key) = next.map(|(key, _)| *key).filter(|(at, _)| limit.is_none_or(|limit| *at <= limit))
        else {
            return Step::Nothing;
        };
        let Some(due) = self.due.remove(&key) else { return Step::Nothing };
        self.now = self.now.max(key.0);
        match due {
            Due::Message(letter) => self.deliver(*letter),
            Due::Task(task) => return self.take(*task),
        }
        Step::Done
    }

    /// A blocked run is tried again every quarter of an hour, with the same code: nobody need wait for that.
    fn leads_nowhere(&self, due: &Due) -> bool {
        let Due::Message(letter) = due else { return false };
        let Message::Wake { .. } = letter.incoming.message else { return false };
        let run = self.workflows.get(&letter.to).and_then(Entry::current);
        run.is_some_and(|record| record.blocked.is_some() && record.run.next_deadline().is_none())
    }

    /// A worker takes a task, if anybody still wants it done.
    fn take(&mut self, task: Task) -> Step {
        let wanted = self.workflows.get(&task.workflow_id).and_then(Entry::current).is_some_and(|record| {
            let state = record.run.activities.get(&task.activity_id);
            let is_current = |state: &ActivityState| state.attempt == task.attempt && !state.withheld;
            record.run.info.run_id == task.run_id && state.is_some_and(is_current)
        });
        if !wanted {
            return Step::Done;
        }
        if self.activities.holds(&task) {
            self.activities.waiting.push(task);
            return Step::Done;
        }
        if task.attempt >= MOST_ATTEMPTS {
            self.hopeless.get_or_insert_with(|| {
                let (name, id, attempt) = (&task.activity, &task.workflow_id, task.attempt);
                format!("activity `{name}` of `{id}` is at attempt {attempt}: give it an end, or the call a limit \
                    (`.max_attempts(n)`)")
            });
        }
        let code = self.code.app().activities();
        let running = self.activities.attempt(task.clone(), code, self.now);
        Step::Run(Box::new((running, task)))
    }

    /// An attempt has ended.
    pub(super) fn report(&mut self, task: Task, result: OutcomeResult) {
        let (activity_id, attempt) = (task.activity_id, task.attempt);
        let outcome = ActivityOutcome { activity_id, attempt, receive_count: 1, result };
        let (message, run_id) = (Message::Outcome(outcome), Some(task.run_id));
        let incoming = Incoming { message, run_id, sent_at: self.now, receive_count: 1 };
        self.deliver(Letter { to: task.workflow_id, incoming });
    }

    /// A message arrives; what cannot be done now is sent again, or answered, or counted as lost.
    pub(super) fn deliver(&mut self, letter: Letter) {
        let verdict = self.turn(&letter);
        self.settle(letter, &verdict);
    }

    /// What becomes of a message after its turn.
    pub(super) fn settle(&mut self, letter: Letter, verdict: &Verdict) {
        match verdict {
            Verdict::Wait => {
                let at = self.now.plus(wait_for_run(letter.incoming.receive_count));
                let Letter { to, incoming } = letter;
                let incoming = Incoming { receive_count: incoming.receive_count + 1, ..incoming };
                self.put(at, Due::Message(Box::new(Letter { to, incoming })));
            }
            Verdict::Early(due) => self.put(*due, Due::Message(Box::new(letter))),
            Verdict::Rejected(reason) => self.reject(&letter, reason),
            Verdict::Elsewhere(run_id) => {
                if let Some(reason) = self.lost_elsewhere(&letter, *run_id) {
                    self.reject(&letter, &reason);
                }
            }
            _ => {}
        }
    }

    /// Why a message for an earlier run is lost, if that run does not have it.
    pub(super) fn lost_elsewhere(&self, letter: &Letter, run_id: RunId) -> Option<String> {
        let id = &letter.to;
        let Some(record) = self.workflows.get(id).and_then(|entry| entry.find(Some(run_id))) else {
            let is_request = letter.incoming.message.is_request();
            return is_request.then(|| format!("run_id: `{id}` has no run {run_id}"));
        };
        let (Message::Signal { request_id, .. } | Message::Update { request_id, .. }) =
            &letter.incoming.message
        else {
            return None;
        };
        let lost = record.run.absorbed_request(request_id).is_none();
        lost.then(|| format!("run_id: run {run_id} of `{id}` is closed"))
    }

    fn reject(&mut self, letter: &Letter, reason: &str) {
        let parent = match &letter.incoming.message {
            Message::Start(start) => start.parent.clone(),
            Message::Stop(stop) => Some(stop.parent.clone()),
            _ => None,
        };
        if let Some(Parent { workflow_id, run_id, child_id }) = parent {
            let failure =
                ApplicationFailure::new(ApplicationFailure::CHILD_NOT_STARTED, reason).non_retryable();
            let result = OutcomeResult::Failed(Fault::Application(failure));
            return self.post(
                self.now,
                workflow_id,
                Some(run_id),
                Message::ChildOutcome { child_id, result },
            );
        }
        let name = match &letter.incoming.message {
            Message::Signal { name, .. } | Message::Update { name, .. } => format!(" `{name}`"),
            _ => String::new(),
        };
        let kind = letter.incoming.message.name();
        self.dead_letters.push(format!("the {kind}{name} for `{}` was lost: {reason}", letter.to));
    }

    /// One message, decided, recorded, and what follows from it sent; again, where a turn ends halfway.
    pub(super) fn turn(&mut self, letter: &Letter) -> Verdict {
        loop {
            let verdict = self.half_turn(letter);
            if verdict != Verdict::Again {
                return verdict;
            }
        }
    }

    fn half_turn(&mut self, Letter { to, incoming }: &Letter) -> Verdict {
        let (entropy, code) = (self.entropy(), self.code.clone());
        let incoming = self.with_source(to, incoming);
        let entry = self.workflows.entry(to.clone()).or_default();
        if entry.broken.is_some() {
            return Verdict::Stale("the workflow is not deterministic");
        }
        let existed = entry.live.is_some();
        entry.prepare();
        let (now, build, secret) = (self.now, BUILD, entropy.rotate_left(17));
        let turn = Turn { workflow_id: to, now, build, entropy, secret, code: &*code, runaway: None };
        let _inside = Inside::enter();
        let mut decision = decide(&mut entry.live, std::slice::from_ref(&incoming), &turn);
        if let Some(earlier) = decision.replaces.take() {
            entry.replaced(*earlier);
        }
        decision = locals::run(&mut entry.live, decision, &turn, &mut self.activities, &code);
        if decision.commits()
            && let Some(live) = &mut entry.live
        {
            live.run.turn += 1;
        }
        entry.never_began |= !existed && matches!(incoming.message, Message::Stop(_));
        entry.history.append(&mut decision.events);
        entry.check(&*code, self.keeps_code);
        if entry.live.is_none() {
            self.workflows.remove(to);
        }
        let effects = decision.effects.into_iter().map(|pending| pending.effect).collect();
        self.send_all(to, effects);
        decision.verdicts.pop().unwrap_or(Verdict::Repeated)
    }

    /// The message; one that forks a run, together with its events.
    fn with_source(&self, to: &WorkflowId, incoming: &Incoming) -> Incoming {
        let mut incoming = incoming.clone();
        if let Message::Fork(fork) = &mut incoming.message {
            let source = self.workflows.get(&fork.source).and_then(|entry| entry.find(fork.source_run));
            let log = source
                .map(|record| SourceLog { run_id: record.run.info.run_id, events: record.history.into() });
            let is_source = |run: &Run| log.as_ref().is_some_and(|log| log.run_id == run.info.run_id);
            let current = self.workflows.get(to).and_then(Entry::current);
            let replaced = current.filter(|record| fork.replaces && !is_source(record.run));
            fork.replaced = replaced.map(|record| record.history.into());
            fork.log = log.ok_or_else(|| format!("from: there is no such run of `{}`", fork.source));
        }
        incoming
    }

    /// The same in every run of the test.
    fn entropy(&mut self) -> u128 {
        let bits = |n: u64| {
            let mut z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            u128::from(z ^ (z >> 27))
        };
        let n = self.count();
        bits(n) << 64 | bits(n | 1 << 63)
    }
}
