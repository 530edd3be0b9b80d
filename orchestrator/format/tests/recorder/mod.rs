//! The runs whose histories are recorded, written the way the engine writes them.

use millrace_core::{
    ActivityOptions, ApplicationFailure, Blocked, Command, Coroutine, Decision, EventKind, Fault, Fork,
    IdConflict, IdReuse, Incoming, Message, OutcomeResult, ParentClose, Payload, RunInfo, SourceLog, Start,
    TimerStarted, Unread, WorkflowCode, WorkflowType,
};
use millrace_format::history::{self, Commit, SEAL_AT, SealedPart, Tail};
use millrace_format::{Header, Reference};

use crate::script::*;

const NONCE: &str = "00000000000000000000000000000007";

/// A world that writes its history the way the engine does.
pub(crate) struct Recorder {
    pub(crate) world: World,
    tail: Tail,
    pub(crate) parts: Vec<(SealedPart, Vec<u8>)>,
    /// Payloads above this length are objects of their own.
    above: usize,
    pub(crate) payloads: Vec<(Reference, Payload)>,
}

impl Recorder {
    fn new<const N: usize>(script: [Row; N]) -> Self {
        Self::of(World::new(script))
    }

    fn of(world: World) -> Self {
        Self { world, tail: Tail::empty(), parts: vec![], above: SEAL_AT, payloads: vec![] }
    }

    fn turn(&mut self, now: f64, messages: &[Incoming]) -> Decision {
        self.local_turn(now, messages, vec![])
    }

    /// A turn whose local activities end so.
    fn local_turn(&mut self, now: f64, messages: &[Incoming], ends: Vec<EventKind>) -> Decision {
        let committed = self.world.history.len() as u64;
        self.world.now = now;
        let decision = self.world.local_turn(messages, ends);
        if decision.replaces.is_some() {
            self.tail = Tail::empty();
        } else if let Some((part, bytes)) = self.tail.seal(committed).unwrap() {
            self.tail = self.tail.sealed(part);
            self.parts.push((part, bytes));
        }
        self.payloads.extend(self.tail.push_above(&decision.events, self.above));
        decision
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let commit = Commit { nonce: NONCE, build: self.world.build };
        let header = Header::of(self.world.run(), commit, &self.tail);
        history::encode(&header, &self.tail.text).unwrap()
    }
}

fn rich_start(request_id: &str) -> Incoming {
    incoming(Message::Start(Box::new(Start {
        input: payload(r#"{"dataset":"digits","ratio":0.25}"#),
        memo: Some(payload(r#""nightly""#)),
        attributes: Some(payload(r#"{"team":"vision"}"#)),
        ..start(request_id)
    })))
}

/// Two activities, a retry, a timer and a signal.
fn completed_run() -> Recorder {
    let mut run = Recorder::new([
        (On::Started, [schedule_with(1, "train", retries(3)), sleep(1, 60)].into()),
        (On::Completed(1), Do::Publish(r#"{"stage":"trained"}"#, vec![schedule(2, "evaluate")])),
        (On::Completed(2), [schedule_with(3, "announce", exclusive()), sleep(2, 600)].into()),
        (
            On::Signal("approve"),
            [Command::CancelActivity(3, false), Command::CancelTimer(2), complete(r#"{"accuracy":0.97}"#)]
                .into(),
        ),
    ]);
    run.turn(0.0, &[rich_start("start")]);
    run.turn(10.5, &[failed(1, 1)]);
    run.turn(20.0, &[completed(1, 2)]);
    run.turn(60.0, &[timer(1), completed(2, 1)]);
    run.turn(90.25, &[signal("s-1", "approve")]);
    run
}

fn failed_run() -> Recorder {
    let mut run = Recorder::new([
        (On::Started, [schedule_with(1, "train", retries(2))].into()),
        (On::Failed(1), [Command::FailRun(boom())].into()),
    ]);
    run.turn(0.0, &[plain("start")]);
    run.turn(1.0, &[failed(1, 1)]);
    run.turn(3.0, &[failed(1, 2)]);
    run
}

fn blocked_run() -> Recorder {
    let mut run = Recorder::new([
        (On::Started, [schedule(1, "train")].into()),
        (On::Signal("go"), panics("index out of bounds")),
    ]);
    run.turn(0.0, &[plain("start")]);
    run.turn(5.0, &[signal("s-1", "go")]);
    run.turn(6.0, &[completed(1, 1), resume("r-1")]);
    run
}

/// The second run of its id, with every kind of effect pending.
fn running_run() -> Recorder {
    let deadlines = ActivityOptions { heartbeat: Some(std::time::Duration::from_secs(30)), ..within(3_600) };
    let mut run = Recorder::new([
        (
            On::Started,
            Do::Publish(
                "[1,2]",
                vec![schedule_with(1, "train", deadlines), schedule(2, "fetch"), sleep(1, 1_200)],
            ),
        ),
        (On::Signal("drop"), [Command::CancelActivity(1, false)].into()),
        (On::Signal("more"), [schedule_with(3, "evaluate", within(600))].into()),
    ]);
    run.turn(0.0, &[plain("first")]);
    run.turn(1.0, &[terminate("t-1")]);
    run.world.entropy += 1;
    run.turn(2.0, &[rich_start("second")]);
    run.turn(3.0, &[failed(2, 1), signal("s-1", "drop")]);
    run.turn(4.0, &[signal("s-2", "more"), start_if("third", IdReuse::default(), IdConflict::UseExisting)]);
    run
}

fn canceled_run() -> Recorder {
    let mut run = Recorder::new([(On::Canceled, [Command::CancelRun("superseded".into())].into())]);
    run.turn(0.0, &[plain("start")]);
    run.turn(1.0, &[cancel("c-1")]);
    run
}

fn terminated_run() -> Recorder {
    let mut run = Recorder::new([(On::Started, [schedule_with(1, "train", exclusive())].into())]);
    run.turn(0.0, &[plain("start")]);
    run.turn(1.0, &[terminate("t-1")]);
    run
}

fn timed_out_run() -> Recorder {
    let mut run = Recorder::new([(On::Started, [schedule(1, "train")].into())]);
    let run_timeout = Some(std::time::Duration::from_millis(1_500));
    run.turn(0.0, &[incoming(Message::Start(Box::new(Start { run_timeout, ..start("start") })))]);
    run.turn(1.5, &[wake(1)]);
    run
}

/// More events than the head holds: the older ones lie in a part of their own.
fn sealed_run() -> Recorder {
    let mut run = Recorder::new([(On::Started, [schedule(1, "train")].into())]);
    run.turn(0.0, &[plain("start")]);
    let many: Vec<_> = (0..600).map(|i| signal(&format!("sample-{i:04}"), "sample")).collect();
    run.turn(1.0, &many);
    run.turn(2.0, &[signal("one-more", "sample")]);
    assert_eq!(run.parts.len(), 1);
    run
}

/// The second run of a chain, itself closed by continuing as new: with a parent, children, messages to others, updates,
/// and a start delay behind it; every kind of event that `completed` and `running` have not.
fn language_run() -> Recorder {
    let unread = || Unread {
        signals: vec![unread_message("s-1", "late")],
        updates: vec![unread_message("u-1", "ask")],
        cancel: None,
    };
    let first = [(On::Fired(TimerStarted::BEGIN), [continue_with(r#"{"stage":2}"#, unread())].into())];
    let mut run = Recorder::new(first);
    let seconds = |s| Some(std::time::Duration::from_secs(s));
    let delayed = Start {
        delay: seconds(10),
        run_timeout: seconds(3_600),
        execution_timeout: seconds(86_400),
        parent: Some(parent()),
        ..start("start")
    };
    run.turn(0.0, &[incoming(Message::Start(Box::new(delayed)))]);
    run.turn(1.0, &[signal("s-1", "late"), update("u-1", "ask")]);
    run.turn(10.0, &[timer(TimerStarted::BEGIN)]);
    run.world.entropy += 1;
    run.world.code = Box::new(Code(language_script().to_vec()));
    run.turn(10.0, &[for_run(run.world.run_id(), timer(TimerStarted::BEGIN))]);
    run.turn(11.0, &[update("u-2", "set")]);
    run.turn(12.0, &[update("u-3", "check")]);
    run.turn(13.0, &[signal("s-2", "stop")]);
    run.turn(14.0, &[child_completed(1), child_failed(2)]);
    run.local_turn(
        14.5,
        &[signal("s-4", "local")],
        vec![local_completed(4, "look up"), local_failed(5, "price")],
    );
    run.world.entropy += 1;
    run.turn(15.0, &[signal("s-3", "next")]);
    run.world.of_an_older_build(); // It was recorded before heads said what begins the next run.
    run
}

fn language_script() -> [Row; 8] {
    [
        (
            On::Started,
            [
                Command::Patch("ask-first".into()),
                answer("u-1", r#"{"answer":42}"#),
                child(1, ParentClose::Terminate),
                child(2, ParentClose::Cancel),
                child(3, ParentClose::Abandon),
                child(4, ParentClose::Terminate),
                send_signal(1, "other"),
                schedule_with(1, "train", exclusive()),
            ]
            .into(),
        ),
        (On::Update("set"), Do::Refuse("not now")),
        (On::Update("check"), [refuse("u-3"), schedule(2, "check")].into()),
        (
            On::Signal("stop"),
            [cancel_child(2), Command::CancelActivity(1, true), send_cancel(2, "other")].into(),
        ),
        (On::ChildCompleted(1), [].into()),
        (On::ChildFailed(2), [Command::TerminateChild(4, "enough".into())].into()),
        (
            On::Signal("local"),
            [local(4, "look up"), local(5, "price"), schedule_with(6, "review", completes_later())].into(),
        ),
        (On::Signal("next"), [continue_with(r#"{"stage":3}"#, Unread::default())].into()),
    ]
}

/// A run that continues as new, and says with which message the next begins.
fn continued_run() -> Recorder {
    let mut run = Recorder::new([
        (On::Started, [schedule(1, "a")].into()),
        (On::Signal("next"), [continue_with("2", Unread::default())].into()),
    ]);
    run.turn(0.0, &[plain("start")]);
    run.turn(1.0, &[signal("s-1", "next")]);
    run
}

/// A run that waits for its time, with a signal that its code has not read.
fn delayed_run() -> Recorder {
    let mut run = Recorder::new([(On::Started, [schedule(1, "train")].into())]);
    let delay = Some(std::time::Duration::from_secs(3_600));
    run.turn(0.0, &[incoming(Message::Start(Box::new(Start { delay, ..start("start") })))]);
    run.turn(1.0, &[signal("s-1", "early")]);
    run
}

/// A run that is canceled before its code begins.
fn called_off_run() -> Recorder {
    let mut run = delayed_run();
    run.turn(2.0, &[cancel("c-1")]);
    run
}

/// A run whose payloads do not fit into its text: its input, which it hands on, a failure's details, a signal's input and
/// its result; and one in between that looks like a reference and is none.
fn large_payload_run() -> Recorder {
    let long = |name: &str| payload(&format!(r#"{{"{name}":"{}"}}"#, name.repeat(60)));
    let input = long("in");
    let train = |id, input: &millrace_core::Payload| match schedule_with(id, "train", retries(3)) {
        Command::ScheduleActivity { activity_id, activity, task_queue, options, .. } => {
            Command::ScheduleActivity { activity_id, activity, task_queue, input: input.clone(), options }
        }
        other => other,
    };
    let forged = payload(&format!(r#"{{"sha256":"{}","bytes":3}}"#, "0".repeat(64)));
    let mut run = Recorder::new([
        (On::Started, [train(1, &input), train(2, &forged)].into()),
        (On::Signal("go"), [Command::CompleteRun(long("out"))].into()),
    ]);
    run.above = 100;
    run.turn(0.0, &[incoming(Message::Start(Box::new(Start { input, ..start("start") })))]);
    let boom = ApplicationFailure::new("Boom", "no").details(&long("why"));
    run.turn(1.0, &[outcome(1, 1, 1, OutcomeResult::Failed(Fault::Application(boom)))]);
    run.turn(2.0, &[outcome(1, 2, 1, OutcomeResult::Completed(long("result")))]);
    let mut go = signal("s-1", "go");
    if let Message::Signal { input, .. } = &mut go.message {
        *input = long("signal");
    }
    run.turn(3.0, &[go]);
    assert_eq!(run.payloads.len(), 5, "the input is stored once");
    run
}

/// Code that new runs are pinned to.
struct Pinned(Code);

impl WorkflowCode for Pinned {
    fn instantiate(&self, info: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        self.0.instantiate(info)
    }

    fn version(&self, _: &WorkflowType) -> Option<String> {
        Some("2".into())
    }
}

/// Held back, let go on, retried at once, and reset; what came of that is held back again.
fn operated_run() -> Recorder {
    let script = [
        (On::Started, [schedule_with(1, "charge", retries(9)), schedule(2, "ship"), sleep(1, 600)].into()),
        (On::Signal("go"), [schedule(3, "mail")].into()),
    ];
    let world = World::with(Pinned(Code(script.to_vec())));
    let mut run = Recorder::of(world);
    run.turn(0.0, &[plain("start")]);
    run.turn(1.0, &[pause("p-1", None), signal("s-1", "go")]);
    run.turn(2.0, &[unpause("u-1", None)]);
    run.turn(3.0, &[failed(1, 1), pause("p-2", Some(1))]);
    run.turn(4.0, &[unpause("u-2", Some(1))]);
    run.turn(5.0, &[failed(1, 3)]);
    run.turn(5.5, &[retry("x-1", 1)]);
    run.turn(6.0, &[signal("s-2", "more")]);
    let cut = run.world.history.len() as u64 - 1;
    run.world.entropy += 1;
    let from = run.world.run_id();
    for now in [7.0, 7.5] {
        let log = SourceLog { run_id: from, events: run.world.history.clone().into() };
        let fork = Fork {
            source: run.world.run().info.workflow_id.clone(),
            source_run: Some(from),
            event: cut,
            reapply: true,
            replaces: true,
            reason: "a bug in the mail".into(),
            request_id: request("f-1"),
            log: Ok(log),
            replaced: None,
        };
        run.turn(now, &[incoming(Message::Fork(Box::new(fork)))]);
    }
    run.turn(8.0, &[failed(1, 5), pause("p-3", Some(1)), pause("p-4", Some(2)), pause("p-5", None)]);
    run
}

pub(crate) fn recorded() -> Vec<(&'static str, Recorder)> {
    vec![
        ("completed", completed_run()),
        ("failed", failed_run()),
        ("blocked", blocked_run()),
        ("running", running_run()),
        ("canceled", canceled_run()),
        ("terminated", terminated_run()),
        ("timed_out", timed_out_run()),
        ("sealed", sealed_run()),
        ("language", language_run()),
        ("continued", continued_run()),
        ("delayed", delayed_run()),
        ("called_off", called_off_run()),
        ("large_payload", large_payload_run()),
        ("operated", operated_run()),
    ]
}
