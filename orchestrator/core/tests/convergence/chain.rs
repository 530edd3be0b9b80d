//! The same for a workflow that continues as new, has a parent and children, tells others something, is asked something,
//! and begins late: whatever happens to messages, its runs say the same, and the same is said to others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millrace_core::{
    Blocked, Command, Coroutine, Event, EventKind, Incoming, Message, ParentClose, Replay, RunInfo, Start,
    Status, Unread, UnreadMessage, WithStart, WorkflowCode,
};
use proptest::prelude::*;

use crate::disorder::{self, Drive};
use crate::script::*;

/// Its first run waits for a child and a timer, its second for everything else.
struct Pilgrim;

#[derive(Default)]
struct PilgrimCode {
    is_second: bool,
    done: BTreeSet<String>,
    unread: Unread,
}

const NEEDED: usize = 8;

impl PilgrimCode {
    fn begin(&mut self, input: &millrace_core::Payload, unread: &Unread) -> Vec<Command> {
        if input.is_null() {
            return vec![
                Command::Patch("p".into()),
                child(1, ParentClose::Terminate),
                child(9, ParentClose::Cancel),
                sleep(1, 30),
                send_signal(1, "other"),
            ];
        }
        self.is_second = true;
        self.done = input.read().unwrap();
        let mut commands = vec![schedule(1, "pack"), child(1, ParentClose::Abandon), send_cancel(1, "other")];
        unread.signals.iter().for_each(|signal| self.read(signal));
        commands.extend(unread.updates.iter().map(|update| self.reply(update)));
        commands
    }

    fn read(&mut self, signal: &UnreadMessage) {
        self.done.insert(format!("s-{}", signal.request_id));
    }

    fn reply(&mut self, update: &UnreadMessage) -> Command {
        if update.name == "set" {
            return Command::RejectUpdate(update.request_id.clone(), "no".into());
        }
        self.done.insert(format!("u-{}", update.request_id));
        answer(update.request_id.as_str(), "1")
    }

    fn end(&mut self, commands: &mut Vec<Command>) {
        let done = serde_json::to_string(&self.done).unwrap();
        if self.is_second && self.done.len() == NEEDED {
            commands.push(complete(&done));
        } else if !self.is_second && self.done.len() == 2 {
            commands.push(continue_with(&done, std::mem::take(&mut self.unread)));
        }
    }
}

impl Coroutine for PilgrimCode {
    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        let mut commands = Vec::new();
        let second = self.is_second;
        match &event.kind {
            EventKind::RunStarted(e) => commands = self.begin(&e.input, &e.unread),
            EventKind::UpdateReceived(e) if e.name == "set" => {
                return Ok(vec![Command::RejectUpdate(e.request_id.clone(), "no".into())]);
            }
            EventKind::UpdateReceived(e) => {
                let update = unread_message(e.request_id.as_str(), &e.name);
                if second { commands.push(self.reply(&update)) } else { self.unread.updates.push(update) }
            }
            EventKind::SignalReceived(e) => {
                let signal = unread_message(e.request_id.as_str(), &e.name);
                if second { self.read(&signal) } else { self.unread.signals.push(signal) }
            }
            EventKind::ChildCompleted(e) => {
                self.done.insert(format!("c{}{second}", e.child_id));
            }
            EventKind::ActivityCompleted(_) => {
                self.done.insert("a".into());
            }
            EventKind::TimerFired(e) if e.timer_id == 1 => {
                self.done.insert("t".into());
            }
            _ => {}
        }
        self.end(&mut commands);
        Ok(commands)
    }
}

impl WorkflowCode for Pilgrim {
    fn instantiate(&self, _: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        Ok(Box::<PilgrimCode>::default())
    }
}

fn messages() -> [Incoming; 5] {
    let Message::Start(start) = start_child().message else { panic!("a start") };
    let signal_with_start = Some(WithStart { name: "hello".into(), input: payload("1") });
    let delay = Some(Duration::from_secs(10));
    let start = Start { signal: signal_with_start, delay, ..*start };
    [
        incoming(Message::Start(Box::new(start))),
        signal("s1", "approve"),
        signal("s2", "approve"),
        update("u1", "ask"),
        update("u2", "set"),
    ]
}

fn drive(draws: Vec<u8>) -> Drive {
    disorder::drive(Pilgrim, &messages(), draws)
}

/// What the histories say, whatever the order of their facts. A refused update leaves events only where the code was held
/// when it came.
fn facts(drive: &Drive) -> BTreeMap<String, usize> {
    let mut facts = BTreeMap::new();
    for event in drive.histories().flat_map(|(_, events)| events) {
        let fact = match &event.kind {
            EventKind::ActivityAttemptFailed(_) | EventKind::RunBlocked(_) | EventKind::UpdateRejected(_) => {
                continue;
            }
            EventKind::UpdateReceived(e) if e.name == "set" => continue,
            EventKind::ActivityCompleted(e) => format!("completed {}", e.activity_id),
            EventKind::TimerStarted(e) => format!("timer {}", e.timer_id),
            EventKind::RunContinuedAsNew(_) => "continued".to_owned(),
            other => show_event(other),
        };
        *facts.entry(fact).or_default() += 1;
    }
    facts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn g2_g4_g7_whatever_happens_to_messages_a_chain_of_runs_ends_alike(draws in prop::collection::vec(any::<u8>(), 0..800)) {
        let (disturbed, undisturbed) = (drive(draws), drive(vec![]));
        prop_assert_eq!(disturbed.world.run().status, Status::Completed);
        prop_assert_eq!(facts(&disturbed), facts(&undisturbed));
        prop_assert_eq!(&disturbed.queue.told, &undisturbed.queue.told);
        prop_assert_eq!(disturbed.queue.closed.len(), 2);
    }

    #[test]
    fn g8_fresh_code_asks_again_for_what_the_runs_of_a_chain_record(draws in prop::collection::vec(any::<u8>(), 0..400)) {
        let drive = drive(draws);
        for (info, history) in drive.histories() {
            for known in 0..=history.len() {
                let mut replay = Replay::new(Pilgrim.instantiate(info).unwrap());
                prop_assert_eq!(replay.follow(&history[..known]), Ok(()));
            }
        }
    }
}

#[test]
fn the_undisturbed_chain_is_what_the_others_are_measured_by() {
    let drive = drive(vec![]);
    let facts = facts(&drive);
    assert_eq!((facts["RunStarted"], facts["continued"], facts["UpdateReceived ask u1"]), (2, 1, 1));
    let told: Vec<_> = drive.queue.told.iter().map(|told| told.split(" {").next().unwrap()).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[1..], ["Cancel child 9", "CancelSent to `other`", "SignalSent `hello` to `other`"]);
}
