//! The naive interpreter: what a program asks for and gives, straight from the facts of a history. It shares nothing with the
//! SDK: no futures, no wakers, no journal.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use millrace_core::{Event, EventKind};
use serde_json::{Value, json};

use crate::programs::{Program, Tell};

/// What is different in this history from what the interpreter says; `None` if nothing is.
pub fn difference(events: &[Event]) -> Option<String> {
    let recorded: Vec<(u64, String)> = events.iter().filter_map(|event| asked(&event.kind)).collect();
    let expected = match interpret(events) {
        Ok(expected) => expected,
        Err(reason) => return Some(reason),
    };
    if recorded == expected {
        return None;
    }
    let same = recorded.iter().zip(&expected).take_while(|(recorded, expected)| recorded == expected).count();
    let (recorded, expected) = (recorded.get(same..), expected.get(same..));
    Some(format!("after {same} commands: recorded {recorded:?}, expected {expected:?}"))
}

/// All that the program asks for, as its facts come.
fn interpret(events: &[Event]) -> Result<Vec<(u64, String)>, String> {
    let Some(EventKind::RunStarted(started)) = events.first().map(|event| &event.kind) else {
        return Err("a history begins with `RunStarted`".into());
    };
    let program = started.input.read().map_err(|error| format!("the program: {error}"))?;
    let (mut known, mut all) = (Known::default(), Vec::new());
    let mut root = known.begin(program);
    for event in events.iter().skip(1) {
        known.ask_for(&root, &mut all);
        if matches!(root, Node::Done(_)) {
            break;
        }
        known.learn(&event.kind, &root);
        known.step(&mut root, &event.kind);
    }
    known.ask_for(&root, &mut all);
    all.dedup_by(|next, first| next.0 == u64::MAX && first.0 == u64::MAX);
    Ok(all)
}

/// A command as it is recorded: the call's number, and what is asked for.
fn asked(kind: &EventKind) -> Option<(u64, String)> {
    Some(match kind {
        EventKind::ActivityScheduled(e) => (e.activity_id, format!("{} {}", e.activity, e.input)),
        EventKind::TimerStarted(e) => (e.timer_id, "sleep".into()),
        EventKind::ChildScheduled(e) => (e.child_id, format!("child {}", e.input)),
        EventKind::ActivityCancelRequested(e) => (e.activity_id, "give up".into()),
        EventKind::TimerCanceled(e) => (e.timer_id, "give up".into()),
        EventKind::ChildCancelRequested(e) => (e.child_id, STOP.into()),
        EventKind::RunCompleted(e) => (u64::MAX, format!("end {}", e.result)),
        EventKind::RunFailed(_) | EventKind::RunCanceled(_) => (u64::MAX, kind.describe()),
        _ => return None,
    })
}

const STOP: &str = "stop";

/// A part of a program, where it stands.
enum Node {
    Done(Value),
    /// An activity, a timer, a child: waits for its end. Given up, a child is asked to stop.
    Call(u64, &'static str),
    Wait(u32),
    Seq(VecDeque<Program>, Vec<Value>, Box<Node>),
    Join(Vec<Node>),
    Race(Vec<Node>),
}

/// What the program knows, and what it asks for.
#[derive(Default)]
struct Known {
    calls: u64,
    told: BTreeMap<u32, u64>,
    canceled: bool,
    asked: Vec<(u64, String)>,
    /// Calls whose command has not been taken yet: given up, they were never made.
    fresh: BTreeSet<u64>,
}

impl Known {
    fn begin(&mut self, program: Program) -> Node {
        match program {
            Program::Work(seconds) => self.call(format!("work {seconds}"), "give up"),
            Program::Fail(seconds) => self.call(format!("fail {seconds}"), "give up"),
            Program::Sleep(_) => self.call("sleep".into(), "give up"),
            Program::Child(program) => self.call(format!("child {}", json!(program)), STOP),
            Program::Wait(slot) => self.settled(Node::Wait(slot)),
            Program::Seq(parts) => {
                self.settled(Node::Seq(parts.into(), Vec::new(), Box::new(Node::Done(Value::Null))))
            }
            Program::Join(parts) => {
                let parts = parts.into_iter().map(|part| self.begin(part)).collect();
                self.settled(Node::Join(parts))
            }
            Program::Race(parts) => {
                let mut begun = Vec::new();
                for part in parts {
                    begun.push(self.begin(part));
                    if matches!(begun.last(), Some(Node::Done(_))) {
                        break;
                    }
                }
                self.settled(Node::Race(begun))
            }
        }
    }

    fn call(&mut self, what: String, given_up: &'static str) -> Node {
        if self.canceled {
            return Node::Done(json!("canceled"));
        }
        self.calls += 1;
        self.fresh.insert(self.calls);
        self.asked.push((self.calls, what));
        Node::Call(self.calls, given_up)
    }

    fn learn(&mut self, fact: &EventKind, root: &Node) {
        match fact {
            EventKind::SignalReceived(e) => {
                if let Ok(Tell { slot, value }) = e.input.read() {
                    self.told.insert(slot, value);
                }
            }
            EventKind::CancelRequested(_) => {
                self.give_up(root);
                self.canceled = true;
            }
            _ => {}
        }
    }

    fn step(&mut self, node: &mut Node, fact: &EventKind) {
        match node {
            Node::Call(number, _) => {
                if let Some(value) =
                    end_of(*number, fact).or_else(|| self.canceled.then(|| json!("canceled")))
                {
                    *node = Node::Done(value);
                }
                return;
            }
            Node::Done(_) => return,
            Node::Wait(_) => {}
            Node::Seq(_, _, now) => self.step(now, fact),
            Node::Join(parts) => parts.iter_mut().for_each(|part| self.step(part, fact)),
            Node::Race(parts) => {
                for part in parts {
                    self.step(part, fact);
                    if matches!(part, Node::Done(_)) {
                        break;
                    }
                }
            }
        }
        let stepped = std::mem::replace(node, Node::Done(Value::Null));
        *node = self.settled(stepped);
    }

    /// The node, or its value if it has come to its end.
    fn settled(&mut self, node: Node) -> Node {
        match node {
            Node::Wait(_) if self.canceled => Node::Done(json!("canceled")),
            Node::Wait(slot) => self.told.get(&slot).map_or(node, |value| Node::Done(json!(value))),
            Node::Seq(mut rest, mut values, mut now) => loop {
                let begins = values.is_empty() && matches!(*now, Node::Done(Value::Null));
                match *now {
                    Node::Done(_) if begins => {}
                    Node::Done(value) => values.push(value),
                    waits => return Node::Seq(rest, values, Box::new(waits)),
                }
                match rest.pop_front() {
                    Some(next) => *now = self.begin(next),
                    None => return Node::Done(json!(values)),
                }
            },
            Node::Join(parts) if parts.iter().all(|part| matches!(part, Node::Done(_))) => {
                let value = |part| if let Node::Done(value) = part { value } else { Value::Null };
                Node::Done(json!(parts.into_iter().map(value).collect::<Vec<_>>()))
            }
            Node::Race(parts) => {
                let first = parts.iter().position(|part| matches!(part, Node::Done(_)));
                let Some((i, Node::Done(value))) = first.and_then(|i| Some((i, parts.get(i)?))) else {
                    return Node::Race(parts);
                };
                let value = json!({ "first": i, "value": value });
                parts.iter().for_each(|part| self.give_up(part));
                Node::Done(value)
            }
            other => other,
        }
    }

    fn give_up(&mut self, node: &Node) {
        match node {
            Node::Call(number, _) if self.fresh.remove(number) => self.asked.retain(|(n, _)| n != number),
            Node::Call(number, given_up) if !self.canceled => self.asked.push((*number, (*given_up).into())),
            Node::Done(_) | Node::Wait(_) | Node::Call(..) => {}
            Node::Seq(_, _, now) => self.give_up(now),
            Node::Join(parts) | Node::Race(parts) => parts.iter().for_each(|part| self.give_up(part)),
        }
    }

    /// What was asked for since the last fact, in the order of the calls; and the end.
    fn ask_for(&mut self, root: &Node, all: &mut Vec<(u64, String)>) {
        self.fresh.clear();
        if let Node::Done(_) = root {
            // The end of the run is the end of all that it has called; only children that were asked to stop still hear of it.
            self.asked.retain(|(_, what)| what == STOP && self.canceled);
        }
        self.asked.sort_by_key(|(number, _)| *number);
        all.append(&mut self.asked);
        if let Node::Done(value) = root {
            all.push((u64::MAX, format!("end {value}")));
        }
    }
}

/// How the call ended, if the fact says so.
fn end_of(number: u64, fact: &EventKind) -> Option<Value> {
    Some(match fact {
        EventKind::ActivityCompleted(e) if e.activity_id == number => e.result.read().ok()?,
        EventKind::ActivityFailed(e) if e.activity_id == number => json!("failed"),
        EventKind::TimerFired(e) if e.timer_id == number => json!("slept"),
        EventKind::ChildCompleted(e) if e.child_id == number => {
            json!({ "child": e.result.read::<Value>().ok()? })
        }
        EventKind::ChildFailed(e) if e.child_id == number => json!("failed"),
        _ => return None,
    })
}
