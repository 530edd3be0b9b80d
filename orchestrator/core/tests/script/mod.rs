//! A tiny workflow language for tests: a table of what the code asks for on which event; and a world that makes turns
//! with it the way the engine does, minus bucket and queues.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod code;
mod messages;
mod show;

use std::collections::BTreeSet;

use millrace_core::{
    Decision, Effect, Event, EventKind, Identity, Incoming, Live, Message, ParentClose, PendingEffect, RunId,
    Runaway, Timestamp, Turn, Verdict, WorkflowCode, WorkflowId, decide, end_local,
};

pub use code::*;
pub use messages::*;
pub use show::*;

/// 2026-11-23T02:00:00Z; tests speak of seconds after it.
pub const T0: i64 = 1_795_399_200_000;

/// A time, in seconds after [`T0`].
pub fn at(seconds: f64) -> Timestamp {
    Timestamp::from_millis(T0 + (seconds * 1000.0) as i64)
}

/// One workflow and the orchestrator that makes its turns.
pub struct World {
    pub code: Box<dyn WorkflowCode>,
    pub live: Option<Live>,
    /// All events of the current run.
    pub history: Vec<Event>,
    /// The clock, in seconds after [`T0`].
    pub now: f64,
    pub build: &'static str,
    pub entropy: u128,
    /// How many turns the run may make on its own.
    pub runaway: Option<Runaway>,
    id: WorkflowId,
}

impl World {
    pub fn new<const N: usize>(script: [Row; N]) -> Self {
        Self::with(Code(script.to_vec()))
    }

    pub fn with(code: impl WorkflowCode + 'static) -> Self {
        let id = WorkflowId::new("w-1").unwrap();
        let (live, history) = (None, vec![]);
        Self { code: Box::new(code), live, history, now: 0.0, build: "b1", entropy: 7, runaway: None, id }
    }

    /// A world whose run was started at [`T0`] by the request `start`.
    pub fn started<const N: usize>(script: [Row; N]) -> Self {
        let mut world = Self::new(script);
        world.turn(&[plain("start")]);
        world
    }

    /// Deploys other code: the next turn is cold.
    pub fn deploy<const N: usize>(&mut self, build: &'static str, script: [Row; N]) {
        self.code = Box::new(Code(script.to_vec()));
        self.build = build;
        self.cool();
    }

    /// Forgets the code, as another orchestrator that reads the history would never have had it.
    pub fn cool(&mut self) {
        if let Some(live) = &mut self.live {
            live.replay = None;
            live.history.clone_from(&self.history);
        }
    }

    /// Makes the head one of a build that did not say which message begins the next run.
    pub fn of_an_older_build(&mut self) {
        self.live.as_mut().expect("a run").run.closed_under = None;
    }

    /// Turns of these messages until each is dealt with, as the engine makes them. The lines of all turns.
    #[track_caller]
    pub fn turns(&mut self, messages: &[Incoming]) -> Vec<String> {
        let (mut messages, mut lines) = (messages.to_vec(), Vec::new());
        for _ in 0..100 {
            let decision = self.turn(&messages);
            self.entropy += 1;
            lines.extend(show(&decision));
            let again = |(message, verdict)| (verdict == Verdict::Again).then_some(message);
            messages = messages.into_iter().zip(decision.verdicts).filter_map(again).collect();
            if messages.is_empty() {
                return lines;
            }
        }
        panic!("the turns have no end");
    }

    /// Asserts that turns of these messages, each decided until it is dealt with, make this table.
    #[track_caller]
    pub fn expect_turns<const N: usize>(&mut self, messages: impl AsRef<[Incoming]>, table: [&str; N]) {
        let lines = self.turns(messages.as_ref());
        assert_eq!(lines, table, "\nthe turns made:\n{}\n", lines.join("\n"));
    }

    /// The run's id.
    pub fn run_id(&self) -> RunId {
        self.run().info.run_id
    }

    /// One turn, committed.
    #[track_caller]
    pub fn turn(&mut self, messages: &[Incoming]) -> Decision {
        self.local_turn(messages, [])
    }

    /// One turn, committed, whose local activities end so, in this order.
    #[track_caller]
    pub fn local_turn(
        &mut self,
        messages: &[Incoming],
        ends: impl IntoIterator<Item = EventKind>,
    ) -> Decision {
        let mut live = self.live.take();
        let mut decision = decide(&mut live, messages, &self.as_turn());
        let mut asked: BTreeSet<_> = decision.locals.drain(..).map(|local| local.activity_id).collect();
        for end in ends {
            let (activity_id, _) = end.local_activity().expect("the end of a local activity");
            assert!(asked.remove(&activity_id), "nobody asked for local activity {activity_id}");
            decision = end_local(&mut live, decision, end, &self.as_turn());
            asked.extend(decision.locals.drain(..).map(|local| local.activity_id));
        }
        let waits = live.as_ref().is_some_and(|live| live.replay.is_some()) && !asked.is_empty();
        assert!(!waits, "the turn waits for local activities: {asked:?}");
        self.live = live;
        if decision.replaces.is_some() {
            self.history.clear();
        }
        self.history.extend(decision.events.iter().cloned());
        self.check(&decision, messages);
        if let Some(live) = &mut self.live {
            live.run.turn += u64::from(decision.commits());
            live.history = if live.replay.is_some() { vec![] } else { self.history.clone() };
        }
        decision
    }

    /// One turn of these messages, as the lines of a table: events, effects (`→`), verdicts (`=`).
    #[track_caller]
    pub fn lines(&mut self, messages: &[Incoming]) -> Vec<String> {
        show(&self.turn(messages))
    }

    /// Asserts that a turn of these messages makes this table.
    #[track_caller]
    pub fn expect<const N: usize>(&mut self, messages: impl AsRef<[Incoming]>, table: [&str; N]) {
        let lines = self.lines(messages.as_ref());
        assert_eq!(lines, table, "\nthe turn made:\n{}\n", lines.join("\n"));
    }

    /// Asserts that a turn of these messages, whose local activities end so, makes this table.
    #[track_caller]
    pub fn expect_locals<const N: usize>(
        &mut self,
        messages: impl AsRef<[Incoming]>,
        ends: impl IntoIterator<Item = EventKind>,
        table: [&str; N],
    ) {
        let lines = show(&self.local_turn(messages.as_ref(), ends));
        assert_eq!(lines, table, "\nthe turn made:\n{}\n", lines.join("\n"));
    }

    pub fn run(&self) -> &millrace_core::Run {
        &self.live.as_ref().expect("a run").run
    }

    /// The open effects that a redelivery of this guard does again.
    pub fn guarded(&self, guard: &str) -> Vec<String> {
        self.run().effects_guarded_by(&guard.parse().unwrap()).map(show_effect).collect()
    }

    /// What holds after every turn, whatever happened in it.
    #[track_caller]
    fn check(&self, decision: &Decision, messages: &[Incoming]) {
        assert_eq!(decision.verdicts.len(), messages.len());
        let Some(live) = &self.live else { return };
        let (run, history) = (&live.run, &self.history);
        assert!(history.iter().zip(1..).all(|(event, n)| event.n == n), "numbers without gaps");
        assert!(history.windows(2).all(|pair| pair[0].t <= pair[1].t), "time never goes back");
        assert_eq!(run.last_event, history.len() as u64);
        let ends = |event: &Event| ends_run(&event.kind);
        assert!(!history.iter().rev().skip(1).any(ends), "nothing follows the end of a run");
        // G4: a guard is the identity of one of the turn's messages, and every effect of the turn has one.
        let identities: BTreeSet<_> = messages.iter().map(|m| m.message.identity()).collect();
        let named = |pending: &PendingEffect| identities.contains(plain_identity(&pending.guard));
        assert!(decision.effects.iter().all(named), "{:?} of {identities:?}", decision.effects);
        let guards: BTreeSet<_> = decision.effects.iter().map(|pending| &pending.guard).collect();
        assert!(guards.len() <= 1, "one guard a turn: {guards:?}");
        // G1: every effect is in the header that the same commit writes.
        for pending in &decision.effects {
            assert_eq!(run.effects.get(&pending.effect.key()), Some(pending));
        }
        // G4: pending effects are open ones.
        for pending in run.effects.values() {
            let open = match &pending.effect {
                Effect::SendTask { activity_id, attempt, .. } => {
                    run.activities.get(activity_id).is_some_and(|state| state.attempt == *attempt)
                }
                Effect::SendTimer { timer_id, .. } => run.timers.contains_key(timer_id),
                Effect::SendWake { wake, .. } => run.wake.is_some_and(|armed| armed.wake == *wake),
                Effect::IndexOpen => run.status.is_open(),
                Effect::SendStart { child_id, .. } => run.children.get(child_id).is_some_and(|child| {
                    run.status.is_open() || child.options.parent_close == ParentClose::Abandon
                }),
                Effect::Send { sent_id, .. } => run.sent.contains_key(sent_id),
                Effect::ReportToParent => run.report_to_parent().is_some(),
                Effect::CancelActivity { .. } | Effect::StopChild { .. } | Effect::IndexClosed => true,
            };
            assert!(open, "{pending:?} is pending and void");
        }
        // §6, G9: an open run with a deadline or without working code has a wake on its way.
        let is_tried_again = run.blocked.is_some() && run.paused.is_none();
        if run.status.is_open() && (run.next_deadline().is_some() || is_tried_again) {
            let wake = run.wake.expect("a wake");
            assert!(run.next_deadline().is_none_or(|deadline| wake.at <= deadline));
        }
        // A run that continues as new is only half of what was decided: the message that closed it must go on with it.
        if run.continued.is_some() && decision.commits() {
            let closed_under =
                plain_identity(run.closed_under.as_ref().expect("the message that begins the next"));
            let mut closing = messages.iter().zip(&decision.verdicts);
            let goes_on = closing.any(|(m, v)| m.message.identity() == *closed_under && *v == Verdict::Again);
            assert!(goes_on, "nobody begins the next run: {messages:?} {:?}", decision.verdicts);
        }
        if let Some(pending) = decision.effects.first() {
            self.check_repair(decision, &pending.guard, messages);
        }
    }

    /// G4: the process dies after this commit. Whatever its guard's redelivery is found to be, it does all effects again.
    #[track_caller]
    fn check_repair(&self, decision: &Decision, guard: &Identity, messages: &[Incoming]) {
        let run = self.run();
        let repairs = |message: &Incoming| {
            let again = Incoming { receive_count: message.receive_count + 1, ..message.clone() };
            let cold = Live { run: run.clone(), replay: None, history: self.history.clone() };
            let (mut live, turn) = (Some(cold), self.as_turn());
            let redelivered = decide(&mut live, &[again], &Turn { entropy: self.entropy ^ 0xFF, ..turn });
            if redelivered.replaces.is_some_and(|replaced| replaced.info.run_id == run.info.run_id) {
                return true; // What a replaced run left is dispatched before it is replaced.
            }
            let identity = message.message.identity();
            let looked_up = match &redelivered.verdicts[0] {
                Verdict::Repeated | Verdict::Stale(_) | Verdict::Rejected(_) => identity,
                // It went on with a run that continues as new, and is itself to come after another.
                Verdict::Wait if matches!(message.message, Message::Signal { after: Some(_), .. }) => {
                    identity
                }
                Verdict::Elsewhere(run_id) => Identity::Earlier(*run_id, Box::new(identity)),
                // It closed the run, and what that left is dispatched before the next one begins.
                Verdict::Again => return true,
                // It told of something that was yet to come, which no run's own message does: only a test's.
                Verdict::Absorbed | Verdict::Early(_) => {
                    return !message.message.is_request() && decision.verdicts.contains(&Verdict::Repeated);
                }
                _ => return false,
            };
            decision.effects.iter().all(|effect| effect.guard == looked_up)
        };
        let mut guards = messages.iter().filter(|m| m.message.identity() == *plain_identity(guard));
        assert!(guards.any(repairs), "no redelivery repairs {guard}: {:?}", decision.effects);
    }

    fn as_turn(&self) -> Turn<'_> {
        Turn {
            workflow_id: &self.id,
            now: at(self.now),
            build: self.build,
            entropy: self.entropy,
            code: self.code.as_ref(),
            secret: self.entropy ^ 0x5EC2,
            runaway: self.runaway,
        }
    }
}

fn plain_identity(guard: &Identity) -> &Identity {
    match guard {
        Identity::Earlier(_, identity) => identity,
        identity => identity,
    }
}
