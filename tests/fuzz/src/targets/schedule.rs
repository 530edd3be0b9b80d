//! Schedules: cron expressions, intervals, zones, windows; what their runs are given, and what they are asked.

use std::collections::BTreeSet;

use millrace::Schedule;
use millrace_core::decide::{Live, Turn};
use millrace_core::{
    Blocked, IdConflict, IdReuse, Incoming, Message, Payload, Start, Timestamp, WorkflowId, decide,
};
use serde::Deserialize;

use super::world::app;
use super::{lines, refused};
use crate::{Memory, Target};

/// A schedule, or the input of its run, in the first line; in the others updates.
pub const TARGET: Target = Target {
    name: "schedule",
    seeds: &[],
    read,
    // A thousand times that are made up for are a thousand children.
    memory: Memory { times: 256, plus: 24_000_000 },
    slice: 700,
};

/// When its life begins.
const BEGINNING: i64 = 1_767_225_600_000;

#[derive(Deserialize)]
struct Ask {
    name: String,
    #[serde(default)]
    input: Payload,
}

fn read(input: &[u8]) -> String {
    let lines = lines(input);
    let Some((first, asks)) = lines.split_first() else { return "nothing".to_owned() };
    let Ok(given) = Payload::parse(first) else { return "not JSON".to_owned() };
    let checked = match given.read::<Schedule>() {
        Ok(schedule) => schedule.check().map_or_else(refused, |()| "good".to_owned()),
        Err(_) => "no schedule".to_owned(),
    };
    let input = match checked.as_str() {
        "no schedule" => given,
        _ => Payload::parse(&format!("{{\"schedule\":{}}}", given.as_str())).expect("JSON in JSON is JSON"),
    };
    let asks = asks.iter().take(6).filter_map(|line| serde_json::from_str(line).ok()).collect();
    format!("{checked}; {}", live(input, asks))
}

/// Its life: it is asked, and its times come.
fn live(input: Payload, asks: Vec<Ask>) -> String {
    let mut world =
        World { live: None, now: Timestamp::from_millis(BEGINNING), ids: 0, seen: BTreeSet::new() };
    world.turn(Message::Start(Box::new(Start {
        workflow: "millrace.schedule".parse().expect("a good type"),
        input,
        request_id: "start".parse().expect("a good id"),
        id_reuse: IdReuse::default(),
        id_conflict: IdConflict::default(),
        run_timeout: None,
        execution_timeout: None,
        delay: None,
        memo: None,
        attributes: None,
        signal: None,
        update: None,
        headers: Default::default(),
        parent: None,
    })));
    for ask in asks {
        world.fire();
        let request_id = format!("u{}", world.ids).parse().expect("a good id");
        world.turn(Message::Update { name: ask.name, input: ask.input, request_id });
    }
    world.fire();
    world.fire();
    world.seen.into_iter().collect::<Vec<_>>().join(", ")
}

struct World {
    live: Option<Live>,
    now: Timestamp,
    ids: u128,
    seen: BTreeSet<String>,
}

impl World {
    fn turn(&mut self, message: Message) {
        self.ids += 1;
        let workflow_id: WorkflowId = "nightly".parse().expect("a good id");
        let code = app().workflow_code();
        let turn = Turn {
            workflow_id: &workflow_id,
            now: self.now,
            build: "fuzz",
            entropy: self.ids,
            secret: 9,
            code: code.as_ref(),
            runaway: None,
        };
        let incoming = Incoming { message, run_id: None, sent_at: self.now, receive_count: 1 };
        let decision = decide(&mut self.live, &[incoming], &turn);
        let Some(live) = &self.live else { return };
        if let Some(mark) = &live.run.blocked {
            let unread = matches!(mark.reason, Blocked::BadInput { .. });
            assert!(unread, "a schedule is refused, never blocked: {}", mark.reason);
            self.seen.insert("bad input".to_owned());
        }
        self.seen.extend(decision.events.iter().map(|event| event.kind.name().to_owned()));
    }

    /// The next timer comes.
    fn fire(&mut self) {
        let timers = self.live.as_ref().map(|live| live.run.timers.clone()).unwrap_or_default();
        let Some((timer_id, at)) = timers.into_iter().min_by_key(|(_, at)| *at) else { return };
        self.now = self.now.max(at);
        self.turn(Message::Timer { timer_id });
    }
}
