//! Messages of the system's own: a worker in another language, or a redrive, may get them wrong.

use millrace_core::{Message, OutcomeResult};
use millrace_format::message::{Addressed, EventMessage, Report, read_event, write};

use super::refused;
use crate::{Memory, Seeds, Target};

/// Messages of the events queue.
pub const TARGET: Target = Target {
    name: "events",
    seeds: &[Seeds::Schemas(&["outcome", "signal", "cancel", "start", "task"])],
    read,
    memory: Memory { times: 24, plus: 64_000 },
    slice: 4_000,
};

fn read(input: &[u8]) -> String {
    let Ok(body) = std::str::from_utf8(input) else { return "not UTF-8".to_owned() };
    let addressed = match read_event(body) {
        Ok(addressed) => addressed,
        Err(bad) => return refused(bad),
    };
    let answer = format!("{} {}", addressed.message.name(), shape(&addressed.message));
    if let Some(event) = event(&addressed) {
        assert_eq!(read_event(&write(&event)).as_ref(), Ok(&addressed), "written and read again");
    }
    answer
}

/// The message as the engine writes it.
fn event(addressed: &Addressed) -> Option<EventMessage> {
    let Addressed { namespace, workflow_id, run_id, message } = addressed.clone();
    let report = match message {
        Message::Outcome(outcome) => Report::Outcome(outcome),
        Message::Timer { timer_id } => Report::Timer { timer_id },
        Message::Wake { wake } => Report::Wake { wake },
        Message::ChildOutcome { child_id, result } => Report::ChildOutcome { child_id, result },
        Message::Stop(stop) => Report::StopChild(stop),
        Message::Signal { name, input, request_id, .. } => Report::Signal { name, input, request_id },
        Message::Cancel { reason, request_id } => Report::Cancel { reason, request_id },
        _ => return None,
    };
    Some(EventMessage { v: 1, namespace, workflow_id, run_id, report })
}

fn shape(message: &Message) -> String {
    let result = match message {
        Message::Outcome(outcome) => &outcome.result,
        Message::ChildOutcome { result, .. } => result,
        _ => return String::new(),
    };
    match result {
        OutcomeResult::Completed(_) => "completed".to_owned(),
        OutcomeResult::Failed(fault) => format!("{:?}", std::mem::discriminant(fault)),
    }
}
