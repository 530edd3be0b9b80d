//! History objects: whoever can write the bucket, a disk or an editor may have changed one.

use std::collections::BTreeMap;

use millrace_core::decide::{Live, Turn};
use millrace_core::{Event, Identity, Incoming, Message, Payload, Timestamp, decide};
use millrace_format::history::{Commit, Line, Tail, encode};
use millrace_format::{Head, Header};

use super::unreadable;
use super::world::app;
use crate::{Memory, Seeds, Target};

/// The head of a run.
pub const TARGET: Target = Target {
    name: "history",
    seeds: &[Seeds::Histories(".ndjson")],
    read,
    memory: Memory { times: 96, plus: 1_000_000 },
    slice: 1_200,
};

fn read(input: &[u8]) -> String {
    let as_it_is = read_one(input);
    // Checksums keep mutations out; somebody who means harm makes them right.
    match repaired(input) {
        Some(repaired) => format!("{as_it_is}; {}", read_one(&repaired)),
        None => as_it_is,
    }
}

fn read_one(body: &[u8]) -> String {
    let head = match Head::decode("default/workflow/00/w/history", body) {
        Ok(head) => head,
        Err(corrupt) => return unreadable(corrupt),
    };
    let lines = match head.lines() {
        Ok(lines) => lines,
        Err(corrupt) => return unreadable(corrupt),
    };
    let written = encode(&head.header, &head.tail.text).expect("what was read can be written");
    let again = Head::decode("k", &written).expect("what was written can be read");
    assert_eq!((&again.header, again.lines().as_ref()), (&head.header, Ok(&lines)), "written and read again");
    if !head.header.parts.is_empty() || head.header.first != 1 {
        return "a head with sealed parts".to_owned();
    }
    let events: Result<Vec<Event>, _> = lines.into_iter().map(Line::whole).collect();
    match events {
        Ok(events) => turn(&head, &events),
        Err(_) => "a head with payloads elsewhere".to_owned(),
    }
}

/// A turn on the run that was read: what it leaves can be written and read.
fn turn(head: &Head, events: &[Event]) -> String {
    let run = head.header.restore(events);
    let (now, workflow_id) = (Timestamp::from_millis(1_800_000_000_000), run.info.workflow_id.clone());
    let messages: Vec<Incoming> = messages(head).into_iter().map(|message| incoming(message, now)).collect();
    let mut live = Some(Live { run, replay: None, history: events.to_vec() });
    let code = app().workflow_code();
    let turn = Turn {
        workflow_id: &workflow_id,
        now,
        build: "fuzz",
        entropy: 7,
        secret: 9,
        code: code.as_ref(),
        runaway: None,
    };
    let decision = decide(&mut live, &messages, &turn);
    let mut run = live.expect("a run is not lost").run;
    run.turn = run.turn.saturating_add(1);
    let mut tail = if decision.replaces.is_some() { Tail::empty() } else { head.tail.clone() };
    tail.push(&decision.events);
    let header = Header::of(&run, Commit { nonce: "n", build: "fuzz" }, &tail);
    let written = encode(&header, &tail.text).expect("a turn can be written");
    let left = Head::decode("k", &written).expect("what a turn has left can be read");
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    decision.events.iter().for_each(|event| *kinds.entry(event.kind.name()).or_default() += 1);
    format!(
        "{:?} {:?} {kinds:?}",
        left.header.status,
        left.header.blocked.map(|mark| mark.reason.to_string())
    )
}

/// One of each kind that a stranger or the engine itself would send, for what is open.
fn messages(head: &Head) -> Vec<Message> {
    let header = &head.header;
    let request_id = |id: &str| id.parse().expect("a good request id");
    let mut messages = vec![
        Message::Signal {
            name: "do".into(),
            input: Payload::null(),
            request_id: request_id("s"),
            after: None,
        },
        Message::Resume { request_id: request_id("r") },
        Message::Wake { wake: header.wakes_sent },
    ];
    let of_effects = header.effects.iter().filter_map(|pending| match &pending.guard {
        Identity::Timer(timer_id) => Some(Message::Timer { timer_id: *timer_id }),
        Identity::Wake(wake) => Some(Message::Wake { wake: *wake }),
        _ => None,
    });
    messages.extend(of_effects.take(10));
    messages.extend(header.activities.iter().take(10).map(|activity| {
        let result = millrace_core::OutcomeResult::Completed(Payload::null());
        let (activity_id, attempt) = (activity.activity_id, activity.attempt);
        Message::Outcome(millrace_core::ActivityOutcome {
            activity_id,
            attempt,
            receive_count: u32::MAX,
            result,
        })
    }));
    messages
}

fn incoming(message: Message, sent_at: Timestamp) -> Incoming {
    Incoming { message, run_id: None, sent_at, receive_count: 1 }
}

/// The same with the checksums that belong to it.
fn repaired(body: &[u8]) -> Option<Vec<u8>> {
    const CRC: &str = "\"crc\":";
    let text = std::str::from_utf8(body).ok()?;
    let (line, tail) = text.split_once('\n')?;
    let (line, _) = line.rsplit_once(",\"header_crc\":")?;
    // The last one is the header's own: those of the parts come before it.
    let (before, after) = line.rsplit_once(CRC)?;
    let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
    let line = format!("{before}{CRC}{}{after}", crc32fast::hash(tail.as_bytes()));
    let crc = crc32fast::hash(line.as_bytes());
    Some(format!("{line},\"header_crc\":{crc}}}\n{tail}").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repaired_history_is_read_and_taken_further() {
        let body = include_bytes!("../../../../orchestrator/format/tests/histories/v1/running.ndjson");
        let text = String::from_utf8(body.to_vec()).unwrap().replacen("\"turn\":", "\"turn\":1", 1);
        assert!(Head::decode("k", text.as_bytes()).is_err());
        assert!(Head::decode("k", &repaired(text.as_bytes()).unwrap()).is_ok());
        assert!(read_one(body).contains("Running"), "{}", read_one(body));
    }
}
