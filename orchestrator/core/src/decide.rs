//! One turn, decided: messages in, events and effects out. Pure; the host commits and dispatches.

mod absorb;
mod begin;
mod children;
mod forks;
mod holds;
mod resume;
mod updates;

use std::time::Duration;

use crate::{
    Blocked, Effect, Event, EventKind, Identity, Incoming, LocalActivity, Message, PendingEffect, Replay,
    Run, RunId, Runaway, Timestamp, WorkflowCode, WorkflowId, pace,
};

/// How often a message is received before its turn no longer runs code (G9).
pub const SUSPECT_AFTER: u32 = 3;
/// How long a blocked run waits before it is tried again, at most.
pub const BLOCKED_WAKE: Duration = Duration::from_secs(15 * 60);
/// How soon a run is first tried again on its own, when a message has made it suspect.
pub const SUSPECT_WAKE: Duration = Duration::from_secs(1);
/// How long a signal, cancel or terminate waits for a run that does not exist yet (G10), and how often at least it is
/// received until then: after an outage all that waited is old, and the start may come last.
pub const WAIT_FOR_RUN: (Duration, u32) = (Duration::from_secs(60), 10);
/// The same for what a run sends: its child's start may be delayed for as long as a queue delays a message, and more. So long
/// it waits if the id had a run before; if not, for as long as a queue can hide the start from everybody.
const WAIT_FOR_CHILD: Duration = Duration::from_secs(30 * 60);
const WAIT_FOR_ANY_CHILD: Duration = Duration::from_secs(12 * 60 * 60);

/// How often a signal is received before the one it follows counts as lost; more than two minutes.
pub const WAIT_FOR_TURN: u32 = 20;

/// The longest wait for a run that follows another which says nothing of a message's receives (G9): its holder may have
/// died more than once.
const WAIT_FOR_NEXT: Duration = Duration::from_secs(600);

/// How long a message that has been received so often waits for a run that does not exist yet: seconds for the first half
/// hour, then minutes.
pub fn wait_for_run(receive_count: u32) -> Duration {
    Duration::from_secs(if receive_count < 190 { u64::from(receive_count).min(10) } else { 300 })
}

/// Whether a message still waits for a run that does not exist yet (G10), or for one that follows a closed one.
fn is_young(incoming: &Incoming, run: Option<&Run>, now: Timestamp) -> bool {
    let (_, receives) = WAIT_FOR_RUN;
    now.since(incoming.sent_at) < waits_for_run(&incoming.message, run) || incoming.receive_count <= receives
}

fn waits_for_run(message: &Message, run: Option<&Run>) -> Duration {
    match message.identity() {
        Identity::Request(request_id) if request_id.is_own() && run.is_none() => WAIT_FOR_ANY_CHILD,
        Identity::Request(request_id) if request_id.is_own() => WAIT_FOR_CHILD,
        _ => WAIT_FOR_RUN.0,
    }
}

/// How many of a message's receives found that its run did not exist yet (G10): nothing that the code did. For the run that
/// follows one which continues as new all wait that are sent from outside, or by a parent; for any other those that cannot
/// begin it.
fn waits(message: &Incoming, run: Option<&Run>, now: Timestamp) -> u32 {
    let follows = run.is_some_and(|run| run.continued.is_some() || run.continued_from().is_some());
    let waits_for_any =
        message.message.is_request() && !matches!(message.message, Message::Start(_) | Message::Fork(_));
    let most = match follows {
        true if message.message.waits_for_next() => WAIT_FOR_NEXT,
        false if waits_for_any => WAIT_FOR_RUN.0,
        _ => return 0,
    };
    let began = run.filter(|run| run.continued.is_none()).map_or(now, |run| run.info.started_at);
    let mut left = began.since(message.sent_at).min(most);
    let mut waits = 0;
    while !left.is_zero() {
        waits += 1;
        left = left.saturating_sub(wait_for_run(waits));
    }
    match &message.message {
        // Nor that the signal before this one had not come.
        Message::Signal { after: Some(_), .. } => waits.max(WAIT_FOR_TURN),
        _ => waits,
    }
}

/// What a turn may know beside the run and the messages.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// The workflow that the messages are for.
    pub workflow_id: &'a WorkflowId,
    /// The clock's time.
    pub now: Timestamp,
    /// The build that runs the turn.
    pub build: &'a str,
    /// Random bits: the id of a new run, the jitter of retries. They reach the log before they matter.
    pub entropy: u128,
    /// Random bits that nothing else is made of: the key of the secrets of completion tokens.
    pub secret: u128,
    /// Where workflow code comes from.
    pub code: &'a dyn WorkflowCode,
    /// How many turns a run may make on its own; `None` is no limit.
    pub runaway: Option<Runaway>,
}

/// A run and its code, as a turn finds and leaves it.
#[derive(Debug)]
pub struct Live {
    /// The run.
    pub run: Run,
    /// Its code, if it has been brought up to the last event. Absent for closed and blocked runs.
    pub replay: Option<Replay>,
    /// All its events, if it was just read; needed to bring up the code.
    pub history: Vec<Event>,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This turn records it. Delete it after the turn's effects are dispatched.
    Absorbed,
    /// The log had it already: dispatch the effects it guards, then delete it (G4).
    Repeated,
    /// It belongs to an earlier run: look at that run's archive under G4 (G7).
    Elsewhere(RunId),
    /// It changes nothing any more, for this reason: dispatch the effects it guards, delete and count it (G7, G10).
    Stale(&'static str),
    /// Its run does not exist yet, or the one before it has not been followed yet: give it back for a while (G10).
    Wait,
    /// It came before its time: send it again to arrive then.
    Early(Timestamp),
    /// It can be decided only after this turn's commit: decide it again.
    Again,
    /// It can never succeed, for this reason: dead-letter it (G10).
    Rejected(String),
    /// The code refused this update, for this reason; the header remembers it. Delete it as if absorbed.
    Refused(String),
}

/// What a turn decided.
#[derive(Debug, Default)]
pub struct Decision {
    /// New events, to be committed.
    pub events: Vec<Event>,
    /// What to do after the commit; also pending in the run's header.
    pub effects: Vec<PendingEffect>,
    /// For each message, in the order given.
    pub verdicts: Vec<Verdict>,
    /// The closed run that the turn replaces by a new one; its head is archived, and what it left is dispatched,
    /// before the commit.
    pub replaces: Option<Box<Run>>,
    /// Whether the header changed beside the events.
    pub header_changed: bool,
    /// Local activities that the code waits for: to be run before the commit, and [ended](end_local) one by one.
    pub locals: Vec<LocalActivity>,
    /// The turn's guard.
    guard: Option<Identity>,
    /// Whether a message told the run something from outside.
    has_input: bool,
}

impl Decision {
    /// Whether there is anything to commit, or will be. If not, and the run came from a cache, it must be decided again on a
    /// fresh read (G12).
    pub fn commits(&self) -> bool {
        self.header_changed || !self.events.is_empty() || !self.locals.is_empty()
    }
}

/// Decides one turn. `live` is the workflow's current run, absent if there is none; afterwards it is the run as the
/// commit will leave it, so if the commit fails, `live` is to be thrown away.
pub fn decide(live: &mut Option<Live>, messages: &[Incoming], turn: &Turn<'_>) -> Decision {
    let run = live.as_ref().map(|live| &live.run);
    let time = run.map_or(turn.now, |run| turn.now.max(run.last_time));
    let has_input =
        turn.runaway.is_none() || run.is_none_or(|run| messages.iter().any(|m| pace::is_input(run, m)));
    let runaway = turn.runaway.filter(|_| !has_input);
    let throttled = runaway.and_then(|limit| Some((limit, limit.until(run?.pace, time)?)));
    let held = suspect(run, messages, turn.now).or_else(|| throttled.map(too_fast));
    let mut decider = Decider {
        turn: *turn,
        time,
        runs_code: held.is_none(),
        held,
        has_input,
        throttled_until: throttled.map(|(_, until)| until),
        begins_next: false,
        copied: 0,
        guard: None,
        decision: Decision::default(),
    };
    decider.decision.verdicts = vec![Verdict::Repeated; messages.len()];
    let terminates = |i: &usize| match &messages[*i].message {
        Message::Terminate { .. } => true,
        Message::Fork(fork) => fork.replaces,
        _ => false,
    };
    let continues = live.as_ref().is_some_and(|live| live.run.continued.is_some());
    let rank = |i: &usize| match messages[*i].message {
        Message::Start(_) | Message::Fork(_) => 0,
        // Before anything runs the code of a run that is only about to begin.
        Message::Terminate { .. } if continues => 1,
        _ => 2,
    };
    let mut order: Vec<usize> = (0..messages.len()).collect();
    order.sort_by_key(rank);
    if let Some(earlier) = live.as_ref().map(|live| &live.run).filter(|run| run.continued.is_some()) {
        let Some(first) = begin::begins_next(earlier, order.iter().map(|i| &messages[*i])) else {
            let verdict = |message| Decider::before_next(earlier, message);
            decider.decision.verdicts = messages.iter().map(verdict).collect();
            return decider.decision;
        };
        let ends = order.iter().any(terminates);
        decider.go_on_as_new(live, first, ends);
    }
    let mut waiting = Vec::new();
    for i in order {
        let verdict = decider.absorb(live, &messages[i]);
        if verdict == Verdict::Wait {
            waiting.push(i);
        }
        decider.decision.verdicts[i] = decider.unless_it_continues(live, verdict);
    }
    decider.absorb_in_turn(live, messages, waiting);
    decider.keep_what_begins_next(live, messages);
    if continues && let Some(live) = live {
        decider.bring_up(live);
    }
    decider.leave(live)
}

/// Goes on with a turn whose code waits for local activities: one of them has ended. Of those that it asks for then,
/// [`Decision::locals`] tells. Once the code is gone (it has ended, or cannot go on), an end changes nothing any more.
pub fn end_local(
    live: &mut Option<Live>,
    decision: Decision,
    end: impl Into<EventKind>,
    turn: &Turn<'_>,
) -> Decision {
    let Some(of_run) = live.as_mut().filter(|live| live.replay.is_some()) else { return decision };
    let time = turn.now.max(of_run.run.last_time);
    let mut decider = Decider {
        turn: *turn,
        time,
        runs_code: true,
        held: None,
        has_input: decision.has_input,
        throttled_until: None,
        begins_next: false,
        copied: 0,
        guard: decision.guard.clone(),
        decision,
    };
    let event = decider.record(&mut of_run.run, end);
    decider.resume(of_run, &event);
    // Whoever closed the run is decided again, to begin the one that follows.
    let verdicts = std::mem::take(&mut decider.decision.verdicts);
    let settled = verdicts.into_iter().map(|verdict| decider.unless_it_continues(live, verdict)).collect();
    decider.decision.verdicts = settled;
    decider.leave(live)
}

/// G9: a message that came so often that the code may be what kills its process.
fn suspect(run: Option<&Run>, messages: &[Incoming], now: Timestamp) -> Option<Blocked> {
    let is_suspect = |m: &&Incoming| m.receive_count.saturating_sub(waits(m, run, now)) >= SUSPECT_AFTER;
    let message = messages.iter().find(is_suspect)?.message.identity().to_string();
    Some(Blocked::Suspect { message })
}

fn too_fast((Runaway { turns, within }, until): (Runaway, Timestamp)) -> Blocked {
    Blocked::Runaway { turns, within, until }
}

/// A turn while it is being decided.
struct Decider<'a> {
    turn: Turn<'a>,
    /// The turn's time: the clock's, but never before the last event's (G8).
    time: Timestamp,
    /// Whether this turn may (still) run workflow code.
    runs_code: bool,
    /// Why the code is not run, if that was known before the turn.
    held: Option<Blocked>,
    /// Whether a message tells the run something from outside.
    has_input: bool,
    /// Set while the run has used up its turns: when it gets new ones.
    throttled_until: Option<Timestamp>,
    /// Whether a start waits for this turn's commit to begin the next run: what follows it is for that run.
    begins_next: bool,
    /// How many of this turn's events are another run's: code has seen them before.
    copied: usize,
    /// The identity whose redelivery repairs this turn's effects.
    guard: Option<Identity>,
    decision: Decision,
}

impl Decider<'_> {
    /// Records an event: the log and the state agree at any moment.
    fn record(&mut self, run: &mut Run, kind: impl Into<EventKind>) -> Event {
        self.time = self.turn.now.max(run.last_time);
        let event = Event { n: run.last_event + 1, t: self.time, kind: kind.into() };
        run.apply(&event);
        self.decision.events.push(event.clone());
        event
    }

    /// Adds an effect under the turn's guard.
    fn effect(&mut self, run: &mut Run, effect: Effect) {
        let Some(guard) = self.guard.clone() else {
            debug_assert!(false, "an effect without a guard could not be repaired: {effect:?}");
            return;
        };
        run.pend(guard.clone(), effect.clone());
        self.decision.effects.push(PendingEffect { guard, effect });
    }

    /// The decision as it stands. What comes at the end of a turn comes when no local activity is waited for any more.
    fn leave(mut self, live: &mut Option<Live>) -> Decision {
        if let Some(live) =
            live.as_mut().filter(|live| !live.replay.as_ref().is_some_and(Replay::runs_locals))
        {
            self.finish(live);
        }
        self.decision.guard = self.guard;
        self.decision.has_input = self.has_input;
        self.decision
    }

    /// Arms the wake that deadlines and blocked runs need, and drops effects that this same turn made void.
    fn finish(&mut self, live: &mut Live) {
        let run = &mut live.run;
        // Whoever should have been told may have forgotten that it was.
        let time = self.time;
        let is_old = |effect: &Effect| effect.told_at().is_some_and(|at| time.since(at) > Run::CARRY_FOR);
        run.effects.retain(|_, pending| !(pending.effect.has_no_answer() && is_old(&pending.effect)));
        if run.status.is_open() {
            self.arm_wake(run);
        }
        // A run that continues as new is as much a turn as any other.
        if run.status.is_open() || run.continued.is_some() {
            self.keep_pace(run);
        }
        let open = |pending: &PendingEffect| run.effects.get(&pending.effect.key()) == Some(pending);
        self.decision.effects.retain(open);
    }

    /// Counts the turn if the run made it on its own. The count alone is never a reason to commit.
    fn keep_pace(&mut self, run: &mut Run) {
        if self.decision.commits() {
            let limit = self.turn.runaway.filter(|_| !self.has_input);
            run.pace = limit.map(|limit| limit.count(run.pace, self.time));
        }
    }

    fn arm_wake(&mut self, run: &mut Run) {
        let retry = run.blocked.as_ref().filter(|_| run.paused.is_none()).map(|mark| self.retry_time(mark));
        let Some(at) = [run.next_deadline(), retry].into_iter().flatten().min() else { return };
        if self.guard.is_none() || run.wake.is_some_and(|armed| armed.at <= at) {
            return;
        }
        run.wakes_sent += 1;
        let wake = crate::Wake { wake: run.wakes_sent, at };
        run.wake = Some(wake);
        self.decision.header_changed = true;
        self.effect(run, Effect::SendWake { wake: wake.wake, at });
    }

    /// A message that came too often may have done nothing wrong (a crash, a neighbor in its batch): the run is tried again
    /// soon, by a wake of its own. That one can be as innocent, so each further try waits as long again as the run has been
    /// blocked.
    /// A run that made too many turns is tried again when it gets new ones, and not before.
    fn retry_time(&self, mark: &crate::BlockedMark) -> Timestamp {
        match &mark.reason {
            Blocked::Runaway { until, .. } => *until,
            Blocked::Suspect { .. } => {
                self.time.plus(self.time.since(mark.since).clamp(SUSPECT_WAKE, BLOCKED_WAKE))
            }
            _ => self.time.plus(BLOCKED_WAKE),
        }
    }
}
