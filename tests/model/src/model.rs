//! Configurations, and the model as the checker sees it.

use stateright::{Model, Property};

use crate::action::{Action, Fault, FaultKind};
use crate::process::{Phase, ProcessId, Settling};
use crate::properties;
use crate::queues::{Message, Queue, Queues};
use crate::state::State;
use crate::variant::Variant;
use crate::workload::{Code, Effect, RunNumber};

/// The protocol, or a broken variant of it, over a small world.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// What the table calls the configuration.
    pub name: &'static str,
    /// The first run's code.
    pub code: Code,
    /// How many runs the client starts under the one id, each when it has seen the one before closed.
    pub starts: RunNumber,
    /// How many messages one receive may bring.
    pub batch: usize,
    /// Whether a process may be a worker that makes the turn itself.
    pub eager: bool,
    /// How many faults there may be in all.
    pub faults: u8,
    /// Of which kinds.
    pub kinds: &'static [FaultKind],
    /// Which rule is left out.
    pub variant: Variant,
}

impl Protocol {
    /// One run, batches of one, faults of all kinds: what configurations begin with.
    pub fn new(name: &'static str, code: Code, faults: u8) -> Self {
        let (starts, batch, eager, kinds) = (1, 1, false, FaultKind::ALL);
        Self { name, code, starts, batch, eager, faults, kinds, variant: Variant::Intact }
    }

    /// The same with a rule left out.
    #[must_use]
    pub fn without(self, variant: Variant) -> Self {
        Self { variant, ..self }
    }

    /// What can happen without anything breaking.
    pub fn regular(&self, state: &State) -> Vec<Action> {
        let mut actions = Vec::new();
        for process in ProcessId::ALL {
            self.steps_of(process, state, &mut actions);
        }
        let visible = state.queues.visible();
        let tasks = visible.iter().filter(|message| message.queue == Queue::Tasks);
        actions.extend(tasks.map(|task| Action::Work(*task)));
        let closed = state.bucket.head.as_ref().is_some_and(|head| head.run.is_closed());
        if closed && state.starts < self.starts {
            actions.push(Action::Start(state.starts + 1));
        }
        for late in 0..state.bucket.late.len() {
            actions.extend([Action::Land(late), Action::Vanish(late)]);
        }
        actions
    }

    /// Steps of one process (DESIGN §3).
    fn steps_of(&self, process: ProcessId, state: &State, actions: &mut Vec<Action>) {
        match &state.processes[process.index()].phase {
            Phase::Idle => {
                let batches = self.batches(&state.queues);
                actions.extend(batches.into_iter().map(|batch| Action::Receive(process, batch)));
            }
            Phase::Received(_) => actions.push(Action::Decide(process)),
            Phase::Archiving(_) => actions.push(Action::Archive(process)),
            Phase::Committing(attempt) => {
                actions.push(Action::Commit(process));
                if self.variant == Variant::DispatchBeforeCommit {
                    self.dispatches(process, &attempt.then, actions);
                }
            }
            Phase::Unsure(_) => actions.push(Action::ReadAgain(process)),
            Phase::Settling(settling) => {
                self.dispatches(process, settling, actions);
                let dispatched = settling.effects.is_empty();
                if dispatched || self.variant == Variant::AcknowledgeBeforeDispatch {
                    Self::acknowledgements(process, settling, &state.queues, actions);
                }
            }
        }
    }

    /// What one receive may bring: single messages and, if batches are larger, pairs in either order.
    fn batches(&self, queues: &Queues) -> Vec<Vec<Message>> {
        let visible: Vec<Message> =
            queues.messages.iter().copied().filter(|message| message.holder.is_none()).collect();
        let mut batches: Vec<Vec<Message>> = Vec::new();
        for (i, first) in visible.iter().enumerate() {
            if first.queue == Queue::Events || self.eager {
                batches.push(vec![*first]);
            }
            let others = visible.iter().enumerate().filter(|(j, _)| i != *j && self.batch > 1);
            let pairs =
                others.filter(|(_, second)| (first.queue, second.queue) == (Queue::Events, Queue::Events));
            batches.extend(pairs.map(|(_, second)| vec![*first, *second]));
        }
        batches.sort();
        batches.dedup();
        batches
    }

    /// The effects leave in any order. An eager worker may keep one task instead of sending it.
    fn dispatches(&self, process: ProcessId, settling: &Settling, actions: &mut Vec<Action>) {
        let mut effects = settling.effects.clone();
        effects.dedup();
        let holds_task = settling.done.first().is_some_and(|held| held.queue == Queue::Tasks);
        for effect in effects {
            actions.push(Action::Dispatch(process, effect));
            let is_task = matches!(effect, Effect::Task(..));
            if self.eager && holds_task && is_task && settling.kept.is_none() {
                actions.push(Action::Keep(process, effect));
            }
        }
    }

    fn acknowledgements(process: ProcessId, settling: &Settling, queues: &Queues, actions: &mut Vec<Action>) {
        let Some(received) = settling.done.first() else { return };
        let valid = |message: Message| message.holder == Some(process);
        match queues.receipt(process, received.queue, received.message) {
            Some(message) if valid(message) => {
                actions.push(Action::Acknowledge(process, received.clone(), true))
            }
            Some(_) => {
                actions.extend([true, false].map(|gone| Action::Acknowledge(process, received.clone(), gone)))
            }
            None => actions.push(Action::Acknowledge(process, received.clone(), false)),
        }
    }

    /// What may break now.
    fn breakable(&self, state: &State) -> Vec<Fault> {
        let mut faults = Vec::new();
        for process in ProcessId::ALL {
            let phase = &state.processes[process.index()].phase;
            if *phase != Phase::Idle {
                faults.push(Fault::Crash(process));
            }
            let held = state.queues.messages.iter().filter(|message| message.holder == Some(process));
            faults.extend(held.map(|message| Fault::Lapse(process, *message)));
            match phase {
                Phase::Committing(attempt) if attempt.condition == state.bucket.version() => {
                    faults.extend([Fault::ReplyLost(process), Fault::PutLate(process)]);
                }
                Phase::Settling(settling) if settling.effects.is_empty() => {
                    let received = settling.done.first();
                    faults
                        .extend(received.map(|received| Fault::DeleteIneffective(process, received.clone())));
                }
                _ => {}
            }
        }
        for message in state.queues.visible() {
            faults.push(Fault::Duplicate(message));
            if message.queue == Queue::Tasks {
                faults.push(Fault::WorkerCrash(message));
            }
        }
        faults.retain(|fault| self.kinds.contains(&fault.kind()));
        faults.dedup();
        faults
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State::default();
        self.step(&mut state, &Action::Start(1));
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(self.regular(state));
        if state.faults < self.faults {
            actions.extend(self.breakable(state).into_iter().map(Action::Fault));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.step(&mut next, &action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
