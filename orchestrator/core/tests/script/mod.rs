//! A tiny workflow language for tests: a table of what the code asks for on which event; and a world that makes turns
//! with it the way the engine does, minus bucket and queues.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use millrace_core::{
    ActivityOptions, ActivityOutcome, ApplicationFailure, Blocked, Command, Coroutine, Decision, Effect,
    Event, EventKind, Fault, IdConflict, IdReuse, Incoming, Live, Message, OutcomeResult, Payload,
    PendingEffect, RequestId, RetryPolicy, RunId, RunInfo, Runaway, Start, StartSignal, TaskQueue, Timestamp,
    Turn, Verdict, WorkflowCode, WorkflowId, WorkflowType, decide,
};

/// 2026-11-23T02:00:00Z; tests speak of seconds after it.
pub const T0: i64 = 1_795_399_200_000;

/// A time, in seconds after [`T0`].
pub fn at(seconds: f64) -> Timestamp {
    Timestamp::from_millis(T0 + (seconds * 1000.0) as i64)
}

/// What a row of a script waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum On {
    Started,
    Completed(u64),
    Failed(u64),
    Fired(u64),
    Signal(&'static str),
    Canceled,
}

impl On {
    fn matches(&self, kind: &EventKind) -> bool {
        match (self, kind) {
            (Self::Started, EventKind::RunStarted(_)) | (Self::Canceled, EventKind::CancelRequested(_)) => {
                true
            }
            (Self::Completed(id), EventKind::ActivityCompleted(e)) => *id == e.activity_id,
            (Self::Failed(id), EventKind::ActivityFailed(e)) => *id == e.activity_id,
            (Self::Fired(id), EventKind::TimerFired(e)) => *id == e.timer_id,
            (Self::Signal(name), EventKind::SignalReceived(e)) => *name == e.name,
            _ => false,
        }
    }
}

/// What a row of a script does.
#[derive(Clone, Debug)]
pub enum Do {
    Ask(Vec<Command>),
    Break(Blocked),
    Publish(&'static str, Vec<Command>),
}

impl<const N: usize> From<[Command; N]> for Do {
    fn from(commands: [Command; N]) -> Self {
        Self::Ask(commands.to_vec())
    }
}

/// A row: what happens, and what the code then asks for. A row is used once, the first that fits.
pub type Row = (On, Do);

struct Scripted {
    rows: Vec<Row>,
    published: Option<Payload>,
}

impl Coroutine for Scripted {
    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        let Some(i) = self.rows.iter().position(|(on, _)| on.matches(&event.kind)) else { return Ok(vec![]) };
        match self.rows.remove(i).1 {
            Do::Ask(commands) => Ok(commands),
            Do::Break(reason) => Err(reason),
            Do::Publish(json, commands) => {
                self.published = Some(payload(json));
                Ok(commands)
            }
        }
    }

    fn published(&self) -> Option<Payload> {
        self.published.clone()
    }
}

/// Code that follows a script; only the type `W` is registered.
#[derive(Clone)]
pub struct Code(pub Vec<Row>);

impl WorkflowCode for Code {
    fn instantiate(&self, info: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        if info.workflow.as_str() != "W" {
            let workflow = info.workflow.to_string();
            return Err(Blocked::UnknownWorkflow { workflow, known: vec!["W".into()] });
        }
        Ok(Box::new(Scripted { rows: self.0.clone(), published: None }))
    }
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

    /// One turn, committed.
    pub fn turn(&mut self, messages: &[Incoming]) -> Decision {
        let turn = Turn {
            workflow_id: &self.id,
            now: at(self.now),
            build: self.build,
            entropy: self.entropy,
            code: self.code.as_ref(),
            runaway: self.runaway,
        };
        let decision = decide(&mut self.live, messages, &turn);
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
    pub fn lines(&mut self, messages: &[Incoming]) -> Vec<String> {
        let decision = self.turn(messages);
        let events = decision.events.iter().map(|event| show_event(&event.kind));
        let effects = decision.effects.iter().map(show_effect);
        let verdicts = decision.verdicts.iter().map(|verdict| format!("= {}", show_verdict(verdict)));
        events.chain(effects).chain(verdicts).collect()
    }

    /// Asserts that a turn of these messages makes this table.
    #[track_caller]
    pub fn expect<const N: usize>(&mut self, messages: impl AsRef<[Incoming]>, table: [&str; N]) {
        let lines = self.lines(messages.as_ref());
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
        assert!(decision.effects.iter().all(|pending| identities.contains(&pending.guard)));
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
                Effect::CancelActivity { .. } | Effect::IndexClosed => true,
            };
            assert!(open, "{pending:?} is pending and void");
        }
        // §6, G9: an open run with a deadline or without working code has a wake on its way.
        if run.status.is_open() && (run.next_deadline().is_some() || run.blocked.is_some()) {
            let wake = run.wake.expect("a wake");
            assert!(run.next_deadline().is_none_or(|deadline| wake.at <= deadline));
        }
    }
}

/// Whether the event closes its run.
pub fn ends_run(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::RunCompleted(_)
            | EventKind::RunFailed(_)
            | EventKind::RunTimedOut(_)
            | EventKind::RunCanceled(_)
            | EventKind::RunTerminated(_)
    )
}

fn seconds(time: Timestamp) -> String {
    let seconds = (time.as_millis() - T0) as f64 / 1000.0;
    format!("{seconds:.1}s")
}

/// One event as a line of a table.
pub fn show_event(kind: &EventKind) -> String {
    let name = kind.name();
    match kind {
        EventKind::ActivityScheduled(e) => format!("{name} {} {}", e.activity_id, e.activity),
        EventKind::ActivityAttemptFailed(e) => {
            format!("{name} {} #{}, #{} at {}", e.activity_id, e.attempt, e.next_attempt, seconds(e.retry_at))
        }
        EventKind::ActivityCompleted(e) => format!("{name} {} #{} {}", e.activity_id, e.attempt, e.result),
        EventKind::ActivityFailed(e) => format!("{name} {}: {}", e.activity_id, e.failure),
        EventKind::ActivityCancelRequested(e) => format!("{name} {}", e.activity_id),
        EventKind::TimerStarted(e) => format!("{name} {} until {}", e.timer_id, seconds(e.fire_at)),
        EventKind::TimerFired(e) => format!("{name} {}", e.timer_id),
        EventKind::TimerCanceled(e) => format!("{name} {}", e.timer_id),
        EventKind::SignalReceived(e) => format!("{name} {} {}", e.name, e.input),
        EventKind::CancelRequested(e) => format!("{name} {}", e.reason),
        EventKind::RunCompleted(e) => format!("{name} {}", e.result),
        EventKind::RunFailed(e) => format!("{name} {}", e.fault),
        EventKind::RunCanceled(e) => format!("{name} {}", e.reason),
        EventKind::RunTerminated(e) => format!("{name} {}", e.reason),
        EventKind::RunTimedOut(e) => format!("{name} {:?}", e.limit),
        EventKind::RunBlocked(e) => match &e.reason {
            Blocked::Suspect { message } => format!("{name} suspect {message}"),
            Blocked::Panic { message, .. } => format!("{name} panic {message}"),
            Blocked::Runaway { until, .. } => format!("{name} runaway until {}", seconds(*until)),
            Blocked::Nondeterminism { event, expected, got } => {
                format!("{name} at event {event} expected {expected} got {got}")
            }
            other => format!("{name} {other}"),
        },
        EventKind::RunStarted(_) | EventKind::ResumeRequested(_) => name.to_owned(),
    }
}

/// One effect as a line of a table.
pub fn show_effect(pending: &PendingEffect) -> String {
    let what = match &pending.effect {
        Effect::SendTask { activity_id, attempt, at } => {
            format!("task {activity_id}#{attempt} at {}", seconds(*at))
        }
        Effect::SendTimer { timer_id, at } => format!("timer {timer_id} at {}", seconds(*at)),
        Effect::SendWake { wake, at } => format!("wake {wake} at {}", seconds(*at)),
        Effect::CancelActivity { activity_id, reason } => format!("cancel {activity_id}: {reason}"),
        Effect::IndexOpen => "index open".into(),
        Effect::IndexClosed => "index closed".into(),
    };
    format!("→ {what} [{}]", pending.guard)
}

fn show_verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Early(due) => format!("Early {}", seconds(*due)),
        Verdict::Elsewhere(_) => "Elsewhere".into(),
        Verdict::Rejected(reason) => format!("Rejected {}", reason.split(':').next().unwrap_or(reason)),
        other => format!("{other:?}"),
    }
}

// What scripts ask for.

pub fn payload(json: &str) -> Payload {
    Payload::parse(json).unwrap()
}

pub fn schedule(activity_id: u64, activity: &str) -> Command {
    schedule_with(activity_id, activity, ActivityOptions::default())
}

pub fn schedule_with(activity_id: u64, activity: &str, options: ActivityOptions) -> Command {
    let task_queue = TaskQueue::new("cpu").unwrap();
    Command::ScheduleActivity {
        activity_id,
        activity: activity.into(),
        task_queue,
        input: Payload::null(),
        options,
    }
}

pub fn retries(maximum_attempts: u32) -> ActivityOptions {
    ActivityOptions {
        retry: RetryPolicy { maximum_attempts, ..RetryPolicy::default() },
        ..ActivityOptions::default()
    }
}

pub fn exclusive() -> ActivityOptions {
    ActivityOptions { exclusive: true, ..ActivityOptions::default() }
}

pub fn within(seconds: u64) -> ActivityOptions {
    ActivityOptions { schedule_to_close: Some(Duration::from_secs(seconds)), ..ActivityOptions::default() }
}

pub fn sleep(timer_id: u64, seconds: u64) -> Command {
    Command::StartTimer(timer_id, Duration::from_secs(seconds))
}

pub fn complete(json: &str) -> Command {
    Command::CompleteRun(payload(json))
}

pub fn boom() -> Fault {
    Fault::Application(ApplicationFailure::new("Boom", "x"))
}

pub fn panics(message: &str) -> Do {
    Do::Break(Blocked::Panic { message: message.into(), at: None })
}

// Messages.

pub fn request(id: &str) -> RequestId {
    RequestId::new(id).unwrap()
}

/// A message as it is received for the first time, sent at [`T0`].
pub fn incoming(message: Message) -> Incoming {
    Incoming { message, run_id: None, sent_at: at(0.0), receive_count: 1 }
}

/// The same message, received for the `n`th time.
pub fn times(n: u32, message: Incoming) -> Incoming {
    Incoming { receive_count: n, ..message }
}

/// The same message, for one run alone.
pub fn for_run(run_id: RunId, message: Incoming) -> Incoming {
    Incoming { run_id: Some(run_id), ..message }
}

pub fn start(request_id: &str) -> Start {
    Start {
        workflow: WorkflowType::new("W").unwrap(),
        input: Payload::null(),
        request_id: request(request_id),
        id_reuse: IdReuse::default(),
        id_conflict: IdConflict::default(),
        run_timeout: None,
        memo: None,
        attributes: None,
        signal: None,
    }
}

/// A start with another policy for ids.
pub fn start_if(request_id: &str, id_reuse: IdReuse, id_conflict: IdConflict) -> Incoming {
    incoming(Message::Start(Box::new(Start { id_reuse, id_conflict, ..start(request_id) })))
}

pub fn start_with_signal(request_id: &str, name: &str, id_conflict: IdConflict) -> Incoming {
    let signal = Some(StartSignal { name: name.into(), input: payload("1") });
    incoming(Message::Start(Box::new(Start { signal, id_conflict, ..start(request_id) })))
}

/// A start without anything special.
pub fn plain(request_id: &str) -> Incoming {
    incoming(Message::Start(Box::new(start(request_id))))
}

pub fn signal(request_id: &str, name: &str) -> Incoming {
    incoming(Message::Signal { name: name.into(), input: payload("1"), request_id: request(request_id) })
}

pub fn cancel(request_id: &str) -> Incoming {
    incoming(Message::Cancel { reason: "superseded".into(), request_id: request(request_id) })
}

pub fn terminate(request_id: &str) -> Incoming {
    incoming(Message::Terminate { reason: "runaway".into(), request_id: request(request_id) })
}

pub fn resume(request_id: &str) -> Incoming {
    incoming(Message::Resume { request_id: request(request_id) })
}

pub fn completed(activity_id: u64, attempt: u32) -> Incoming {
    outcome(activity_id, attempt, 1, OutcomeResult::Completed(payload("1")))
}

pub fn failed(activity_id: u64, attempt: u32) -> Incoming {
    outcome(activity_id, attempt, 1, OutcomeResult::Failed(boom()))
}

pub fn outcome(activity_id: u64, attempt: u32, receive_count: u32, result: OutcomeResult) -> Incoming {
    incoming(Message::Outcome(ActivityOutcome { activity_id, attempt, receive_count, result }))
}

pub fn timer(timer_id: u64) -> Incoming {
    incoming(Message::Timer { timer_id })
}

pub fn wake(wake: u64) -> Incoming {
    incoming(Message::Wake { wake })
}
