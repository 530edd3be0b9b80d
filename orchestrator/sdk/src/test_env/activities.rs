//! The activities of a test: mocks, or their own code.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use millrace_core::{ApplicationFailure, Fault, OutcomeResult, Payload, Task, TimeoutKind, Timestamp};
use millrace_engine::ActivityCode;

use super::attempt::{Inline, Leases};
use super::world::DECIDING;
use crate::ActivityError;
use crate::app::Activities as Registered;
use crate::intercept::ActivityFn;

type MockFn = dyn FnMut(&Payload) -> Result<Payload, ActivityError> + Send;
type Mock = Arc<Mutex<MockFn>>;

thread_local! {
    /// The mocks that run on this thread.
    static RUNNING: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What runs in the place of each activity, and what became of that.
#[derive(Default)]
pub(super) struct Activities {
    mocks: BTreeMap<&'static str, Mock>,
    held: BTreeSet<&'static str>,
    pub(super) waiting: Vec<Task>,
    calls: Vec<(String, Payload)>,
    tokens: Vec<(String, String)>,
    pub(super) leases: Leases,
}

impl Activities {
    pub(super) fn mock(
        &mut self,
        name: &'static str,
        mock: impl FnMut(&Payload) -> Result<Payload, ActivityError> + Send + 'static,
    ) {
        self.mocks.insert(name, Arc::new(Mutex::new(mock)));
    }

    pub(super) fn hold(&mut self, name: &'static str) {
        self.held.insert(name);
    }

    pub(super) fn holds(&self, task: &Task) -> bool {
        self.held.contains(task.activity.as_str())
    }

    /// The tasks that waited.
    pub(super) fn release(&mut self, name: &str) -> Vec<Task> {
        self.held.remove(name);
        self.waiting.extract_if(.., |task| task.activity == name).collect()
    }

    pub(super) fn calls(&self, name: &str) -> Vec<Payload> {
        let of_name = self.calls.iter().filter(|(called, _)| called == name);
        of_name.map(|(_, input)| input.clone()).collect()
    }

    pub(super) fn tokens(&self, name: &str) -> Vec<String> {
        self.tokens.iter().filter(|(called, _)| called == name).map(|(_, token)| token.clone()).collect()
    }

    /// Takes note of an attempt, which is then to be run without the world's lock.
    pub(super) fn attempt(&mut self, task: Task, code: Registered, now: Timestamp) -> Running {
        let late = task.options.schedule_to_start.is_some_and(|limit| now.since(task.available_at) > limit);
        let late = late.then_some(Fault::TimedOut { kind: TimeoutKind::ScheduleToStart, cause: None });
        let refused = self.leases.canceled(&task).or(late);
        if refused.is_none() {
            self.calls.push((task.activity.clone(), task.input.clone()));
            if let Some(token) = &task.token {
                self.tokens.push((task.activity.clone(), token.to_string()));
            }
        }
        let mock = self.mocks.get(task.activity.as_str()).cloned();
        Running { mock, code, refused, leases: self.leases.clone(), task }
    }
}

/// An attempt that is about to run.
pub(super) struct Running {
    mock: Option<Mock>,
    code: Registered,
    /// Why a worker does not even begin.
    refused: Option<Fault>,
    leases: Leases,
    task: Task,
}

impl Running {
    /// How the attempt ended; nothing if somebody else is to say that later.
    pub(super) fn run(self) -> Option<OutcomeResult> {
        let left = Arc::new(AtomicBool::new(false));
        let result = if let Some(fault) = self.refused {
            Err(fault)
        } else if let Some(mock) = self.mock.clone() {
            self.run_mock(mock, left.clone())
        } else if self.code.knows(&self.task.activity) {
            self.run_code(left.clone())
        } else {
            Err(unknown(&self.task.activity))
        };
        match result {
            _ if left.load(SeqCst) => None,
            Ok(output) => Some(OutcomeResult::Completed(output)),
            Err(fault) => Some(OutcomeResult::Failed(fault)),
        }
    }

    fn run_code(self, left: Arc<AtomicBool>) -> Result<Payload, Fault> {
        let Self { code, leases, task, .. } = self;
        on_thread(&task.activity.clone(), move || code.run(Arc::new(Inline::new(task, leases, left))))
    }

    /// A mock is given plain values, and interceptors are around it, as with the activity's own code. Those need a runtime.
    fn run_mock(self, mock: Mock, left: Arc<AtomicBool>) -> Result<Payload, Fault> {
        let Self { code, leases, task, .. } = self;
        let (name, has_interceptors) = (task.activity.clone(), !code.hooks().interceptors.is_empty());
        let attempt = Arc::new(Inline::new(task, leases, left));
        let mocked = name.clone();
        let body: ActivityFn =
            Box::new(move |_, input| std::future::ready(run_mock(&mocked, &input, &mock)).boxed());
        if has_interceptors {
            return on_thread(&name, move || code.attempt(attempt, body));
        }
        // Nothing in it waits.
        code.attempt(attempt, body).now_or_never().unwrap_or_else(|| Err(failure("Waits", "the mock waits")))
    }
}

/// On a thread of its own: the test's may be within a tokio runtime, where another cannot be waited for.
fn on_thread(
    name: &str,
    attempt: impl FnOnce() -> BoxFuture<'static, Result<Payload, Fault>> + Send + 'static,
) -> Result<Payload, Fault> {
    let (is_local, mocks) = (DECIDING.get(), RUNNING.with_borrow(Vec::clone));
    let run = move || {
        DECIDING.set(is_local);
        RUNNING.set(mocks);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failure("NoRuntime", &error.to_string()))?;
        runtime.block_on(attempt())
    };
    let thread = std::thread::Builder::new().name(format!("activity {name}")).spawn(run);
    let thread = thread.map_err(|error| failure("NoThread", &error.to_string()))?;
    // An assertion of the test, or a mistake: the test should fail where it is.
    thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
}

fn run_mock(name: &str, input: &Payload, mock: &Mutex<MockFn>) -> Result<Payload, ActivityError> {
    if RUNNING.with_borrow(|running| running.iter().any(|running| running == name)) {
        let text = format!("the mock of `{name}` asks for something that calls `{name}` again");
        return Err(ActivityError::Failed(failure("MockWithinItself", &text)));
    }
    RUNNING.with_borrow_mut(|running| running.push(name.to_owned()));
    let _guard = Ended;
    mock.lock().unwrap_or_else(PoisonError::into_inner)(input)
}

/// A mock has ended, also by a panic.
struct Ended;

impl Drop for Ended {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(Vec::pop);
    }
}

fn unknown(name: &str) -> Fault {
    let text = format!(
        "activity `{name}` is neither mocked nor registered: add `.mock({name}, |input| ..)` or `.activity({name})` to \
         the TestEnv"
    );
    failure("NotMocked", &text)
}

fn failure(kind: &str, text: &str) -> Fault {
    Fault::Application(ApplicationFailure::new(kind, text).non_retryable())
}
