//! What can happen next.

use std::fmt;

use crate::ProcessId;
use crate::decide::Received;
use crate::queues::{Message, Queue};
use crate::workload::{Effect, RunNumber};

/// One step of a process or of the world around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Turn, step 1: a batch is received, in this order.
    Receive(ProcessId, Vec<Message>),
    /// Steps 2 and 3: the run is taken from the cache, or read; the turn is decided.
    Decide(ProcessId),
    /// Before step 4, if a closed run's place is to be taken: its archive.
    Archive(ProcessId),
    /// Step 4: the PUT is done, or refused, and the answer comes.
    Commit(ProcessId),
    /// G5: after a refusal or without an answer, the object is read again.
    ReadAgain(ProcessId),
    /// Step 5, one effect.
    Dispatch(ProcessId, Effect),
    /// Step 5 of an eager turn: the worker goes on with this task itself.
    Keep(ProcessId, Effect),
    /// Step 6, one message. Whether a delete by an outdated receipt does anything is the queue's choice.
    Acknowledge(ProcessId, Received, bool),
    /// An ordinary worker runs a task and reports its outcome.
    Work(Message),
    /// The client sends its next start request, having seen the run before it closed.
    Start(RunNumber),
    /// A PUT without a waiting sender lands.
    Land(usize),
    /// It never will.
    Vanish(usize),
    /// Something breaks.
    Fault(Fault),
}

/// What may break. Each costs one of the faults that a configuration allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process is killed between two steps; if a PUT was on its way, that may still land.
    Crash(ProcessId),
    /// A message becomes visible while its holder is still at work.
    Lapse(ProcessId, Message),
    /// A queue delivers one message twice.
    Duplicate(Message),
    /// A delete is answered, but does nothing.
    DeleteIneffective(ProcessId, Received),
    /// The PUT is done, but its answer is lost.
    ReplyLost(ProcessId),
    /// The PUT's answer does not come in time, and the PUT itself may land later.
    PutLate(ProcessId),
    /// A worker is killed after its report, before it has deleted its task.
    WorkerCrash(Message),
}

impl Fault {
    /// Its kind, as configurations name it.
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Crash(_) | Self::WorkerCrash(_) => FaultKind::Crash,
            Self::Lapse(..) => FaultKind::Lapse,
            Self::Duplicate(_) => FaultKind::Duplicate,
            Self::DeleteIneffective(..) => FaultKind::DeleteIneffective,
            Self::ReplyLost(_) => FaultKind::ReplyLost,
            Self::PutLate(_) => FaultKind::PutLate,
        }
    }
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "they are the faults above")]
pub enum FaultKind {
    Crash,
    Lapse,
    Duplicate,
    DeleteIneffective,
    ReplyLost,
    PutLate,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: &'static [Self] =
        &[Self::Crash, Self::Lapse, Self::Duplicate, Self::DeleteIneffective, Self::ReplyLost, Self::PutLate];
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = if self.received { ", again" } else { "" };
        match (self.queue, self.fact) {
            (Queue::Tasks, crate::Fact::Done(run, activity)) => {
                write!(f, "{}{count}", Effect::Task(run, activity))
            }
            (_, fact) => write!(f, "{fact}{count}"),
        }
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queue, message: fact, .. } = self;
        let (queue, fact) = (*queue, *fact);
        write!(f, "{}", Message { queue, fact, received: false, holder: None, lapsed: [false; 2] })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receive(process, batch) => {
                let batch: Vec<String> = batch.iter().map(ToString::to_string).collect();
                write!(f, "{process:?} receives {}", batch.join(" and "))
            }
            Self::Decide(process) => write!(f, "{process:?} decides"),
            Self::Archive(process) => write!(f, "{process:?} archives the closed run"),
            Self::Commit(process) => write!(f, "{process:?} has its PUT answered"),
            Self::ReadAgain(process) => write!(f, "{process:?} reads again"),
            Self::Dispatch(process, effect) => write!(f, "{process:?} sends {effect}"),
            Self::Keep(process, effect) => write!(f, "{process:?} keeps {effect} and runs it"),
            Self::Acknowledge(process, received, true) => write!(f, "{process:?} deletes {received}"),
            Self::Acknowledge(process, received, false) => {
                write!(f, "{process:?} deletes {received}, but its receipt is outdated")
            }
            Self::Work(message) => write!(f, "a worker runs {message} and reports"),
            Self::Start(request) => write!(f, "the client sends start {request}"),
            Self::Land(_) => write!(f, "the late PUT lands"),
            Self::Vanish(_) => write!(f, "the late PUT never lands"),
            Self::Fault(fault) => write!(f, "FAULT: {fault}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(process) => write!(f, "{process:?} is killed"),
            Self::Lapse(process, message) => {
                write!(f, "{message} becomes visible in the hands of {process:?}")
            }
            Self::Duplicate(message) => write!(f, "{message} is duplicated"),
            Self::DeleteIneffective(process, received) => {
                write!(f, "the delete of {received} by {process:?} does nothing")
            }
            Self::ReplyLost(process) => write!(f, "the answer to the PUT of {process:?} is lost"),
            Self::PutLate(process) => write!(f, "{process:?} gets no answer, its PUT is still on its way"),
            Self::WorkerCrash(message) => write!(f, "a worker runs {message}, reports and is killed"),
        }
    }
}
