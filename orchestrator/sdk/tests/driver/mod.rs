//! Runs one workflow through `millrace_core::decide`, turn by turn: activities run inline, time is virtual. After every
//! turn the whole history is replayed by fresh code, so that nondeterminism fails the test that shows it.

mod attempt;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use attempt::{Beats, Inline};
use millrace::{Activity, ActivityRef, App, Blocked, Fault, Signal, Timestamp, Workflow, WorkflowRef};
use millrace_core::{
    ActivityOutcome, Effect, Event, EventKind, IdConflict, IdReuse, Incoming, Live, Message, OutcomeResult,
    Payload, Replay, RequestId, Start, Task, Turn, Verdict, WorkflowCode, WorkflowId, decide,
};
use millrace_engine::ActivityCode;

type Mock = Box<dyn Fn(&Payload) -> Result<Payload, Fault>>;

/// Work that the engine would have sent to a queue.
enum Sent {
    Task(u64, u32),
    Message(Message),
}

/// One workflow and its world.
pub struct World {
    code: Arc<dyn WorkflowCode>,
    activities: Arc<dyn ActivityCode>,
    mocks: BTreeMap<&'static str, Mock>,
    pub live: Option<Live>,
    pub history: Vec<Event>,
    pub now: Timestamp,
    /// Whether every turn begins from the history alone, as on a function that keeps nothing.
    pub cold: bool,
    due: BTreeMap<(Timestamp, u64), Sent>,
    sent: u64,
    beats: Beats,
    /// Every activity attempt that was run: name and input.
    pub calls: Vec<(String, Payload)>,
    /// Activities whose attempts were told to stop.
    pub canceled: Vec<u64>,
    most_tasks: usize,
    /// Whether no worker takes a task.
    pub hold_tasks: bool,
}

impl World {
    pub fn new(app: App) -> Self {
        Self {
            code: app.workflow_code(),
            activities: app.activity_code(),
            mocks: BTreeMap::new(),
            live: None,
            history: Vec::new(),
            now: Timestamp::from_millis(1_000_000),
            cold: false,
            due: BTreeMap::new(),
            sent: 0,
            beats: Beats::default(),
            calls: Vec::new(),
            canceled: Vec::new(),
            most_tasks: 0,
            hold_tasks: false,
        }
    }

    /// Runs `f` in place of an activity.
    pub fn mock<M, F: ActivityRef<M>>(
        mut self,
        _activity: F,
        f: impl Fn(<F::Activity as Activity>::Input) -> Result<<F::Activity as Activity>::Output, Fault> + 'static,
    ) -> Self {
        let mock =
            move |input: &Payload| f(input.read().unwrap()).map(|output| Payload::of(&output).unwrap());
        self.mocks.insert(F::Activity::NAME, Box::new(mock));
        self
    }

    /// The same without types.
    pub fn mock_raw(&mut self, name: &'static str, f: impl Fn(&Payload) -> Result<Payload, Fault> + 'static) {
        self.mocks.insert(name, Box::new(f));
    }

    pub fn start<M, F: WorkflowRef<M>>(
        &mut self,
        _workflow: F,
        input: <F::Workflow as Workflow>::Input,
    ) -> &mut Self {
        self.start_raw(F::Workflow::NAME, Payload::of(&input).unwrap())
    }

    pub fn start_raw(&mut self, workflow: &str, input: Payload) -> &mut Self {
        let start = Start {
            workflow: workflow.parse().unwrap(),
            input,
            request_id: self.request(),
            id_reuse: IdReuse::AllowDuplicate,
            id_conflict: IdConflict::Fail,
            run_timeout: None,
            memo: None,
            attributes: None,
            signal: None,
        };
        self.turn(Message::Start(Box::new(start)))
    }

    pub fn signal<S: Signal>(&mut self, signal: &S) -> &mut Self {
        self.signal_raw(S::NAME, Payload::of(signal).unwrap())
    }

    pub fn signal_raw(&mut self, name: &str, input: Payload) -> &mut Self {
        let request_id = self.request();
        self.turn(Message::Signal { name: name.to_owned(), input, request_id })
    }

    pub fn cancel(&mut self, reason: &str) -> &mut Self {
        let request_id = self.request();
        self.turn(Message::Cancel { reason: reason.to_owned(), request_id })
    }

    /// Lets time pass: what is due until then happens.
    pub fn advance(&mut self, by: Duration) -> &mut Self {
        let end = self.now.plus(by);
        while self.due.first_key_value().is_some_and(|((at, _), _)| *at <= end) {
            self.next();
        }
        self.now = end;
        self
    }

    /// Lets everything happen that is due at some time, until the run is closed or blocked or waits for somebody.
    pub fn finish(&mut self) -> &mut Self {
        while self.is_open() && self.blocked().is_none() && self.next() {}
        self
    }

    pub fn result<T: serde::de::DeserializeOwned>(&self) -> Result<T, Fault> {
        match &self.history.last().expect("a history").kind {
            EventKind::RunCompleted(e) => Ok(e.result.read().unwrap()),
            EventKind::RunFailed(e) => Err(e.fault.clone()),
            EventKind::RunCanceled(e) => Err(Fault::Canceled { reason: e.reason.clone() }),
            other => panic!("the run has not ended: {other}, {:?}", self.blocked()),
        }
    }

    pub fn is_open(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.run.status.is_open())
    }

    pub fn blocked(&self) -> Option<&Blocked> {
        self.live.as_ref()?.run.blocked.as_ref().map(|mark| &mark.reason)
    }

    pub fn published<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        self.live.as_ref()?.run.published.as_ref()?.read().ok()
    }

    /// The inputs of an activity's attempts.
    pub fn inputs<M, F: ActivityRef<M>>(&self, _activity: F) -> Vec<<F::Activity as Activity>::Input> {
        let name = F::Activity::NAME;
        self.calls
            .iter()
            .filter(|(called, _)| called == name)
            .map(|(_, input)| input.read().unwrap())
            .collect()
    }

    /// The kinds of the history's events.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.history.iter().map(|event| event.kind.name()).collect()
    }

    /// The most tasks that waited at once.
    pub fn most_tasks_at_once(&self) -> usize {
        self.most_tasks
    }

    /// Fresh code over the whole history.
    pub fn replay(&self) -> Result<Replay, Blocked> {
        self.replay_with(&*self.code)
    }

    pub fn replay_with(&self, code: &dyn WorkflowCode) -> Result<Replay, Blocked> {
        let info = &self.live.as_ref().expect("a run").run.info;
        let mut replay = Replay::new(code.instantiate(info)?);
        replay.follow(&self.history)?;
        Ok(replay)
    }

    fn request(&mut self) -> RequestId {
        self.sent += 1;
        RequestId::new(format!("request-{}", self.sent)).unwrap()
    }

    fn next(&mut self) -> bool {
        let Some(((at, _), sent)) = self.due.pop_first() else { return false };
        self.now = self.now.max(at);
        match sent {
            Sent::Message(message) => {
                self.turn(message);
            }
            Sent::Task(..) if self.hold_tasks => {}
            Sent::Task(activity_id, attempt) => self.run_task(activity_id, attempt),
        }
        true
    }

    fn run_task(&mut self, activity_id: u64, attempt: u32) {
        let run = &self.live.as_ref().expect("a run").run;
        let Some(task) = run.task(activity_id, attempt, self.now) else { return };
        self.calls.push((task.activity.clone(), task.input.clone()));
        let result = match self.perform(task) {
            Ok(output) => OutcomeResult::Completed(output),
            Err(fault) => OutcomeResult::Failed(fault),
        };
        self.turn(Message::Outcome(ActivityOutcome { activity_id, attempt, receive_count: 1, result }));
    }

    fn perform(&self, task: Task) -> Result<Payload, Fault> {
        match self.mocks.get(task.activity.as_str()) {
            Some(mock) => mock(&task.input),
            None => {
                futures::executor::block_on(self.activities.run(Arc::new(Inline::new(task, &self.beats))))
            }
        }
    }

    fn turn(&mut self, message: Message) -> &mut Self {
        if let Some(live) = &mut self.live {
            if self.cold {
                live.replay = None;
            }
            live.history = if live.replay.is_none() { self.history.clone() } else { Vec::new() };
        }
        let id = WorkflowId::new("w").unwrap();
        let (now, entropy) = (self.now, 0x0123_4567_89AB_CDEF_u128 << 32);
        let turn = Turn { workflow_id: &id, now, build: "test", entropy, code: &*self.code, runaway: None };
        let incoming = Incoming { message, run_id: None, sent_at: now, receive_count: 1 };
        let decision = decide(&mut self.live, &[incoming], &turn);
        assert!(!matches!(decision.verdicts[0], Verdict::Rejected(_)), "{:?}", decision.verdicts);
        self.history.extend(decision.events);
        for pending in decision.effects {
            self.dispatch(pending.effect);
        }
        self.most_tasks =
            self.most_tasks.max(self.due.values().filter(|s| matches!(s, Sent::Task(..))).count());
        self.check_replay();
        self
    }

    fn dispatch(&mut self, effect: Effect) {
        self.sent += 1;
        let (at, sent) = match effect {
            Effect::SendTask { activity_id, attempt, at } => (at, Sent::Task(activity_id, attempt)),
            Effect::SendTimer { timer_id, at } => (at, Sent::Message(Message::Timer { timer_id })),
            Effect::SendWake { wake, at } => (at, Sent::Message(Message::Wake { wake })),
            Effect::CancelActivity { activity_id, .. } => return self.canceled.push(activity_id),
            Effect::IndexOpen | Effect::IndexClosed => return,
        };
        self.due.insert((at.max(self.now), self.sent), sent);
    }

    /// Fresh code asks for exactly what the history records, and shows the same state.
    fn check_replay(&self) {
        let Some(live) = &self.live else { return };
        match (self.replay(), &live.run.blocked) {
            (Ok(mut replay), None) => {
                assert_eq!(replay.next_command(), None, "after {:?}", self.kinds());
                assert_eq!(replay.published(), live.run.published);
            }
            (Err(found), Some(mark)) => assert_eq!(found, mark.reason),
            (replayed, mark) => panic!("replay: {replayed:?}, run: {mark:?}, after {:#?}", self.history),
        }
    }
}

/// The fault of an activity that fails with a failure of its own.
pub fn fails(kind: &str, message: &str) -> Fault {
    Fault::Application(millrace::ApplicationFailure::new(kind, message))
}
